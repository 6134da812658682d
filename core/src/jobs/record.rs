//! A job as it is told to people and kept: what was asked for, and what came of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Error, Result};

/// What an entry point, an environment and the metadata of a job may each have, in bytes: they are kept with the job,
/// and the first two are handed to its process, where a text may have twice as much.
const TEXT_BYTES: usize = 64 << 10;
/// What a name may have, in characters: it is that of a file too.
const NAME_CHARACTERS: usize = 128;

/// Where a job is. Programs for Ray know these names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum JobStatus {
    /// It waits for others, or its environment is set up.
    Pending,
    /// Its entry point runs.
    Running,
    /// Its entry point ended with exit code 0.
    Succeeded,
    /// It ended otherwise; the message says how.
    Failed,
    /// It was stopped.
    Stopped,
}

impl JobStatus {
    /// Whether nothing more will happen to it.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Stopped)
    }
}

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Submission {
    /// What it is to be called; by default a name that no other one has.
    pub submission_id: Option<String>,
    /// The command, as a shell reads it.
    pub entrypoint: String,
    /// The environment of the entry point and of all that it runs on the cluster.
    pub runtime_env: Option<Map<String, Value>>,
    /// The user's own words.
    pub metadata: Option<BTreeMap<String, String>>,
    /// CPUs of the head's machine that it waits for among the other entry points there.
    pub entrypoint_num_cpus: Option<f64>,
    /// GPUs, likewise.
    pub entrypoint_num_gpus: Option<f64>,
    /// Bytes of memory, likewise.
    pub entrypoint_memory: Option<f64>,
    /// Other resources, likewise.
    pub entrypoint_resources: Option<BTreeMap<String, f64>>,
}

impl Submission {
    /// Refuses what no job can have.
    pub(super) fn check(&self) -> Result<()> {
        if self.entrypoint.trim().is_empty() {
            return Err(Error::invalid("a job has to have an entry point").with_hint("such as python script.py"));
        }
        if self.entrypoint.contains('\0') {
            return Err(Error::invalid("an entry point cannot have a zero byte"));
        }
        let environment = self.runtime_env.as_ref().map_or(0, |env| Value::from(env.clone()).to_string().len());
        let metadata: usize = self.metadata.iter().flatten().map(|(name, text)| name.len() + text.len()).sum();
        let parts = [("entry point", self.entrypoint.len()), ("runtime_env", environment), ("metadata", metadata)];
        for (what, bytes) in parts {
            if bytes > TEXT_BYTES {
                return Err(Error::invalid(format!("the {what} has {bytes} bytes, and may have {TEXT_BYTES}"))
                    .with_hint("put what is large into the working_dir"));
            }
        }
        self.submission_id.as_deref().map_or(Ok(()), check_name)
    }
}

fn check_name(name: &str) -> Result<()> {
    let fits = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '.');
    if name.is_empty() || name.len() > NAME_CHARACTERS || name.starts_with('.') || !name.chars().all(fits) {
        return Err(Error::invalid(format!("{name:?} cannot be the name of a job")).with_hint(format!(
            "use at most {NAME_CHARACTERS} letters, digits, '_', '-' and '.', with no '.' at the beginning"
        )));
    }
    Ok(())
}

/// A job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its name.
    pub submission_id: String,
    /// Jobs are numbered as they come.
    pub number: u64,
    /// Where it is.
    pub status: JobStatus,
    /// What there is to say of that.
    pub message: String,
    /// The command, as a shell reads it.
    pub entrypoint: String,
    /// The environment of the entry point and of all that it runs on the cluster.
    pub runtime_env: Map<String, Value>,
    /// The user's own words.
    pub metadata: BTreeMap<String, String>,
    /// What it holds of the head's machine while it runs, among the other entry points there.
    pub needs: BTreeMap<String, f64>,
    /// When it was submitted, in milliseconds since 1970-01-01 UTC.
    pub start_time: u64,
    /// When it was over.
    pub end_time: Option<u64>,
    /// With what its entry point ended, where that was not a signal.
    pub exit_code: Option<i32>,
    /// Whether it has a process, or had one.
    pub has_begun: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Result<()> {
        let submission = Submission {
            submission_id: Some(name.to_string()),
            entrypoint: "true".to_string(),
            ..Submission::default()
        };
        submission.check()
    }

    #[test]
    fn names_are_those_of_files_in_one_folder() {
        for name in ["a", "raysubmit_Ab1", "2026-11-28.nightly", &"x".repeat(128)] {
            assert!(named(name).is_ok(), "{name}");
        }
        for name in ["", ".", "..", ".hidden", "a/b", "../a", "a b", "a\n", "ä", &"x".repeat(129)] {
            assert!(named(name).is_err(), "{name}");
        }
    }

    #[test]
    fn what_is_too_long_or_nothing_is_refused() {
        let of = |entrypoint: &str| Submission { entrypoint: entrypoint.to_string(), ..Submission::default() };
        for entrypoint in ["", " \n", "a\0b", &"x".repeat(TEXT_BYTES + 1)] {
            assert!(of(entrypoint).check().is_err());
        }
        assert!(of(&"x".repeat(TEXT_BYTES)).check().is_ok());
        let mut large = of("true");
        large.metadata = Some([("why".to_string(), "x".repeat(TEXT_BYTES))].into());
        assert!(large.check().is_err());
    }
}
