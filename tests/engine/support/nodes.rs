//! A cluster in this process: nodes that speak over loopback, each with a session of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sheaf::core::client::{Client, Host};
use sheaf::core::fragment::{Executor, Fragment};
use sheaf::core::ids::Attempt;
use sheaf::core::local::{Local, LocalOptions, Role};
use sheaf::core::resources::Resources;
use sheaf::dataset::NoFunctions;
use sheaf::dataset::engines::{Cluster, ClusterOptions, FragmentRunner};
use sheaf::flight::cluster::{Access, Port};
use sheaf::{Options, Session};

const PATIENCE: Duration = Duration::from_secs(20);
const WAITING: &str = "import select, sys; poll = select.poll(); poll.register(int(sys.argv[1]), 0); poll.poll()";
const TOKEN: &str = "a token for tests only";

pub(crate) struct Nobody;

impl Host for Nobody {
    fn node_is_gone(&self) {}
    fn stop(&self, _: Attempt, _: bool) {}
}

/// Runs fragments, and keeps those of one stage until it is told to let them go.
#[derive(Debug)]
pub(crate) struct Gate {
    runner: Arc<FragmentRunner>,
    held: Mutex<(Option<u64>, Vec<Fragment>)>,
}

impl Gate {
    /// Keeps what comes of this stage from now on; `None` lets all go.
    pub(crate) fn keep(&self, stage: Option<u64>) {
        let kept = {
            let mut held = self.held.lock().unwrap();
            held.0 = stage;
            std::mem::take(&mut held.1)
        };
        kept.into_iter().for_each(|fragment| self.start(fragment));
    }

    /// How many it keeps.
    pub(crate) fn kept(&self) -> usize {
        self.held.lock().unwrap().1.len()
    }
}

impl Executor for Gate {
    fn start(&self, fragment: Fragment) {
        let part: serde_json::Value = serde_json::from_slice(&fragment.payload).unwrap();
        let mut held = self.held.lock().unwrap();
        if held.0.is_some() && held.0 == part["stage"].as_u64() {
            held.1.push(fragment);
        } else {
            drop(held);
            self.runner.start(fragment);
        }
    }

    fn stop(&self, attempt: Attempt) {
        self.held.lock().unwrap().1.retain(|fragment| fragment.attempt != attempt);
        self.runner.stop(attempt);
    }
}

/// A node and what runs on it.
pub(crate) struct Member {
    pub(crate) local: Local,
    pub(crate) runner: Arc<FragmentRunner>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) session: Session,
    pub(crate) folder: tempfile::TempDir,
}

/// What a node is given.
#[derive(Clone, Copy)]
pub(crate) struct Given {
    pub(crate) cpus: f64,
    pub(crate) store_bytes: u64,
    pub(crate) memory: u64,
}

pub(crate) const USUAL: Given = Given { cpus: 2.0, store_bytes: 256 << 20, memory: 256 << 20 };

/// A head without CPUs, to which the driver belongs, and nodes.
pub(crate) struct Nodes {
    pub(crate) members: Vec<Member>,
    head: String,
    pub(crate) cluster: Arc<Cluster>,
}

fn access() -> Access {
    Access::with_token(TOKEN).unwrap()
}

fn node(head: Option<&str>, given: Given) -> (Member, String) {
    let port = Port::bind("127.0.0.1:0", None, access()).unwrap();
    let address = port.address().to_string();
    let folder = tempfile::tempdir().unwrap();
    let session = Session::new(Options {
        threads: Some((given.cpus as usize).max(1)),
        memory_limit: Some(given.memory),
        spill_dir: Some(folder.path().to_path_buf()),
        ..Options::default()
    });
    let session = session.unwrap();
    let runner = Arc::new(FragmentRunner::new(session.clone(), &address, Arc::new(NoFunctions)));
    let gate = Arc::new(Gate { runner: Arc::clone(&runner), held: Mutex::default() });
    let options = LocalOptions {
        role: if head.is_some() { Role::Member(address.clone()) } else { Role::Head(address.clone()) },
        resources: Resources::new([("CPU", given.cpus)]).unwrap(),
        labels: BTreeMap::new(),
        store_bytes: given.store_bytes,
        spill_dir: folder.path().to_path_buf(),
        // What comes for workers is left unread, for there are none, until the node hangs up.
        command: ["python3", "-ISc", WAITING, "{fd}"].map(str::to_string).to_vec(),
        state: None,
        query_bytes: 64 << 20,
        executor: Some(Arc::<Gate>::clone(&gate)),
        log_dir: None,
    };
    let head = head.map(str::to_string);
    let port = runner.serve_at(port).unwrap();
    let local = Local::start_with(options, |inlet| port.open(inlet, head).map(Some)).unwrap();
    (Member { local, runner, gate, session, folder }, address)
}

impl Nodes {
    /// So many of them; so few bytes of files are worth a partition that small tables are cut.
    pub(crate) fn start(count: usize, given: Given) -> Self {
        Self::start_for(count, given, ClusterOptions::default().bytes_per_task)
    }

    /// The same where tasks read so many bytes, about.
    pub(crate) fn start_for(count: usize, given: Given, bytes_per_task: usize) -> Self {
        let (head, address) = node(None, Given { cpus: 0.0, ..given });
        let client = Client::new(head.local.connect().unwrap(), Nobody).unwrap();
        let bytes_per_partition = 32 << 10;
        let how = ClusterOptions { access: access(), bytes_per_partition, bytes_per_task, ..ClusterOptions::default() };
        let cluster = Cluster::over(client, how).unwrap();
        let mut nodes = Self { members: vec![head], head: address, cluster };
        (0..count).for_each(|_| nodes.join(given));
        nodes.wait_for(count + 1);
        nodes
    }

    /// One node more.
    pub(crate) fn join(&mut self, given: Given) {
        self.members.push(node(Some(&self.head), given).0);
    }

    /// Waits until so many nodes are there, the head among them.
    pub(crate) fn wait_for(&self, count: usize) {
        becomes_true("all nodes are there", || self.cluster.nodes().unwrap().len() == count);
    }

    /// How many attempts each node has begun, without the head.
    pub(crate) fn begun(&self) -> Vec<u64> {
        self.members[1..].iter().map(|member| member.runner.begun()).collect()
    }

    /// Keeps what comes of a stage on all nodes; `None` lets all go.
    pub(crate) fn keep(&self, stage: Option<u64>) {
        self.members.iter().for_each(|member| member.gate.keep(stage));
    }

    /// How many run now.
    pub(crate) fn running(&self) -> usize {
        self.members.iter().map(|member| member.runner.running()).sum()
    }

    /// The objects in all stores, with the places of their nodes.
    pub(crate) fn objects(&self) -> Vec<String> {
        let clients = self.members.iter().map(|member| Client::new(member.local.connect().unwrap(), Nobody).unwrap());
        let objects = clients.enumerate().map(|(member, client)| (member, client.objects().unwrap()));
        objects.flat_map(|(member, all)| all.into_iter().map(move |object| format!("{member}: {object:?}"))).collect()
    }

    /// Nothing of any query is left: no task, no object, no file, no memory.
    pub(crate) fn are_empty(&self) {
        becomes_true("no task runs", || self.running() == 0);
        let until = Instant::now() + PATIENCE;
        while !self.objects().is_empty() {
            assert!(Instant::now() < until, "{:#?}", self.objects());
            std::thread::sleep(Duration::from_millis(20));
        }
        for member in &self.members {
            becomes_true("no memory is held", || member.session.memory().reserved == 0);
            assert!(files(member.folder.path()).is_empty(), "{:?}", files(member.folder.path()));
        }
    }
}

/// The files below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    // By it others see that the folder is in use.
    files.filter(|path| !path.ends_with("lock")).collect()
}

pub(crate) fn becomes_true(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < until, "it does not become true: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
