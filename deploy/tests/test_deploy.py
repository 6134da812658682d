"""Images, charts, manifests, units and scripts: they are whole, and what they say to `sheaf` is what it takes."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import DEPLOY

ROOT = DEPLOY.parent
CHART = DEPLOY / "helm" / "sheaf"
SHEAF = [sys.executable, "-c", "import sys; from sheaf._cli import main; sys.exit(main())"]
TOKEN = "token.value=a-token-for-tests"
SECONDS = 120

VALUES = {
    "default": [TOKEN],
    "a secret that is there": ["token.existingSecret=other"],
    "open to all": [TOKEN, "networkPolicy=false"],
    "GPUs": [
        TOKEN,
        "nodeGroups[0].name=gpu",
        "nodeGroups[0].replicas=1",
        "nodeGroups[0].gpus=2",
        "nodeGroups[0].spill=1Gi",
        "nodeGroups[0].resources.requests.cpu=8",
        "nodeGroups[0].nodeSelector.accelerator=h200",
        "nodeGroups[0].tolerations[0].key=nvidia.com/gpu",
        "nodeGroups[0].tolerations[0].operator=Exists",
        'nodeGroups[0].extraArgs[0]=--labels={"pool":"gpu"}',
    ],
    "a head that works": [TOKEN, "head.numCpus=4", "head.storage.className=fast", "head.extraArgs[0]=--log-dir=/logs"],
}


def run(command: list[str], **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False, **more)  # type: ignore[call-overload, no-any-return]


def template(helm: str, values: list[str]) -> subprocess.CompletedProcess[str]:
    flags = [word for value in values for word in ("--set", value)]
    return run([helm, "template", "sheaf", str(CHART), *flags])


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_the_chart_gives_objects_of_kubernetes(helm: str, values: list[str], tmp_path: Path) -> None:
    flags = [word for value in values for word in ("--set", value)]
    linted = run([helm, "lint", "--strict", str(CHART), *flags])
    assert linted.returncode == 0, linted.stdout
    made = template(helm, values)
    assert made.returncode == 0, made.stderr
    objects = tmp_path / "objects.yaml"
    objects.write_text(made.stdout)
    checked = run([str(Path(sys.executable).parent / "kubernetes-validate"), "--strict", str(objects)])
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.count("passed") + checked.stderr.count("passed") >= 3


def test_gpus_are_asked_for_and_told(helm: str) -> None:
    made = template(helm, VALUES["GPUs"]).stdout
    assert "nvidia.com/gpu: 2" in made
    assert "--num-gpus=2" in made


def test_a_token_that_is_too_short_is_refused(helm: str) -> None:
    refused = template(helm, ["token.value=short"])
    assert refused.returncode != 0
    assert "16 characters" in refused.stderr


def test_the_manifest_is_what_the_chart_gives(helm: str) -> None:
    manifest = (DEPLOY / "kubernetes" / "sheaf.yaml").read_text()
    made = template(helm, ["token.existingSecret=sheaf-token"])
    assert manifest.partition("---")[2] == made.stdout.partition("---")[2]


def test_the_chart_has_the_version_of_the_engine() -> None:
    cargo = (ROOT / "Cargo.toml").read_text()
    [version] = re.findall(r'^version = "(.*)"$', cargo, re.MULTILINE)[:1]
    chart = (CHART / "Chart.yaml").read_text()
    assert f"appVersion: {version}\n" in chart
    assert f"sheaf:{version} " in (DEPLOY / "Dockerfile").read_text()


def flags_of(words: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", words))


def told() -> dict[str, set[str]]:
    """What each command of `sheaf` is given anywhere here."""
    files = [path for path in DEPLOY.rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc"}]
    texts = {path: path.read_text() for path in files}
    found: dict[str, set[str]] = {}
    for path, text in texts.items():
        lines = text.replace("\\\n", " ")
        if path.suffix == ".yaml":
            for part in re.split(r"\n\s+args:\n", text)[1:]:
                words = re.findall(r"^ +- (\S+)$", part.partition("ports:")[0], re.MULTILINE)
                found.setdefault(words[0], set()).update(flags_of(" ".join(words[1:])))
            lines = re.sub(r"\n +", " ", text)
        for command, words in re.findall(r"\bsheaf (head|node|nodes|drain|job submit) (--[^\n]*)", lines):
            # What follows is another program's.
            own = re.split(r" -- | &|<|\| |' sheaf|ports:|name:", words)[0]
            found.setdefault(command, set()).update(flags_of(own))
    return found


def test_all_flags_are_there() -> None:
    commands = told()
    assert {"head", "node", "drain", "nodes"} <= commands.keys()
    for command, flags in commands.items():
        known = flags_of(run([*SHEAF, *command.split(), "--help"]).stdout)
        assert flags
        assert flags <= known, (command, flags - known)
    assert {"--advertise", "--token-file", "--state-dir"} <= commands["head"]
    assert {"--head", "--advertise", "--token-file", "--spill-dir"} <= commands["node"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not there")
def test_units_are_whole(tmp_path: Path) -> None:
    for unit in (DEPLOY / "systemd").iterdir():
        # The program is not where it will be.
        text = unit.read_text().replace("/opt/sheaf/bin/sheaf", shutil.which("true") or "/bin/true")
        (tmp_path / unit.name).write_text(text.replace("User=sheaf\n", ""))
        checked = run(["systemd-analyze", "verify", "--man=no", str(tmp_path / unit.name)])
        assert checked.returncode == 0, checked.stderr
        assert unit.name not in checked.stderr, checked.stderr


def shim(folder: Path, name: str, text: str) -> None:
    file = folder / name
    file.write_text(text)
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def slurm(tmp_path: Path) -> dict[str, str]:
    """Stands for a job of Slurm's with two nodes, both of them this machine."""
    programs = tmp_path / "bin"
    programs.mkdir()
    shim(programs, "scontrol", "#!/bin/sh\nprintf '127.0.0.1\\n127.0.0.2\\n'\n")
    shim(
        programs,
        "srun",
        '#!/bin/bash\nwhile [[ $1 == --* ]]; do shift; done\nexport SLURMD_NODENAME=127.0.0.2\nexec "$@"\n',
    )
    shim(programs, "sheaf", f'#!/bin/sh\nexec {sys.executable} -c "{SHEAF[2]}" "$@"\n')
    spill = tmp_path / "tmp"
    spill.mkdir()
    return {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "TMPDIR": str(spill),
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NODELIST": "a,b",
        "SLURM_CPUS_PER_TASK": "1",
        "SHEAF_PORT": "27070",
        "SHEAF_TEST_DEPLOY": str(tmp_path),
    }


PROGRAM = """
import sheaf as sf

with sf.init():
    print(len(sf.nodes()), "nodes")
    print(sf.range(1000).map_batches(lambda batch: batch).count(), "rows")
raise SystemExit(3)
"""


def test_a_job_of_slurm_is_a_cluster_for_as_long_as_its_program(slurm: dict[str, str], tmp_path: Path) -> None:
    script = DEPLOY / "slurm" / "sheaf.sbatch"
    done = run(["bash", str(script), sys.executable, "-c", PROGRAM], env=slurm, cwd=tmp_path)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "2 nodes\n1000 rows\n" in done.stdout
    assert not list(tmp_path.glob(".sheaf-token-*"))
    mark = f"SHEAF_TEST_DEPLOY={tmp_path}".encode()
    left = [pid for pid in os.listdir("/proc") if pid.isdigit() and mark in environment(pid)]
    assert left == []
    assert run(["bash", str(script)], env=slurm).returncode == 2


def environment(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""
