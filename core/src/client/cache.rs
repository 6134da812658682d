//! Values that a process has had: objects never change, so asking again would bring the same.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Weak};

use super::Value;
use super::answers::SharedValue;
use crate::ids::ObjectId;

/// Bytes of small values that are kept: beyond them all are let go of, and had again when they are asked for.
const INLINE_BYTES: usize = 16 << 20;
/// Objects of which something is known, likewise.
const OBJECTS: usize = 100_000;
/// Large values that stay mapped when nobody here uses them: mapping one again costs more than reading it.
const KEPT: usize = 16;

/// What is kept.
#[derive(Default)]
pub(super) struct Cache {
    inline: HashMap<ObjectId, Arc<Vec<u8>>>,
    bytes: usize,
    /// Large values, as long as somebody holds them.
    shared: HashMap<ObjectId, Weak<SharedValue>>,
    /// The last of them, held until the node wants their memory.
    kept: VecDeque<(ObjectId, Arc<SharedValue>)>,
    /// Objects that are known to be there.
    ready: HashSet<ObjectId>,
}

impl Cache {
    pub(super) fn get(&self, object: ObjectId) -> Option<Value> {
        if let Some(bytes) = self.inline.get(&object) {
            return Some(Value::Inline(Arc::clone(bytes)));
        }
        self.shared.get(&object)?.upgrade().map(Value::Shared)
    }

    pub(super) fn is_ready(&self, object: ObjectId) -> bool {
        self.ready.contains(&object)
    }

    pub(super) fn set_ready(&mut self, object: ObjectId) {
        if self.ready.len() >= OBJECTS {
            self.ready = HashSet::new();
        }
        self.ready.insert(object);
    }

    pub(super) fn insert(&mut self, object: ObjectId, value: &Value) {
        match value {
            Value::Inline(bytes) if !self.inline.contains_key(&object) => {
                if self.bytes + bytes.len() > INLINE_BYTES || self.inline.len() >= OBJECTS {
                    (self.inline, self.bytes) = (HashMap::new(), 0);
                }
                self.bytes += bytes.len();
                self.inline.insert(object, Arc::clone(bytes));
            }
            Value::Inline(_) => {}
            Value::Shared(shared) => {
                if self.shared.len() >= OBJECTS {
                    self.shared = HashMap::new();
                }
                self.shared.insert(object, Arc::downgrade(shared));
            }
        }
    }

    /// Keeps a large value that came now; says which is not kept any more.
    #[must_use]
    pub(super) fn keep(&mut self, object: ObjectId, value: &Value) -> Option<Arc<SharedValue>> {
        let Value::Shared(shared) = value else { return None };
        let before = self.let_go(object);
        self.kept.push_back((object, Arc::clone(shared)));
        let oldest = if self.kept.len() > KEPT { self.kept.pop_front() } else { None };
        before.or(oldest.map(|(_, value)| value))
    }

    /// Does not keep it any more.
    #[must_use]
    pub(super) fn let_go(&mut self, object: ObjectId) -> Option<Arc<SharedValue>> {
        let place = self.kept.iter().position(|(kept, _)| *kept == object)?;
        self.kept.remove(place).map(|(_, value)| value)
    }

    /// A reference is gone, and mostly the last one.
    #[must_use]
    pub(super) fn forget(&mut self, object: ObjectId) -> Option<Arc<SharedValue>> {
        self.bytes -= self.inline.remove(&object).map_or(0, |bytes| bytes.len());
        self.shared.remove(&object);
        self.ready.remove(&object);
        self.let_go(object)
    }

    /// Keeps nothing any more.
    #[must_use]
    pub(super) fn end(&mut self) -> VecDeque<(ObjectId, Arc<SharedValue>)> {
        std::mem::take(&mut self.kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{NodeId, TaskId};

    #[test]
    fn it_is_bounded_and_forgets_with_the_references() {
        let mut cache = Cache::default();
        let object = |number| TaskId { owner: NodeId(1), number }.result(0);
        let value = Value::Inline(Arc::new(vec![7; 1 << 20]));
        for number in 0..20 {
            cache.insert(object(number), &value);
            cache.insert(object(number), &value);
            cache.set_ready(object(number));
            assert!(cache.get(object(number)).is_some() && cache.bytes <= INLINE_BYTES);
        }
        (0..20).for_each(|number| drop(cache.forget(object(number))));
        assert_eq!((cache.bytes, cache.inline.len(), cache.ready.len()), (0, 0, 0));
    }
}
