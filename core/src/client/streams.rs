//! Results that come one by one, and who waits for them.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::Client;
use super::answers::{Batch, Reply, Shared};
use crate::Result;
use crate::ids::{ObjectId, TaskId};

/// What comes next out of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// A result, to which this process holds a reference.
    Next(ObjectId),
    /// Nothing yet.
    Later,
    /// There will be no more: the task's first result is there, the number of them or an error.
    End,
}

/// The last result that came of a task, the last one that was handed out, whether the task has ended, and who is told
/// when there is something to take.
#[derive(Default)]
struct Stream {
    came: u32,
    taken: u32,
    is_over: bool,
    watchers: Vec<(Weak<Shared>, usize)>,
}

impl Stream {
    fn has_next(&self) -> bool {
        self.came > self.taken || self.is_over
    }

    /// Answers the questions of those who wait for this stream and others.
    fn tell(&mut self) {
        for (batch, index) in self.watchers.drain(..) {
            if let Some(batch) = batch.upgrade() {
                batch.arrive(index, Reply::Ready);
            }
        }
    }
}

/// The streams of a process.
#[derive(Default)]
pub(super) struct Streams {
    open: Mutex<(HashMap<TaskId, Stream>, bool)>,
    arrived: Condvar,
}

impl Streams {
    pub(super) fn open(&self, task: TaskId) {
        let mut open = self.open.lock();
        let is_over = open.1;
        open.0.insert(task, Stream { is_over, ..Stream::default() });
    }

    /// A result came; says whether somebody may want it.
    pub(super) fn arrived(&self, object: ObjectId) -> bool {
        let mut open = self.open.lock();
        let Some(stream) = open.0.get_mut(&object.task) else { return false };
        // A first result stands before those of the stream.
        stream.came = object.index;
        stream.tell();
        self.arrived.notify_all();
        true
    }

    fn ended(&self, task: TaskId) {
        if let Some(stream) = self.open.lock().0.get_mut(&task) {
            stream.is_over = true;
            stream.tell();
            self.arrived.notify_all();
        }
    }

    /// Answers this question when there is something to take, or nothing will come.
    fn watch(&self, task: TaskId, batch: &Arc<Shared>, index: usize) {
        let mut open = self.open.lock();
        match open.0.get_mut(&task) {
            Some(stream) if !stream.has_next() => {
                // Those who have stopped waiting are forgotten here.
                stream.watchers.retain(|(batch, _)| batch.strong_count() > 0);
                stream.watchers.push((Arc::downgrade(batch), index));
            }
            _ => batch.arrive(index, Reply::Ready),
        }
    }

    /// Whether the task has ended and all that came was handed out.
    fn is_over(&self, task: TaskId) -> bool {
        self.open.lock().0.get(&task).is_none_or(|stream| stream.is_over && stream.came == stream.taken)
    }

    /// The node is gone.
    pub(super) fn end(&self) {
        let mut open = self.open.lock();
        open.1 = true;
        for stream in open.0.values_mut() {
            stream.is_over = true;
            stream.tell();
        }
        self.arrived.notify_all();
    }

    fn next(&self, task: TaskId, patience: Duration) -> Item {
        let mut open = self.open.lock();
        let waits =
            |open: &mut (HashMap<TaskId, Stream>, bool)| open.0.get(&task).is_some_and(|stream| !stream.has_next());
        self.arrived.wait_while_for(&mut open, waits, patience);
        match open.0.get_mut(&task) {
            Some(stream) if stream.came > stream.taken => {
                stream.taken += 1;
                Item::Next(task.result(stream.taken))
            }
            Some(stream) if !stream.is_over => Item::Later,
            _ => Item::End,
        }
    }

    /// What came and was not handed out.
    fn close(&self, task: TaskId) -> Vec<ObjectId> {
        let stream = self.open.lock().0.remove(&task).unwrap_or_default();
        (stream.taken + 1..=stream.came).map(|index| task.result(index)).collect()
    }
}

impl Client {
    /// Hears of the end of a stream; to be called once, after its task was submitted.
    ///
    /// # Errors
    /// As every method.
    pub fn watch_stream(&self, task: TaskId) -> Result<()> {
        let streams = Arc::clone(&self.streams);
        self.when_ready(task.result(0), move |_| streams.ended(task))
    }

    /// The next result of a stream, waiting for so long.
    #[must_use]
    pub fn next_item(&self, task: TaskId, patience: Duration) -> Item {
        self.streams.next(task, patience)
    }

    /// Lets a question that was asked for a stream's first result be answered by the next one too.
    pub fn watch_items(&self, task: TaskId, batch: &Batch, index: usize) {
        self.streams.watch(task, batch.shared(), index);
    }

    /// Whether a stream has nothing more to give.
    #[must_use]
    pub fn is_stream_over(&self, task: TaskId) -> bool {
        self.streams.is_over(task)
    }

    /// Lets go of a stream, with what was not handed out.
    pub fn close_stream(&self, task: TaskId) {
        self.streams.close(task).into_iter().for_each(|object| self.drop_ref(object));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::answers::Answers;
    use crate::ids::NodeId;

    #[test]
    fn results_come_in_order_and_those_that_nobody_took_are_let_go() {
        let streams = Streams::default();
        let task = TaskId { owner: NodeId(1), number: 7 };
        assert!(!streams.arrived(task.result(1)), "nobody waits");
        streams.open(task);
        assert_eq!(streams.next(task, Duration::ZERO), Item::Later);
        for index in 1..=3 {
            assert!(streams.arrived(task.result(index)));
        }
        assert_eq!(streams.next(task, Duration::ZERO), Item::Next(task.result(1)));
        streams.ended(task);
        assert_eq!(streams.next(task, Duration::ZERO), Item::Next(task.result(2)));
        assert!(!streams.is_over(task), "one was not taken");
        assert_eq!(streams.close(task), [task.result(3)]);
        assert!(streams.is_over(task));
        assert_eq!(streams.next(task, Duration::ZERO), Item::End);
    }

    #[test]
    fn whoever_waits_for_several_streams_hears_of_the_first_result() {
        let (streams, answers) = (Streams::default(), Arc::new(Answers::default()));
        let tasks = [3, 4].map(|number| TaskId { owner: NodeId(1), number });
        tasks.iter().for_each(|task| streams.open(*task));
        let wait_for_all = |first| {
            let batch = answers.open(first, 2);
            tasks.iter().enumerate().for_each(|(index, task)| streams.watch(*task, batch.shared(), index));
            batch
        };
        let batch = wait_for_all(0);
        assert!(!batch.wait(1, Duration::ZERO));
        streams.arrived(tasks[1].result(1));
        streams.arrived(tasks[1].result(2));
        streams.ended(tasks[1]);
        assert!(batch.wait(1, Duration::ZERO));
        assert!(!batch.wait(2, Duration::ZERO), "three things happened to one stream");
        assert_eq!(batch.ready(), [false, true]);
        assert_eq!(wait_for_all(2).ready(), [false, true], "it is there already");
        streams.end();
        assert_eq!(batch.ready(), [true, true]);
    }
}
