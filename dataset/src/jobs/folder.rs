//! The folder of a job, `<target>/_sheaf_jobs/<name>`: what was begun and by which program, which attempts there were,
//! what the stages have recorded, and in the end the report.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde::{Deserialize, Serialize};
use sheaf_connectors::error::from_store;
use sheaf_connectors::location::Location;
use sheaf_connectors::stores::{StorageOptions, Stores};
use sheaf_connectors::write::{remove_leftovers, remove_unfinished};
use sheaf_core::{Error, ErrorKind, Result, ResultExt};

use crate::operators::recorded::Records;
use crate::operators::write::WriteReport;
use crate::session::Session;

/// The folder of a target's jobs; readers skip names that begin with `_`.
const JOBS: &str = "_sheaf_jobs";

/// What the names of the files begin with that note an attempt.
const ATTEMPT: &str = "attempt-";

/// The longest name of a job, which is a folder's name too.
const LONGEST_NAME: usize = 100;

/// The version of the layout of a job's folder.
const LAYOUT: u32 = 1;

/// Where a job keeps its records.
#[derive(Debug)]
pub(crate) struct JobFolder {
    name: String,
    target: String,
    store: Arc<dyn ObjectStore>,
    root: Path,
    is_local: bool,
}

/// How a job was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Begun {
    layout: u32,
    /// The id of the write, the same in all attempts.
    pub(crate) write_id: String,
    /// The partitions that the plan was made for: a machine with other cores goes on with these.
    pub(crate) partitions: usize,
    identity: String,
    program: Program,
}

/// The program that began a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Its command line.
    pub command: Vec<String>,
    /// The folder that it ran in.
    pub folder: String,
}

impl Begun {
    pub(crate) fn new(write_id: &str, partitions: usize, identity: &str) -> Self {
        let command = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
        let folder = std::env::current_dir().unwrap_or_default().to_string_lossy().into_owned();
        Self {
            layout: LAYOUT,
            write_id: write_id.to_string(),
            partitions,
            identity: identity.to_string(),
            program: Program { command, folder },
        }
    }

    /// Fails for a plan or data that are not those that the job was begun with.
    pub(crate) fn check(&self, identity: &str, folder: &JobFolder) -> Result<()> {
        if self.identity == identity {
            return Ok(());
        }
        let differing = self.identity.lines().zip(identity.lines()).find(|(then, now)| then != now);
        let (then, now) = differing.unwrap_or(("one", "the other, with more lines"));
        Err(Error::new(
            ErrorKind::Conflict,
            format!("{folder} was begun with another plan or other data: {:?} then, {:?} now", then.trim(), now.trim()),
        )
        .with_hint(format!("run the program that began it, give this one another name, or remove {}", folder.path())))
    }
}

impl JobFolder {
    pub(crate) fn at(session: &Session, target: &str, options: &StorageOptions, name: &str) -> Result<Self> {
        Self::of(session.stores(), target, options, name)
    }

    fn of(stores: &Arc<Stores>, target: &str, options: &StorageOptions, name: &str) -> Result<Self> {
        check_name(name)?;
        let location = Location::parse(target)?;
        let resolved = stores.resolve(&location, options)?;
        Ok(Self {
            name: name.to_string(),
            target: target.to_string(),
            store: resolved.store,
            root: resolved.path.join(JOBS).join(name),
            is_local: location.is_local(),
        })
    }

    fn path(&self) -> String {
        format!("{}/{JOBS}/{}", self.target.trim_end_matches('/'), self.name)
    }

    /// The records of the stages, as this attempt at the job writes them.
    pub(crate) fn records(&self, attempt: &str) -> Records {
        Records { store: Arc::clone(&self.store), folder: self.root.clone(), attempt: attempt.to_string() }
    }

    /// How the job was begun, if it was.
    pub(crate) async fn begun(&self) -> Result<Option<Begun>> {
        let begun: Option<Begun> = self.records("").get(&self.root.clone().join("job.json")).await?;
        match begun {
            Some(begun) if begun.layout > LAYOUT => {
                Err(Error::new(ErrorKind::Unsupported, format!("{self} was begun by a newer Sheaf"))
                    .with_hint("upgrade sheaf to go on with it"))
            }
            begun => Ok(begun),
        }
    }

    /// Begins the job; what another process has begun at the same moment counts.
    pub(crate) async fn begin(&self, begun: Begun) -> Result<Begun> {
        let created = self.records("").create(&self.root.clone().join("job.json"), &begun).await?;
        if created {
            return Ok(begun);
        }
        self.begun().await?.ok_or_else(|| Error::new(ErrorKind::Conflict, format!("{self} was removed as it began")))
    }

    /// Notes an attempt, whose files are known by its id.
    pub(crate) async fn note_attempt(&self, attempt: &str) -> Result<()> {
        let path = self.root.clone().join(format!("{ATTEMPT}{attempt}"));
        self.store.put(&path, Vec::new().into()).await.map_err(from_store).with_context(|| format!("noting {path}"))?;
        Ok(())
    }

    /// The report of a job that is done.
    pub(crate) async fn done(&self) -> Result<Option<WriteReport>> {
        self.records("").get(&self.root.clone().join("done.json")).await
    }

    /// Notes that the job is done, and removes what only an unfinished one needs.
    pub(crate) async fn finish(&self, report: &WriteReport) -> Result<()> {
        self.records("").create(&self.root.clone().join("done.json"), report).await?;
        self.clear().await;
        Ok(())
    }

    /// Removes what a job that is done no longer needs. What cannot be removed now is so when the job is asked for
    /// again.
    pub(crate) async fn clear(&self) {
        if let Err(error) = self.try_clear().await {
            log::warn!("what {self} no longer needs could not be removed: {error}");
        }
    }

    async fn try_clear(&self) -> Result<()> {
        let listed: Vec<Path> =
            self.store.list(Some(&self.root)).map_ok(|meta| meta.location).try_collect().await.map_err(from_store)?;
        let attempts: HashSet<String> =
            listed.iter().filter_map(|path| path.filename()?.strip_prefix(ATTEMPT).map(String::from)).collect();
        if self.is_local {
            // The folder is the job's own.
            remove_unfinished(&self.root, None)?;
        }
        if listed.iter().all(is_kept) {
            return Ok(());
        }
        let target = self.root.parent().and_then(|jobs| jobs.parent()).unwrap_or_default();
        remove_leftovers(&self.store, &target, &attempts).await?;
        if self.is_local {
            remove_unfinished(&target, Some(&attempts))?;
        }
        let old: Vec<_> = listed.into_iter().filter(|path| !is_kept(path)).map(Ok).collect();
        let removed = self.store.delete_stream(futures::stream::iter(old).boxed());
        removed.try_for_each(|_| async { Ok(()) }).await.map_err(from_store)
    }
}

/// What stays of a job that is done: that it was, and what it did.
fn is_kept(path: &Path) -> bool {
    matches!(path.filename(), Some("job.json" | "done.json"))
}

impl fmt::Display for JobFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job {:?} of {}", self.name, self.target)
    }
}

/// The program that began a job, to run it again.
///
/// # Errors
/// [`ErrorKind::NotFound`] when there is no such job, [`ErrorKind::InvalidInput`] for a name that no job can have.
pub async fn began_by(stores: &Arc<Stores>, target: &str, options: &StorageOptions, name: &str) -> Result<Program> {
    let begun = JobFolder::of(stores, target, options, name)?.begun().await?;
    let begun = begun.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("there is no job {name:?} of {target}"))
            .with_hint("a job is named in the write: write_parquet(target, job=\"name\")")
    })?;
    Ok(begun.program)
}

fn check_name(name: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    match name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(plain) || name.starts_with('.') {
        false => Ok(()),
        true => Err(Error::invalid(format!("{name:?} cannot be the name of a job"))
            .with_hint("letters, digits, «-», «_» and «.» make a name, as in \"nightly-2026\"")),
    }
}
