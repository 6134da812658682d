//! `sheaf tasks` and `sheaf actors`: what their owners know of them, and the processes that run them.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::Value;
use sheaf_core::local::{Filter, Inquiry};
use sheaf_core::{Error, Result};

use super::super::exit::Stop;
use super::asked::{Asked, text, warn, with_node};
use super::rows::Table;
use super::show::ShowArguments;

/// Rows that are printed at most, unless more are asked for.
const ROWS: usize = 1_000;

const TASK_STATES: [&str; 4] = ["running", "queued", "waiting", "ended"];
const ACTOR_STATES: [&str; 4] = ["alive", "pending", "restarting", "dead"];

#[derive(Debug, Args)]
pub(in crate::cli) struct ListArguments {
    /// Only those in this state: tasks are waiting, queued, running or ended; actors pending, alive, restarting or
    /// dead.
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Only those of this name: of the function, class or method, or of the actor.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Rows to print at most.
    #[arg(long, value_name = "ROWS", default_value_t = ROWS)]
    limit: usize,
    #[command(flatten)]
    show: ShowArguments,
}

impl ListArguments {
    fn filter(&self, states: &[&str]) -> Result<Filter> {
        match &self.state {
            Some(state) if !states.contains(&state.to_lowercase().as_str()) => {
                let hint = format!("the states are {}", states.join(", "));
                Err(Error::invalid(format!("there is no state {state:?}")).with_hint(hint))
            }
            state => Ok(Filter {
                state: state.as_ref().map(|state| state.to_lowercase()),
                name: self.name.clone(),
                most: self.limit,
            }),
        }
    }
}

/// Lists tasks: those that run first.
pub(in crate::cli) fn tasks(arguments: &ListArguments) -> Result<(), Stop> {
    let filter = arguments.filter(&TASK_STATES)?;
    let cluster = arguments.show.cluster()?;
    let (total, mut rows, _) = listed(&cluster, &Inquiry::Tasks(filter))?;
    rows.sort_by_key(|row| TASK_STATES.iter().position(|state| row["state"] == *state));
    rows.truncate(arguments.limit);
    let pids = pids(&cluster)?;
    let columns = ["task", "name", "kind", "state", "attempt", "node", "pid", "owner", "why it waits"];
    let table = Table::of(&columns, &rows, |row| {
        let [id, name, kind, state, attempt, why] =
            ["id", "name", "kind", "state", "attempt", "why"].map(|part| text(&row[part]));
        let pid = pids.get(&id).cloned().unwrap_or_default();
        let (runs_on, owner) =
            (cluster.place_of(&row["runs_on"]), super::asked::place(&text(&row["node"])).to_string());
        vec![id, name, kind, state, attempt, runs_on, pid, owner, why]
    });
    table.print(arguments.show.format)?;
    tell_rest("tasks", total, rows.len());
    Ok(())
}

/// Lists actors, the named ones first.
pub(in crate::cli) fn actors(arguments: &ListArguments) -> Result<(), Stop> {
    let filter = arguments.filter(&ACTOR_STATES)?;
    let cluster = arguments.show.cluster()?;
    let (total, mut rows, calls) = listed(&cluster, &Inquiry::Actors(filter))?;
    rows.sort_by_key(|row| {
        let name = text(&row["name"]);
        (ACTOR_STATES.iter().position(|state| row["state"] == *state), name.is_empty(), name)
    });
    rows.truncate(arguments.limit);
    let pids = pids(&cluster)?;
    let columns = [
        "actor",
        "name",
        "namespace",
        "class",
        "state",
        "node",
        "pid",
        "restarts",
        "pending calls",
        "detached",
        "owner",
        "why it ended",
    ];
    let table = Table::of(&columns, &rows, |row| {
        let [id, name, namespace, class, state, restarts, why] =
            ["id", "name", "namespace", "class", "state", "restarts", "why"].map(|part| text(&row[part]));
        let pid = pids.get(&id).cloned().unwrap_or_default();
        let pending = calls.get(&id).copied().unwrap_or_default().to_string();
        let is_detached = if row["is_detached"] == Value::Bool(true) { "yes" } else { "" }.to_string();
        let (lives_on, owner) =
            (cluster.place_of(&row["lives_on"]), super::asked::place(&text(&row["node"])).to_string());
        vec![id, name, namespace, class, state, lives_on, pid, restarts, pending, is_detached, owner, why]
    });
    table.print(arguments.show.format)?;
    tell_rest("actors", total, rows.len());
    Ok(())
}

/// How many there are on all nodes, the rows that were told, and the open calls by actor.
fn listed(cluster: &Asked, inquiry: &Inquiry) -> Result<(u64, Vec<Value>, BTreeMap<String, u64>)> {
    let (mut total, mut rows, mut calls) = (0, Vec::new(), BTreeMap::new());
    for (address, mut told) in cluster.all(inquiry)? {
        total += told["total"].as_u64().unwrap_or_default();
        rows.extend(with_node(&address, told["rows"].take()));
        for (actor, count) in told["calls"].as_object().into_iter().flatten() {
            *calls.entry(actor.clone()).or_default() += count.as_u64().unwrap_or_default();
        }
    }
    Ok((total, rows, calls))
}

/// The processes of all tasks that run and of all actors.
fn pids(cluster: &Asked) -> Result<BTreeMap<String, String>> {
    let mut pids = BTreeMap::new();
    for worker in cluster.of_all(&Inquiry::Workers)? {
        let pid = text(&worker["pid"]);
        let running = worker["running"].as_array().into_iter().flatten().chain([&worker["actor"]]);
        pids.extend(running.filter(|id| !id.is_null()).map(|id| (text(id), pid.clone())));
    }
    Ok(pids)
}

/// Says that not all are shown.
fn tell_rest(what: &str, total: u64, shown: usize) {
    if total > shown as u64 {
        warn(&format!("{shown} of {total} {what} are shown; --limit shows more, --state and --name choose"));
    }
}
