//! What a head keeps for the head after it: who it is, which nodes there are and which died, names, placement groups,
//! what there is to be room for.
//!
//! All else is told anew by nodes when they meet the next life of the head. No lease is written down: the numbers of
//! one life begin with its epoch.

use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::groups::Kept;
use super::{Head, HeadLimits, Member};
use crate::as_bytes;
use crate::env::Moment;
use crate::flaw::{Flaw, planted};
use crate::ids::{GroupId, HeadLife, NodeId, ObjectId};
use crate::resources::Resources;
use crate::schedule::message::GroupStatus;
use crate::state::{Batch, StateStore};
use crate::{Error, ErrorKind, Result, ResultExt};

const HEAD: &str = "head";
const LIFE: &[u8] = b"life";
const FLOOR: &[u8] = b"room";
const NODES: &str = "nodes";
const DEAD: &str = "dead";
const NAMES: &str = "names";
const GROUPS: &str = "groups";
const REMOVED: &str = "removed groups";

/// Who a head is.
#[derive(Debug, Serialize, Deserialize)]
struct Life {
    life: HeadLife,
    /// The node in its process, which ends with it.
    own: NodeId,
}

/// Whose a name is.
#[derive(Debug, Serialize, Deserialize)]
struct Named(ObjectId, #[serde(with = "as_bytes")] Bytes);

fn node_key(node: NodeId) -> Vec<u8> {
    node.0.to_be_bytes().to_vec()
}

fn group_key(group: GroupId) -> Vec<u8> {
    [group.asked_on.0.to_be_bytes(), group.number.to_be_bytes()].concat()
}

fn node_of(key: &[u8]) -> Result<NodeId> {
    let number = key.try_into().map_err(|_| damaged("the name of a node"))?;
    Ok(NodeId(u64::from_be_bytes(number)))
}

fn damaged(what: &str) -> Error {
    Error::new(ErrorKind::CorruptFile, format!("the head's tables have {what} that cannot be read"))
        .with_hint("start the head with an empty folder for its state; nodes then begin anew")
}

fn write<T: Serialize>(value: &T) -> Vec<u8> {
    // Nothing of ours fails to be written down.
    postcard::to_stdvec(value).unwrap_or_default()
}

fn read<T: DeserializeOwned>(value: &[u8], what: &str) -> Result<T> {
    postcard::from_bytes(value).map_err(|error| damaged(what).with_source(error))
}

/// Changes that the head has made and not handed out.
#[derive(Debug, Default)]
pub(super) struct Changes(Batch);

impl Changes {
    pub(super) fn take(&mut self) -> Option<Batch> {
        (!self.0.is_empty()).then(|| std::mem::take(&mut self.0))
    }

    /// A node is there, and has so many milliseconds to leave, if it leaves.
    pub(super) fn node_is_known(&mut self, node: NodeId, leaves_within: Option<u64>) {
        self.0.put(NODES, node_key(node), write(&leaves_within));
    }

    /// A node is no more: it died, or it left.
    pub(super) fn node_is_gone(&mut self, node: NodeId, has_left: bool) {
        if planted(Flaw::ForgottenDeath) {
            return;
        }
        self.0.delete(NODES, node_key(node));
        self.0.put(DEAD, node_key(node), [u8::from(has_left)]);
    }

    /// What there is to be room for.
    pub(super) fn floor(&mut self, floor: &[Resources]) {
        self.0.put(HEAD, FLOOR, write(&floor));
    }

    pub(super) fn named(&mut self, name: &str, actor: ObjectId, meta: &Bytes) {
        self.0.put(NAMES, name, write(&Named(actor, meta.clone())));
    }

    pub(super) fn name_is_free(&mut self, name: &str) {
        self.0.delete(NAMES, name);
    }

    pub(super) fn group(&mut self, id: GroupId, group: &Kept) {
        self.0.put(GROUPS, group_key(id), write(group));
    }

    pub(super) fn group_removed(&mut self, order: u64, status: &GroupStatus, forgotten: Option<u64>) {
        self.0.delete(GROUPS, group_key(status.spec.id));
        self.0.put(REMOVED, order.to_be_bytes(), write(status));
        if let Some(order) = forgotten {
            self.0.delete(REMOVED, order.to_be_bytes());
        }
    }
}

impl Head {
    /// The next life of the head whose tables these are, in the process of that node; with no tables the first one of a
    /// cluster. What the life before knew of nodes is waited for as long as a node may be silent. The node that ended
    /// with it is dead.
    ///
    /// # Errors
    /// Those of the store; [`ErrorKind::CorruptFile`] for tables that cannot be read.
    pub fn restore(now: Moment, limits: HeadLimits, own: NodeId, store: &dyn StateStore) -> Result<Self> {
        let mut head = Self::new(limits);
        head.now = now;
        head.load(store).context("starting the head with what the one before has kept")?;
        let before = store.get(HEAD, LIFE)?.map(|life| read::<Life>(&life, "a life")).transpose()?;
        head.life = match &before {
            Some(Life { life: HeadLife { cluster, epoch }, .. }) => HeadLife { cluster: *cluster, epoch: epoch + 1 },
            // Drawn as the names of nodes are, and from one of them, so that a simulation is the same each time.
            None => HeadLife { cluster: own.0, epoch: 1 },
        };
        if let Some(Life { own: ended, .. }) = before {
            head.members.entry(ended).or_insert_with(|| Member::awaited(now));
            head.bury(ended);
        }
        if !planted(Flaw::ForgottenEpoch) || head.life.epoch == 1 {
            head.changes.0.put(HEAD, LIFE, write(&Life { life: head.life, own }));
        }
        if let Some(changes) = head.changes.take() {
            store.commit(&changes)?;
        }
        Ok(head)
    }

    fn load(&mut self, store: &dyn StateStore) -> Result<()> {
        for (node, has_left) in store.scan(DEAD, b"")? {
            let node = node_of(&node)?;
            self.dead.insert(node);
            if has_left == [1] {
                self.left.insert(node);
            }
        }
        for (node, leaves_within) in store.scan(NODES, b"")? {
            let mut member = Member::awaited(self.now);
            if let Some(millis) = read::<Option<u64>>(&leaves_within, "a node")? {
                (member.is_leaving, member.leaves_by) = (true, self.now + millis);
            }
            self.members.insert(node_of(&node)?, member);
        }
        if let Some(floor) = store.get(HEAD, FLOOR)? {
            self.hopes.floor = read(&floor, "what there is to be room for")?;
        }
        for (name, value) in store.scan(NAMES, b"")? {
            let name = String::from_utf8(name).map_err(|_| damaged("a name"))?;
            let Named(actor, meta) = read(&value, "a name")?;
            self.names.insert(Arc::from(name), (actor, meta));
        }
        for (_, value) in store.scan(GROUPS, b"")? {
            self.restore_group(read(&value, "a placement group")?);
        }
        for (number, value) in store.scan(REMOVED, b"")? {
            let number = number.try_into().map_err(|_| damaged("a placement group"))?;
            self.restore_removed(u64::from_be_bytes(number), read(&value, "a placement group")?);
        }
        Ok(())
    }
}
