//! What this machine lets the process have: memory, cores, instructions.

use std::fs;
use std::path::Path;

use crate::{Error, ErrorKind, Result};

/// Bytes of memory this process may use: the smallest of the machine's and every enclosing cgroup's limit.
///
/// Returns `None` where the system does not say.
#[must_use]
pub fn memory_bytes() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| parse_meminfo(&text));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = groups.lines().flat_map(cgroup_limits);
    machine.into_iter().chain(limits).min()
}

/// Threads that can run at once: cores, less what affinity and cgroup quotas take away.
#[must_use]
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Bytes that are resident for this process now, or `None` where the system does not say.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    parse_kib(line)
}

/// Fails with what to do when this build needs instructions that the CPU lacks.
///
/// The compiler assumes the instructions it was allowed to use, so the check reads CPUID itself
/// (the standard macro folds to `true` under `-C target-cpu`), and it must run before any other code.
///
/// # Errors
/// [`ErrorKind::Unsupported`] on an x86-64 CPU without AVX2, BMI2 and FMA, for a build that uses them.
pub fn check_cpu() -> Result<()> {
    if cfg!(target_feature = "avx2") && !cpu_has_v3() {
        return Err(Error::new(ErrorKind::Unsupported, "this build of Sheaf needs a CPU with AVX2 (x86-64-v3)")
            .with_hint("build for this CPU: see «Older CPUs» in README.md"));
    }
    Ok(())
}

/// Whether the CPU and the system offer all of x86-64-v3; true on other architectures.
#[must_use]
pub fn cpu_has_v3() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        cpuid::has_v3()
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        true
    }
}

#[cfg(target_arch = "x86_64")]
mod cpuid {
    use std::arch::x86_64::{__cpuid, __cpuid_count};

    const FMA_MOVBE_OSXSAVE_AVX_F16C: u32 = 1 << 12 | 1 << 22 | 1 << 27 | 1 << 28 | 1 << 29;
    const BMI1_AVX2_BMI2: u32 = 1 << 3 | 1 << 5 | 1 << 8;
    const LZCNT: u32 = 1 << 5;

    /// Bits as in Intel's manual, volume 2A, «CPUID», and AMD's 24594.
    pub(super) fn has_v3() -> bool {
        let has = |value: u32, bits: u32| value & bits == bits;
        let max = __cpuid(0).eax;
        let extended = __cpuid(0x8000_0000).eax;
        max >= 7
            && extended >= 0x8000_0001
            && has(__cpuid(1).ecx, FMA_MOVBE_OSXSAVE_AVX_F16C)
            && has(__cpuid_count(7, 0).ebx, BMI1_AVX2_BMI2)
            && has(__cpuid(0x8000_0001).ecx, LZCNT)
    }
}

fn parse_meminfo(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("MemTotal:")).and_then(parse_kib)
}

fn parse_kib(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// The limits of one line of `/proc/self/cgroup` (`ID:CONTROLLERS:PATH`), from its group up to the root.
fn cgroup_limits(line: &str) -> Vec<u64> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { return Vec::new() };
    let (root, file) = match controllers {
        "" => ("/sys/fs/cgroup", "memory.max"),
        c if c.split(',').any(|c| c == "memory") => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        _ => return Vec::new(),
    };
    Path::new(path.trim_start_matches('/'))
        .ancestors()
        .filter_map(|group| fs::read_to_string(Path::new(root).join(group).join(file)).ok())
        .filter_map(|text| text.trim().parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meminfo_is_read_in_kib() {
        let text = "MemTotal:       25165824 kB\nMemFree: 1 kB\n";
        assert_eq!(parse_meminfo(text), Some(24 << 30));
        assert_eq!(parse_meminfo("MemFree: 1 kB"), None);
    }

    #[test]
    fn lines_of_other_controllers_have_no_limit() {
        assert!(cgroup_limits("3:cpu,cpuacct:/x").is_empty());
        assert!(cgroup_limits("garbage").is_empty());
    }

    #[test]
    fn this_machine_says_what_it_has() {
        assert!(memory_bytes().is_some_and(|bytes| bytes > 64 << 20));
        assert!(resident_bytes().is_some_and(|bytes| bytes > 64 << 10));
        assert!(threads() >= 1);
        assert!(check_cpu().is_ok());
    }
}
