//! A cluster of processes on this machine, which run the program as it is built.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use sheaf::dataset::engines::{Cluster, ClusterOptions};

use super::nodes::becomes_true;

/// Stands for a Python that has Sheaf: no worker is ever asked for.
const PYTHON: &str = "#!/bin/sh
case \"$3\" in
*version_info*) echo 3.11 ;;
*) exec python3 -ISc 'import select, sys; poll = select.poll(); poll.register(int(sys.argv[1]), 0); poll.poll()' \"$4\" ;;
esac
";

/// A head without CPUs, and nodes; they are killed when this goes.
pub(crate) struct Processes {
    nodes: Vec<Killed>,
    pub(crate) cluster: Arc<Cluster>,
    _head: Killed,
    _folder: tempfile::TempDir,
}

/// A process that is killed when this goes.
struct Killed(Child);

impl Processes {
    /// So many nodes with a CPU each; whatever is read is cut for all of them.
    pub(crate) fn start(count: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let python = folder.path().join("python");
        fs::write(&python, PYTHON).unwrap();
        fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
        let (head, place) = started(folder.path(), &["head", "--port", "0", "--num-cpus", "0"]);
        let node = |_| started(folder.path(), &["node", "--head", &place, "--num-cpus", "1"]).0;
        let nodes = (0..count).map(node).collect();
        let how = ClusterOptions { bytes_per_partition: 1, ..ClusterOptions::default() };
        let cluster = Cluster::connect(&format!("sheaf://{place}"), how).unwrap();
        becomes_true("all nodes are there", || cluster.nodes().unwrap().len() == count + 1);
        Self { nodes, cluster, _head: head, _folder: folder }
    }
}

impl Processes {
    /// The seconds of CPU time that each node has had, the one that had least first.
    pub(crate) fn worked(&self) -> Vec<f64> {
        let ticks = |Killed(child): &Killed| {
            let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
            // Behind the name of the program, which may have spaces in it.
            let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
            fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()
        };
        let mut worked: Vec<f64> = self.nodes.iter().map(|node| ticks(node) / 100.0).collect();
        worked.sort_by(f64::total_cmp);
        worked
    }
}

/// Starts a node, and waits until it runs; its host and port.
fn started(folder: &Path, arguments: &[&str]) -> (Killed, String) {
    let python = folder.join("python");
    let mut command = Command::new(env!("CARGO_BIN_EXE_sheaf"));
    command.args(arguments).arg("--python").arg(python).arg("--spill-dir").arg(folder);
    command.args(["--object-store-memory", "268435456", "--memory-limit", "268435456"]);
    let mut node = Killed(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(node.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let place = line.trim().rsplit_once("://").filter(|(before, _)| before.contains("runs at"));
    let place = place.unwrap_or_else(|| panic!("it does not run: {line:?}")).1.to_string();
    (node, place)
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
