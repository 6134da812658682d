//! What things are called across processes: small numbers that are never used twice.
//!
//! The node that owns a task is part of the task's name, and the task part of the names of its results: whoever holds
//! a name knows whom to ask. A node that starts again has another name, so that nothing of its former life is taken
//! for new.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{:x}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

number!(
    /// One life of a node: drawn at random when it starts.
    NodeId,
    "node-"
);
number!(
    /// A driver or worker process, as the node it belongs to numbers them.
    ClientId,
    "client-"
);

/// One life of a head: which cluster it keeps, and how often it has begun to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct HeadLife {
    /// Drawn at random when the cluster begins; its tables carry it on.
    pub cluster: u64,
    /// Greater in each life: the same is never used twice.
    pub epoch: u64,
}

/// A task, or a `put`, by the node that owns it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId {
    /// The node of the client that submitted it.
    pub owner: NodeId,
    /// Never used twice on that node.
    pub number: u64,
}

impl std::str::FromStr for NodeId {
    type Err = crate::Error;

    /// Reads what `Display` writes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_prefix("node-").and_then(|hex| u64::from_str_radix(hex, 16).ok());
        number.map(Self).ok_or_else(|| crate::Error::invalid(format!("{text:?} is no name of a node")))
    }
}

impl NodeId {
    /// A name that no other life of a node has.
    #[must_use]
    pub fn draw() -> Self {
        // Sixteen digits, whoever writes it: some fill up with zeros and some do not.
        Self(crate::env::unique() | 1 << 63)
    }
}

impl TaskId {
    /// The name of one of its results.
    #[must_use]
    pub fn result(self, index: u32) -> ObjectId {
        ObjectId { task: self, index }
    }
}

/// An object, by the task that makes it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectId {
    /// The task that makes it, or the `put`.
    pub task: TaskId,
    /// Which of the task's results it is.
    pub index: u32,
}

impl ObjectId {
    /// The node that counts its references and knows where it is.
    #[must_use]
    pub fn owner(self) -> NodeId {
        self.task.owner
    }
}

/// One try at a task. Only what the try of the highest number says is heard.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Attempt {
    /// The task.
    pub task: TaskId,
    /// From 1.
    pub number: u32,
}

/// Resources of a node, lent to the owner of tasks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LeaseId {
    /// The node that granted it to itself, or `None` for the head.
    pub granted_by: Option<NodeId>,
    /// Never used twice by who granted it.
    pub number: u64,
}

/// A placement group, by the node of the client that asked for it. Names of groups and of tasks come from one sequence.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GroupId {
    /// The node of the client that asked for it.
    pub asked_on: NodeId,
    /// Never used twice on that node.
    pub number: u64,
}

/// Resources of one node that belong to a placement group.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BundleId {
    /// The group.
    pub group: GroupId,
    /// Which of its bundles it is.
    pub index: u32,
}

macro_rules! shown {
    ($name:ident, $self:ident, $($format:tt)+) => {
        impl fmt::Display for $name {
            fn fmt(&$self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, $($format)+)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

shown!(TaskId, self, "task-{:x}-{:x}", self.owner.0, self.number);
shown!(ObjectId, self, "object-{:x}-{:x}-{}", self.task.owner.0, self.task.number, self.index);
shown!(Attempt, self, "{}#{}", self.task, self.number);
shown!(GroupId, self, "group-{:x}-{:x}", self.asked_on.0, self.number);
shown!(BundleId, self, "bundle {} of {}", self.index, self.group);
shown!(LeaseId, self, "lease-{:x}-{:x}", self.granted_by.map_or(0, |node| node.0), self.number);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_who_owns() {
        let task = TaskId { owner: NodeId(0xab), number: 7 };
        assert_eq!(task.result(2).owner(), NodeId(0xab));
        assert_eq!("node-ab".parse::<NodeId>().unwrap(), NodeId(0xab));
        assert!("ab".parse::<NodeId>().is_err());
        assert_eq!(task.result(2).to_string(), "object-ab-7-2");
        assert_eq!(format!("{:?}", Attempt { task, number: 1 }), "task-ab-7#1");
        assert_eq!(LeaseId { granted_by: None, number: 5 }.to_string(), "lease-0-5");
    }
}
