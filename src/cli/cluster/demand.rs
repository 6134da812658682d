//! `sheaf demand`: what waits for nodes, and which of the types that can come could hold it.

use serde::de::DeserializeOwned;
use serde_json::Value;
use sheaf_core::autoscale::{ClusterView, Prospect};
use sheaf_core::local::Inquiry;
use sheaf_core::placement::Label;
use sheaf_core::resources::Resources;
use sheaf_core::{Error, ErrorKind, Result};

use super::super::exit::Stop;
use super::asked::{Asked, warn};
use super::rows::Table;
use super::show::ShowArguments;

/// Asks the head and prints what waits.
pub(in crate::cli) fn demand(arguments: &ShowArguments) -> Result<(), Stop> {
    let cluster = arguments.cluster()?;
    let view: ClusterView = told(&cluster, &Inquiry::Demand)?;
    let prospects: Vec<Prospect> = told(&cluster, &Inquiry::Prospects(None))?;
    for prospect in &prospects {
        if let Some(why) = &prospect.trouble {
            warn(&format!("no node of type {} can be started now: {why}", prospect.name));
        }
    }
    let names = ["what", "asks for", "labels", "count", "types"].map(str::to_string).to_vec();
    Table { names, rows: rows(&view, &prospects) }.print(arguments.format)
}

fn told<T: DeserializeOwned>(cluster: &Asked, inquiry: &Inquiry) -> Result<T> {
    let answer: Value = cluster.head(inquiry)?;
    serde_json::from_value(answer)
        .map_err(|error| Error::new(ErrorKind::Io, format!("the head is not understood: {error}")))
}

fn rows(view: &ClusterView, prospects: &[Prospect]) -> Vec<Vec<String>> {
    let types = |demand: &Resources, labels: &[Label]| {
        let could = |prospect: &&Prospect| prospect.total.contains(demand) && Label::all_true(labels, &prospect.labels);
        prospects.iter().filter(could).map(|prospect| prospect.name.to_string()).collect::<Vec<_>>().join(", ")
    };
    let row = |what: &str, demand: &Resources, labels: &[Label], count: u32| {
        let names: Vec<String> = labels.iter().map(|label| label.name.to_string()).collect();
        vec![what.to_string(), demand.to_string(), names.join(", "), count.to_string(), types(demand, labels)]
    };
    let demand = &view.demand;
    let tasks = demand.tasks.iter().map(|task| row("tasks", &task.demand, &task.labels, task.count));
    let bundles = demand.groups.iter().flat_map(|group| &group.bundles).map(|bundle| row("bundle", bundle, &[], 1));
    let room = demand.floor.iter().map(|room| row("room", room, &[], 1));
    tasks.chain(bundles).chain(room).collect()
}
