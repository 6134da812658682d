//! What waits, laid on the nodes that there are and on those that are to come: how many of which type that takes.
//!
//! First-fit decreasing, as bin packing goes: the hardest first, each where least is left over. A node is chosen for what
//! still waits by how much of it that would use (the order of Ray's autoscaler: no GPU without need, then use).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::rules::{NodeType, Rules};
use super::view::{Bundles, Wanted};
use crate::placement::Label;
use crate::placement::groups::Spreading;
use crate::resources::{CPU, GPU, Resources};

/// Pieces that are laid out at once: more would not change which types are started next.
const MOST_PIECES: usize = 10_000;

/// A node that is there, or is to come.
#[derive(Debug, Clone)]
struct Room<'a> {
    labels: &'a BTreeMap<Arc<str>, Arc<str>>,
    total: &'a Resources,
    free: Resources,
    has_gpus: bool,
    is_used: bool,
}

/// What has to be on one node.
#[derive(Debug, Clone)]
struct Piece {
    demand: Resources,
    labels: Arc<[Label]>,
}

impl Room<'_> {
    fn fits(&self, piece: &Piece) -> bool {
        self.free.contains(&piece.demand) && Label::all_true(&piece.labels, self.labels)
    }

    fn take(&mut self, piece: &Piece) {
        self.free.subtract(&piece.demand);
        self.is_used = true;
    }

    /// What is best for a piece is smallest: no GPU without need, then what is used anyway, then what is left over.
    fn cost(&self, piece: &Piece) -> (bool, bool, u64) {
        let wastes = self.has_gpus && piece.demand.amount(GPU) == 0.0;
        let left = 1.0 - self.total.use_when_free(&self.free);
        (wastes, !self.is_used, thousandths(left))
    }
}

/// Nodes and what lies on them.
#[derive(Debug, Clone)]
pub(super) struct Packing<'a> {
    rules: &'a Rules,
    /// How many there are of each type, those to come among them; and of all.
    counts: Vec<usize>,
    all: usize,
    /// Types of which none can be started now.
    closed: BTreeSet<usize>,
    rooms: Vec<Room<'a>>,
    /// The types of those rooms, from the first that is to be started.
    planned: Vec<usize>,
}

impl<'a> Packing<'a> {
    /// Nothing yet, where so many of each type, and of all, are there or have been started.
    pub(super) fn new(rules: &'a Rules, counts: Vec<usize>, all: usize, closed: BTreeSet<usize>) -> Self {
        Self { rules, counts, all, closed, rooms: Vec::new(), planned: Vec::new() }
    }

    /// A node with this much free; its place among them.
    pub(super) fn add(
        &mut self,
        total: &'a Resources,
        free: &Resources,
        labels: &'a BTreeMap<Arc<str>, Arc<str>>,
    ) -> usize {
        let has_gpus = total.amount(GPU) > 0.0;
        self.rooms.push(Room { labels, total, free: free.clone(), has_gpus, is_used: false });
        self.rooms.len() - 1
    }

    /// A node of a type that has been started, or is to be.
    pub(super) fn add_of(&mut self, node_type: &'a NodeType) -> usize {
        self.add(&node_type.resources, &node_type.resources, &node_type.labels)
    }

    /// Plans another node of a type, if there may be one.
    pub(super) fn plan(&mut self, number: usize) -> bool {
        let is_free = self.may_grow(number);
        if is_free {
            self.counts[number] += 1;
            self.all += 1;
            let rules = self.rules;
            self.add_of(&rules.types[number]);
            self.planned.push(number);
        }
        is_free
    }

    /// The types of which nodes are planned, one for each.
    pub(super) fn planned(&self) -> &[usize] {
        &self.planned
    }

    /// Whether something lies on a node.
    pub(super) fn is_used(&self, room: usize) -> bool {
        self.rooms[room].is_used
    }

    /// Gives all nodes back what lies on them, and what was taken before.
    pub(super) fn empty(&mut self) {
        self.rooms.iter_mut().for_each(|room| room.free = room.total.clone());
    }

    fn may_grow(&self, number: usize) -> bool {
        let most = self.rules.types[number].max;
        !self.closed.contains(&number) && self.counts[number] < most && self.all < self.rules.max_nodes
    }

    /// Lays tasks on nodes.
    pub(super) fn lay_tasks(&mut self, wanted: &[Wanted]) {
        let pieces = wanted.iter().flat_map(|wanted| {
            let piece = Piece { demand: wanted.demand.clone(), labels: Arc::clone(&wanted.labels) };
            std::iter::repeat_n(piece, wanted.count as usize)
        });
        self.lay_all(pieces.take(MOST_PIECES).collect());
    }

    /// Lays what there is to be room for on nodes.
    pub(super) fn lay_floor(&mut self, floor: &[Resources]) {
        self.lay_all(floor.iter().take(MOST_PIECES).map(piece).collect());
    }

    /// Lays the bundles of a group on nodes, others of which are on those that are `taken`: all, or none.
    pub(super) fn lay_group(&mut self, group: &Bundles, taken: BTreeSet<usize>) {
        let before = self.clone();
        let are_laid = match group.spreading {
            Spreading::Pack | Spreading::Spread => self.lay_all(group.bundles.iter().map(piece).collect()),
            Spreading::StrictPack => {
                let mut whole = Resources::default();
                group.bundles.iter().for_each(|bundle| whole.add(bundle));
                self.lay_all(vec![piece(&whole)])
            }
            Spreading::StrictSpread => self.lay_apart(group.bundles.iter().map(piece).collect(), taken),
        };
        if !are_laid {
            *self = before;
        }
    }

    /// Lays pieces on nodes, and plans more for what does not fit; whether all lie then.
    fn lay_all(&mut self, mut pieces: Vec<Piece>) -> bool {
        pieces.sort_by_cached_key(|piece| Reverse(hardness(piece)));
        pieces.retain(|piece| self.lay(piece, &BTreeSet::new()).is_none());
        while !pieces.is_empty() {
            if !self.best_type(&pieces).is_some_and(|number| self.plan(number)) {
                return false;
            }
            let room = self.rooms.len() - 1;
            pieces.retain(|piece| {
                let fits = self.rooms[room].fits(piece);
                if fits {
                    self.rooms[room].take(piece);
                }
                !fits
            });
        }
        true
    }

    /// Lays each piece on a node of its own, but for those that are taken.
    fn lay_apart(&mut self, mut pieces: Vec<Piece>, mut taken: BTreeSet<usize>) -> bool {
        pieces.sort_by_cached_key(|piece| Reverse(hardness(piece)));
        pieces.iter().all(|piece| {
            let mut room = self.lay(piece, &taken);
            if room.is_none() && self.best_type(std::slice::from_ref(piece)).is_some_and(|number| self.plan(number)) {
                room = self.lay(piece, &taken);
            }
            room.is_some_and(|room| taken.insert(room))
        })
    }

    /// Lays a piece where it fits best, but for some nodes; where.
    fn lay(&mut self, piece: &Piece, but: &BTreeSet<usize>) -> Option<usize> {
        let fitting = self.rooms.iter().enumerate().filter(|(at, room)| !but.contains(at) && room.fits(piece));
        let (at, _) = fitting.min_by_key(|(_, room)| room.cost(piece))?;
        self.rooms[at].take(piece);
        Some(at)
    }

    /// The type of which a node is to be started next for what does not fit; `None` where no type would help.
    fn best_type(&self, pieces: &[Piece]) -> Option<usize> {
        let worth = |number: usize| {
            let node_type = &self.rules.types[number];
            let mut alone = Self::new(self.rules, Vec::new(), 0, BTreeSet::new());
            alone.add_of(node_type);
            let laid: Vec<&Piece> =
                pieces.iter().filter(|piece| alone.lay(piece, &BTreeSet::new()).is_some()).collect();
            let wastes = node_type.has_gpus() && laid.iter().all(|piece| piece.demand.amount(GPU) == 0.0);
            let used = used(&node_type.resources, &laid);
            (!laid.is_empty()).then_some((!wastes, used, laid.len(), Reverse(number)))
        };
        let numbers = (0..self.rules.types.len()).filter(|number| self.may_grow(*number));
        numbers.filter_map(|number| Some((worth(number)?, number))).max().map(|(_, number)| number)
    }
}

fn piece(demand: &Resources) -> Piece {
    Piece { demand: demand.clone(), labels: Arc::new([]) }
}

/// GPUs are scarcest, then names of the user's own, then much of anything.
fn hardness(piece: &Piece) -> (u64, usize, u64) {
    let demand = &piece.demand;
    (thousandths(demand.amount(GPU)), demand.amounts().count() + piece.labels.len(), thousandths(demand.amount(CPU)))
}

/// How much of a node is used by what lies on it, of what that asks for: the least, and the mean.
fn used(total: &Resources, laid: &[&Piece]) -> (u64, u64) {
    let mut sum = Resources::default();
    laid.iter().for_each(|piece| sum.add(&piece.demand));
    let shares: Vec<f64> = sum.amounts().map(|(name, amount)| amount / total.amount(name)).collect();
    let least = shares.iter().copied().fold(f64::INFINITY, f64::min);
    let mean = shares.iter().sum::<f64>() / shares.len().max(1) as f64;
    (if shares.is_empty() { 0 } else { thousandths(least) }, thousandths(mean))
}

fn thousandths(amount: f64) -> u64 {
    (amount * 1000.0) as u64
}
