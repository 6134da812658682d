"""The check of the CPU that comes before the extension."""

import subprocess
import sys

import pytest

from sheaf import _cpu

NEW = "processor : 0\nflags\t\t: fpu avx avx2 bmi1 bmi2 fma f16c movbe abm sse4_2\n"
OLD = "processor : 0\nflags\t\t: fpu avx bmi1 fma f16c movbe abm\n"
MAC = "FPU AVX1.0 FMA MOVBE F16C\nAVX2 BMI1 BMI2\nLZCNT\n"


def test_flags_of_linux() -> None:
    assert _cpu.missing_flags("x86_64", "linux", cpuinfo=lambda: NEW) == []
    assert _cpu.missing_flags("x86_64", "linux", cpuinfo=lambda: OLD) == ["avx2", "bmi2"]
    assert _cpu.missing_flags("x86_64", "linux", cpuinfo=lambda: "") == []


def test_flags_of_macos() -> None:
    assert _cpu.missing_flags("x86_64", "darwin", sysctl=lambda: MAC) == []
    assert _cpu.missing_flags("x86_64", "darwin", sysctl=lambda: "FPU AVX1.0") != []
    assert _cpu.missing_flags("x86_64", "darwin", sysctl=lambda: "") == []


def test_other_machines_are_not_asked() -> None:
    assert _cpu.missing_flags("aarch64", "linux", cpuinfo=lambda: OLD) == []


def test_an_older_cpu_is_told_before_the_extension_loads() -> None:
    code = f"""
import pathlib, platform, subprocess, sys
subprocess.run = lambda command, **_: subprocess.CompletedProcess(command, -4)  # an illegal instruction
platform.machine = lambda: "x86_64"
sys.platform = "linux"
read = pathlib.Path.read_text
pathlib.Path.read_text = lambda self, *a, **k: {OLD!r} if str(self) == "/proc/cpuinfo" else read(self, *a, **k)
try:
    import sheaf
except ImportError as error:
    print(error)
print("sheaf._sheaf" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "x86-64-v3" in done.stdout
    assert "Older CPUs" in done.stdout
    assert done.stdout.endswith("False\n")


def test_a_build_for_older_cpus_loads_on_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cpu, "missing_flags", lambda *_: ["avx2"])
    # To the extension this machine is new enough, as an older one is to a build for it.
    _cpu.check()
    monkeypatch.setattr(_cpu, "TRY", "import os; os.abort()")
    with pytest.raises(ImportError, match="Older CPUs"):
        _cpu.check()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_this_machine_passes() -> None:
    _cpu.check()
    assert "flags" in _cpu.read_cpuinfo() or "Features" in _cpu.read_cpuinfo()
