//! `Link`: messages to and from one peer, each delivered once and in order, over a network that may lose, repeat and
//! reorder what it carries, or break and come back.
//!
//! Messages are numbered; what has arrived is acknowledged by the number of the next one that is missing (cumulative
//! acknowledgement, as in TCP, RFC 9293, 3.4). A link ends only with one of its peers: whoever learns of that drops it.
//! It is pure: time is given, frames are returned.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::env::Moment;
use crate::flaw::{Flaw, planted};

/// How long a message may be unacknowledged before it is sent again, in milliseconds: a few round trips in a data
/// centre, and little enough that a lost frame is not felt.
const RESEND_AFTER: u64 = 200;
/// Messages that are under way at once: what a peer must be ready to put in order.
const WINDOW: usize = 1024;

/// What goes over the network: some messages in order, and what has arrived of the peer's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame<M> {
    /// The number of the first message.
    pub first: u64,
    /// The messages.
    pub messages: Vec<M>,
    /// All messages of the peer with lower numbers have arrived.
    pub arrived: u64,
}

impl<M: Clone> Frame<M> {
    /// Two frames that say the same, if it has more than one message.
    #[must_use]
    pub fn halves(&self) -> Option<(Self, Self)> {
        let middle = self.messages.len() / 2;
        let (first, second) = (self.messages.get(..middle)?.to_vec(), self.messages.get(middle..)?.to_vec());
        let next = self.first + middle as u64;
        (middle > 0).then_some((
            Self { first: self.first, messages: first, arrived: self.arrived },
            Self { first: next, messages: second, arrived: self.arrived },
        ))
    }
}

/// One end of a link.
#[derive(Debug, Clone)]
pub struct Link<S, R> {
    /// Not acknowledged; the first has the number `acknowledged`.
    outgoing: VecDeque<S>,
    acknowledged: u64,
    /// How many of them were sent at least once.
    sent: usize,
    resend_at: Option<Moment>,
    /// Since when nothing of what is under way was acknowledged.
    stalled_since: Option<Moment>,
    /// The number of the next message to deliver.
    arrived: u64,
    early: BTreeMap<u64, R>,
    owes_acknowledgement: bool,
}

impl<S, R> Default for Link<S, R> {
    fn default() -> Self {
        Self {
            outgoing: VecDeque::new(),
            acknowledged: 0,
            sent: 0,
            resend_at: None,
            stalled_since: None,
            arrived: 0,
            early: BTreeMap::new(),
            owes_acknowledgement: false,
        }
    }
}

impl<S: Clone, R> Link<S, R> {
    /// Takes a message on; [`Link::flush`] gives it away.
    pub fn send(&mut self, message: S) {
        self.outgoing.push_back(message);
    }

    /// The frame that is due now, if one is. To be called after each change and at [`Link::wakes_at`].
    pub fn flush(&mut self, now: Moment) -> Option<Frame<S>> {
        if self.resend_at.is_some_and(|at| at <= now) {
            self.sent = 0;
        }
        let until = self.outgoing.len().min(WINDOW);
        let fresh = self.sent < until;
        if !fresh && !self.owes_acknowledgement {
            return None;
        }
        self.owes_acknowledgement = false;
        let frame = Frame {
            first: self.acknowledged + self.sent as u64,
            messages: self.outgoing.iter().take(until).skip(self.sent).cloned().collect(),
            arrived: self.arrived,
        };
        self.sent = until;
        if fresh {
            self.resend_at = Some(now + RESEND_AFTER);
            self.stalled_since.get_or_insert(now);
        }
        Some(frame)
    }

    /// The messages that a frame brings and that nothing before them is missing of.
    pub fn receive(&mut self, frame: Frame<R>, now: Moment) -> Vec<R> {
        while self.acknowledged < frame.arrived && self.outgoing.pop_front().is_some() {
            self.acknowledged += 1;
            self.sent = self.sent.saturating_sub(1);
            self.resend_at = Some(now + RESEND_AFTER);
            self.stalled_since = Some(now);
        }
        if self.outgoing.is_empty() {
            self.resend_at = None;
            self.stalled_since = None;
        }
        // What came before is acknowledged again: the acknowledgement may have been lost.
        self.owes_acknowledgement |= !frame.messages.is_empty() && !planted(Flaw::DroppedAcknowledgement);
        for (number, message) in (frame.first..).zip(frame.messages) {
            if number >= self.arrived && number < self.arrived + WINDOW as u64 {
                self.early.insert(number, message);
            }
        }
        let mut ready = Vec::new();
        while let Some(message) = self.early.remove(&self.arrived) {
            self.arrived += 1;
            ready.push(message);
        }
        ready
    }

    /// When [`Link::flush`] has something to send again.
    #[must_use]
    pub fn wakes_at(&self) -> Option<Moment> {
        self.resend_at
    }

    /// Since when the peer has acknowledged nothing of what it was sent.
    #[must_use]
    pub fn stalled_since(&self) -> Option<Moment> {
        self.stalled_since
    }

    /// Whether all that was sent has arrived.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.outgoing.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Random;

    #[test]
    fn messages_arrive_once_and_in_order_over_a_network_that_does_what_it_likes() {
        for seed in 0..300 {
            let mut random = Random::new(seed);
            let (mut a, mut b) = (Link::<u32, u32>::default(), Link::<u32, u32>::default());
            let (mut to_b, mut to_a) = (Vec::<Frame<u32>>::new(), Vec::<Frame<u32>>::new());
            let (mut at_a, mut at_b, mut sent) = (Vec::new(), Vec::new(), 0);
            let mut now = Moment::default();
            while at_a.len() < 60 || at_b.len() < 60 || !a.is_idle() || !b.is_idle() {
                now = now + random.below(300);
                assert!(now < Moment::default() + 10_000_000, "seed {seed}: nothing goes on");
                if sent < 60 && random.below(2) == 0 {
                    a.send(sent);
                    b.send(1000 + sent);
                    sent += 1;
                }
                for (link, queue) in [(&mut a, &mut to_b), (&mut b, &mut to_a)] {
                    if let Some(frame) = link.flush(now) {
                        for _ in 0..random.below(3) {
                            queue.push(frame.clone());
                        }
                    }
                }
                for (link, queue, delivered) in [(&mut b, &mut to_b, &mut at_b), (&mut a, &mut to_a, &mut at_a)] {
                    if !queue.is_empty() {
                        let frame = queue.swap_remove(random.below(queue.len() as u64) as usize);
                        delivered.extend(link.receive(frame, now));
                    }
                }
            }
            assert_eq!(at_b, (0..60).collect::<Vec<_>>(), "seed {seed}");
            assert_eq!(at_a, (1000..1060).collect::<Vec<_>>(), "seed {seed}");
        }
    }

    #[test]
    fn no_more_than_a_window_is_under_way_and_an_idle_link_is_quiet() {
        let (mut a, mut b) = (Link::<u32, u32>::default(), Link::<u32, u32>::default());
        let now = Moment::default();
        (0..3000).for_each(|message| a.send(message));
        let first = a.flush(now).unwrap();
        assert_eq!(first.messages.len(), WINDOW);
        assert_eq!(a.flush(now), None);
        assert_eq!(b.receive(first, now).len(), WINDOW);
        assert_eq!(a.receive(b.flush(now).unwrap(), now), Vec::<u32>::new());
        assert_eq!(a.flush(now).unwrap().first, WINDOW as u64);
        assert_eq!(b.flush(now + 10 * RESEND_AFTER), None);
        assert_eq!((a.wakes_at(), b.wakes_at()), (Some(now + RESEND_AFTER), None));
    }
}
