"""Images, charts, manifests, units and scripts: they are whole, and what they say to `sheaf` is what it takes."""

import copy
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import DEPLOY

ROOT = DEPLOY.parent
CHART = DEPLOY / "helm" / "sheaf"
SHEAF = [sys.executable, "-c", "import sys; from sheaf._cli import main; sys.exit(main())"]
TOKEN = "token.value=a-token-for-tests"
SECONDS = 120

# Values of --set with a point are text.
NODE_TYPES = [
    "autoscaling.enabled=true",
    "autoscaling.idleSeconds=2.5",
    "autoscaling.maxNodes=5",
    "autoscaling.nodeTypes.cpu.max=4",
    "autoscaling.nodeTypes.cpu.cpus=0.5",
    "autoscaling.nodeTypes.cpu.resources.requests.cpu=1",
    "autoscaling.nodeTypes.gpu-large.min=1",
    "autoscaling.nodeTypes.gpu-large.max=2",
    "autoscaling.nodeTypes.gpu-large.cpus=8",
    "autoscaling.nodeTypes.gpu-large.gpus=2",
    "autoscaling.nodeTypes.gpu-large.memory=8589934592",
    "autoscaling.nodeTypes.gpu-large.customResources.disk=2",
    "autoscaling.nodeTypes.gpu-large.customResources.a$(b)=0.5",
    'autoscaling.nodeTypes.gpu-large.labels.zone="a" <é> \\\\ $(b)',
    "autoscaling.nodeTypes.gpu-large.labels.number=1",
    "autoscaling.nodeTypes.gpu-large.resources.requests.cpu=8",
    "autoscaling.nodeTypes.gpu-large.resources.limits.memory=64Gi",
    "autoscaling.nodeTypes.gpu-large.spill=1Gi",
    "autoscaling.nodeTypes.gpu-large.nodeSelector.accelerator=h200",
    "autoscaling.nodeTypes.gpu-large.tolerations[0].key=nvidia.com/gpu",
    "autoscaling.nodeTypes.gpu-large.tolerations[0].operator=Exists",
    "autoscaling.nodeTypes.gpu-large.extraArgs[0]=--memory-limit=8GiB",
]

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
    "nodes that come and go": [TOKEN, *NODE_TYPES],
    "no other nodes": [TOKEN, "nodeGroups=null", *NODE_TYPES],
}


def run(command: list[str], **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False, **more)  # type: ignore[call-overload, no-any-return]


def template(helm: str, values: list[str], release: str = "sheaf") -> subprocess.CompletedProcess[str]:
    flags = [word for value in values for word in ("--set", value)]
    return run([helm, "template", release, str(CHART), *flags])


def are_valid(objects: Path) -> int:
    """Of objects that Kubernetes would take, how many there are."""
    checked = run([str(Path(sys.executable).parent / "kubernetes-validate"), "--strict", str(objects)])
    assert checked.returncode == 0, checked.stdout + checked.stderr
    return checked.stdout.count("passed") + checked.stderr.count("passed")


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_the_chart_gives_objects_of_kubernetes(helm: str, values: list[str], tmp_path: Path) -> None:
    flags = [word for value in values for word in ("--set", value)]
    linted = run([helm, "lint", "--strict", str(CHART), *flags])
    assert linted.returncode == 0, linted.stdout
    made = template(helm, values)
    assert made.returncode == 0, made.stderr
    objects = tmp_path / "objects.yaml"
    objects.write_text(made.stdout)
    assert are_valid(objects) >= 3


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


class Objects(dict[tuple[str, str], dict[str, Any]]):
    """What the chart gives, by kind and name."""

    def __init__(self, helm: str, values: list[str], release: str = "sheaf") -> None:
        made = template(helm, values, release)
        assert made.returncode == 0, made.stderr
        objects = filter(None, yaml.safe_load_all(made.stdout))
        super().__init__({(one["kind"], one["metadata"]["name"]): one for one in objects})
        self.release = release

    def kinds(self) -> set[str]:
        return {kind for kind, _ in self}

    def head(self) -> dict[str, Any]:
        template: dict[str, Any] = self["StatefulSet", f"{self.release}-head"]["spec"]["template"]
        return template

    def files(self) -> dict[str, str]:
        """Those of the types of nodes, which the head reads."""
        files: dict[str, str] = self["ConfigMap", f"{self.release}-node-types"]["data"]
        return files

    def types(self) -> dict[str, Any]:
        return tomllib.loads(self.files()["types.toml"])

    def pod(self, name: str) -> dict[str, Any]:
        """One of a type, as the head completes it."""
        pod = {"apiVersion": "v1", "kind": "Pod", **json.loads(self.files()[f"{name}.json"])}
        pod["metadata"]["name"] = f"{name}-1"
        pod["metadata"]["labels"].update({"sheaf.dev/cluster": self.release, "sheaf.dev/node-type": name})
        pod["spec"]["containers"][0]["env"].append({"name": "SHEAF_NODE_LABELS", "value": "{}"})
        return pod


@pytest.fixture(scope="session")
def growing(helm: str) -> Objects:
    return Objects(helm, VALUES["nodes that come and go"])


def accepted(struct: str) -> set[str]:
    """The keys that a head reads of a file with types of nodes."""
    source = (ROOT / "src" / "cli" / "cluster" / "node_types.rs").read_text()
    [fields] = re.findall(rf"^struct {struct} \{{\n(.*?)^\}}", source, re.MULTILINE | re.DOTALL)
    return set(re.findall(r"^    (\w+): ", fields, re.MULTILINE))


def test_the_head_is_told_the_types_of_nodes(growing: Objects) -> None:
    types = growing.types()
    assert types.keys() == accepted("File")
    # Flags are for processes.
    assert types["node_types"]["gpu-large"].keys() == accepted("Written") - {"flags"}
    cpu = {"pod": "cpu.json", "min": 0, "max": 4, "num_cpus": 0.5, "num_gpus": 0, "memory": 0}
    gpu = {"pod": "gpu-large.json", "min": 1, "max": 2, "num_cpus": 8, "num_gpus": 2, "memory": 2**33}
    gpu |= {"resources": {"disk": 2, "a$(b)": 0.5}, "labels": {"zone": '"a" <é> \\ $(b)', "number": "1"}}
    assert types == {
        "provider": "kubernetes",
        "cluster": "sheaf",
        "idle_seconds": 2.5,
        "boot_seconds": 600,
        "max_nodes": 5,
        "node_types": {"cpu": cpu, "gpu-large": gpu},
    }


def test_numbers_of_a_file_are_told_as_they_are(helm: str, tmp_path: Path) -> None:
    # Helm reads all numbers of files as floats.
    cpu = {"max": 1000000, "cpus": 1.5, "memory": 2**33, "resources": {"requests": {"cpu": 2}}}
    values = {"token": {"value": "a-token-for-tests"}, "autoscaling": {"enabled": True, "maxNodes": 3000000}}
    values["autoscaling"]["nodeTypes"] = {"cpu": cpu}
    file = tmp_path / "values.json"
    file.write_text(json.dumps(values))
    made = run([helm, "template", "sheaf", str(CHART), "--values", str(file)])
    [files] = [one["data"] for one in yaml.safe_load_all(made.stdout) if one["kind"] == "ConfigMap"]
    types = tomllib.loads(files["types.toml"])
    told = types["node_types"]["cpu"]
    numbers = (types["max_nodes"], types["idle_seconds"], told["max"], told["num_cpus"], told["memory"])
    assert repr(numbers) == repr((3000000, 60, 1000000, 1.5, 2**33))
    assert "--num-cpus=1.5" in files["cpu.json"]


def test_a_head_takes_what_it_is_told(growing: Objects, tmp_path: Path) -> None:
    for name, text in growing.files().items():
        (tmp_path / name).write_text(text)
    elsewhere = {name: value for name, value in os.environ.items() if not name.startswith("KUBERNETES_")}
    types = ["--node-types", str(tmp_path / "types.toml"), "--spill-dir", str(tmp_path)]
    done = run([*SHEAF, "head", "--port", "0", *types], env=elsewhere)
    # It has read all of it, and then finds that there is no API server.
    assert "in no pod of Kubernetes" in done.stderr, done.stderr
    (tmp_path / "cpu.json").unlink()
    done = run([*SHEAF, "head", "--port", "0", *types], env=elsewhere)
    assert "cpu.json" in done.stderr, done.stderr


def test_the_head_reads_the_types_where_they_are(growing: Objects) -> None:
    spec = growing.head()["spec"]
    [container] = spec["containers"]
    [volume] = [volume["name"] for volume in spec["volumes"] if "configMap" in volume]
    [mount] = [mount for mount in container["volumeMounts"] if mount["name"] == volume]
    assert f"--node-types={mount['mountPath']}/types.toml" in container["args"]
    assert mount["readOnly"]


def test_types_of_nodes_have_pods(growing: Objects, tmp_path: Path) -> None:
    for name in growing.types()["node_types"]:
        pod = growing.pod(name)
        (tmp_path / "pod.yaml").write_text(yaml.safe_dump(pod))
        assert are_valid(tmp_path / "pod.yaml") == 1
        assert pod["spec"]["restartPolicy"] == "Never"
        assert not pod["spec"]["automountServiceAccountToken"]
        [container] = pod["spec"]["containers"]
        assert "sheaf drain " in container["lifecycle"]["preStop"]["exec"]["command"][-1]
        labels = pod["metadata"]["labels"].items()
        assert labels >= growing["NetworkPolicy", "sheaf"]["spec"]["podSelector"]["matchLabels"].items()
        for kind in ("Deployment", "StatefulSet"):
            selectors = [one["spec"]["selector"]["matchLabels"] for (of, _), one in growing.items() if of == kind]
            assert selectors
            assert not any(labels >= selector.items() for selector in selectors)
    source = (ROOT / "flight" / "src" / "kubernetes" / "pods.rs").read_text()
    for told in ("SHEAF_NODE_LABELS", "sheaf.dev/cluster", "sheaf.dev/node-type"):
        assert f'"{told}"' in source


def test_pods_of_types_are_those_of_groups_but_for_what_they_are_told(helm: str) -> None:
    group = [value.replace("autoscaling.nodeTypes.gpu-large", "nodeGroups[0]") for value in NODE_TYPES]
    values = ["nodeGroups[0].name=large", "nodeGroups[0].replicas=1", "drainSeconds=7", "imagePullSecrets[0].name=pull"]
    made = Objects(helm, [TOKEN, *NODE_TYPES, *group, *values])
    others = copy.deepcopy(made["Deployment", "sheaf-large"]["spec"]["template"])
    pod = json.loads(made.files()["gpu-large.json"])
    assert others["metadata"]["labels"].pop("sheaf/group") == "large"
    assert pod["spec"].pop("restartPolicy") == "Never"
    args, own = (one["spec"]["containers"][0].pop("args") for one in (others, pod))
    # Kubernetes reads $$ as $.
    told = ["--num-cpus=8", "--labels=$(SHEAF_NODE_LABELS)", '--resources={"a$$(b)":0.5,"disk":2}']
    assert own == [*args[:-1], *told, args[-1]]
    assert pod == others


def test_the_head_alone_may_start_pods(growing: Objects) -> None:
    [role] = [one for (kind, _), one in growing.items() if kind == "Role"]
    assert role["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "list", "delete"]}]
    [binding] = [one for (kind, _), one in growing.items() if kind == "RoleBinding"]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    [account] = [name for kind, name in growing if kind == "ServiceAccount"]
    assert [subject["name"] for subject in binding["subjects"]] == [account]
    head = growing.head()["spec"]
    assert (head["serviceAccountName"], head["automountServiceAccountToken"]) == (account, True)
    for (kind, _), one in growing.items():
        if kind == "Deployment":
            spec = one["spec"]["template"]["spec"]
            assert (spec.get("serviceAccountName"), spec["automountServiceAccountToken"]) == (None, False)


def test_other_types_of_nodes_start_the_head_again(helm: str, growing: Objects) -> None:
    values = VALUES["nodes that come and go"]
    said = [growing.head()["metadata"]["annotations"]]
    for other in ("autoscaling.nodeTypes.cpu.max=3", "autoscaling.nodeTypes.cpu.spill=2Gi"):
        said.append(Objects(helm, [*values, other]).head()["metadata"]["annotations"])
    assert len({one["checksum/node-types"] for one in said}) == 3
    assert Objects(helm, [*values, "nodeGroups=null"]).head() == growing.head()


def test_releases_beside_each_other_have_nodes_of_their_own(helm: str, growing: Objects) -> None:
    other = Objects(helm, VALUES["nodes that come and go"], "other")
    assert (growing.types()["cluster"], other.types()["cluster"]) == ("sheaf", "other")
    assert growing.keys().isdisjoint(other)


def test_without_types_of_nodes_nobody_may_start_pods(helm: str, growing: Objects) -> None:
    values = [TOKEN, *NODE_TYPES, "autoscaling.enabled=false"]
    made = Objects(helm, values)
    assert growing.kinds() - made.kinds() == {"ConfigMap", "ServiceAccount", "Role", "RoleBinding"}
    assert made == Objects(helm, [TOKEN])
    spec = made.head()["spec"]
    assert (spec.get("serviceAccountName"), spec["automountServiceAccountToken"]) == (None, False)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["nodeTypes=null"], "one or more autoscaling.nodeTypes"),
        (["nodeTypes.cpu.max=null"], "autoscaling.nodeTypes.cpu.max is missing"),
        (["nodeTypes.cpu.max=0"], "0 nodes at the least and 0 at the most"),
        (["nodeTypes.cpu.min=5"], "5 nodes at the least and 4 at the most"),
        (["nodeTypes.cpu.max=1.5"], "cpu.max has to be a whole number, and is 1.5"),
        (["nodeTypes.cpu.min=4", "nodeTypes.gpu-large.min=2"], "6 nodes at the least, and maxNodes is 5"),
        (["nodeTypes.cpu.cpus=null"], "autoscaling.nodeTypes.cpu.cpus is missing"),
        (["nodeTypes.cpu.cpus=-1"], "cpu.cpus has to be a number of 0 or more, and is -1"),
        (["nodeTypes.cpu.memory=1Gi"], "cpu.memory has to be a number of 0 or more, and is 1Gi"),
        (["nodeTypes.gpu-large.gpus=0.5"], "gpu-large.gpus has to be a whole number, and is 0.5"),
        (["nodeTypes.cpu.customResources.CPU=1"], "cannot have CPU: use cpus"),
        (["nodeTypes.cpu.extraArgs[0]=--labels={}"], "cannot have --labels"),
        (["nodeTypes.cpu.resources=null"], "autoscaling.nodeTypes.cpu.resources is missing"),
        (["nodeTypes.cpu.replicas=2"], "autoscaling.nodeTypes.cpu has replicas"),
        (["nodeTypes.A_b.max=1"], "A_b: names have small letters"),
        (["idleSeconds=0"], "idleSeconds has to be more than 0"),
        (["bootSeconds=soon"], "bootSeconds has to be a number of 0 or more, and is soon"),
    ],
)
def test_types_of_nodes_that_cannot_be_are_refused(helm: str, values: list[str], expected: str) -> None:
    made = template(helm, [TOKEN, *NODE_TYPES, *(f"autoscaling.{value}" for value in values)])
    assert made.returncode != 0
    assert expected in made.stderr


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
        if path.suffix in {".yaml", ".tpl"}:
            for part in re.split(r"\n\s+args:\n", text)[1:]:
                words = re.findall(r"^ +- (\S+)$", part.partition("ports:")[0], re.MULTILINE)
                found.setdefault(words[0], set()).update(flags_of(" ".join(words[1:])))
            lines = re.sub(r"\n +", " ", text)
        for command, words in re.findall(r"\bsheaf (head|node|nodes|drain|job submit) (--[^\n]*)", lines):
            # What follows is another program's.
            own = re.split(r" -- | &|<|\| |' sheaf|ports:|name:", words)[0]
            found.setdefault(command, set()).update(flags_of(own))
    return found


def test_all_flags_are_there(growing: Objects) -> None:
    commands = told()
    for name in growing.types()["node_types"]:
        command, *args = growing.pod(name)["spec"]["containers"][0]["args"]
        commands[command] |= flags_of(" ".join(args))
    assert {"head", "node", "drain", "nodes"} <= commands.keys()
    for command, flags in commands.items():
        known = flags_of(run([*SHEAF, *command.split(), "--help"]).stdout)
        assert flags
        assert flags <= known, (command, flags - known)
    assert {"--advertise", "--token-file", "--state-dir", "--node-types"} <= commands["head"]
    own = {"--labels", "--num-cpus", "--resources", "--memory-limit"}
    assert {"--head", "--advertise", "--token-file", "--spill-dir", *own} <= commands["node"]


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
