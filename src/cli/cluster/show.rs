//! `sheaf status`, `nodes`, `workers`, `objects`: what a cluster has and does.

use clap::Args;
use serde_json::Value;
use sheaf_core::Error;
use sheaf_core::local::Inquiry;

use super::super::exit::Stop;
use super::super::output::Format;
use super::asked::{Asked, HeadFlags, text};
use super::rows::Table;

#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArguments {
    /// How it is printed.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    pub(super) format: Format,
    #[command(flatten)]
    pub(super) head: HeadFlags,
}

impl ShowArguments {
    /// The cluster that is asked, if what it says can be printed so.
    pub(super) fn cluster(&self) -> Result<Asked, Stop> {
        if self.format == Format::Parquet {
            return Err(Error::invalid("this is printed as table, csv or json").into());
        }
        Ok(self.head.ask()?)
    }
}

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum What {
    Status,
    Nodes,
    Workers,
    Objects,
}

/// Asks a cluster and prints what it says.
pub(in crate::cli) fn show(what: What, arguments: &ShowArguments) -> Result<(), Stop> {
    let cluster = arguments.cluster()?;
    let nodes = cluster.nodes();
    let rows = match what {
        What::Status => status(nodes),
        What::Nodes => Table::of(&["node", "address", "state", "head", "free", "total", "labels"], nodes, node_row),
        What::Workers => {
            let columns = ["node", "pid", "runs", "actor", "tasks"];
            Table::of(&columns, &cluster.of_all(&Inquiry::Workers)?, worker_row)
        }
        What::Objects => {
            let columns = ["node", "object", "bytes", "on disk", "readers", "owner"];
            Table::of(&columns, &cluster.of_all(&Inquiry::Objects)?, object_row)
        }
    };
    rows.print(arguments.format)
}

/// What all nodes have together, and what of it is free.
fn status(nodes: &[Value]) -> Table {
    let mut amounts = std::collections::BTreeMap::<String, (f64, f64)>::new();
    for node in nodes {
        for (part, place) in [("total", 0), ("free", 1)] {
            for (name, amount) in node[part].as_object().into_iter().flatten() {
                let sums = amounts.entry(name.clone()).or_default();
                let sum = if place == 0 { &mut sums.0 } else { &mut sums.1 };
                *sum += amount.as_f64().unwrap_or_default();
            }
        }
    }
    let mut rows = vec![vec!["nodes".to_string(), nodes.len().to_string(), nodes.len().to_string()]];
    rows.extend(amounts.into_iter().map(|(name, (total, free))| vec![name, free.to_string(), total.to_string()]));
    Table { names: ["resource", "free", "total"].map(str::to_string).to_vec(), rows }
}

fn node_row(node: &Value) -> Vec<String> {
    let is_head = if node["is_head"] == Value::Bool(true) { "yes" } else { "" };
    let pairs = |value: &Value| {
        let pairs = value.as_object().into_iter().flatten().map(|(name, value)| format!("{name} {}", text(value)));
        pairs.collect::<Vec<_>>().join(", ")
    };
    let texts = [text(&node["id"]), text(&node["address"]), text(&node["state"]), is_head.to_string()];
    texts.into_iter().chain(["free", "total", "labels"].map(|part| pairs(&node[part]))).collect()
}

fn worker_row(worker: &Value) -> Vec<String> {
    let running = worker["running"].as_array().map_or(0, Vec::len);
    let texts = ["node", "pid", "name", "actor"].map(|name| text(&worker[name]));
    texts.into_iter().chain([running.to_string()]).collect()
}

fn object_row(object: &Value) -> Vec<String> {
    let on_disk = if object["is_spilled"] == Value::Bool(true) { "yes" } else { "" };
    vec![
        text(&object["node"]),
        text(&object["id"]),
        text(&object["size"]),
        on_disk.to_string(),
        text(&object["readers"]),
        text(&object["owner"]),
    ]
}
