//! Where tasks run and how long objects live, decided without a clock, a network or a thread.
//!
//! [`Head`] keeps the list of nodes and lends their resources; [`Node`] owns tasks and objects, runs the tasks of
//! others, and counts references. Each is a state machine: `step(now, event)` returns the actions that whoever drives
//! it performs. The protocol between them is told in `docs/runtime-protocol.md`; `schedule/simulation` runs whole
//! clusters of them against lost, late and repeated messages and dying machines.

mod head;
mod message;
mod node;
#[cfg(test)]
mod simulation;
mod spec;

pub use head::{Head, HeadAction, HeadEvent, HeadLimits, Outbox};
pub use message::{
    About, Failure, Found, FromHead, GroupAnswer, GroupRequest, GroupSpec, GroupState, GroupStatus, HeadAnswer,
    HeadRequest, Hold, Known, Lost, Made, Member, NodeMessage, Outcome, Packet, Raised, Report, Returned, Stop, ToHead,
};
pub use node::{Action, ActorRow, Event, Leaving, Node, References, TaskRow};
pub use spec::{Kind, Shape, TaskSpec};
