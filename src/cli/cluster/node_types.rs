//! `--node-types FILE`: the kinds of nodes that a head starts when something waits for them, and what starts them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use sheaf_core::autoscale::{NodeProvider, NodeType, ProcessProvider, Rules};
use sheaf_core::resources::{CPU, GPU, MEMORY, Resources};
use sheaf_core::{Error, Result};
use sheaf_flight::kubernetes::{KubernetesOptions, KubernetesProvider};

/// How long a node is idle before it leaves, unless the file says otherwise.
const IDLE_SECONDS: f64 = 60.0;
/// How long a node may take until it belongs to the cluster: a machine that starts and fetches an image takes minutes.
const BOOT_SECONDS: f64 = 600.0;
/// How many nodes there are at the most.
const MAX_NODES: usize = 100;
/// The name of a cluster whose file says none.
const CLUSTER: &str = "sheaf";

/// What starts nodes.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Provider {
    /// Processes of the head's machine.
    Processes,
    /// Pods beside that of the head.
    Kubernetes,
}

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    provider: Provider,
    #[serde(default = "idle_seconds")]
    idle_seconds: f64,
    #[serde(default = "boot_seconds")]
    boot_seconds: f64,
    #[serde(default = "max_nodes")]
    max_nodes: usize,
    #[serde(default = "cluster")]
    cluster: String,
    node_types: BTreeMap<String, Written>,
}

/// A type of node in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    num_cpus: f64,
    #[serde(default)]
    num_gpus: f64,
    #[serde(default)]
    memory: f64,
    #[serde(default)]
    resources: BTreeMap<String, f64>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    min: usize,
    max: usize,
    #[serde(default)]
    flags: Vec<String>,
    pod: Option<String>,
}

fn idle_seconds() -> f64 {
    IDLE_SECONDS
}

fn boot_seconds() -> f64 {
    BOOT_SECONDS
}

fn max_nodes() -> usize {
    MAX_NODES
}

fn cluster() -> String {
    CLUSTER.to_string()
}

/// The rules by which nodes come and go, and what starts them.
#[derive(Debug)]
pub(super) struct NodeTypes {
    pub(super) rules: Rules,
    starts: Starts,
}

#[derive(Debug)]
enum Starts {
    Processes(BTreeMap<String, Vec<String>>),
    Kubernetes(Box<KubernetesProvider>),
}

impl NodeTypes {
    /// What a file says.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let wrong = |why: &dyn std::fmt::Display| Error::invalid(format!("{}: {why}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
        let file: File = toml::from_str(&text)
            .map_err(|error| wrong(&error).with_hint("docs/clusters.md has an example of such a file"))?;
        file.checked(path.parent().unwrap_or(Path::new("")))
            .map_err(|error| error.with_context(path.display().to_string()))
    }

    /// What starts the nodes; with processes, this command and what follows it, and what they are given unless their type
    /// says otherwise.
    pub(super) fn provider(self, command: Vec<String>, usual: Vec<(String, String)>) -> Box<dyn NodeProvider> {
        match self.starts {
            Starts::Processes(flags) => Box::new(ProcessProvider::new(command, flags, usual)),
            Starts::Kubernetes(provider) => provider,
        }
    }

    /// The types and how many nodes of each there are, for people.
    pub(super) fn told(&self) -> String {
        let told = |node_type: &NodeType| format!("{} {} to {}", node_type.name, node_type.min, node_type.max);
        self.rules.types.iter().map(told).collect::<Vec<_>>().join(", ")
    }
}

impl File {
    fn checked(self, folder: &Path) -> Result<NodeTypes> {
        let millis = |what: &str, seconds: f64| {
            let time = Duration::try_from_secs_f64(seconds).map(|time| time.as_millis());
            let time = time.ok().and_then(|millis| u64::try_from(millis).ok()).filter(|millis| *millis > 0);
            time.ok_or_else(|| Error::invalid(format!("{what} = {seconds} is no time")))
        };
        let (idle_after, boots_within) =
            (millis("idle_seconds", self.idle_seconds)?, millis("boot_seconds", self.boot_seconds)?);
        let types = self.node_types.iter().map(|(name, written)| written.node_type(name));
        let rules = Rules { types: types.collect::<Result<_>>()?, max_nodes: self.max_nodes, idle_after, boots_within };
        let rules = rules.checked()?;
        let starts = match self.provider {
            Provider::Processes => Starts::Processes(self.flags()?),
            Provider::Kubernetes => Starts::Kubernetes(self.pods(folder)?),
        };
        Ok(NodeTypes { rules, starts })
    }

    fn flags(self) -> Result<BTreeMap<String, Vec<String>>> {
        if let Some((name, _)) = self.node_types.iter().find(|(_, written)| written.pod.is_some()) {
            return Err(Error::invalid(format!("{name} has a pod, and nodes are processes"))
                .with_hint("provider = \"kubernetes\" starts pods"));
        }
        if let Some((name, _)) = self.node_types.iter().find(|(_, written)| written.memory > 0.0) {
            return Err(Error::invalid(format!("{name} has memory, and nodes are processes"))
                .with_hint("processes share that of the machine"));
        }
        // Each would lend the same devices.
        let with_gpus = self.node_types.values().filter(|written| written.num_gpus > 0.0);
        if with_gpus.map(|written| written.max).sum::<usize>() > 1 {
            return Err(Error::invalid("there may be several nodes with GPUs, and nodes are processes")
                .with_hint("let one of them have all GPUs of the machine, and the head --num-gpus 0"));
        }
        Ok(self.node_types.into_iter().map(|(name, written)| (name, written.flags)).collect())
    }

    /// Pods have their templates in files of their own, beside this one.
    fn pods(&self, folder: &Path) -> Result<Box<KubernetesProvider>> {
        let mut templates = BTreeMap::new();
        for (name, written) in &self.node_types {
            let Written { pod: Some(pod), flags, .. } = written else {
                return Err(Error::invalid(format!("{name} has no pod"))
                    .with_hint("name a file with the pod as JSON, of metadata and spec: pod = \"FILE\""));
            };
            if !flags.is_empty() {
                return Err(Error::invalid(format!("{name} has flags, and nodes are pods"))
                    .with_hint("write them into the arguments of the pod's container"));
            }
            let path = folder.join(pod);
            let wrong = |why: &dyn std::fmt::Display| Error::invalid(format!("{}: {why}", path.display()));
            let text = std::fs::read_to_string(&path).map_err(|error| wrong(&error))?;
            templates.insert(name.clone(), serde_json::from_str::<Value>(&text).map_err(|error| wrong(&error))?);
        }
        KubernetesProvider::new(KubernetesOptions::in_cluster(&self.cluster, templates)?).map(Box::new)
    }
}

impl Written {
    fn node_type(&self, name: &str) -> Result<NodeType> {
        if let Some(own) = self.resources.keys().find(|name| [CPU, GPU, MEMORY].contains(&name.as_str())) {
            return Err(Error::invalid(format!("resources of {name} cannot have {own}"))
                .with_hint("use num_cpus, num_gpus and memory"));
        }
        let own = [(CPU, self.num_cpus), (GPU, self.num_gpus), (MEMORY, self.memory)];
        let others = self.resources.iter().map(|(name, amount)| (&**name, *amount));
        Ok(NodeType {
            name: name.to_string(),
            resources: Resources::new(own.into_iter().chain(others))?,
            labels: self.labels.iter().map(|(label, value)| (label.as_str().into(), value.as_str().into())).collect(),
            min: self.min,
            max: self.max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<NodeTypes> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("types.toml");
        std::fs::write(&path, text).unwrap();
        NodeTypes::read(&path)
    }

    #[test]
    fn a_file_says_which_nodes_there_may_be() {
        let text = r#"
            provider = "processes"
            idle_seconds = 2.5
            [node_types.cpu]
            num_cpus = 2
            max = 4
            flags = ["--memory-limit", "1GiB"]
            [node_types.large]
            num_cpus = 8
            num_gpus = 1
            resources = { disk = 2 }
            labels = { zone = "a" }
            min = 1
            max = 1
        "#;
        let types = read(text).unwrap();
        assert_eq!((types.rules.idle_after, types.rules.boots_within, types.rules.max_nodes), (2_500, 600_000, 100));
        let large = &types.rules.types[1];
        assert_eq!(large.resources.to_string(), "CPU 8, GPU 1, disk 2");
        assert_eq!((large.min, large.max, large.labels.len()), (1, 1, 1));
        assert_eq!(types.told(), "cpu 0 to 4, large 1 to 1");
        let Starts::Processes(flags) = types.starts else { panic!("they are processes") };
        assert_eq!(flags["cpu"], ["--memory-limit", "1GiB"]);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told() {
        let cpu = "provider = \"processes\"\n[node_types.cpu]\nnum_cpus = 2\nmax = 1\n";
        for (text, expected) in [
            ("provider = \"balloon\"\n[node_types]\n".to_string(), "balloon"),
            ("provider = \"processes\"\n[node_types]\n".to_string(), "no type of node"),
            (format!("{cpu}mim = 1\n"), "mim"),
            (format!("{cpu}min = 2\n"), "2 nodes of type \"cpu\" at the least and 1"),
            (format!("{cpu}resources = {{ CPU = 1 }}\n"), "resources of cpu cannot have CPU"),
            (format!("{cpu}pod = \"a.json\"\n"), "cpu has a pod"),
            (format!("{cpu}memory = 1e9\n"), "cpu has memory"),
            (cpu.replace("max = 1", "max = 2\nnum_gpus = 1"), "several nodes with GPUs"),
            (format!("idle_seconds = -1\n{cpu}"), "idle_seconds = -1 is no time"),
            (cpu.replace(".cpu", ".\"A b\""), "\"A b\" is no name"),
            (cpu.replace("num_cpus = 2", "num_cpus = -2"), "-2 is no amount of CPU"),
        ] {
            let error = read(&text).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("types.toml"), "{error}");
        }
    }
}
