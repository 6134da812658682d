//! `ProcessProvider`: nodes as processes of this machine, for trying things out and for machines that several nodes
//! share. They end with the thread that has it.

use std::collections::BTreeMap;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Serialize;

use super::provider::{Instance, NodeProvider, labels_of};
use super::rules::NodeType;
use crate::child::end_with_thread;
use crate::resources::{CPU, GPU, MEMORY};
use crate::{Error, ErrorKind, Result};

/// How long a node that is told to end may take before it is killed.
const GRACE: Duration = Duration::from_secs(10);
/// Between two looks at one that is to end.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Starts nodes as processes.
#[derive(Debug)]
pub struct ProcessProvider {
    /// The program and its first arguments: what follows says what a node has.
    command: Vec<String>,
    /// More arguments, by type of node.
    flags: BTreeMap<String, Vec<String>>,
    /// Arguments and their values where those of the type do not have them.
    usual: Vec<(String, String)>,
    running: BTreeMap<String, Running>,
}

#[derive(Debug)]
struct Running {
    node_type: String,
    process: Child,
}

impl ProcessProvider {
    /// `command` is the program with its first arguments, such as `sheaf node --head 127.0.0.1:7070`; `flags` are more
    /// of them, by the name of a node type, and `usual` are given where those do not have them.
    #[must_use]
    pub fn new(command: Vec<String>, flags: BTreeMap<String, Vec<String>>, usual: Vec<(String, String)>) -> Self {
        Self { command, flags, usual, running: BTreeMap::new() }
    }

    fn arguments(&self, name: &str, node_type: &NodeType) -> Result<Vec<String>> {
        let own = |name: &str| [CPU, GPU, MEMORY].contains(&name);
        let others: BTreeMap<&str, f64> = node_type.resources.amounts().filter(|(name, _)| !own(name)).collect();
        let mut arguments = vec![
            "--num-cpus".to_string(),
            node_type.resources.amount(CPU).to_string(),
            "--num-gpus".to_string(),
            node_type.resources.amount(GPU).to_string(),
            "--resources".to_string(),
            json(&others)?,
            "--labels".to_string(),
            json(&labels_of(name, node_type))?,
        ];
        let flags = self.flags.get(&node_type.name).cloned().unwrap_or_default();
        let is_given = |name: &str| flags.iter().any(|flag| flag.split('=').next() == Some(name));
        let usual = self.usual.iter().filter(|(name, _)| !is_given(name));
        arguments.extend(usual.flat_map(|(name, value)| [name.clone(), value.clone()]));
        arguments.extend(flags);
        Ok(arguments)
    }
}

impl NodeProvider for ProcessProvider {
    fn create(&mut self, name: &str, node_type: &NodeType) -> Result<()> {
        let arguments = self.arguments(name, node_type)?;
        let (program, first) = self.command.split_first().ok_or_else(|| Error::internal("no command starts a node"))?;
        let mut command = Command::new(program);
        // It speaks through this process' own output for errors, and ends by a signal of this one's alone.
        command.args(first).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
        end_with_thread(&mut command, None);
        let process = command
            .spawn()
            .map_err(|error| Error::new(ErrorKind::Io, format!("a node cannot be started by {program}: {error}")))?;
        self.running.insert(name.to_string(), Running { node_type: node_type.name.clone(), process });
        Ok(())
    }

    fn list(&mut self) -> Result<Vec<Instance>> {
        let instance = |(name, running): (&String, &mut Running)| {
            let ended = match running.process.try_wait() {
                Ok(None) => None,
                Ok(Some(status)) => Some(words(status)),
                Err(error) => Some(format!("how it ended is not known: {error}")),
            };
            Instance { name: name.clone(), node_type: running.node_type.clone(), ended, waits: None }
        };
        Ok(self.running.iter_mut().map(instance).collect())
    }

    fn remove(&mut self, name: &str) -> Result<()> {
        if let Some(running) = self.running.remove(name) {
            end(vec![running.process]);
        }
        Ok(())
    }
}

impl Drop for ProcessProvider {
    fn drop(&mut self) {
        end(std::mem::take(&mut self.running).into_values().map(|running| running.process).collect());
    }
}

fn json(of: &impl Serialize) -> Result<String> {
    serde_json::to_string(of).map_err(|error| Error::internal(format!("a node's arguments: {error}")))
}

/// Asks processes to end, and ends those that do not.
fn end(mut processes: Vec<Child>) {
    let has_ended = |process: &mut Child| !matches!(process.try_wait(), Ok(None));
    processes.retain_mut(|process| !has_ended(process));
    for process in &processes {
        // It is not waited for yet: its number is nobody else's.
        let _ = kill(Pid::from_raw(process.id().cast_signed()), Signal::SIGTERM);
    }
    let until = Instant::now() + GRACE;
    while !processes.is_empty() && Instant::now() < until {
        std::thread::sleep(LOOK_EVERY);
        processes.retain_mut(|process| !has_ended(process));
    }
    for mut process in processes {
        let _ = (process.kill(), process.wait());
    }
}

fn words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "it has ended".to_string(),
        (Some(code), _) => format!("its process ended with exit code {code}"),
        (None, Some(signal)) => format!("its process was ended by signal {signal}"),
        (None, None) => "its process has ended".to_string(),
    }
}
