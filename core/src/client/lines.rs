//! Lines that workers printed, on their way to who shows them.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::wire::Line;

/// Lines that wait for the driver: if it does not come for them the oldest go.
const MAX_LINES: usize = 100_000;

/// Lines on their way to the driver.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    waiting: Mutex<(VecDeque<Line>, bool)>,
    arrived: Condvar,
}

impl Lines {
    pub(crate) fn push(&self, line: Line) {
        let mut waiting = self.waiting.lock();
        if waiting.0.len() == MAX_LINES {
            waiting.0.pop_front();
        }
        waiting.0.push_back(line);
        self.arrived.notify_one();
    }

    /// Words of the runtime's own.
    pub(crate) fn say(&self, text: String) {
        self.push(Line { name: "sheaf".to_string(), pid: 0, place: String::new(), is_error: true, text });
    }

    pub(crate) fn end(&self) {
        self.waiting.lock().1 = true;
        self.arrived.notify_all();
    }

    pub(crate) fn take(&self, patience: Duration) -> Option<Vec<Line>> {
        let mut waiting = self.waiting.lock();
        if waiting.0.is_empty() && !waiting.1 {
            self.arrived.wait_for(&mut waiting, patience);
        }
        let lines: Vec<Line> = waiting.0.drain(..).collect();
        (!lines.is_empty() || !waiting.1).then_some(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_lines_hears_of_the_end() {
        let lines = Lines::default();
        assert_eq!(lines.take(Duration::from_millis(1)), Some(Vec::new()));
        lines.say("words".to_string());
        lines.end();
        assert_eq!(lines.take(Duration::ZERO).map(|lines| lines.len()), Some(1));
        assert_eq!(lines.take(Duration::ZERO), None);
    }
}
