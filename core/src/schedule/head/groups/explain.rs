//! What placement groups wait for, told to people.

use std::sync::Arc;

use super::{Group, Place};
use crate::ids::GroupId;
use crate::placement::groups::obstacle;
use crate::schedule::head::Head;
use crate::schedule::message::FromHead;

/// Nodes and bundles that are named at the most.
const NAMED: usize = 5;

impl Head {
    /// Tells who asked for a group that no nodes could ever hold it, if that is so.
    pub(super) fn warn_of_group(&mut self, id: GroupId) {
        let Some(group) = self.groups.alive.get(&id).filter(|group| !group.is_warned) else { return };
        let (spec, asker) = (Arc::clone(&group.spec), group.asker);
        let Some(why) = self.obstacle_of(group) else { return };
        if let Some(group) = self.groups.alive.get_mut(&id) {
            group.is_warned = true;
        }
        self.send(asker, FromHead::GroupUnplaceable(spec, Arc::from(why)));
    }

    /// Why the nodes that are there, or can come, could never hold a group; `None` if they could, or have not said what
    /// they have.
    fn obstacle_of(&self, group: &Group) -> Option<String> {
        if self.members.values().any(|member| !member.is_ready) {
            return None;
        }
        let staying = self.members.iter().filter(|(_, member)| !member.is_leaving);
        let nodes = staying.map(|(id, member)| member.as_candidate(*id)).chain(self.to_come(group.spec.bundles.len()));
        let nodes: Vec<_> = nodes.collect();
        obstacle(&nodes, &group.spec.bundles, group.spec.spreading)
    }

    /// What those wait for that are to run in a group, and whether the nodes that are there could never hold it.
    pub(in crate::schedule::head) fn explain_group(&self, id: GroupId) -> (String, bool) {
        let Some(group) = self.groups.alive.get(&id) else { return ("the group was removed".to_string(), false) };
        let missing = group.places.iter().zip(&group.spec.bundles).filter(|(place, _)| **place == Place::Nowhere);
        let missing: Vec<String> = missing.map(|(_, bundle)| format!("{{{bundle}}}")).collect();
        if missing.is_empty() {
            return (self.explain_round(group), false);
        }
        if let Some(why) = self.obstacle_of(group) {
            return (
                format!("its bundles are not reserved, and never can be on the nodes that are there: {why}"),
                true,
            );
        }
        let staying = self.members.iter().filter(|(_, member)| !member.is_leaving);
        let free = staying.map(|(node, member)| format!("{} on {node}", member.free));
        let text = format!(
            "there is no room now for its bundles {} ({}); free are {}",
            listed(missing.into_iter()),
            group.spec.spreading.name(),
            listed(free)
        );
        (text, false)
    }

    /// The same where all bundles are reserved, or are being.
    fn explain_round(&self, group: &Group) -> String {
        if group.is_under_way() {
            return "its bundles are being reserved".to_string();
        }
        let free = (0..group.places.len()).filter_map(|index| {
            let node = group.places[index].open()?;
            let pool = self.members.get(&node)?.bundles.get(&group.bundle(index))?;
            Some(format!("{} in bundle {index}", pool.free))
        });
        format!("its bundles are reserved; free are {}", listed(free))
    }
}

/// The first of them, and how many more there are.
fn listed(all: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = all.collect();
    let more = all.len().saturating_sub(NAMED);
    let named = all[..all.len() - more].join("; ");
    if more > 0 { format!("{named}; and {more} more") } else { named }
}
