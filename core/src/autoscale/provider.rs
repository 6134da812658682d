//! Where nodes come from: what starts and ends the machines, or processes, that nodes run on.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use super::rules::NodeType;
use crate::{Error, ErrorKind, Result};

/// The label of a node that says which instance it runs on.
pub const INSTANCE_LABEL: &str = "sheaf/instance";
/// The label of a node that says of which type it is.
pub const TYPE_LABEL: &str = "sheaf/node-type";

/// What a provider has started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its name, as it was given to [`NodeProvider::create`].
    pub name: String,
    /// The name of its node type.
    pub node_type: String,
    /// Whether it has ended by itself; why, as far as that is known. It is there until it is removed.
    pub ended: Option<String>,
    /// Why its node is not there yet, as far as that is known.
    pub waits: Option<String>,
}

/// Starts and ends instances, each of which runs one node. All calls come from one thread, one after the other, and are
/// to end within some seconds.
pub trait NodeProvider: Send + fmt::Debug {
    /// Starts an instance under a name that no other one has, with a node that has the resources of its type and the
    /// labels of [`labels_of`]. It need not run yet.
    ///
    /// # Errors
    /// When it cannot be started; another try may help.
    fn create(&mut self, name: &str, node_type: &NodeType) -> Result<()>;

    /// All instances that there are of this cluster, also those of a head before this one.
    ///
    /// # Errors
    /// When that cannot be found out now.
    fn list(&mut self) -> Result<Vec<Instance>>;

    /// Ends an instance, whatever runs on it, and forgets it; one that is not there is no error.
    ///
    /// # Errors
    /// When it cannot be ended now.
    fn remove(&mut self, name: &str) -> Result<()>;
}

/// The labels of a node on an instance: those of its type, and what says which instance it is.
#[must_use]
pub fn labels_of(name: &str, node_type: &NodeType) -> BTreeMap<String, String> {
    let own = [(INSTANCE_LABEL, name), (TYPE_LABEL, &node_type.name)];
    let own = own.into_iter().map(|(label, value)| (label.to_string(), value.to_string()));
    node_type.labels.iter().map(|(label, value)| (label.to_string(), value.to_string())).chain(own).collect()
}

/// A provider without machines, for tests: what was asked for is there at once.
#[derive(Debug, Clone, Default)]
pub struct InMemory(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    instances: BTreeMap<String, Instance>,
    refuses: bool,
}

impl InMemory {
    /// Whether calls end with an error from now on.
    pub fn refuse(&self, refuses: bool) {
        self.0.lock().refuses = refuses;
    }

    /// An instance ends by itself.
    pub fn end(&self, name: &str, why: &str) {
        if let Some(instance) = self.0.lock().instances.get_mut(name) {
            instance.ended = Some(why.to_string());
        }
    }

    fn with<T>(&self, call: impl FnOnce(&mut Held) -> T) -> Result<T> {
        let mut held = self.0.lock();
        if held.refuses {
            return Err(Error::new(ErrorKind::Io, "the provider was told to refuse"));
        }
        Ok(call(&mut held))
    }
}

impl NodeProvider for InMemory {
    fn create(&mut self, name: &str, node_type: &NodeType) -> Result<()> {
        let (name, node_type) = (name.to_string(), node_type.name.clone());
        self.with(|held| {
            let instance = Instance { name: name.clone(), node_type, ended: None, waits: None };
            held.instances.insert(name, instance);
        })
    }

    fn list(&mut self) -> Result<Vec<Instance>> {
        self.with(|held| held.instances.values().cloned().collect())
    }

    fn remove(&mut self, name: &str) -> Result<()> {
        self.with(|held| drop(held.instances.remove(name)))
    }
}
