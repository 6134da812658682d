//! What simulated programs do with placement groups, and what has to hold of these at any time.

use super::*;
use crate::placement::groups::Spreading;
use crate::schedule::message::{GroupState, GroupStatus};

/// By then a group is gone whose client is: a machine may be frozen for half of it.
const GONE_AFTER: u64 = 40_000;

/// What is known of the groups of a run.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// All that there ever were, in the order in which they were asked for.
    asked: Vec<Arc<GroupSpec>>,
    /// Those of which all bundles were reserved once.
    whole: BTreeSet<GroupId>,
    /// Until then the head may hear in one step that a group is whole and that one of its nodes ends.
    unseen_until: Moment,
    /// Those of which a node has a bundle that may be used.
    used: BTreeSet<GroupId>,
    /// Questions that are not answered.
    questions: BTreeSet<(NodeId, ClientId, u64)>,
    /// When clients went.
    gone: BTreeMap<(NodeId, ClientId), Moment>,
}

/// How late what a node said before its end may be heard together with that.
const HEARD_LATE: u64 = 15_000;

impl Groups {
    /// A node tells the head that it ends.
    pub(super) fn node_ends(&mut self, now: Moment) {
        self.unseen_until = now + HEARD_LATE;
    }

    /// The end of a machine.
    pub(super) fn without(&mut self, host: NodeId) {
        self.questions.retain(|(node, _, _)| *node != host);
    }

    pub(super) fn client_gone(&mut self, node: NodeId, client: ClientId, now: Moment) {
        self.gone.insert((node, client), now);
    }

    pub(super) fn unanswered(&self) -> usize {
        self.questions.len()
    }

    /// How many were whole at some time.
    pub(super) fn created(&self) -> usize {
        self.whole.len()
    }
}

impl World {
    /// A client makes a group that ends with it, with another client, or with nobody.
    pub(super) fn create_group(&mut self, node: NodeId, client: ClientId) {
        let id = GroupId { asked_on: node, number: self.number(node) };
        let spreadings = [Spreading::Pack, Spreading::Spread, Spreading::StrictPack, Spreading::StrictSpread];
        let spreading = spreadings[self.random.below(4) as usize];
        let bundles = (0..1 + self.random.below(3)).map(|_| cpus([0.5, 1.0][self.random.below(2) as usize])).collect();
        let hosts: Vec<NodeId> = self.hosts.keys().copied().collect();
        let other = hosts[self.random.below(hosts.len() as u64) as usize];
        let elsewhere =
            self.hosts.get(&other).and_then(|host| host.clients.keys().next()).map(|client| (other, *client));
        let lives_with = match self.random.below(3) {
            0 => Some((node, client)),
            1 => elsewhere,
            _ => None,
        };
        let name = match self.random.below(4) {
            0 => Arc::from(format!("group {}", self.random.below(2))),
            _ => Arc::from(""),
        };
        let spec = Arc::new(GroupSpec { id, name, bundles, spreading, lives_with });
        self.groups.asked.push(Arc::clone(&spec));
        self.ask_of_groups(node, client, GroupRequest::Create(spec));
        self.soon(20_000, Coming::RemoveGroup(id));
    }

    fn ask_of_groups(&mut self, node: NodeId, client: ClientId, request: GroupRequest) {
        let question = self.number(node);
        self.groups.questions.insert((node, client, question));
        self.step_node(node, Event::Group(client, question, request));
    }

    /// A client removes a group, whoever made it.
    pub(super) fn remove_any_group(&mut self, node: NodeId, client: ClientId) {
        if let Some(group) = self.any_group() {
            self.ask_of_groups(node, client, GroupRequest::Remove(group.id));
        }
    }

    /// Nobody keeps a group for ever: somebody removes it, and again if that came to nothing.
    pub(super) fn remove_group(&mut self, id: GroupId) {
        // One that was never heard of, since its node died, is gone as well.
        if !self.head.groups().any(|group| group.spec.id == id) && self.now > CALM_AT + 30_000 {
            return;
        }
        let hosts: Vec<NodeId> = self.hosts.keys().copied().collect();
        let node = hosts[self.random.below(hosts.len() as u64) as usize];
        if self.frozen_until(node).is_none() {
            self.ask_of_groups(node, ClientId(0), GroupRequest::Remove(id));
        }
        self.later(self.now + 5_000, Coming::RemoveGroup(id));
    }

    /// One of the groups that were made last; it may be gone.
    fn any_group(&mut self) -> Option<Arc<GroupSpec>> {
        let last = self.groups.asked.len().saturating_sub(4);
        let some = self.groups.asked.len() - last;
        (some > 0).then(|| Arc::clone(&self.groups.asked[last + self.random.below(some as u64) as usize]))
    }

    /// To run in one of them.
    pub(super) fn in_a_group(&mut self) -> crate::placement::Strategy {
        let Some(group) = self.any_group() else { return crate::placement::Strategy::Default };
        let index = self.random.below(2 * group.bundles.len() as u64) as u32;
        let index = Some(index).filter(|index| (*index as usize) < group.bundles.len());
        crate::placement::Strategy::Group { group: group.id, index }
    }

    pub(super) fn grouped(&mut self, node: NodeId, client: ClientId, question: u64, answer: &GroupAnswer) {
        if !self.groups.questions.remove(&(node, client, question)) {
            self.broken(&format!("{client} on {node} is answered twice about groups: {answer:?}"));
        }
    }

    /// Tasks of groups run where a bundle of theirs may be used.
    pub(super) fn check_bundles(&mut self, node: NodeId) {
        let Some(host) = self.hosts.get(&node) else { return };
        self.groups.used.extend(host.node.open_bundles().map(|bundle| bundle.group));
        let is_homeless = |(_, (spec, _)): &(&Attempt, &(Arc<TaskSpec>, ClientId))| {
            let bundles = spec.shape.strategy.bundles().filter(|_| spec.call().is_none());
            bundles.is_some_and(|bundles| !host.node.open_bundles().any(|id| bundles.contains(&id)))
        };
        if let Some((attempt, (spec, _))) = host.workers.iter().find(is_homeless) {
            let what = format!("{attempt} runs on {node} in {:?}, which is not there", spec.shape.strategy);
            self.broken(&what);
        }
    }

    /// What the head says of groups is so on the nodes, and as was asked for.
    pub(super) fn check_groups(&mut self) {
        let statuses: Vec<GroupStatus> = self.head.groups().collect();
        let mut wrong = Vec::new();
        for GroupStatus { spec, state, nodes } in &statuses {
            let id = spec.id;
            match state {
                GroupState::Created => _ = self.groups.whole.insert(id),
                GroupState::Pending if self.groups.used.contains(&id) => {
                    wrong.push(format!("{id} is used, and the head knows nothing of that"));
                }
                GroupState::Rescheduling if !self.groups.whole.contains(&id) && self.now > self.groups.unseen_until => {
                    wrong.push(format!("{id} is used and was never whole"));
                }
                _ => {}
            }
            let open: Vec<NodeId> = nodes.iter().flatten().copied().collect();
            let distinct = open.iter().collect::<BTreeSet<_>>().len();
            let is_strict = match spec.spreading {
                Spreading::StrictPack => distinct <= 1,
                Spreading::StrictSpread => distinct == open.len(),
                Spreading::Pack | Spreading::Spread => true,
            };
            if !is_strict {
                wrong.push(format!("{id} is {:?} on {open:?}", spec.spreading));
            }
            if let Some(dead) = open.iter().find(|node| !self.head.nodes().any(|alive| alive == **node)) {
                wrong.push(format!("{id} is {state:?} and has a bundle on {dead}, which died"));
            }
            for (index, node) in (0..).zip(nodes) {
                let Some(host) = node.and_then(|node| self.hosts.get(&node)) else { continue };
                if host.node.has_bundle(BundleId { group: id, index }).is_none() {
                    wrong.push(format!("{id} is {state:?} and its bundle {index} is not on {node:?}"));
                }
            }
            let gone = spec.lives_with.and_then(|client| self.groups.gone.get(&client));
            if gone.is_some_and(|gone| self.now.since(*gone) > GONE_AFTER) {
                wrong.push(format!("{id} outlives {:?}", spec.lives_with));
            }
        }
        wrong.iter().for_each(|wrong| self.broken(wrong));
    }
}
