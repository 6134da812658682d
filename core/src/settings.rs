//! What users tune: raw options, validated once into immutable settings. One table, at most thirty keys.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::{Error, Result, host};

/// A key that users tune, with what its documentation says.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The name, the same in Rust, Python and on the command line.
    pub name: &'static str,
    /// Its default, in words where it depends on the machine.
    pub default: &'static str,
    /// What it does and in which unit.
    pub doc: &'static str,
}

/// All keys. `docs/settings.md` is this table and a test compares them.
pub const KEYS: &[Key] = &[
    Key {
        name: "memory_limit",
        default: "70 % of the machine's or cgroup's memory",
        doc: "Bytes that the engine may hold, near which operators spill: a number, or text such as `512MB` or `8GiB`. An \
              eighth and 32 MiB for each thread of it, but at most half, are left to what operators do not account for.",
    },
    Key {
        name: "threads",
        default: "the machine's cores",
        doc: "Engine threads, and partitions that a plan runs in parallel; of those, one for each 96 MiB of `memory_limit` at the most.",
    },
    Key {
        name: "spill_dir",
        default: "the system's temporary folder",
        doc: "Folder for spilled data. Each session makes its own folder in it and removes it at its end.",
    },
    Key {
        name: "spill_limit",
        default: "100GiB",
        doc: "Bytes that all operators of a session may have on disk at once.",
    },
    Key { name: "batch_size", default: "8192", doc: "Rows of a record batch between operators." },
    Key {
        name: "progress",
        default: "auto",
        doc: "Progress on standard error: `auto` (on a terminal and in notebooks), `on` or `off`.",
    },
    Key {
        name: "exchange",
        default: "auto",
        doc: "How rows go from stage to stage on a cluster: `durable` (kept on their nodes, where a node that dies costs \
              only what it had), `streaming` (handed on as they are made, the first ones at once), or `auto` (streaming for \
              what is read as it comes, durable for all else).",
    },
];

/// Raw options as users give them: every value is optional.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// See the key `memory_limit`, in bytes.
    pub memory_limit: Option<u64>,
    /// See the key `threads`.
    pub threads: Option<usize>,
    /// See the key `spill_dir`.
    pub spill_dir: Option<PathBuf>,
    /// See the key `spill_limit`, in bytes.
    pub spill_limit: Option<u64>,
    /// See the key `batch_size`.
    pub batch_size: Option<usize>,
    /// See the key `progress`.
    pub progress: Option<Progress>,
    /// See the key `exchange`.
    pub exchange: Option<Exchange>,
}

impl Options {
    /// Sets one option from text, as the command line and Python give it.
    ///
    /// # Errors
    /// [`crate::ErrorKind::InvalidInput`] for an unknown key or a value that does not parse.
    ///
    /// ```
    /// let mut options = sheaf_core::Options::default();
    /// options.set("memory_limit", "512MB").unwrap();
    /// assert_eq!(options.memory_limit, Some(512_000_000));
    /// assert!(options.set("memroy_limit", "1").is_err());
    /// ```
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let number = || {
            value.parse::<usize>().map_err(|_| Error::invalid(format!("{key} must be a whole number, not {value:?}")))
        };
        match key {
            "memory_limit" => self.memory_limit = Some(parse_bytes(value)?),
            "threads" => self.threads = Some(number()?),
            "spill_dir" => self.spill_dir = Some(PathBuf::from(value)),
            "spill_limit" => self.spill_limit = Some(parse_bytes(value)?),
            "batch_size" => self.batch_size = Some(number()?),
            "progress" => self.progress = Some(value.parse()?),
            "exchange" => self.exchange = Some(value.parse()?),
            _ => {
                let known: Vec<_> = KEYS.iter().map(|key| key.name).collect();
                return Err(Error::invalid(format!("there is no setting {key:?}"))
                    .with_hint(format!("the settings are {}", known.join(", "))));
            }
        }
        Ok(())
    }

    /// Checks the options and fills in what the machine says.
    ///
    /// # Errors
    /// [`crate::ErrorKind::InvalidInput`] for a value out of its range.
    pub fn validate(self) -> Result<Settings> {
        let settings = Settings {
            memory_limit: self.memory_limit.unwrap_or_else(|| Settings::default_memory_limit(host::memory_bytes())),
            threads: self.threads.unwrap_or_else(host::threads),
            spill_dir: self.spill_dir.unwrap_or_else(std::env::temp_dir),
            spill_limit: self.spill_limit.unwrap_or(Settings::SPILL_LIMIT),
            batch_size: self.batch_size.unwrap_or(Settings::BATCH_SIZE),
            progress: self.progress.unwrap_or_default(),
            exchange: self.exchange.unwrap_or_default(),
        };
        let least = |key: &str, value: u64, min: u64| {
            if value < min {
                return Err(Error::invalid(format!("{key} must be at least {min}, not {value}")));
            }
            Ok(())
        };
        least("memory_limit", settings.memory_limit, Settings::MIN_MEMORY)?;
        least("threads", settings.threads as u64, 1)?;
        least("batch_size", settings.batch_size as u64, 1)?;
        Ok(settings)
    }
}

/// Whether work shows its progress.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Progress {
    /// On a terminal and in notebooks.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

impl std::str::FromStr for Progress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "on" | "true" => Ok(Self::On),
            "off" | "false" => Ok(Self::Off),
            _ => Err(Error::invalid(format!("progress must be auto, on or off, not {text:?}"))),
        }
    }
}

/// How rows go from one stage of a plan to the next on a cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Exchange {
    /// Streaming for what is read as it comes, durable for all else.
    #[default]
    Auto,
    /// What tasks make is kept on their nodes, and what is lost is made again.
    Durable,
    /// Handed on as it is made, wherever the plan allows it.
    Streaming,
}

impl std::fmt::Display for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Durable => "durable",
            Self::Streaming => "streaming",
        })
    }
}

impl std::str::FromStr for Exchange {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let all = [Self::Auto, Self::Durable, Self::Streaming];
        let found = all.into_iter().find(|exchange| exchange.to_string() == text);
        found.ok_or_else(|| Error::invalid(format!("exchange must be auto, durable or streaming, not {text:?}")))
    }
}

/// Validated settings of one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Bytes that operators may hold before they spill.
    pub memory_limit: u64,
    /// Engine threads.
    pub threads: usize,
    /// Folder in which the session makes its spill folder.
    pub spill_dir: PathBuf,
    /// Bytes on disk at once.
    pub spill_limit: u64,
    /// Rows of a batch.
    pub batch_size: usize,
    /// Whether work shows its progress.
    pub progress: Progress,
    /// How rows go from stage to stage on a cluster.
    pub exchange: Exchange,
}

impl Settings {
    /// Below this not even one operator can hold its batches.
    pub const MIN_MEMORY: u64 = 16 << 20;
    const SPILL_LIMIT: u64 = 100 << 30;
    const BATCH_SIZE: usize = 8192;
    /// For a system that does not say how much memory it has.
    const ASSUMED_MEMORY: u64 = 4 << 30;

    /// The limit on a system that lets the process have this much memory.
    fn default_memory_limit(memory: Option<u64>) -> u64 {
        let memory = u128::from(memory.unwrap_or(Self::ASSUMED_MEMORY));
        ((memory * 7 / 10) as u64).max(Self::MIN_MEMORY)
    }

    /// The settings as text, by key: what `SHOW` prints.
    #[must_use]
    pub fn to_map(&self) -> BTreeMap<&'static str, String> {
        let progress = match self.progress {
            Progress::Auto => "auto",
            Progress::On => "on",
            Progress::Off => "off",
        };
        BTreeMap::from([
            ("memory_limit", self.memory_limit.to_string()),
            ("threads", self.threads.to_string()),
            ("spill_dir", self.spill_dir.display().to_string()),
            ("spill_limit", self.spill_limit.to_string()),
            ("batch_size", self.batch_size.to_string()),
            ("progress", progress.to_string()),
            ("exchange", self.exchange.to_string()),
        ])
    }
}

/// The folder for what Sheaf keeps for a user between runs and can do without, such as the history of the prompt:
/// `$XDG_STATE_HOME/sheaf`, else `~/.local/state/sheaf`. `None` where there is no home.
#[must_use]
pub fn state_folder() -> Option<PathBuf> {
    let named = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = named.or_else(|| Some(std::env::home_dir()?.join(".local/state")))?;
    Some(base.join("sheaf"))
}

/// GPUs that this process may use: those of `CUDA_VISIBLE_DEVICES`, or all.
#[must_use]
pub fn gpus() -> usize {
    let visible = std::env::var_os("CUDA_VISIBLE_DEVICES");
    visible.map_or_else(host::gpus, |visible| named_devices(&visible.to_string_lossy()))
}

/// As CUDA reads it: what follows a device that does not exist is hidden too.
fn named_devices(visible: &str) -> usize {
    let is_one = |device: &&str| !matches!(device.trim(), "" | "-1" | "NoDevFiles" | "none" | "void");
    visible.split(',').take_while(is_one).count()
}

/// Where the API server of Kubernetes is, such as `https://10.0.0.1:443`, for a process in one of its pods; `None`
/// elsewhere.
#[must_use]
pub fn kubernetes_server() -> Option<String> {
    let named = |name: &str| std::env::var_os(name)?.into_string().ok().filter(|value| !value.is_empty());
    Some(https_address(&named("KUBERNETES_SERVICE_HOST")?, &named("KUBERNETES_SERVICE_PORT")?))
}

/// The address of a host that may be one of IPv6, which stands in brackets there.
fn https_address(host: &str, port: &str) -> String {
    if host.contains(':') { format!("https://[{host}]:{port}") } else { format!("https://{host}:{port}") }
}

/// Reads a size such as `1073741824`, `512MB`, `1.5 GiB` or `64k` (decimal and binary units, any case).
///
/// # Errors
/// [`crate::ErrorKind::InvalidInput`] for anything else.
///
/// ```
/// assert_eq!(sheaf_core::settings::parse_bytes("1.5GiB").unwrap(), 1_610_612_736);
/// ```
pub fn parse_bytes(text: &str) -> Result<u64> {
    let bad =
        || Error::invalid(format!("{text:?} is not a size")).with_hint("give bytes, or a unit: 512MB, 8GiB, 1.5TB");
    let trimmed = text.trim();
    let split = trimmed.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(split);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "t" | "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(bad()),
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor).ok_or_else(bad);
    }
    let fraction: f64 = number.parse().map_err(|_| bad())?;
    Ok((fraction * factor as f64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_counted_as_cuda_reads_them() {
        for (visible, count) in [("", 0), ("2,3", 2), (" 0 , GPU-1 ", 2), ("0,-1,2", 1), ("NoDevFiles", 0)] {
            assert_eq!(named_devices(visible), count, "{visible:?}");
        }
    }

    #[test]
    fn hosts_of_kubernetes_are_told_as_addresses() {
        assert_eq!(https_address("10.0.0.1", "443"), "https://10.0.0.1:443");
        assert_eq!(https_address("fd00::1", "6443"), "https://[fd00::1]:6443");
    }

    #[test]
    fn sizes_parse_in_both_unit_systems() {
        for (text, bytes) in
            [("0", 0), ("17", 17), ("1k", 1_000), ("2 KiB", 2_048), ("1.5MB", 1_500_000), ("1TiB", 1 << 40)]
        {
            assert_eq!(parse_bytes(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "MB", "1XB", "-1", "1.2.3", "99999999999TiB"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_key_can_be_set_and_shown() {
        let mut options = Options::default();
        for (key, value) in KEYS.iter().zip(["64MiB", "3", "/x", "1GiB", "100", "off", "streaming"]) {
            options.set(key.name, value).unwrap();
        }
        let map = options.validate().unwrap().to_map();
        assert_eq!(map.keys().count(), KEYS.len());
        assert_eq!(map["memory_limit"], "67108864");
        assert_eq!((&*map["progress"], &*map["exchange"]), ("off", "streaming"));
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for (key, value) in [("memory_limit", "1"), ("threads", "0"), ("batch_size", "0"), ("exchange", "durabel")] {
            let mut options = Options::default();
            let refused = options.set(key, value).and_then(|()| options.validate());
            assert!(refused.unwrap_err().to_string().contains(key));
        }
    }

    #[test]
    fn the_default_limit_is_70_percent_of_what_the_process_may_use() {
        for (memory, limit) in [
            (Some(20 << 30), 14 << 30),
            (Some(1_000_000_001), 700_000_000),
            (Some(u64::MAX), 12_912_720_851_596_686_130),
            (Some(1), Settings::MIN_MEMORY),
            (None, 3_006_477_107),
        ] {
            assert_eq!(Settings::default_memory_limit(memory), limit, "{memory:?}");
        }
        let limit = Options::default().validate().unwrap().memory_limit;
        assert_eq!(limit, Settings::default_memory_limit(host::memory_bytes()));
    }

    #[test]
    fn a_planted_limit_of_a_cgroup_decides_the_default() {
        let planted = |path: &std::path::Path| {
            let files = [
                ("/proc/meminfo", "MemTotal: 20971520 kB\n"),
                ("/proc/self/cgroup", "0::/job\n"),
                ("/sys/fs/cgroup/job/memory.max", "10737418240\n"),
            ];
            files.iter().find(|(name, _)| path == std::path::Path::new(name)).map(|(_, text)| (*text).to_string())
        };
        assert_eq!(Settings::default_memory_limit(host::memory_bytes_told(planted)), 7 << 30);
    }
}
