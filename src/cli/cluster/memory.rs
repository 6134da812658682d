//! `sheaf memory`: the largest objects of a cluster, what made them and who holds them; and the sums of each node.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::Value;
use sheaf_core::Result;
use sheaf_core::ids::ObjectId;
use sheaf_core::local::Inquiry;

use super::super::exit::Stop;
use super::asked::{Asked, place, text, warn, with_node};
use super::rows::Table;
use super::show::ShowArguments;

#[derive(Debug, Args)]
pub(in crate::cli) struct MemoryArguments {
    /// Objects to print at most, the largest first.
    #[arg(long, value_name = "ROWS", default_value_t = 1_000)]
    limit: usize,
    /// Print the sums of each node alone.
    #[arg(long)]
    totals: bool,
    #[command(flatten)]
    show: ShowArguments,
}

/// Prints what the stores hold.
pub(in crate::cli) fn memory(arguments: &MemoryArguments) -> Result<(), Stop> {
    let cluster = arguments.show.cluster()?;
    let (mut objects, mut sums) = (Vec::new(), Vec::new());
    for (address, mut told) in cluster.all(&Inquiry::Memory(if arguments.totals { 0 } else { arguments.limit }))? {
        objects.extend(with_node(&address, told["objects"].take()));
        told["node"] = address.into();
        sums.push(told);
    }
    if arguments.totals {
        return totals(&sums).print(arguments.show.format);
    }
    objects.sort_by_key(|object| std::cmp::Reverse(object["size"].as_u64()));
    objects.truncate(arguments.limit);
    let owners = told_by_owners(&cluster, &objects)?;
    let columns = ["node", "object", "bytes", "in", "made by", "held by", "owner"];
    let table = Table::of(&columns, &objects, |object| {
        let place_of_it = if object["is_spilled"] == Value::Bool(true) { "disk" } else { "memory" };
        let [id, size, origin, mut holders] = ["id", "size", "origin", "holders"].map(|part| text(&object[part]));
        if let Some(more) = owners.get(&id).filter(|more| !more.is_empty() && !is_own(&cluster, object)) {
            holders = format!("{holders}; on its owner: {more}");
        }
        let (node, owner) = (place(&text(&object["node"])).to_string(), cluster.place_of(&object["owner"]));
        vec![node, id, size, place_of_it.to_string(), origin, holders, owner]
    });
    table.print(arguments.show.format)?;
    tell_sums(&sums, objects.len());
    Ok(())
}

/// Whether the node that has an object owns it: then it has told all.
fn is_own(cluster: &Asked, object: &Value) -> bool {
    cluster.place_of(&object["owner"]) == place(&text(&object["node"]))
}

/// What keeps each object, as its owner knows.
fn told_by_owners(cluster: &Asked, objects: &[Value]) -> Result<BTreeMap<String, String>> {
    let mut wanted = BTreeMap::<String, Vec<(String, ObjectId)>>::new();
    for object in objects.iter().filter(|object| !is_own(cluster, object)) {
        let owner = cluster.nodes().iter().find(|node| node["id"] == object["owner"]);
        // Of an owner that is gone nobody knows more.
        if let (Some(owner), Ok(key)) = (owner, serde_json::from_value(object["key"].clone())) {
            wanted.entry(text(&owner["address"])).or_default().push((text(&object["id"]), key));
        }
    }
    let inquiry = |asked: &[(String, ObjectId)]| Inquiry::References(asked.iter().map(|(_, key)| *key).collect());
    let questions = wanted.iter().map(|(address, asked)| (address.clone(), inquiry(asked))).collect();
    let mut told = BTreeMap::new();
    for (address, answers) in cluster.each(questions)? {
        let asked = wanted.remove(&address).unwrap_or_default();
        let answers = answers.as_array().into_iter().flatten();
        told.extend(asked.into_iter().zip(answers).map(|((id, _), answer)| (id, text(answer))));
    }
    Ok(told)
}

/// Columns of the sums, and where each is in a node's answer.
const SUMS: [(&str, &str, usize); 4] = [
    ("objects in memory", "memory", 0),
    ("bytes in memory", "memory", 1),
    ("objects on disk", "disk", 0),
    ("bytes on disk", "disk", 1),
];

fn totals(sums: &[Value]) -> Table {
    let names: Vec<&str> = ["node"].into_iter().chain(SUMS.map(|(name, _, _)| name)).chain(["limit"]).collect();
    Table::of(&names, sums, |told| {
        let parts = SUMS.map(|(_, part, index)| text(&told[part][index]));
        [place(&text(&told["node"])).to_string()].into_iter().chain(parts).chain([text(&told["limit"])]).collect()
    })
}

/// The same for people, beside the rows.
fn tell_sums(sums: &[Value], shown: usize) {
    let mut total = 0;
    for told in sums {
        let [objects, bytes, spilled, on_disk] =
            SUMS.map(|(_, part, index)| told[part][index].as_u64().unwrap_or_default());
        total += objects + spilled;
        let (node, limit) = (text(&told["node"]), text(&told["limit"]));
        warn(&format!(
            "{}: {objects} objects, {bytes} of {limit} bytes in memory; {spilled} objects, {on_disk} bytes on disk",
            place(&node)
        ));
    }
    if total > shown as u64 {
        warn(&format!("the {shown} largest of {total} objects are shown; --limit shows more"));
    }
}
