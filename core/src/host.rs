//! What this machine lets the process have: memory, cores, instructions.

use std::fs;
use std::path::Path;

/// Bytes of memory this process may use: the smallest of the machine's and every enclosing cgroup's limit.
///
/// Returns `None` where the system does not say.
#[must_use]
pub fn memory_bytes() -> Option<u64> {
    memory_bytes_told(|path| fs::read_to_string(path).ok())
}

/// The same of a system whose files this reads.
pub(crate) fn memory_bytes_told(read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let machine = read(Path::new("/proc/meminfo")).and_then(|text| parse_meminfo(&text));
    let groups = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().flat_map(|line| cgroup_limits(line, &read));
    machine.into_iter().chain(limits).min()
}

/// Threads that can run at once: cores, less what affinity and cgroup quotas take away.
#[must_use]
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// GPUs of this machine: those of NVIDIA's driver.
#[must_use]
pub fn gpus() -> usize {
    fs::read_dir("/proc/driver/nvidia/gpus").map_or(0, Iterator::count)
}

/// How many processes the kernel has ended for want of memory since it started.
#[must_use]
pub fn ended_for_memory() -> u64 {
    let counts = fs::read_to_string("/proc/vmstat").unwrap_or_default();
    let count = counts.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

/// Bytes that are resident for this process now, or `None` where the system does not say.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    parse_kib(line)
}

/// Bytes of its own that are resident for another process: without files and shared memory, which are not its alone.
#[must_use]
pub fn resident_bytes_of(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    parse_kib(line)
}

/// What a build for newer CPUs says on an older one.
const OLDER_CPU: &str = "error: this build of Sheaf needs a CPU with AVX2 (x86-64-v3)
  help: build for this CPU: see «Older CPUs» in README.md
";

/// Fails with whole lines for the user when this build needs instructions that the CPU lacks.
///
/// The compiler assumes the instructions it was allowed to use, so the check reads CPUID itself
/// (the standard macro folds to `true` under `-C target-cpu`), and it must run before any other code. What it tells is
/// text and no [`crate::Error`]: the code that makes and prints one has such instructions in it.
///
/// # Errors
/// On an x86-64 CPU without all of x86-64-v3, for a build that uses it.
pub fn check_cpu() -> Result<(), &'static str> {
    check(cfg!(target_feature = "avx2"), cpu_has_v3())
}

fn check(needs_v3: bool, has_v3: bool) -> Result<(), &'static str> {
    if needs_v3 && !has_v3 { Err(OLDER_CPU) } else { Ok(()) }
}

/// Whether the CPU and the system offer all of x86-64-v3; true on other architectures.
#[must_use]
pub fn cpu_has_v3() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        has_v3(|leaf| {
            let told = std::arch::x86_64::__cpuid_count(leaf, 0);
            Registers { eax: told.eax, ebx: told.ebx, ecx: told.ecx }
        })
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        true
    }
}

/// What CPUID tells for one leaf.
#[derive(Debug, Clone, Copy, Default)]
#[cfg(any(target_arch = "x86_64", test))]
struct Registers {
    eax: u32,
    ebx: u32,
    ecx: u32,
}

/// Bits as in Intel's manual, volume 2A, «CPUID», and AMD's 24594.
#[cfg(any(target_arch = "x86_64", test))]
fn has_v3(cpuid: impl Fn(u32) -> Registers) -> bool {
    const FMA_MOVBE_OSXSAVE_AVX_F16C: u32 = 1 << 12 | 1 << 22 | 1 << 27 | 1 << 28 | 1 << 29;
    const BMI1_AVX2_BMI2: u32 = 1 << 3 | 1 << 5 | 1 << 8;
    const LZCNT: u32 = 1 << 5;

    let has = |value: u32, bits: u32| value & bits == bits;
    // What a CPU tells of a leaf that it does not have is of another one.
    cpuid(0).eax >= 7
        && cpuid(0x8000_0000).eax >= 0x8000_0001
        && has(cpuid(1).ecx, FMA_MOVBE_OSXSAVE_AVX_F16C)
        && has(cpuid(7).ebx, BMI1_AVX2_BMI2)
        && has(cpuid(0x8000_0001).ecx, LZCNT)
}

fn parse_meminfo(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("MemTotal:")).and_then(parse_kib)
}

fn parse_kib(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// The limits of one line of `/proc/self/cgroup` (`ID:CONTROLLERS:PATH`), from its group up to the root.
fn cgroup_limits(line: &str, read: impl Fn(&Path) -> Option<String>) -> Vec<u64> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { return Vec::new() };
    let (root, file) = match controllers {
        "" => ("/sys/fs/cgroup", "memory.max"),
        c if c.split(',').any(|c| c == "memory") => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        _ => return Vec::new(),
    };
    Path::new(path.trim_start_matches('/'))
        .ancestors()
        .filter_map(|group| read(&Path::new(root).join(group).join(file)))
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

    /// What a system with these files lets a process have; the machine has 24 GiB.
    fn memory_with(files: &[(&str, &str)]) -> Option<u64> {
        memory_bytes_told(|path| {
            let machine = ("/proc/meminfo", "MemTotal:       25165824 kB\nMemFree: 1 kB\n");
            let found = files.iter().chain([&machine]).find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| (*text).to_string())
        })
    }

    #[test]
    fn the_smallest_limit_on_the_way_to_the_root_counts() {
        const MACHINE: u64 = 24 << 30;
        const V2: (&str, &str) = ("/proc/self/cgroup", "0::/a/b\n");
        const V1: (&str, &str) = ("/proc/self/cgroup", "4:cpu,cpuacct:/x\n3:hugetlb,memory:/a/b\n0::/x\n");
        // A container sees its own group as the root, and its path as the machine knows it.
        const CONTAINER: (&str, &str) = ("/proc/self/cgroup", "0::/docker/0123\n");
        for (files, bytes) in [
            (&[][..], MACHINE),
            (&[V2], MACHINE),
            (&[V2, ("/sys/fs/cgroup/a/b/memory.max", "4294967296\n")], 4 << 30),
            (&[V2, ("/sys/fs/cgroup/a/b/memory.max", "max\n")], MACHINE),
            (
                &[
                    V2,
                    ("/sys/fs/cgroup/a/b/memory.max", "8589934592\n"),
                    ("/sys/fs/cgroup/a/memory.max", "1073741824\n"),
                ],
                1 << 30,
            ),
            (
                &[V2, ("/sys/fs/cgroup/a/b/memory.max", "2147483648\n"), ("/sys/fs/cgroup/a/memory.max", "max\n")],
                2 << 30,
            ),
            (&[V2, ("/sys/fs/cgroup/a/b/memory.max", "1099511627776\n")], MACHINE),
            (&[V2, ("/sys/fs/cgroup/other/memory.max", "1048576\n")], MACHINE),
            (&[CONTAINER, ("/sys/fs/cgroup/memory.max", "3221225472\n")], 3 << 30),
            (&[V1, ("/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n")], MACHINE),
            (
                &[
                    V1,
                    ("/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n"),
                    ("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "6442450944\n"),
                    ("/sys/fs/cgroup/cpu/x/memory.limit_in_bytes", "1048576\n"),
                ],
                6 << 30,
            ),
            (&[("/proc/self/cgroup", "garbage\n")], MACHINE),
        ] {
            assert_eq!(memory_with(files), Some(bytes), "{files:?}");
        }
        assert_eq!(memory_bytes_told(|_| None), None, "a system that says nothing");
    }

    #[test]
    fn an_older_cpu_is_told_what_to_do() {
        // A CPU of x86-64-v3 that tells this and no more.
        let newer = |leaf| match leaf {
            0 => Registers { eax: 13, ..Registers::default() },
            1 => Registers { ecx: 0x3840_1000, ..Registers::default() },
            7 => Registers { ebx: 0x128, ..Registers::default() },
            0x8000_0000 => Registers { eax: 0x8000_0008, ..Registers::default() },
            0x8000_0001 => Registers { ecx: 0x20, ..Registers::default() },
            _ => Registers::default(),
        };
        assert!(has_v3(newer));
        for (what, leaf, lacks) in [
            ("leaf 7", 0, Registers { eax: 8, ..Registers::default() }),
            ("FMA", 1, Registers { ecx: 1 << 12, ..Registers::default() }),
            ("AVX", 1, Registers { ecx: 1 << 28, ..Registers::default() }),
            ("a system that keeps wide registers", 1, Registers { ecx: 1 << 27, ..Registers::default() }),
            ("AVX2", 7, Registers { ebx: 1 << 5, ..Registers::default() }),
            ("BMI2", 7, Registers { ebx: 1 << 8, ..Registers::default() }),
            ("extended leaves", 0x8000_0000, Registers { eax: 8, ..Registers::default() }),
            ("LZCNT", 0x8000_0001, Registers { ecx: 1 << 5, ..Registers::default() }),
        ] {
            let older = |asked| {
                let Registers { eax, ebx, ecx } = newer(asked);
                let minus = if asked == leaf { lacks } else { Registers::default() };
                Registers { eax: eax & !minus.eax, ebx: ebx & !minus.ebx, ecx: ecx & !minus.ecx }
            };
            assert!(!has_v3(older), "without {what}");
        }

        let told = check(true, false).unwrap_err();
        let readme = include_str!("../../README.md");
        let (what, help) = told.split_once('\n').unwrap();
        assert_eq!(what, "error: this build of Sheaf needs a CPU with AVX2 (x86-64-v3)");
        assert!(help.starts_with("  help: build for this CPU: see «Older CPUs» in README.md"), "{help}");
        assert!(readme.contains("### Older CPUs\n") && readme.contains("-C target-cpu=x86-64\""));
        assert!(check(false, false).is_ok(), "a build for older CPUs runs on them");
    }

    #[test]
    fn this_machine_says_what_it_has() {
        assert!(memory_bytes().is_some_and(|bytes| bytes > 64 << 20));
        assert!(resident_bytes().is_some_and(|bytes| bytes > 64 << 10));
        assert!(threads() >= 1);
        assert!(check_cpu().is_ok());
    }
}
