//! `sheaf logs`: the files with what workers printed on all nodes, listed, or one of them printed.

use std::io::Write;
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use sheaf_core::local::{From, Inquiry, Part};
use sheaf_core::{Error, ErrorKind, Result};

use super::super::exit::Stop;
use super::asked::{Asked, place, text, warn, with_node};
use super::rows::Table;
use super::show::ShowArguments;

/// How often a file is looked at that is followed.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often in a row a node that is followed may not answer.
const MAX_SILENCE: u32 = 10;

#[derive(Debug, Args)]
#[command(after_help = "Without FILE the files are listed. Nodes keep them where they were started with --log-dir.")]
pub(in crate::cli) struct LogsArguments {
    /// The file to print, such as worker-123.out.
    #[arg(value_name = "FILE")]
    file: Option<String>,
    /// The node that has it, by its id or address.
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
    /// Print the last lines only, of which there are so many.
    #[arg(long, value_name = "LINES", requires = "file")]
    tail: Option<u64>,
    /// Go on with what is printed from now on, until Ctrl-C.
    #[arg(short, long, requires = "file")]
    follow: bool,
    #[command(flatten)]
    show: ShowArguments,
}

/// Lists the files, or prints one.
pub(in crate::cli) fn logs(arguments: &LogsArguments) -> Result<(), Stop> {
    let cluster = arguments.show.cluster()?;
    let files = files(&cluster, arguments.node.as_deref())?;
    match &arguments.file {
        Some(file) => print(&cluster, &node_with(&files, file)?, file, arguments),
        None => Table::of(&["node", "file", "bytes"], &files, |row| {
            vec![place(&text(&row["node"])).to_string(), text(&row["file"]), text(&row["bytes"])]
        })
        .print(arguments.show.format),
    }
}

/// The files of all nodes, or of one.
fn files(cluster: &Asked, node: Option<&str>) -> Result<Vec<Value>> {
    let told = match node {
        None => cluster.all(&Inquiry::Files)?,
        Some(node) => {
            let address = text(&cluster.find(node)?["address"]);
            let told = cluster.one(&address, &Inquiry::Files)?;
            vec![(address, told)]
        }
    };
    let mut files = Vec::new();
    for (address, mut answer) in told {
        if let Some(why) = answer["error"].as_str() {
            warn(&format!("{}: {why}", place(&address)));
        }
        files.extend(with_node(&address, answer["files"].take()));
    }
    files.sort_by_key(|row| (text(&row["node"]), text(&row["file"])));
    Ok(files)
}

/// The one node that has a file.
fn node_with(files: &[Value], file: &str) -> Result<String> {
    let nodes: Vec<String> = files.iter().filter(|row| row["file"] == file).map(|row| text(&row["node"])).collect();
    match &nodes[..] {
        [node] => Ok(node.clone()),
        [] => Err(Error::new(ErrorKind::NotFound, format!("no node has the file {file:?}"))
            .with_hint("sheaf logs lists those that are there")),
        several => {
            let places: Vec<&str> = several.iter().map(|node| place(node)).collect();
            Err(Error::invalid(format!("several nodes have the file {file:?}"))
                .with_hint(format!("say which with --node: {}", places.join(", "))))
        }
    }
}

fn print(cluster: &Asked, address: &str, file: &str, arguments: &LogsArguments) -> Result<(), Stop> {
    let mut from = arguments.tail.map_or(From::Byte(0), From::Last);
    let (mut identity, mut silent) = (Value::Null, 0);
    loop {
        let part = Part { file: file.to_string(), from };
        let told = match cluster.one(address, &Inquiry::File(part)) {
            // What is followed may be back in a moment.
            Err(_) if arguments.follow && silent < MAX_SILENCE && !identity.is_null() => {
                silent += 1;
                std::thread::sleep(LOOK_EVERY);
                continue;
            }
            told => told?,
        };
        silent = 0;
        if let Some(why) = told["error"].as_str() {
            return Err(Error::new(ErrorKind::Io, format!("{}: {why}", place(address))).into());
        }
        if !identity.is_null() && identity != told["file"] {
            // The file was put aside, and another one has its name.
            (from, identity) = (From::Byte(0), told["file"].clone());
            continue;
        }
        identity = told["file"].clone();
        write(told["text"].as_str().unwrap_or_default())?;
        let (next, size) = (told["next"].as_u64().unwrap_or_default(), told["size"].as_u64().unwrap_or_default());
        from = From::Byte(next);
        match (next >= size, arguments.follow) {
            (false, _) => {}
            (true, true) => std::thread::sleep(LOOK_EVERY),
            (true, false) => return Ok(()),
        }
    }
}

fn write(text: &str) -> Result<(), Stop> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Stop::output)
}
