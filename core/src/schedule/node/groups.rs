//! Placement groups at a node: its clients' questions about them, its resources that belong to bundles, and what ends
//! with a group.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Action, Node};
use crate::ids::{BundleId, ClientId, GroupId, LeaseId, ObjectId};
use crate::resources::{Ledger, Resources};
use crate::schedule::message::{Failure, GroupAnswer, GroupRequest, ToHead};
use crate::schedule::spec::Shape;

/// What this node knows of placement groups.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// Questions that the head has not answered.
    asked: BTreeMap<u64, (ClientId, u64, GroupRequest)>,
    next: u64,
    /// What of this node's resources is reserved.
    bundles: BTreeMap<BundleId, Bundle>,
}

/// Clients that went last, of which the next life of the head is told: as many as it remembers.
const GONE_CLIENTS: usize = 1_000;

/// Resources that are taken from the node's ledger, and the ledger of those.
#[derive(Debug)]
struct Bundle {
    ledger: Ledger,
    /// All bundles of its group are reserved: tasks may run here.
    is_open: bool,
}

impl Groups {
    /// What is free of each bundle that may be used.
    pub(super) fn free(&self) -> BTreeMap<BundleId, Resources> {
        let open = self.bundles.iter().filter(|(_, bundle)| bundle.is_open);
        open.map(|(id, bundle)| (*id, bundle.ledger.free().clone())).collect()
    }

    /// All bundles that are here, and whether they may be used.
    pub(super) fn reserved(&self) -> BTreeMap<BundleId, bool> {
        self.bundles.iter().map(|(id, bundle)| (*id, bundle.is_open)).collect()
    }

    fn of(&self, group: GroupId) -> impl Iterator<Item = BundleId> {
        let bundle = |index| BundleId { group, index };
        self.bundles.range(bundle(0)..=bundle(u32::MAX)).map(|(id, _)| *id)
    }
}

// At the node of a client that asks.
impl Node {
    pub(super) fn ask_of_groups(&mut self, client: ClientId, question: u64, request: GroupRequest) {
        self.groups.next += 1;
        self.groups.asked.insert(self.groups.next, (client, question, request.clone()));
        self.head.send(ToHead::Group(self.groups.next, request));
    }

    pub(super) fn group_answered(&mut self, number: u64, answer: GroupAnswer) {
        if let Some((client, question, _)) = self.groups.asked.remove(&number) {
            self.actions.push(Action::Grouped(client, question, answer));
        }
    }

    /// Asks another life of the head what the one before has not answered.
    pub(super) fn ask_of_groups_again(&mut self) {
        for (number, (_, _, request)) in &self.groups.asked {
            self.head.send(ToHead::Group(*number, request.clone()));
        }
    }

    /// A client of this node's is gone: what lives with it ends.
    pub(super) fn tell_of_gone(&mut self, client: ClientId) {
        self.gone_clients.push_back(client);
        if self.gone_clients.len() > GONE_CLIENTS {
            self.gone_clients.pop_front();
        }
        self.head.send(ToHead::ClientGone(client));
    }

    pub(super) fn tell_of_gone_clients(&mut self) {
        for client in &self.gone_clients {
            self.head.send(ToHead::ClientGone(*client));
        }
    }
}

// At a node with bundles.
impl Node {
    /// The head wants resources kept for a bundle.
    pub(super) fn reserve(&mut self, bundle: BundleId, round: u32, resources: Resources) {
        let is_reserved = !self.is_leaving() && self.ledger.take(&resources);
        if is_reserved {
            let ledger = Ledger::new(resources);
            self.groups.bundles.insert(bundle, Bundle { ledger, is_open: false });
        }
        self.head.send(ToHead::Reserved(bundle, round, is_reserved));
    }

    /// All bundles of its group are reserved.
    pub(super) fn open_bundle(&mut self, id: BundleId) {
        if let Some(bundle) = self.groups.bundles.get_mut(&id) {
            bundle.is_open = true;
            self.dispatch_group(id.group);
        }
    }

    /// Resources are not needed for a bundle any more.
    pub(super) fn release_bundle(&mut self, id: BundleId) {
        if let Some(bundle) = self.groups.bundles.remove(&id) {
            self.ledger.give(bundle.ledger.total());
            self.dispatch_all();
        }
    }

    /// A ledger of this node's: its own, or that of a bundle, if it is here.
    pub(super) fn ledger_of(&mut self, bundle: Option<BundleId>) -> Option<&mut Ledger> {
        match bundle {
            None => Some(&mut self.ledger),
            Some(id) => self.groups.bundles.get_mut(&id).map(|bundle| &mut bundle.ledger),
        }
    }

    /// Takes what a shape of a group demands from the first bundle here that has it.
    pub(super) fn take_from_bundle(&mut self, shape: &Shape) -> Option<BundleId> {
        let bundles = self.groups.bundles.range_mut(shape.strategy.bundles()?);
        let mut open = bundles.filter(|(_, bundle)| bundle.is_open);
        open.find_map(|(id, bundle)| bundle.ledger.take(&shape.demand).then_some(*id))
    }

    /// Why an attempt that came for a lease finds none here: its group is gone, if there is a group and it has no
    /// bundle here, since bundles go with their group alone.
    pub(super) fn gone_group(&self, shape: &Shape) -> Option<GroupId> {
        shape.strategy.group().filter(|group| self.groups.of(*group).next().is_none())
    }

    /// A group is no more: what runs in it here ends, and what waits for it fails.
    pub(super) fn group_gone(&mut self, group: GroupId) {
        let gone = Failure::GroupRemoved(group);
        // What becomes free in it must not be lent again.
        for bundle in self.groups.of(group).collect::<Vec<_>>() {
            self.groups.bundles.entry(bundle).and_modify(|bundle| bundle.is_open = false);
        }
        let is_of = |bundle: Option<BundleId>| bundle.is_some_and(|bundle| bundle.group == group);
        let leases: Vec<LeaseId> = self.lent.iter().filter(|(_, lent)| is_of(lent.bundle)).map(|(id, _)| *id).collect();
        leases.into_iter().for_each(|lease| self.take_back(lease, &gone));
        let residents = self.residents.iter().filter(|(_, resident)| is_of(resident.bundle));
        for (actor, life) in
            residents.map(|(actor, resident)| (*actor, resident.life)).collect::<Vec<(ObjectId, u32)>>()
        {
            self.end_resident(actor, life, &Failure::ActorDied(Arc::from("its placement group was removed")));
        }
        for bundle in self.groups.of(group).collect::<Vec<_>>() {
            self.release_bundle(bundle);
        }
        for shape in self.shapes_of(group) {
            for attempt in self.queued(&shape) {
                self.fail(attempt.task, &gone);
            }
            self.dispatch(&shape);
        }
    }

    fn dispatch_group(&mut self, group: GroupId) {
        self.shapes_of(group).iter().for_each(|shape| self.dispatch(shape));
    }

    /// The shapes of tasks of this node's that wait to run in a group.
    fn shapes_of(&self, group: GroupId) -> Vec<Arc<Shape>> {
        self.backlogs.keys().filter(|shape| shape.strategy.group() == Some(group)).cloned().collect()
    }
}

#[cfg(test)]
impl Node {
    /// Whether it keeps a bundle, and whether tasks may run there.
    pub(in crate::schedule) fn has_bundle(&self, id: BundleId) -> Option<bool> {
        self.groups.bundles.get(&id).map(|bundle| bundle.is_open)
    }

    /// The bundles that tasks may run in.
    pub(in crate::schedule) fn open_bundles(&self) -> impl Iterator<Item = BundleId> {
        self.groups.bundles.iter().filter(|(_, bundle)| bundle.is_open).map(|(id, _)| *id)
    }

    /// How many bundles and questions it keeps.
    pub(in crate::schedule) fn count_of_groups(&self) -> usize {
        self.groups.bundles.len() + self.groups.asked.len()
    }
}
