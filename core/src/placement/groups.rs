//! Which nodes are to hold the bundles of a placement group: a pure search, all bundles or none.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use super::{Candidate, Strategy, rank};
use crate::ids::NodeId;
use crate::resources::Resources;

/// Dead ends after which a search gives up: to fit bundles on nodes is a hard problem, and the head has other work.
/// What is not found now is looked for again when something changes.
const MOST_DEAD_ENDS: usize = 200;
/// Bundles that are looked at to tell which node is the best to begin with.
const LOOK_AHEAD: usize = 64;

/// How the bundles of a group lie on nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Spreading {
    /// On few nodes.
    Pack,
    /// On many nodes.
    Spread,
    /// On one node.
    StrictPack,
    /// Each on a node of its own.
    StrictSpread,
}

impl Spreading {
    /// Its name, as users write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pack => "PACK",
            Self::Spread => "SPREAD",
            Self::StrictPack => "STRICT_PACK",
            Self::StrictSpread => "STRICT_SPREAD",
        }
    }
}

/// Nodes for the bundles in `missing`, in their order, beside those at `placed`; `None` if not all of them fit into
/// what is free.
#[must_use]
pub fn choose(
    nodes: &[Candidate<'_>],
    missing: &[Resources],
    placed: &[NodeId],
    spreading: Spreading,
) -> Option<Vec<NodeId>> {
    if spreading == Spreading::StrictPack {
        return choose_one(nodes, missing, placed).map(|node| vec![node; missing.len()]);
    }
    let mut search = Search::new(nodes, placed, spreading);
    // The hardest first: those that the fewest nodes could hold, and the larger ones among them.
    let mut order: Vec<usize> = (0..missing.len()).collect();
    order.sort_by_key(|bundle| {
        let nodes = nodes.iter().filter(|node| node.free.contains(&missing[*bundle]));
        let share = |node: &Candidate<'_>| 1.0 - node.total.use_when_free(&missing[*bundle]);
        let size = nodes.clone().map(share).fold(0.0, f64::max);
        (nodes.count(), Reverse((size * 1000.0) as u64))
    });
    let ordered: Vec<&Resources> = order.iter().map(|bundle| &missing[*bundle]).collect();
    let found = search.run(&ordered)?;
    let mut chosen: Vec<(usize, NodeId)> = order.into_iter().zip(found.into_iter().map(|at| nodes[at].id)).collect();
    chosen.sort_unstable();
    Some(chosen.into_iter().map(|(_, node)| node).collect())
}

/// The node that is to hold all of them.
fn choose_one(nodes: &[Candidate<'_>], missing: &[Resources], placed: &[NodeId]) -> Option<NodeId> {
    let mut all = Resources::default();
    missing.iter().for_each(|bundle| all.add(bundle));
    let allowed = nodes.iter().filter(|node| placed.iter().all(|other| *other == node.id));
    let ranked = allowed.filter_map(|node| Some((rank(node, &all, &Strategy::Default, &Default::default())?, node.id)));
    ranked.max().map(|(_, node)| node)
}

/// Why the bundles would not fit though nothing else ran on these nodes; `None` if they would.
#[must_use]
pub fn obstacle(nodes: &[Candidate<'_>], bundles: &[Resources], spreading: Spreading) -> Option<String> {
    let empty: Vec<Candidate<'_>> = nodes.iter().map(|node| Candidate { free: node.total, ..*node }).collect();
    if choose(&empty, bundles, &[], spreading).is_some() {
        return None;
    }
    for bundle in bundles {
        if !nodes.iter().any(|node| node.total.contains(bundle)) {
            let missing = nodes.iter().map(|node| node.total.lacks(bundle)).min().unwrap_or_default();
            return Some(format!("no node has {missing}"));
        }
    }
    Some(match spreading {
        Spreading::StrictPack => {
            let mut all = Resources::default();
            bundles.iter().for_each(|bundle| all.add(bundle));
            format!("no node has {all}, and STRICT_PACK wants all of it on one")
        }
        Spreading::StrictSpread if nodes.len() < bundles.len() => {
            format!("STRICT_SPREAD wants {} nodes, and there are {}", bundles.len(), nodes.len())
        }
        _ => format!("its bundles do not fit side by side on the nodes that there are ({})", nodes.len()),
    })
}

/// A search that goes back where it came to a dead end.
struct Search<'a> {
    nodes: &'a [Candidate<'a>],
    free: Vec<Resources>,
    /// How many bundles of the group each node has.
    held: Vec<usize>,
    spreading: Spreading,
}

impl<'a> Search<'a> {
    fn new(nodes: &'a [Candidate<'a>], placed: &[NodeId], spreading: Spreading) -> Self {
        let held = nodes.iter().map(|node| placed.iter().filter(|other| **other == node.id).count()).collect();
        Self { nodes, free: nodes.iter().map(|node| node.free.clone()).collect(), held, spreading }
    }

    fn run(&mut self, bundles: &[&Resources]) -> Option<Vec<usize>> {
        let mut chosen: Vec<usize> = Vec::with_capacity(bundles.len());
        // What is left to try for each bundle up to the present one, the best last.
        let mut untried: Vec<Vec<usize>> = Vec::with_capacity(bundles.len());
        let mut dead_ends = 0;
        while chosen.len() < bundles.len() {
            if untried.len() == chosen.len() {
                untried.push(self.order(&bundles[chosen.len()..]));
            }
            if let Some(node) = untried.last_mut().and_then(Vec::pop) {
                self.free[node].subtract(bundles[chosen.len()]);
                self.held[node] += 1;
                chosen.push(node);
            } else {
                dead_ends += 1;
                untried.pop();
                let node = chosen.pop().filter(|_| dead_ends < MOST_DEAD_ENDS)?;
                self.free[node].add(bundles[chosen.len()]);
                self.held[node] -= 1;
            }
        }
        Some(chosen)
    }

    /// The nodes that have room for the first of these bundles, the best last.
    fn order(&self, bundles: &[&Resources]) -> Vec<usize> {
        let fits = |node: &usize| self.free[*node].contains(bundles[0]);
        let may = |node: &usize| self.spreading != Spreading::StrictSpread || self.held[*node] == 0;
        let mut nodes: Vec<usize> = (0..self.nodes.len()).filter(fits).filter(may).collect();
        // Where there are some already, and else where the most of them find room.
        let begins = !nodes.iter().any(|node| self.held[*node] > 0);
        let room = |node: usize| 1000 - (self.nodes[node].total.use_when_free(&self.free[node]) * 1000.0) as u64;
        nodes.sort_by_cached_key(|node| {
            let place = match self.spreading {
                Spreading::Pack if begins => self.fitting(*node, bundles),
                Spreading::Pack => self.held[*node],
                _ => usize::MAX - self.held[*node],
            };
            (place, room(*node), Reverse(self.nodes[*node].id))
        });
        nodes
    }

    /// How many of these bundles a node has room for, one after the other.
    fn fitting(&self, node: usize, bundles: &[&Resources]) -> usize {
        let mut free = self.free[node].clone();
        let mut fits = |bundle: &&&Resources| {
            let fits = free.contains(bundle);
            if fits {
                free.subtract(bundle);
            }
            fits
        };
        bundles.iter().take(LOOK_AHEAD).filter(|bundle| fits(bundle)).count()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn cpus(amount: f64) -> Resources {
        Resources::new([("CPU", amount)]).unwrap()
    }

    /// Nodes with so many CPUs, all of them free, and the nodes of bundles with so many.
    fn place(nodes: &[f64], bundles: &[f64], placed: &[u64], spreading: Spreading) -> Option<Vec<u64>> {
        with(nodes, |nodes| {
            let bundles: Vec<Resources> = bundles.iter().map(|amount| cpus(*amount)).collect();
            let placed: Vec<NodeId> = placed.iter().map(|node| NodeId(*node)).collect();
            Some(choose(nodes, &bundles, &placed, spreading)?.into_iter().map(|node| node.0).collect())
        })
    }

    fn with<T>(nodes: &[f64], then: impl Fn(&[Candidate<'_>]) -> T) -> T {
        let (has, labels): (Vec<Resources>, _) = (nodes.iter().map(|amount| cpus(*amount)).collect(), BTreeMap::new());
        let candidate = |(number, has)| Candidate {
            id: NodeId(number as u64),
            bundle: None,
            total: has,
            free: has,
            labels: &labels,
        };
        then(&has.iter().enumerate().map(candidate).collect::<Vec<_>>())
    }

    #[test]
    fn pack_takes_few_nodes_and_spread_many() {
        assert_eq!(place(&[2.0, 4.0, 3.0], &[1.0, 2.0, 1.0], &[], Spreading::Pack), Some(vec![1, 1, 1]));
        assert_eq!(place(&[2.0, 2.0], &[1.0, 1.0, 1.0], &[], Spreading::Pack), Some(vec![0, 0, 1]));
        assert_eq!(place(&[4.0, 4.0], &[1.0, 1.0], &[1], Spreading::Pack), Some(vec![1, 1]), "where the others are");
        assert_eq!(place(&[4.0, 4.0, 4.0], &[1.0; 3], &[], Spreading::Spread), Some(vec![0, 1, 2]));
        assert_eq!(place(&[4.0, 4.0], &[1.0; 3], &[], Spreading::Spread), Some(vec![0, 1, 0]));
        assert_eq!(place(&[4.0, 4.0], &[1.0], &[0], Spreading::Spread), Some(vec![1]), "where the others are not");
    }

    #[test]
    fn strict_ones_keep_to_one_node_or_to_nodes_of_their_own() {
        assert_eq!(place(&[3.0, 4.0], &[2.0, 2.0], &[], Spreading::StrictPack), Some(vec![1, 1]));
        assert_eq!(place(&[3.0, 3.0], &[2.0, 2.0], &[], Spreading::StrictPack), None);
        assert_eq!(place(&[3.0, 3.0], &[1.0], &[1], Spreading::StrictPack), Some(vec![1]));
        assert_eq!(place(&[4.0, 1.0], &[1.0, 3.0], &[], Spreading::StrictSpread), Some(vec![1, 0]));
        assert_eq!(place(&[4.0, 4.0], &[1.0; 3], &[], Spreading::StrictSpread), None);
        assert_eq!(place(&[4.0, 4.0], &[1.0], &[0], Spreading::StrictSpread), Some(vec![1]));
        assert_eq!(place(&[4.0, 0.5], &[1.0], &[0], Spreading::StrictSpread), None);
    }

    #[test]
    fn it_goes_back_from_a_dead_end() {
        // To fill the largest node first leaves no room for the others.
        assert_eq!(
            place(&[6.0, 4.0], &[4.0, 3.0, 3.0], &[], Spreading::Pack).map(|mut nodes| {
                nodes.sort_unstable();
                nodes
            }),
            Some(vec![0, 0, 1])
        );
        assert_eq!(place(&[6.0, 4.0], &[4.0, 4.0, 2.0, 0.5], &[], Spreading::Spread), None);
    }

    #[test]
    fn what_stands_in_the_way_is_told() {
        let told = |nodes: &[f64], bundles: &[f64], spreading| {
            let bundles: Vec<Resources> = bundles.iter().map(|amount| cpus(*amount)).collect();
            with(nodes, |nodes| obstacle(nodes, &bundles, spreading))
        };
        assert_eq!(told(&[2.0, 2.0], &[2.0, 2.0], Spreading::Pack), None);
        assert_eq!(told(&[2.0], &[1.0, 4.0], Spreading::Pack).unwrap(), "no node has CPU 4");
        assert!(told(&[2.0, 2.0], &[2.0, 1.0], Spreading::StrictPack).unwrap().contains("CPU 3"));
        assert!(told(&[2.0], &[1.0, 1.0], Spreading::StrictSpread).unwrap().contains("2 nodes"));
        assert!(told(&[2.0], &[1.0; 3], Spreading::Spread).unwrap().contains("side by side"));
    }

    #[test]
    fn a_search_without_hope_ends() {
        let nodes: Vec<f64> = vec![1.5; 60];
        assert_eq!(place(&nodes, &[1.0; 61], &[], Spreading::Pack), None);
        assert_eq!(place(&vec![4.0; 200], &vec![1.0; 800], &[], Spreading::Pack).map(|nodes| nodes.len()), Some(800));
    }
}
