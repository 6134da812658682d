//! What a cluster is like to whoever lets it grow and shrink: its nodes, and what waits for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::provider::{INSTANCE_LABEL, Instance};
use crate::ids::NodeId;
use crate::placement::Label;
use crate::placement::groups::Spreading;
use crate::resources::Resources;

/// What waits for resources, as the head knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    /// Tasks and actors that no node has room for now.
    pub tasks: Vec<Wanted>,
    /// Placement groups whose bundles are not all reserved: those bundles.
    pub groups: Vec<Bundles>,
    /// What there is to be room for, whether anything uses it or not.
    pub floor: Vec<Resources>,
}

/// Tasks, or actors, that ask for the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// What each of them asks for.
    pub demand: Resources,
    /// The labels that its node must have.
    pub labels: Arc<[Label]>,
    /// How many there are, as far as their owners have told: each tells of some at once.
    pub count: u32,
}

/// Bundles of one placement group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundles {
    /// What each of them has.
    pub bundles: Vec<Resources>,
    /// How they lie on nodes.
    pub spreading: Spreading,
    /// Where others of the same group are.
    pub beside: Vec<NodeId>,
}

/// A node as the head knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeView {
    /// Its name.
    pub id: NodeId,
    /// Where it is reached.
    pub address: Arc<str>,
    /// All it has.
    pub total: Resources,
    /// What of it is free.
    pub free: Resources,
    /// Its labels.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// How often something of it was lent by the head.
    pub grants: u64,
    /// Whether it is on its way out.
    pub is_leaving: bool,
    /// Whether it has been heard lately.
    pub is_heard: bool,
}

impl NodeView {
    /// The instance that it runs on, if a provider has started that.
    #[must_use]
    pub fn instance(&self) -> Option<&str> {
        self.labels.get(INSTANCE_LABEL).map(|name| &**name)
    }
}

/// What the head tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterView {
    /// Its nodes.
    pub nodes: Vec<NodeView>,
    /// What waits.
    pub demand: Demand,
}

/// All that is decided by.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// What the head tells.
    pub cluster: ClusterView,
    /// What the provider tells.
    pub instances: Vec<Instance>,
}

/// A type of node of which there can be more, for whoever asks for what no node has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prospect {
    /// The name of the type.
    pub name: Arc<str>,
    /// What a node of it has.
    pub total: Resources,
    /// Its labels.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// How many there may be.
    pub max: u32,
    /// Why none can be started now, if that is so.
    pub trouble: Option<Arc<str>>,
}
