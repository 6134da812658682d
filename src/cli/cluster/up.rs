//! `sheaf up`: a head and nodes of one machine, all in one process.

use std::num::NonZeroUsize;

use clap::Args;
use sheaf_core::host;
use sheaf_core::settings::Options;

use super::super::exit::Stop;
use super::daemon::{HeadArguments, MEMORY_BYTES, NodeArguments, QUERY_PART, STORE_PART, Started, serve, start_node};

#[derive(Debug, Args)]
#[command(after_help = "Without a token or certificates it listens on 127.0.0.1 only.")]
pub(in crate::cli) struct UpArguments {
    /// How many nodes, the head among them; CPUs and memory are shared out among them.
    #[arg(long, value_name = "COUNT", default_value = "2")]
    nodes: NonZeroUsize,
    #[command(flatten)]
    head: HeadArguments,
}

/// Runs a head and nodes of one machine, all in this process.
pub(in crate::cli) fn up(arguments: &UpArguments, settings: &Options) -> Result<(), Stop> {
    let count = arguments.nodes.get();
    let share = |all: f64| (all / count as f64).floor().max(1.0);
    let mut flags = arguments.head.node.clone();
    flags.num_cpus = flags.num_cpus.or_else(|| Some(share(host::threads() as f64)));
    let memory = host::memory_bytes().unwrap_or(MEMORY_BYTES) as f64;
    flags.object_store_memory = flags.object_store_memory.or_else(|| Some(share(memory * STORE_PART) as u64));
    let queries = settings.memory_limit.or_else(|| Some(share(memory * QUERY_PART) as u64));
    let settings = Options { memory_limit: queries, ..settings.clone() };
    let mut head = arguments.head.clone();
    head.node = flags.clone();
    let mut head = Started::head(&head, &settings)?;
    let mut nodes = Vec::new();
    for _ in 1..count {
        let node =
            NodeArguments { head: head.place.clone(), host: arguments.head.host.clone(), port: 0, node: flags.clone() };
        nodes.push(start_node(&node, &settings)?);
    }
    let served = serve(&head.local, &format!("{}\n  nodes:      {count}, all in this process", head.told));
    nodes.iter().for_each(|(local, _)| local.shutdown());
    head.end();
    served
}
