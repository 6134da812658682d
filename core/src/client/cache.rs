//! Values that a process has had: objects never change, so that asking again would bring the same.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Weak};

use super::Value;
use super::answers::SharedValue;
use crate::ids::ObjectId;

/// Bytes of small values that are kept: the oldest go first.
const INLINE_BYTES: usize = 16 << 20;
/// Large values that are known, as long as somebody holds them.
const SHARED_VALUES: usize = 1_024;

/// Objects of which it is known that they are there.
const READY: usize = 100_000;

/// What is kept.
#[derive(Default)]
pub(super) struct Cache {
    inline: HashMap<ObjectId, Arc<Vec<u8>>>,
    order: VecDeque<ObjectId>,
    bytes: usize,
    shared: HashMap<ObjectId, Weak<SharedValue>>,
    /// Objects that are known to be there, and the order in which that was heard.
    ready: HashSet<ObjectId>,
    heard: VecDeque<ObjectId>,
}

impl Cache {
    pub(super) fn get(&mut self, object: ObjectId) -> Option<Value> {
        if let Some(bytes) = self.inline.get(&object) {
            return Some(Value::Inline(Arc::clone(bytes)));
        }
        let shared = self.shared.get(&object)?.upgrade();
        if shared.is_none() {
            self.shared.remove(&object);
        }
        shared.map(Value::Shared)
    }

    pub(super) fn is_ready(&self, object: ObjectId) -> bool {
        self.ready.contains(&object)
    }

    pub(super) fn set_ready(&mut self, object: ObjectId) {
        if self.ready.insert(object) {
            self.heard.push_back(object);
        }
        if self.heard.len() > READY
            && let Some(oldest) = self.heard.pop_front()
        {
            self.ready.remove(&oldest);
        }
    }

    pub(super) fn insert(&mut self, object: ObjectId, value: &Value) {
        match value {
            Value::Inline(bytes) => {
                if self.inline.insert(object, Arc::clone(bytes)).is_none() {
                    self.bytes += bytes.len();
                    self.order.push_back(object);
                }
                while self.bytes > INLINE_BYTES
                    && let Some(oldest) = self.order.pop_front()
                {
                    self.bytes -= self.inline.remove(&oldest).map_or(0, |bytes| bytes.len());
                }
            }
            Value::Shared(shared) => {
                if self.shared.len() >= SHARED_VALUES {
                    self.shared.retain(|_, value| value.strong_count() > 0);
                }
                if self.shared.len() < SHARED_VALUES {
                    self.shared.insert(object, Arc::downgrade(shared));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{NodeId, TaskId};

    #[test]
    fn the_oldest_values_go_first() {
        let mut cache = Cache::default();
        let object = |number| TaskId { owner: NodeId(1), number }.result(0);
        let value = Value::Inline(Arc::new(vec![7; 1 << 20]));
        for number in 0..20 {
            cache.insert(object(number), &value);
            cache.insert(object(number), &value);
        }
        let kept: Vec<u64> = (0..20).filter(|number| cache.get(object(*number)).is_some()).collect();
        assert_eq!((kept, cache.bytes), ((4..20).collect(), INLINE_BYTES));
    }
}
