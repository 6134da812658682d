//! What people say of a cluster that grows and shrinks: which nodes there may be, and how long one may be idle.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::resources::{GPU, Resources};
use crate::{Error, Result};

/// A kind of node that there may be more or fewer of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeType {
    /// Its name.
    pub name: String,
    /// What a node of it has.
    pub resources: Resources,
    /// The labels of its nodes.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// How many there are at the least.
    pub min: usize,
    /// How many there are at the most.
    pub max: usize,
}

impl NodeType {
    /// Whether it has GPUs, which work without need of them leaves to others.
    #[must_use]
    pub fn has_gpus(&self) -> bool {
        self.resources.amount(GPU) > 0.0
    }
}

/// The rules by which a cluster grows and shrinks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The kinds of nodes, each with a name of its own.
    pub types: Vec<NodeType>,
    /// How many nodes of all of them there are at the most.
    pub max_nodes: usize,
    /// How long a node is idle before it leaves, in milliseconds.
    pub idle_after: u64,
    /// How long one may take from its start until it belongs to the cluster, in milliseconds.
    pub boots_within: u64,
}

/// What a name may have: it becomes part of the names of machines.
const NAME_CHARACTERS: &str = "small letters, digits and -";
/// How long a name may be.
const NAME_LENGTH: usize = 40;

impl Rules {
    /// The same, if they can be kept.
    ///
    /// # Errors
    /// [`crate::ErrorKind::InvalidInput`] for no types, names that are twice there or no part of a machine's name, more
    /// nodes at the least than at the most, and types that have nothing.
    pub fn checked(self) -> Result<Self> {
        if self.types.is_empty() {
            return Err(Error::invalid("there is no type of node").with_hint("name at least one"));
        }
        let fits = |name: &str| {
            let is_known = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
            (1..=NAME_LENGTH).contains(&name.len())
                && name.chars().all(|character| is_known(character) || character == '-')
                && name.starts_with(is_known)
                && name.ends_with(is_known)
        };
        for (at, node_type) in self.types.iter().enumerate() {
            let NodeType { name, min, max, .. } = node_type;
            if !fits(name) {
                return Err(Error::invalid(format!("{name:?} is no name of a type of node")).with_hint(format!(
                    "{NAME_CHARACTERS}, at most {NAME_LENGTH} of them, with a - only between others"
                )));
            }
            if self.types[..at].iter().any(|other| other.name == *name) {
                return Err(Error::invalid(format!("there are two types of node called {name:?}")));
            }
            if min > max || *max == 0 {
                return Err(Error::invalid(format!(
                    "there are to be {min} nodes of type {name:?} at the least and {max} at the most"
                )));
            }
            if node_type.resources.is_empty() {
                return Err(Error::invalid(format!("nodes of type {name:?} have nothing that could be asked for"))
                    .with_hint("say how many CPUs one has"));
            }
        }
        let least: usize = self.types.iter().map(|node_type| node_type.min).sum();
        if least > self.max_nodes {
            return Err(Error::invalid(format!(
                "there are to be {least} nodes at the least, and max_nodes is {}",
                self.max_nodes
            )));
        }
        Ok(self)
    }

    /// The type of that name.
    #[must_use]
    pub fn type_of(&self, name: &str) -> Option<&NodeType> {
        self.types.iter().find(|node_type| node_type.name == name)
    }
}
