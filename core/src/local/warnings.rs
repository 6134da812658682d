//! What waits for a node that is not there is told to the drivers that wait for it, once to each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::shell::Shell;
use crate::client::submitter;
use crate::ids::{ClientId, NodeId, TaskId};
use crate::resources::Resources;
use crate::schedule::{GroupSpec, Shape};
use crate::wire::{Line, Work};

/// Tasks of one shape that are looked at for drivers that have not been told.
const LOOKED_AT: usize = 1_000;

/// A driver and its node; `None` in a node that has but one.
type Driver = Option<(NodeId, ClientId)>;

/// Who was told of which shape that no node has.
pub(super) type Warned = BTreeMap<Arc<Shape>, BTreeSet<Driver>>;

impl Shell {
    /// Tells drivers of shapes that no node has, unless they know.
    pub(super) fn warn_of_shapes(&mut self) {
        let Self { node, warned, .. } = self;
        warned.retain(|shape, _| node.lacks(shape).is_some());
        let mut telling = Vec::new();
        for (shape, missing) in node.unplaceable() {
            let told = warned.entry(Arc::clone(shape)).or_default();
            for spec in node.waiting(shape).take(LOOKED_AT) {
                let Ok(work) = postcard::from_bytes::<Work>(&spec.common) else { continue };
                if told.insert(work.driver) {
                    telling.push((work.driver, of_shape(&work.name, shape, missing)));
                }
            }
        }
        telling.into_iter().for_each(|(driver, text)| self.warn(driver, text));
    }

    /// No nodes that are there could hold a group.
    pub(super) fn warn_of_group(&mut self, group: &GroupSpec, why: &str) {
        let name = if group.name.is_empty() { String::new() } else { format!(" {:?}", &*group.name) };
        let text = format!(
            "placement group{name} ({}, {} of {:?}) waits: {why}. It is made when nodes come that have",
            group.id,
            group.spreading.name(),
            group.bundles
        );
        // Names of groups and of tasks come from one sequence.
        let asker = submitter(TaskId { owner: group.id.asked_on, number: group.id.number });
        let driver = self.driver_of(asker);
        self.warn(driver, text);
    }

    /// Words of the runtime's own for a driver.
    fn warn(&mut self, driver: Driver, text: String) {
        let line = Line { name: "sheaf".to_string(), pid: 0, place: String::new(), is_error: true, text };
        self.tell_driver(driver, vec![line]);
    }
}

fn of_shape(name: &str, shape: &Shape, missing: &Resources) -> String {
    let name = if name.is_empty() { "a task" } else { name };
    let lack = match missing.is_empty() {
        true => "its scheduling strategy allows none of the nodes that are there".to_string(),
        false => format!("no node has {missing}"),
    };
    format!(
        "{name} asks for {} and waits: {lack}. It starts when one comes that has; explain(ref) tells what a result \
         waits for",
        shape.demand
    )
}
