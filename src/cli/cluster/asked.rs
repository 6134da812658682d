//! The nodes of a cluster, asked all at once. One that does not answer is named on standard error, and hides no other.

use std::io::Write;

use clap::Args;
use serde_json::Value;
use sheaf_core::local::Inquiry;
use sheaf_core::{Error, ErrorKind, Result};
use sheaf_flight::cluster::{Access, ask, ask_all, endpoint_of};

use super::AccessFlags;

/// Which cluster is asked.
#[derive(Debug, Args)]
pub(in crate::cli) struct HeadFlags {
    /// Where the head is.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7070")]
    address: String,
    #[command(flatten)]
    access: AccessFlags,
}

impl HeadFlags {
    /// Asks the head for the nodes.
    pub(super) fn ask(&self) -> Result<Asked> {
        let access = self.access.access()?;
        let head = endpoint_of(&self.address, &access)?;
        let Value::Array(nodes) = parsed(&head, &ask(&head, &access, &Inquiry::Nodes)?)? else {
            return Err(not_understood(&head));
        };
        Ok(Asked { head, access, nodes })
    }
}

/// A cluster whose head has named its nodes.
pub(super) struct Asked {
    head: String,
    access: Access,
    nodes: Vec<Value>,
}

impl Asked {
    /// The nodes, as the head told of them.
    pub(super) fn nodes(&self) -> &[Value] {
        &self.nodes
    }

    /// Whether the head knows a node of this id.
    pub(super) fn has(&self, id: &str) -> bool {
        self.nodes.iter().any(|node| node["id"] == id)
    }

    /// Asks the head.
    pub(super) fn head(&self, inquiry: &Inquiry) -> Result<Value> {
        parsed(&self.head, &ask(&self.head, &self.access, inquiry)?)
    }

    /// Asks one node.
    pub(super) fn one(&self, address: &str, inquiry: &Inquiry) -> Result<Value> {
        parsed(address, &ask(address, &self.access, inquiry)?)
    }

    /// The answers of all nodes that answer, each with the node's address.
    pub(super) fn all(&self, inquiry: &Inquiry) -> Result<Vec<(String, Value)>> {
        self.each(self.nodes.iter().map(|node| (text(&node["address"]), inquiry.clone())).collect())
    }

    /// The same for questions of which each node has its own.
    pub(super) fn each(&self, questions: Vec<(String, Inquiry)>) -> Result<Vec<(String, Value)>> {
        let answers = ask_all(&questions, &self.access)?;
        let mut told = Vec::new();
        for ((address, _), answer) in questions.into_iter().zip(answers) {
            match answer.and_then(|answer| parsed(&address, &answer)) {
                Ok(answer) => told.push((address, answer)),
                Err(error) => warn(&format!("nothing of {address} is shown: {error}")),
            }
        }
        Ok(told)
    }

    /// The rows that all nodes answer with, each with the node's address.
    pub(super) fn of_all(&self, inquiry: &Inquiry) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        for (address, rows) in self.all(inquiry)? {
            all.extend(with_node(&address, rows));
        }
        Ok(all)
    }

    /// The address of a node that is called by its id, with or without `node-`, or by its host and port.
    pub(super) fn find(&self, node: &str) -> Result<&Value> {
        let place = node.rsplit("://").next().unwrap_or(node);
        let is_it = |told: &&Value| {
            let id = text(&told["id"]);
            let id = id.trim_start_matches("node-");
            let given = node.trim_start_matches("node-").trim_start_matches('0');
            id == given || text(&told["address"]).rsplit("://").next() == Some(place)
        };
        self.nodes.iter().find(is_it).ok_or_else(|| {
            let known: Vec<String> = self.nodes.iter().map(|told| text(&told["address"])).collect();
            Error::new(ErrorKind::NotFound, format!("the cluster has no node {node:?}"))
                .with_hint(format!("name one by its id or address (sheaf nodes): {}", known.join(", ")))
        })
    }

    /// The host and port of a node that is called by its id; the id of one that is gone.
    pub(super) fn place_of(&self, id: &Value) -> String {
        let told = self.nodes.iter().find(|node| node["id"] == *id && !id.is_null());
        told.map_or_else(|| text(id), |node| place(&text(&node["address"])).to_string())
    }
}

/// The rows of a node, with its address.
pub(super) fn with_node(address: &str, rows: Value) -> Vec<Value> {
    let Value::Array(mut rows) = rows else { return Vec::new() };
    for row in &mut rows {
        row["node"] = address.into();
    }
    rows
}

/// An address as people write it.
pub(super) fn place(address: &str) -> &str {
    address.rsplit("://").next().unwrap_or(address)
}

/// A value in a row.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Words beside the rows.
pub(super) fn warn(text: &str) {
    // Where nobody reads them there is nobody to tell.
    let _ = writeln!(std::io::stderr().lock(), "sheaf: {text}");
}

fn parsed(address: &str, text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|_| not_understood(address))
}

fn not_understood(address: &str) -> Error {
    Error::new(ErrorKind::Io, format!("the answer of {address} is not understood"))
}
