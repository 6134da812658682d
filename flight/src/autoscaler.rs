//! The loop that lets a cluster grow and shrink: it asks the head what waits and the provider what there is, and does what
//! [`Scaler`] decides.

use std::collections::BTreeMap;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde_json::Value;
use sheaf_core::autoscale::{ClusterView, Decision, NodeProvider, Prospect, Rules, Scaler, View};
use sheaf_core::env::{self, Moment};
use sheaf_core::ids::NodeId;
use sheaf_core::local::{Inlet, Inquiry};
use sheaf_core::{Error, ErrorKind, Result};

use crate::cluster::{Access, ask_all};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a node that leaves may take for what it runs, in milliseconds: it has nothing, but may be given something
/// before it hears that it leaves.
const DRAIN_WITHIN: u64 = 300_000;

/// Whoever hears what is done, in words.
pub type Tell = Box<dyn Fn(String) + Send>;

/// Lets a cluster grow and shrink, as long as it is there.
#[derive(Debug)]
pub struct Autoscaler {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Autoscaler {
    /// Begins; the head has heard by then which nodes can come. `head` is that of this process, and `access` what its nodes
    /// are shown; `provider` is made on the thread that has it from then on.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when the system refuses a thread, [`ErrorKind::Cancelled`] when the head has ended.
    pub fn start(
        head: Inlet,
        access: Access,
        rules: Rules,
        provider: impl FnOnce() -> Box<dyn NodeProvider> + Send + 'static,
        tell: Tell,
    ) -> Result<Self> {
        let scaler = Scaler::new(rules, &life());
        // Who asks for what no node has is to wait from the first moment on.
        let told = scaler.prospects();
        ask_head::<Value>(&head, Inquiry::Prospects(Some(told.clone())))?;
        let (end, ended) = channel();
        let thread = env::thread("sheaf-autoscaler", move || {
            let mut own = Loop { head, access, scaler, told, provider: provider(), tell, trouble: String::new() };
            let start = Instant::now();
            while ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                let looked = own.look(Moment::after(start));
                own.tell_trouble(looked.err());
            }
        })?;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Autoscaler {
    /// Ends it, and what its provider ends with it.
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            // One that panicked has ended too.
            let _ = thread.join();
        }
    }
}

/// What no other life of a head calls itself.
fn life() -> String {
    format!("{:08x}", env::unique() as u32)
}

/// Asks the head of this process, whose thread answers at once.
fn ask_head<T: DeserializeOwned>(head: &Inlet, inquiry: Inquiry) -> Result<T> {
    let ended = |_| Error::new(ErrorKind::Cancelled, "the head has ended");
    let answer = head.inquire(inquiry).blocking_recv().map_err(ended)?;
    serde_json::from_str(&answer)
        .map_err(|error| Error::internal(format!("the head is not understood: {error}: {answer}")))
}

struct Loop {
    head: Inlet,
    access: Access,
    scaler: Scaler,
    /// The types of nodes that can come, as the head knows them.
    told: Vec<Prospect>,
    provider: Box<dyn NodeProvider>,
    tell: Tell,
    /// What went wrong last.
    trouble: String,
}

impl Loop {
    fn look(&mut self, now: Moment) -> Result<()> {
        let cluster: ClusterView = ask_head(&self.head, Inquiry::Demand)?;
        let view = View { cluster, instances: self.provider.list()? };
        let asked = self.ask_idle(now, &view)?;
        let decisions = self.scaler.step(now, &view, &asked);
        let mut failed = None;
        for decision in decisions {
            failed = self.perform(now, decision).err().or(failed);
        }
        let prospects = self.scaler.prospects();
        if prospects != self.told {
            ask_head::<Value>(&self.head, Inquiry::Prospects(Some(prospects.clone())))?;
            self.told = prospects;
        }
        failed.map_or(Ok(()), Err)
    }

    /// Asks those that have been idle for long whether somebody uses them in a way that the head does not see: drivers,
    /// and what asks for nothing.
    fn ask_idle(&self, now: Moment, view: &View) -> Result<BTreeMap<NodeId, bool>> {
        let idle = self.scaler.long_idle(now);
        let nodes: Vec<_> = view.cluster.nodes.iter().filter(|node| idle.contains(&node.id)).collect();
        let questions: Vec<_> = nodes.iter().map(|node| (node.address.to_string(), Inquiry::Leaving)).collect();
        if questions.is_empty() {
            return Ok(BTreeMap::new());
        }
        let answers = ask_all(&questions, &self.access)?;
        let is_unused = |answer: Result<String>| answer.is_ok_and(|answer| is_unused(&answer));
        Ok(nodes.into_iter().map(|node| node.id).zip(answers.into_iter().map(is_unused)).collect())
    }

    fn perform(&mut self, now: Moment, decision: Decision) -> Result<()> {
        match decision {
            Decision::Create { name, node_type } => {
                let node_type = self.scaler.rules().type_of(&node_type).cloned();
                let node_type = node_type.ok_or_else(|| Error::internal("a node of no type is to be started"))?;
                (self.tell)(format!("starts {name}, a node with {}", node_type.resources));
                if let Err(error) = self.provider.create(&name, &node_type) {
                    self.scaler.failed(now, &name, &error.to_string());
                    return Err(error);
                }
            }
            Decision::Drain { node, name } => {
                let seconds = self.scaler.rules().idle_after / 1000;
                (self.tell)(format!("lets {name} go, which has had nothing to do for {seconds} s"));
                // It may have been given something meanwhile: then it is asked again.
                ask_head::<Value>(&self.head, Inquiry::DrainIdle(node, DRAIN_WITHIN))?;
            }
            Decision::Remove { name, why, has_failed } => {
                if has_failed {
                    (self.tell)(format!("gives {name} up: {why}"));
                }
                self.provider.remove(&name)?;
            }
        }
        Ok(())
    }

    /// Tells what goes wrong, once for each time that it is something else.
    fn tell_trouble(&mut self, error: Option<Error>) {
        let trouble = error.map(|error| error.to_string()).unwrap_or_default();
        if !trouble.is_empty() && trouble != self.trouble {
            (self.tell)(format!("no nodes come or go as they should, and it is tried again: {trouble}"));
        }
        self.trouble = trouble;
    }
}

/// Whether a node that says this runs nothing for anybody, and nothing that others hold would go with it.
fn is_unused(leaving: &str) -> bool {
    let leaving: Value = serde_json::from_str(leaving).unwrap_or_default();
    ["running", "actors_that_move", "actors_that_stay", "drivers", "owned"].iter().all(|part| leaving[part] == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_used_that_has_anything() {
        let node = |running: usize, drivers: usize, owned: usize| {
            let told = serde_json::json!({
                "running": running, "actors_that_move": 0, "actors_that_stay": 0, "drivers": drivers, "owned": owned,
                "copies": 3,
            });
            told.to_string()
        };
        assert!(is_unused(&node(0, 0, 0)));
        assert!(!is_unused(&node(1, 0, 0)) && !is_unused(&node(0, 1, 0)) && !is_unused(&node(0, 0, 1)));
        assert!(!is_unused("{}") && !is_unused(""));
    }
}
