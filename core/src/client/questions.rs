//! What a process asks its node, which answers at once, or as soon as those that it asks do.

use serde_bytes::ByteBuf;

use super::{AT_ONCE, Client, Reply, has_ended};
use crate::ids::ObjectId;
use crate::resources::Resources;
use crate::wire::{Answer, Coming, NodeInfo, ObjectInfo, ToNode};
use crate::{Error, ErrorKind, Result};

impl Client {
    /// Gives an actor a name, with what others need to call it. If it is taken, who has it.
    ///
    /// # Errors
    /// As every method.
    pub fn claim_name(
        &self,
        name: &str,
        actor: ObjectId,
        meta: &[u8],
        is_detached: bool,
    ) -> Result<Option<(ObjectId, Vec<u8>)>> {
        let question = self.questions(1);
        let meta = ByteBuf::from(meta);
        let claim = ToNode::ClaimName(question, name.to_string(), actor, meta, is_detached);
        match self.inquire(question, &claim)? {
            Answer::Named(actor, meta) => Ok(Some((actor, meta.into_vec()))),
            _ => Ok(None),
        }
    }

    /// The actor that has a name, and what is needed to call it.
    ///
    /// # Errors
    /// As every method.
    pub fn look_up(&self, name: &str) -> Result<Option<(ObjectId, Vec<u8>)>> {
        let question = self.questions(1);
        match self.inquire(question, &ToNode::LookUp(question, name.to_string()))? {
            Answer::Named(actor, meta) => Ok(Some((actor, meta.into_vec()))),
            _ => Ok(None),
        }
    }

    /// Names of actors that begin so.
    ///
    /// # Errors
    /// As every method.
    pub fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let question = self.questions(1);
        match self.inquire(question, &ToNode::Names(question, prefix.to_string()))? {
            Answer::Texts(names) => Ok(names),
            _ => Ok(Vec::new()),
        }
    }

    /// Waits until the node has answered what it could answer at once of all that was asked before.
    ///
    /// # Errors
    /// As every method.
    pub fn ping(&self) -> Result<()> {
        let question = self.questions(1);
        self.inquire(question, &ToNode::Ping(question)).map(|_| ())
    }

    /// The nodes that are there. It waits for the head for a minute.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Io`] when the head does not answer; as every method.
    pub fn nodes(&self) -> Result<Vec<NodeInfo>> {
        self.nodes_and_coming().map(|(nodes, _)| nodes)
    }

    /// The nodes that are there, and those that can still come. It waits for the head for a minute.
    ///
    /// # Errors
    /// As [`Client::nodes`].
    pub fn nodes_and_coming(&self) -> Result<(Vec<NodeInfo>, Vec<Coming>)> {
        let question = self.questions(1);
        let silent = |error: Error| match error.kind() {
            ErrorKind::Io => {
                let why = format!("the head of the cluster has not answered for {} s", AT_ONCE.as_secs());
                Error::new(ErrorKind::Io, why)
                    .with_hint("if it has ended, start it again: nodes and programs that wait for it go on then")
            }
            _ => error,
        };
        match self.inquire(question, &ToNode::Nodes(question)).map_err(silent)? {
            Answer::Nodes(nodes, coming) => Ok((nodes, coming)),
            _ => Ok(Default::default()),
        }
    }

    /// Asks for room for this on the cluster, whether anything uses it or not, in place of what anybody asked for before:
    /// nodes come for it, where such can come, and are not waited for.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Io`] when the head does not answer; as every method.
    pub fn keep_room(&self, room: Vec<Resources>) -> Result<()> {
        let question = self.questions(1);
        self.inquire(question, &ToNode::KeepRoom(question, room)).map(|_| ())
    }

    /// The metrics of the node, in the text form of Prometheus.
    ///
    /// # Errors
    /// As every method.
    pub fn metrics_text(&self) -> Result<String> {
        let question = self.questions(1);
        match self.inquire(question, &ToNode::MetricsText(question))? {
            Answer::Texts(mut texts) => Ok(texts.pop().unwrap_or_default()),
            _ => Ok(String::new()),
        }
    }

    /// Why objects are not ready; whether the task that makes each is a call of an actor, and whether no node has what
    /// it, or (`Some(true)`) its actor, waits for. All are asked for at once: their owners may be far, or not answer.
    ///
    /// # Errors
    /// As every method.
    pub fn about(&self, objects: &[ObjectId]) -> Result<Vec<(String, bool, Option<bool>)>> {
        let first = self.questions(objects.len() as u64);
        let batch = self.answers.open(first, objects.len());
        for (question, object) in (first..).zip(objects) {
            self.send(&ToNode::About(question, *object), Vec::new())?;
        }
        let _ = batch.wait(objects.len(), AT_ONCE);
        let told = batch.take().into_iter().map(|reply| match reply {
            Some(Reply::Other(Answer::About(text, is_call, lacks_a_node))) => Ok((text, is_call, lacks_a_node)),
            Some(Reply::Ended) => Err(has_ended()),
            _ => Err(Error::new(ErrorKind::Io, "the node does not answer")),
        });
        told.collect()
    }

    /// How many calls of this process to an actor have not ended.
    ///
    /// # Errors
    /// As every method.
    pub fn pending_calls(&self, actor: ObjectId) -> Result<u64> {
        let question = self.questions(1);
        match self.inquire(question, &ToNode::PendingCalls(question, actor))? {
            Answer::Count(count) => Ok(count),
            _ => Ok(0),
        }
    }

    /// What is in the store of the node, the largest first.
    ///
    /// # Errors
    /// As every method.
    pub fn objects(&self) -> Result<Vec<ObjectInfo>> {
        let question = self.questions(1);
        match self.inquire(question, &ToNode::Objects(question))? {
            Answer::Objects(objects) => Ok(objects),
            _ => Ok(Vec::new()),
        }
    }
}
