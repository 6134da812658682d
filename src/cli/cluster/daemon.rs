//! `sheaf head` and `sheaf node`: a node of a cluster as a process of its own, until it is told to end.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use sheaf_core::autoscale::Rules;
use sheaf_core::jobs::{Jobs, JobsOptions};
use sheaf_core::local::{Local, LocalOptions, Role};
use sheaf_core::resources::{CPU, GPU, MEMORY, Resources};
use sheaf_core::settings::{Options, gpus, state_folder};
use sheaf_core::state::{DiskStore, MemoryStore, StateStore};
use sheaf_core::{Error, ErrorKind, Result, env, host};
use sheaf_dataset::NoFunctions;
use sheaf_dataset::engines::FragmentRunner;
use sheaf_flight::autoscaler::Autoscaler;
use sheaf_flight::cluster::{Port, endpoint_of};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use super::super::exit::Stop;
use super::node_types::NodeTypes;
use super::{AccessFlags, PORT};

/// The part of the memory that objects may have.
pub(super) const STORE_PART: f64 = 0.3;
/// The part that queries may have, unless --memory-limit says otherwise; the rest is for tasks that ask for some.
pub(super) const QUERY_PART: f64 = 0.35;
/// Where a machine does not say how much memory it has.
pub(super) const MEMORY_BYTES: u64 = 4 << 30;
/// How long a wait for words of the node lasts.
const PATIENCE: Duration = Duration::from_millis(500);
/// The file in a head's folder that its tables are in, and the folders there of what jobs print and of packages.
const STATE_FILE: &str = "head.redb";
const JOBS_FOLDER: &str = "jobs";
const PACKAGES_FOLDER: &str = "packages";
/// What runs the entry point of a job, once its environment is set up.
const LAUNCHER: &str = "from sheaf._runtime import entrypoint; entrypoint.main()";
/// What makes workers of a Python that has Sheaf. Its own folder is not on their path: that of a driver is.
const ZYGOTE: &str = "from sheaf._runtime import zygote; zygote.main()";
/// Says which Python it is, if it has Sheaf.
const VERSION: &str = "import sys, sheaf; print('%d.%d' % sys.version_info[:2])";
/// The command line, where this program is a Python.
const COMMAND_LINE: &str = "from sheaf._cli import main; raise SystemExit(main())";
/// The label of a node that says which Python its workers are.
const PYTHON_LABEL: &str = "sheaf/python";

/// What a node has, and who may come.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct NodeFlags {
    /// CPUs for tasks and actors [default: all].
    #[arg(long, value_name = "COUNT")]
    pub(super) num_cpus: Option<f64>,
    /// GPUs [default: those of CUDA_VISIBLE_DEVICES, or all].
    #[arg(long, value_name = "COUNT")]
    num_gpus: Option<f64>,
    /// Other resources, such as `{"disk": 2}`.
    #[arg(long, value_name = "JSON", default_value = "{}", value_parser = amounts)]
    resources: Amounts,
    /// Labels, such as `{"zone": "a"}`.
    #[arg(long, value_name = "JSON", default_value = "{}", value_parser = labels)]
    labels: Labels,
    /// Bytes of shared memory for objects [default: 30 % of the memory].
    #[arg(long, value_name = "BYTES")]
    pub(super) object_store_memory: Option<u64>,
    /// A folder for what workers print, one file for each.
    #[arg(long, value_name = "FOLDER")]
    log_dir: Option<PathBuf>,
    /// The host name or address under which other machines reach this one [default: the one it listens at].
    #[arg(long, value_name = "HOST")]
    advertise: Option<String>,
    /// The Python of the workers; it needs Sheaf.
    #[arg(long, value_name = "PROGRAM", default_value = "python3")]
    python: String,
    #[command(flatten)]
    access: AccessFlags,
}

fn at_least_one(text: &str) -> std::result::Result<usize, String> {
    let count = text.parse::<usize>().map_err(|error| error.to_string())?;
    if count == 0 { Err("no job would ever run".to_string()) } else { Ok(count) }
}

type Amounts = BTreeMap<String, f64>;
type Labels = BTreeMap<String, String>;

fn amounts(text: &str) -> std::result::Result<Amounts, String> {
    serde_json::from_str(text).map_err(|error| format!("{error}; write it as {{\"name\": 2}}"))
}

fn labels(text: &str) -> std::result::Result<Labels, String> {
    serde_json::from_str(text).map_err(|error| format!("{error}; write it as {{\"name\": \"value\"}}"))
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "Without a token or certificates it listens on 127.0.0.1 only.")]
pub(in crate::cli) struct HeadArguments {
    /// The address to listen at.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub(super) host: String,
    /// The port; 0 for one that is free.
    #[arg(long, value_name = "PORT", default_value_t = PORT)]
    port: u16,
    /// The folder for what a head that starts again has to know [default: sheaf/head-PORT in $XDG_STATE_HOME or
    /// ~/.local/state; none with --port 0].
    #[arg(long, value_name = "FOLDER")]
    state_dir: Option<PathBuf>,
    /// Start nodes of the types in this file when something waits for them, and let them go when they are idle.
    #[arg(long, value_name = "FILE")]
    node_types: Option<PathBuf>,
    /// Jobs that run at once; others wait.
    #[arg(long, value_name = "COUNT", default_value_t = JobsOptions::RUNNING, value_parser = at_least_one)]
    max_concurrent_jobs: usize,
    #[command(flatten)]
    pub(super) node: NodeFlags,
}

#[derive(Debug, Args)]
#[command(after_help = "Without a token or certificates it listens on 127.0.0.1 only.")]
pub(in crate::cli) struct NodeArguments {
    /// Where the head is.
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) head: String,
    /// The address to listen at.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub(super) host: String,
    /// The port; 0 for one that is free.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(super) port: u16,
    #[command(flatten)]
    pub(super) node: NodeFlags,
}

/// A head that runs.
pub(super) struct Started {
    /// Lets nodes come and go: it ends before the node does.
    autoscaler: Option<Autoscaler>,
    pub(super) local: Local,
    jobs: Arc<Jobs>,
    /// Its host and port.
    pub(super) place: String,
    /// What people are told of it.
    pub(super) told: String,
}

impl Started {
    pub(super) fn head(arguments: &HeadArguments, settings: &Options) -> Result<Self, Stop> {
        let mut port = bind(&arguments.host, arguments.port, &arguments.node)?;
        let address = port.address().to_string();
        let place = address.rsplit('/').next().unwrap_or_default().to_string();
        let folder = arguments.state_folder();
        let store = folder.as_deref().map(kept_in).transpose()?;
        if let Some(store) = &store {
            port = port.with_tables(Arc::clone(store));
        }
        let runner = arguments.node.runner(&address, settings)?;
        port = runner.serve_at(port)?;
        let options = arguments.node.options(Role::Head(address), settings, &place, runner)?;
        let options = LocalOptions { state: store, ..options };
        let types = arguments.node_types.as_deref().map(NodeTypes::read).transpose()?;
        let logs = folder.as_ref().map(|folder| folder.join(JOBS_FOLDER));
        let jobs = arguments.node.jobs(&place, &options, logs, arguments.max_concurrent_jobs)?;
        port = port.with_jobs(Arc::clone(&jobs));
        if let Some(folder) = &folder {
            port = port.with_packages(folder.join(PACKAGES_FOLDER));
        }
        let local = Local::start_with(options, |inlet| port.open(inlet, None).map(Some))?;
        let grows = types.as_ref().map(|types| format!("\n  nodes come as they are needed: {}", types.told()));
        let told = format!(
            "the head runs at sheaf://{place}\n  add nodes:  sheaf node --head {place}\n  \
             connect:    sheaf.init(\"sheaf://{place}\"){}{}",
            grows.unwrap_or_default(),
            arguments.node.access.warning()
        );
        let at = (&*place, &*arguments.host);
        let autoscaler = types.map(|types| arguments.node.autoscaler(types, &local, at, settings)).transpose()?;
        Ok(Self { autoscaler, local, jobs, place, told })
    }

    pub(super) fn end(&mut self) {
        self.autoscaler = None;
        // They are drivers: what they have on the cluster ends with them.
        self.jobs.shutdown();
        self.local.shutdown();
    }
}

/// Runs a head, which is a node too.
pub(in crate::cli) fn head(arguments: &HeadArguments, settings: &Options) -> Result<(), Stop> {
    let mut head = Started::head(arguments, settings)?;
    let served = serve(&head.local, &head.told);
    head.end();
    served
}

/// Runs a node that belongs to a head.
pub(in crate::cli) fn node(arguments: &NodeArguments, settings: &Options) -> Result<(), Stop> {
    let (local, address) = start_node(arguments, settings)?;
    let served = serve(&local, &format!("the node runs at {address}{}", arguments.node.access.warning()));
    local.shutdown();
    served
}

/// A node that runs, and where it is reached.
pub(super) fn start_node(arguments: &NodeArguments, settings: &Options) -> Result<(Local, String), Stop> {
    let head = endpoint_of(&arguments.head, &arguments.node.access.access()?)?;
    let port = bind(&arguments.host, arguments.port, &arguments.node)?;
    let address = port.address().to_string();
    let runner = arguments.node.runner(&address, settings)?;
    let port = runner.serve_at(port)?;
    let options = arguments.node.options(Role::Member(address.clone()), settings, &arguments.head, runner)?;
    Ok((Local::start_with(options, |inlet| port.open(inlet, Some(head)).map(Some))?, address))
}

impl HeadArguments {
    /// Where the head before this one has kept what it knew. One at a port that it is given by chance is nobody's next
    /// life, unless it is told to be.
    fn state_folder(&self) -> Option<PathBuf> {
        let usual = || (self.port != 0).then(|| Some(state_folder()?.join(format!("head-{}", self.port)))).flatten();
        self.state_dir.clone().or_else(usual)
    }
}

/// What is kept in the folder of a head.
fn kept_in(folder: &Path) -> Result<Arc<dyn StateStore>> {
    Ok(Arc::new(DiskStore::open(&folder.join(STATE_FILE))?))
}

fn bind(host: &str, port: u16, flags: &NodeFlags) -> Result<Port> {
    Port::bind(&format!("{host}:{port}"), flags.advertise.as_deref(), flags.access.access()?)
}

/// The memory that queries may have.
fn query_bytes(settings: &Options) -> u64 {
    let usual = || (host::memory_bytes().unwrap_or(MEMORY_BYTES) as f64 * QUERY_PART) as u64;
    settings.memory_limit.unwrap_or_else(usual)
}

impl NodeFlags {
    fn options(&self, role: Role, settings: &Options, head: &str, runner: FragmentRunner) -> Result<LocalOptions> {
        let memory = host::memory_bytes().unwrap_or(MEMORY_BYTES) as f64;
        let queries = query_bytes(settings);
        let objects = self.object_store_memory.unwrap_or((memory * STORE_PART) as u64);
        let mut labels = self.labels.clone();
        labels.insert(PYTHON_LABEL.to_string(), self.python_version()?);
        Ok(LocalOptions {
            role,
            resources: self.all_resources((memory * (1.0 - STORE_PART) - queries as f64).max(0.0))?,
            labels,
            store_bytes: objects,
            spill_dir: settings.spill_dir.clone().unwrap_or_else(std::env::temp_dir),
            command: [&self.python, "-P", "-c", ZYGOTE, "{fd}", &self.access.for_workers(head)?]
                .map(str::to_string)
                .to_vec(),
            state: None,
            query_bytes: queries,
            executor: Some(Arc::new(runner)),
            log_dir: self.log_dir.clone(),
        })
    }

    /// What runs parts of queries. Without CPUs a node is given none but those that wait for processes elsewhere.
    fn runner(&self, address: &str, settings: &Options) -> Result<FragmentRunner> {
        let threads = Some((self.cpus().floor() as usize).max(1));
        let options = Options { threads, memory_limit: Some(query_bytes(settings)), ..settings.clone() };
        FragmentRunner::lazy(options, address, Arc::new(NoFunctions))
    }

    fn cpus(&self) -> f64 {
        self.num_cpus.unwrap_or_else(|| host::threads() as f64)
    }

    /// The jobs of a head, which join its cluster by themselves.
    fn jobs(&self, place: &str, node: &LocalOptions, log_dir: Option<PathBuf>, running: usize) -> Result<Arc<Jobs>> {
        Jobs::start(JobsOptions {
            command: [&self.python, "-P", "-c", LAUNCHER, "{fd}", &self.access.for_workers(place)?]
                .map(str::to_string)
                .to_vec(),
            // What a program prints is seen when it prints it.
            variables: vec![("PYTHONUNBUFFERED".to_string(), "1".to_string())],
            machine: node.resources.clone(),
            store: node.state.clone().unwrap_or_else(|| Arc::new(MemoryStore::default())),
            log_dir,
            running,
        })
    }

    /// What lets nodes of these types come and go, for a head that listens at that host.
    fn autoscaler(
        &self,
        types: NodeTypes,
        head: &Local,
        (place, host): (&str, &str),
        settings: &Options,
    ) -> Result<Autoscaler> {
        let (access, rules) = (self.access.access()?, types.rules.clone());
        let (command, usual) = (self.node_command(place, host)?, self.usual_flags(&rules, settings));
        let provider = move || types.provider(command, usual);
        Autoscaler::start(head.inlet(), access, rules, provider, Box::new(|text| warn(&text)))
    }

    /// What starts a node on this machine, up to what it has: this very program, or Sheaf in the Python of the workers.
    fn node_command(&self, place: &str, host: &str) -> Result<Vec<String>> {
        let own = std::env::current_exe().ok().filter(|own| own.file_stem().is_some_and(|name| name == "sheaf"));
        let mut command = match own {
            Some(own) => vec![own.to_string_lossy().into_owned()],
            None => [&self.python, "-P", "-c", COMMAND_LINE].map(str::to_string).to_vec(),
        };
        command.extend(["node", "--head", place, "--host", host, "--python", &self.python].map(str::to_string));
        command.extend(self.advertise.iter().flat_map(|name| ["--advertise".to_string(), name.clone()]));
        command.extend(self.access.flags()?);
        if let Some(folder) = &self.log_dir {
            command.extend(["--log-dir".to_string(), folder.to_string_lossy().into_owned()]);
        }
        Ok(command)
    }

    /// What nodes on this machine are given unless their type says otherwise: they share its memory, with the head.
    fn usual_flags(&self, rules: &Rules, settings: &Options) -> Vec<(String, String)> {
        let most = rules.types.iter().map(|node_type| node_type.max).sum::<usize>().min(rules.max_nodes);
        let share = |part: f64| {
            let memory = host::memory_bytes().unwrap_or(MEMORY_BYTES) as f64;
            ((memory * part / (most + 1) as f64) as u64).to_string()
        };
        let spill = settings.spill_dir.as_ref().map(|folder| ("--spill-dir", folder.to_string_lossy().into_owned()));
        let usual = [("--memory-limit", share(QUERY_PART)), ("--object-store-memory", share(STORE_PART))];
        usual.into_iter().chain(spill).map(|(name, value)| (name.to_string(), value)).collect()
    }

    fn all_resources(&self, memory: f64) -> Result<Resources> {
        let cpus = self.cpus();
        let gpus = self.num_gpus.unwrap_or_else(|| gpus() as f64);
        if let Some(name) = self.resources.keys().find(|name| [CPU, GPU, MEMORY].contains(&name.as_str())) {
            return Err(Error::invalid(format!("--resources cannot have {name}"))
                .with_hint("use --num-cpus and --num-gpus; memory is what objects leave"));
        }
        let own = [(CPU, cpus), (GPU, gpus), (MEMORY, memory.floor())];
        let others = self.resources.iter().map(|(name, amount)| (&**name, *amount));
        Resources::new(own.into_iter().chain(others))
    }

    /// Which Python the workers are.
    fn python_version(&self) -> Result<String> {
        let failed = |why: String| {
            Error::new(ErrorKind::InvalidInput, format!("{} cannot run workers: {why}", self.python))
                .with_hint("name a Python in which Sheaf is installed: --python")
        };
        let told = Command::new(&self.python).args(["-P", "-c", VERSION]).output();
        let told = told.map_err(|error| failed(error.to_string()))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_string();
        if told.status.success() {
            Ok(text(&told.stdout))
        } else {
            Err(failed(text(&told.stderr).lines().last().unwrap_or_default().to_string()))
        }
    }
}

/// Says that the node is there, and prints its words until a signal ends it.
pub(super) fn serve(local: &Local, told: &str) -> Result<(), Stop> {
    // Whoever reads that may end it at once.
    let ended = ended_by_signal()?;
    say(told)?;
    loop {
        match local.output(PATIENCE) {
            Some(lines) => {
                for line in lines {
                    warn(&line.text);
                }
            }
            None if local.has_left() => return Ok(()),
            None => return Err(Error::new(ErrorKind::Io, "the node has ended").into()),
        }
        if ended.try_recv().is_ok() {
            return Ok(());
        }
    }
}

/// A channel that says when Ctrl-C or SIGTERM came.
pub(super) fn ended_by_signal() -> Result<std::sync::mpsc::Receiver<()>> {
    let failed = |error| Error::new(ErrorKind::Io, format!("cannot wait for signals: {error}"));
    let (sender, receiver) = std::sync::mpsc::channel();
    let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
    // From here on they end nothing by themselves.
    let listen = |kind| {
        let _inside = runtime.enter();
        signal(kind).map_err(failed)
    };
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    env::thread("sheaf-signals", move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            // Who does not listen any more has ended.
            let _ = sender.send(());
        });
    })?;
    Ok(receiver)
}

/// In one piece: whoever has read the first line may end this process.
pub(super) fn say(text: &str) -> Result<(), Stop> {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{text}\n").as_bytes()).and_then(|()| out.flush()).map_err(Stop::output)
}

fn warn(text: &str) {
    // A log that nobody reads does not end a node.
    let _ = writeln!(std::io::stderr().lock(), "sheaf: {text}");
}
