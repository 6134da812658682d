"""The check that must run before the extension is loaded: its code may use instructions that an older CPU lacks.

It is Python and asks the system, because any compiled code of ours could fail before it answers. On an older CPU a
process of its own tries the extension, which may have been built for such a CPU.
"""

import importlib.util
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

# What x86-64-v3 adds, as Linux names it (`abm` stands for LZCNT).
LINUX_FLAGS = ("avx2", "bmi1", "bmi2", "fma", "f16c", "movbe", "abm")
# The same as macOS names it.
DARWIN_FLAGS = ("AVX2", "BMI1", "BMI2", "FMA", "F16C", "MOVBE", "LZCNT")
DARWIN_KEYS = ("machdep.cpu.features", "machdep.cpu.leaf7_features", "machdep.cpu.extfeatures")
SYSCTL_SECONDS = 10
TRY_SECONDS = 60
# Loads the extension alone, without the package around it, and asks what it was built for.
TRY = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("sheaf._sheaf", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
sys.exit(not module.is_built_for_this_cpu())
"""


def read_cpuinfo() -> str:
    """What Linux says of its CPUs; empty where it does not say."""
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def read_sysctl() -> str:
    """What macOS says of its CPU; empty where it does not say."""
    try:
        told = subprocess.run(
            ["/usr/sbin/sysctl", "-n", *DARWIN_KEYS],
            capture_output=True,
            text=True,
            timeout=SYSCTL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return told.stdout


def missing_flags(
    machine: str,
    system: str,
    cpuinfo: Callable[[], str] = read_cpuinfo,
    sysctl: Callable[[], str] = read_sysctl,
) -> list[str]:
    """The instructions that this build needs and the CPU lacks; none where the system does not say what it has."""
    if machine.lower() not in {"x86_64", "amd64"}:
        return []
    if system == "linux":
        lines = (line.partition(":") for line in cpuinfo().splitlines())
        flags = next((set(value.split()) for key, _, value in lines if key.strip() == "flags"), set())
        return [flag for flag in LINUX_FLAGS if flags and flag not in flags]
    if system == "darwin":
        flags = set(sysctl().upper().split())
        return [flag for flag in DARWIN_FLAGS if flags and flag not in flags]
    return []


def extension_runs() -> bool:
    """Whether the extension was built for an older CPU, such as this one, as a process of its own finds."""
    extension = importlib.util.find_spec("sheaf._sheaf")
    if extension is None or extension.origin is None:
        return False
    try:
        tried = subprocess.run(
            [sys.executable, "-c", TRY, extension.origin], capture_output=True, timeout=TRY_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return tried.returncode == 0


def check() -> None:
    """Raise ``ImportError`` that says what to do when the CPU is older than this build needs."""
    missing = missing_flags(platform.machine(), sys.platform)
    if missing and not extension_runs():
        raise ImportError(
            f"this build of Sheaf needs a CPU with x86-64-v3 (AVX2, since 2013); this one lacks {', '.join(missing)}\n"
            "  help: build the wheel for this CPU: see «Older CPUs» in README.md"
        )
