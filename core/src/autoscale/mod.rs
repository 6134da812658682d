//! Nodes that come when something waits for them, and leave when they are idle.
//!
//! `view` is what is decided by: the nodes that there are and what waits, as the head tells, and the instances that a
//! `provider` has started. `rules` say which nodes there may be; `pack` lays what waits on nodes; `scaler` decides, and
//! knows no clock. Providers: `process` starts nodes on this machine, others are where their network is.

mod pack;
mod process;
mod provider;
mod rules;
mod scaler;
#[cfg(test)]
mod simulation;
mod view;

pub use process::ProcessProvider;
pub use provider::{INSTANCE_LABEL, InMemory, Instance, NodeProvider, TYPE_LABEL, labels_of};
pub use rules::{NodeType, Rules};
pub use scaler::{Decision, Scaler};
pub use view::{Bundles, ClusterView, Demand, NodeView, Prospect, View, Wanted};
