//! `sheaf drain`: a node is taken out of its cluster when what it runs has ended, and what it alone has is elsewhere.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::Value;
use sheaf_core::ids::NodeId;
use sheaf_core::local::Inquiry;
use sheaf_core::{Error, ErrorKind, Result};

use super::super::exit::Stop;
use super::asked::{HeadFlags, place, text, warn};

/// How often the node is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// How long after its time it may still be there: it waits for copies, and for the head to let it go.
const GRACE: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
#[command(
    after_help = "The node takes nothing more, and ends when all that it runs has ended. After the time-out tasks \
                        begin anew elsewhere,\nwithout a retry spent, and so do actors that may restart. What the node \
                        owns itself goes with it: it is told before."
)]
pub(in crate::cli) struct DrainArguments {
    /// The node, by its id or address (sheaf nodes).
    #[arg(value_name = "NODE")]
    node: String,
    /// How long it may take, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 300.0)]
    timeout: f64,
    /// Return when the head knows of it, and do not wait for the end.
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    head: HeadFlags,
}

/// Drains a node.
pub(in crate::cli) fn drain(arguments: &DrainArguments) -> Result<(), Stop> {
    let timeout = Duration::try_from_secs_f64(arguments.timeout)
        .map_err(|_| Error::invalid(format!("{} s is no time to wait", arguments.timeout)))?;
    let cluster = arguments.head.ask()?;
    let node = cluster.find(&arguments.node)?;
    let (id, address) = (text(&node["id"]), text(&node["address"]));
    if let Ok(leaving) = cluster.one(&address, &Inquiry::Leaving) {
        foretell(&address, &leaving);
    }
    let name: NodeId = id.parse()?;
    let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX / 2);
    let told = cluster.head(&Inquiry::Drain(name, millis))?;
    if let Some(why) = told["error"].as_str() {
        return Err(Error::new(ErrorKind::InvalidInput, why.to_string()).with_hint(text(&told["help"])).into());
    }
    if arguments.no_wait {
        return Ok(());
    }
    let (until, mut said) = (Instant::now().checked_add(timeout.saturating_add(GRACE)), String::new());
    loop {
        std::thread::sleep(LOOK_EVERY);
        if !arguments.head.ask()?.has(&id) {
            warn(&format!("{} has left", place(&address)));
            return Ok(());
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            return Err(still_there(&address).into());
        }
        // One that does not answer is gone in a moment.
        let now = cluster.one(&address, &Inquiry::Leaving).map(|leaving| waits_for(&leaving)).unwrap_or_default();
        if !now.is_empty() && now != said {
            warn(&format!("{} waits for {now}", place(&address)));
            said = now;
        }
    }
}

fn still_there(address: &str) -> Error {
    Error::new(ErrorKind::Io, format!("{} is still there after its time", place(address)))
        .with_hint("look at what it says itself; SIGTERM ends it at once")
}

fn number(of: &Value, part: &str) -> u64 {
    of[part].as_u64().unwrap_or_default()
}

/// Says what goes with the node.
fn foretell(address: &str, leaving: &Value) {
    let place = place(address);
    if number(leaving, "owned") > 0 {
        warn(&format!(
            "{place} owns {} objects and actors that other nodes hold: they go with it",
            number(leaving, "owned")
        ));
    }
    if number(leaving, "actors_that_stay") > 0 {
        warn(&format!(
            "{} actors on {place} may not begin anew elsewhere (max_restarts=0, or their owner is that node): they end \
             with it",
            number(leaving, "actors_that_stay")
        ));
    }
    if number(leaving, "drivers") > 0 {
        warn(&format!(
            "{} drivers belong to {place}: it waits for their end, and they end with it",
            number(leaving, "drivers")
        ));
    }
}

/// What the node waits for, in words.
fn waits_for(leaving: &Value) -> String {
    let parts = [
        ("running", "running tasks"),
        ("actors_that_move", "actors that move"),
        ("actors_that_stay", "actors that end with it"),
        ("copies", "objects to be copied"),
        ("drivers", "drivers"),
    ];
    let counted = parts.iter().filter(|(part, _)| number(leaving, part) > 0);
    let mut told: Vec<String> = counted.map(|(part, what)| format!("{} {what}", number(leaving, part))).collect();
    if number(leaving, "lost") > 0 {
        told.push(format!("nothing of {} objects, for which no other node has room", number(leaving, "lost")));
    }
    told.join(", ")
}
