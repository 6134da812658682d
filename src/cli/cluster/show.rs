//! `sheaf status`, `nodes`, `workers`, `objects`: what a cluster has and does.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use clap::Args;
use serde_json::Value;
use sheaf_core::local::Inquiry;
use sheaf_core::{Error, ErrorKind, Result};
use sheaf_flight::cluster::{Access, ask, endpoint_of};

use super::super::exit::Stop;
use super::super::output::{self, Format};
use super::AccessFlags;

#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArguments {
    /// Where the head is.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7070")]
    address: String,
    /// How it is printed.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    access: AccessFlags,
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
    if arguments.format == Format::Parquet {
        return Err(Error::invalid("this is printed as table, csv or json").into());
    }
    let access = arguments.access.access()?;
    let head = endpoint_of(&arguments.address, &access)?;
    let nodes = asked(&head, &access, Inquiry::Nodes)?;
    let rows = match what {
        What::Status => status(&nodes),
        What::Nodes => Table::of(&["node", "address", "head", "free", "total", "labels"], &nodes, node_row),
        What::Workers => {
            let columns = ["node", "pid", "runs", "actor", "tasks"];
            Table::of(&columns, &of_all(&nodes, &access, Inquiry::Workers)?, worker_row)
        }
        What::Objects => {
            let columns = ["node", "object", "bytes", "on disk", "readers", "owner"];
            Table::of(&columns, &of_all(&nodes, &access, Inquiry::Objects)?, object_row)
        }
    };
    let batch = rows.batch()?;
    output::print(arguments.format, &batch.schema(), &[batch])
}

fn asked(address: &str, access: &Access, inquiry: Inquiry) -> Result<Vec<Value>> {
    let text = ask(address, access, inquiry)?;
    serde_json::from_str(&text)
        .map_err(|error| Error::new(ErrorKind::Io, format!("the answer of {address} is not understood: {error}")))
}

/// The answers of all nodes, each with the node's address.
fn of_all(nodes: &[Value], access: &Access, inquiry: Inquiry) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for node in nodes {
        let address = text(&node["address"]);
        for mut row in asked(&address, access, inquiry)? {
            row["node"] = node["address"].clone();
            all.push(row);
        }
    }
    Ok(all)
}

/// Rows of text under names.
struct Table {
    names: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn of(names: &[&str], values: &[Value], row: impl Fn(&Value) -> Vec<String>) -> Self {
        Self { names: names.iter().map(ToString::to_string).collect(), rows: values.iter().map(row).collect() }
    }

    fn batch(&self) -> Result<RecordBatch> {
        let column = |index: usize| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(self.rows.iter().map(|row| row[index].as_str())))
        };
        let columns = self.names.iter().enumerate().map(|(index, name)| (name.as_str(), column(index)));
        RecordBatch::try_from_iter(columns)
            .map_err(|error: ArrowError| Error::internal(format!("rows do not fit a table: {error}")))
    }
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
    let texts = [text(&node["id"]), text(&node["address"]), is_head.to_string()];
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

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
