"""
A bare Debian 13 with an (assumed) H100: the whole path, with CUDA wheels.

dkms builds a few lines in the place of NVIDIA's module, whose sources take five minutes of a
processor; a long test builds those.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import silent_tools
from fact_classes import CLASSES
from gpurig.contract.values import Absent, Unknown
from lab.hosts import Host
from lab.lab import Lab
from lab.modules import quick_modules
from system import laws
from system.drifts import DRIFTS
from system.person import Answer, Person, settings, state

pytestmark = pytest.mark.lab

FOREIGN = {"log-driver": "local", "labels": ["site=b"], "features": {"buildkit": True}}


@pytest.fixture(scope="module")
def host(boot: Callable[..., Host]) -> Host:
    """The host; bare but for what its user wrote."""
    made = boot("trixie", "gpu13", gpu="h100", gpus=2)
    quick_modules(made)
    made.ssh("mkdir -p /etc/docker && useradd -m ann && mkdir -p /home/ann/venv/bin")
    made.write("/etc/docker/daemon.json", json.dumps(FOREIGN, indent=2))
    made.write("/home/ann/venv/bin/python", "mine\n")
    made.write("/etc/apt/sources.list.d/ann.list", "# deb http://example.invalid/ann ./\n")
    return made


@pytest.fixture(scope="module")
def inventory(host: Host, person: Person, lab: Lab) -> Path:
    """Its inventory: two H100 assumed, since the lab's hosts have no GPU that computes."""
    data = host.ssh_data() | {"rig_assume_gpu": ["10de:2330", "10de:2330"], "rig_users": ["ann"]}
    return person.inventory({host.name: data}, **settings(lab))


@pytest.fixture(scope="module")
def first(host: Host, inventory: Path, person: Person) -> Answer:
    """The first `up`."""
    return person.gpurig("up", inventory, "--json")


def test_the_plan_changes_nothing(host: Host, inventory: Path, person: Person) -> None:
    """A plan of a bare host names what is missing, exits 3 and leaves the host as it is."""
    before = state(host)
    plan = person.gpurig("plan", inventory, "--json")
    assert plan.code == 3, plan.problems
    assert {"driver.packages", "docker.packages", "container-toolkit.keyring"} <= plan.drifted(
        host.name
    )
    assert state(host) == before


def test_one_command_converges(first: Answer, host: Host) -> None:
    """`up` brings everything about; the plan before it told the truth."""
    assert first.code in (0, 4), first.problems
    laws.plan_told_the_truth(first, host.name)


def test_the_stack_is_the_one_for_this_card(first: Answer, host: Host) -> None:
    """An H100 on Debian 13 gets the proprietary 550: the open one does not build there."""
    driver = first.host(host.name)["stack"]["driver"]
    assert (driver["branch"], driver["flavour"]) == ("550", "proprietary")


def test_everything_is_proven(first: Answer, host: Host) -> None:
    """Containers list the GPUs, NVML answers, MNIST is learnt; what needs a GPU is not-run."""
    laws.everything_is_proven(first, host.name)
    proofs = first.proofs(host.name)
    for shown in ("docker.runtime-lists-gpus", "docker.cdi-lists-gpus", "driver.nvml",
                  "driver.module-for-next-boot", "workloads.mnist.tensorflow",
                  "workloads.matmul.tensorflow"):  # fmt: skip
        assert proofs[shown] == "passed", first.host(host.name)["proofs"]
    assert proofs["driver.loaded"] == "not-run", "nothing assumed is ever called passed"
    mnist = next(
        p for p in first.host(host.name)["proofs"] if p["id"] == "workloads.mnist.tensorflow"
    )
    assert mnist["detail"]["accuracy"] >= 0.97
    assert mnist["detail"]["plots"], "the pictures are in the report"


def test_the_module_is_there_for_the_kernel_that_boots_next(first: Answer, host: Host) -> None:
    """Not `apt exited 0`: the module lies in the tree of the kernel in /boot."""
    found = host.ssh("ls /lib/modules/*/updates/dkms/ | grep nvidia-current.ko").stdout
    assert found, "dkms built no module"


@pytest.mark.long
def test_nvidia_s_own_module_builds(boot: Callable[..., Host], somebody: Person, lab: Lab) -> None:
    """Debian 13's driver with its real sources, for the kernel that boots next."""
    host = boot("trixie", "mod13")
    data = host.ssh_data() | {"rig_assume_gpu": ["10de:2330"], "rig_components": ["driver"]}
    inventory = somebody.inventory({host.name: data}, **settings(lab))
    up = somebody.gpurig("up", inventory, "--json")
    assert up.code in (0, 4), up.problems
    laws.plan_told_the_truth(up, host.name)
    laws.everything_is_proven(up, host.name)
    assert up.proofs(host.name)["driver.module-for-next-boot"] == "passed"


def test_foreign_content_survives(first: Answer, host: Host) -> None:
    """What a user wrote is there after the run, value by value and byte by byte."""
    daemon = json.loads(host.read("/etc/docker/daemon.json"))
    assert {key: daemon[key] for key in ("log-driver", "labels")} == {
        key: FOREIGN[key] for key in ("log-driver", "labels")
    }
    assert daemon["features"]["buildkit"] is True
    assert host.read("/home/ann/venv/bin/python") == "mine\n"
    assert host.read("/etc/apt/sources.list.d/ann.list").startswith("# deb http://example")


def test_again_changes_nothing(first: Answer, host: Host, inventory: Path, person: Person) -> None:
    """The second run: 0 changes, and the plan before it says 0, also by facts read one by one."""
    again = laws.again_changes_nothing(person, inventory, host)
    singly = person.gpurig("plan", inventory, "--json", "--no-prefetch")
    assert singly.host(host.name)["plan"] == again.host(host.name)["plan"]


def _state(host: Host) -> list[str]:
    """The host without daemon.json's bytes: the break itself wrote that file anew."""
    return [line for line in state(host).splitlines() if not line.endswith("docker/daemon.json")]


def test_ten_things_broken_by_hand_are_named_and_repaired(
    first: Answer, host: Host, inventory: Path, person: Person, lab: Lab
) -> None:
    """Each break is named by its promise, repaired, and nothing else is touched."""
    lab.import_base_image(host, "base")
    mine = host.ssh("docker run -d --name mine base sleep infinity").stdout.strip()
    before, config = _state(host), json.loads(host.read("/etc/docker/daemon.json"))
    for drift in DRIFTS:
        done = host.ssh(drift.script)
        assert done.rc == 0, f"{drift.name}: {done.stderr}"
    plan = person.gpurig("plan", inventory, "--json")
    assert plan.code == 3, plan.problems
    expected = {drift.promise for drift in DRIFTS}
    assert expected <= plan.drifted(host.name) | plan.follows(host.name), expected - plan.drifted(
        host.name
    )
    up = person.gpurig("up", inventory, "--json", "--prove", "never")
    assert up.code in (0, 4), up.problems
    laws.plan_told_the_truth(up, host.name)
    assert expected <= up.changed(host.name)
    assert _state(host) == before, "the repaired host is the host as it was"
    assert json.loads(host.read("/etc/docker/daemon.json")) == config
    assert host.ssh("docker inspect -f '{{.Id}} {{.State.Running}}' mine").stdout.split() == [
        mine,
        "true",
    ], "the user's container runs on"


def test_what_was_repaired_is_still_right_after_a_reboot(
    first: Answer, host: Host, inventory: Path, person: Person
) -> None:
    """What lies under /run is gone; nothing of ours may have been kept there. And it is proven."""
    host.reboot()
    up = person.gpurig("up", inventory, "--json")
    assert up.code in (0, 4), up.problems
    laws.nothing_to_do(up, host.name)
    laws.everything_is_proven(up, host.name)
    assert up.proofs(host.name)["docker.cdi-lists-gpus"] == "passed"


def test_plain_pyinfra_says_the_same(first: Answer, inventory: Path, person: Person) -> None:
    """`pyinfra INVENTORY deploy/workstation.py` finds nothing to do where gpurig finds nothing."""
    root = Path(__file__).resolve().parents[2]
    pyinfra = Path(sys.executable).with_name("pyinfra")
    done = subprocess.run(
        [pyinfra, "--dry", inventory, "deploy/workstation.py"],
        cwd=root,
        env=os.environ | {"HOME": str(person.home)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    assert "Ready: deploy/workstation.py" in told
    rows = [line.split() for line in told.splitlines() if line.strip().startswith("Workstation |")]
    assert len(rows) > 20, told
    assert all(row[-2:] == ["-", "-"] for row in rows), told


# What facts are asked about on this host; the values of these need not be there.
ASKED = {
    "packages": "docker.io nvidia-kernel-dkms no-such-package",
    "package": "nvidia-container-toolkit",
    "path": "/opt/gpurig/venvs/tensorflow",
    "root": "/opt/gpurig/venvs",
    "venv_root": "/opt/gpurig/venvs",
    "wanted": ("other",),
    "executable": "/opt/gpurig/python/bin/python3",
    "paths": ("/opt/gpurig/venvs", "/usr/local/cuda"),
    "units": "docker.service nvidia-persistenced.service",
    "reference": "base",
    "specs": "tree",
    "fingerprint": "0" * 40,
    "globs": ("/etc/apt/sources.list.d/gpurig-*",),
    "folders": ("/etc/apt", "/usr/lib"),
    "user": "ann",
    "users": "ann root",
    "group": "docker",
}
KEYRING = "/usr/share/keyrings/nvidia-container-toolkit.gpg"
ASKED_APART: dict[str, dict[str, object]] = {
    "AptFinds": {"path": KEYRING},
    "Archives": {"path": "/var/lib/gpurig/datasets/archives"},
    "DaemonConfig": {"path": "/etc/docker/daemon.json"},
    "DaemonConfigShown": {"path": "/etc/docker/daemon.json"},
    "Folder": {"path": "/opt/gpurig/workloads"},
    "InstalledLike": {"globs": ("docker*", "no-such-package*")},
    "Keys": {"path": KEYRING},
    "Tools": {"path": "/opt/gpurig/tools"},
}


# Facts for which another value is right, each with its reason.
EXCEPT = {"Trouble": "decides nothing: what it cannot read is no cause of what has failed"}


def _scripts(host: Host) -> dict[str, str]:
    releases = {"releases": host.run("ls /boot | sed -n 's/^vmlinuz-//p'").stdout}
    return {
        name: silent_tools.script(fact, ASKED | releases | ASKED_APART.get(name, {}))
        for name, fact in CLASSES.items()
    }


@pytest.mark.long
def test_a_tool_that_does_not_answer_changes_no_value(first: Answer, host: Host) -> None:
    """Each tool of each fact, lost in three ways: the value is as ever, or Unknown for a reason."""
    printed = host.run("sh -s", stdin=silent_tools.asking(_scripts(host))).stdout
    values, wrong, lost = {}, [], 0
    for fact, tool, way, lines in silent_tools.answers(printed):
        value = values[fact] if lines is None else CLASSES[fact]().process(lines)
        if not tool:
            values[fact] = value
            continue
        lost += 1
        reason = value.reason if isinstance(value, Unknown) else ""
        if value != values[fact] and not reason and fact not in EXCEPT:
            wrong.append(f"{fact}: {tool} {way}: {value} instead of {values[fact]}")
    assert not wrong, "\n".join(wrong)
    told = [fact for fact, value in values.items() if not isinstance(value, Absent | Unknown)]
    assert lost > 600
    assert len(told) > 60, "a host of which there is something to ask"


# Tools that packages bring, and a fact that does not take them for absent.
LOST = {
    "modprobe": ("ModprobeConfig", "kmod"),
    "modinfo": ("ModuleForNextBoot", "kmod"),
    "dkms": ("DkmsStatus", "dkms"),
    "nvidia-smi": ("NvmlGpus", "nvidia-smi"),
    "nvidia-ctk": ("ToolkitVersion", "nvidia-container-toolkit-base"),
    "docker": ("DockerInfo", "docker-cli"),
    "runc": ("DeviceLinks", "runc"),
    "dpkg-query": ("DockerInstalled", "dpkg"),
    "apt-get": ("PackageManager", "apt"),
    "apt-mark": ("Holds", "apt"),
}


@pytest.mark.parametrize("tool", LOST)
def test_a_tool_that_is_lost_is_not_absent(first: Answer, host: Host, tool: str) -> None:
    """Its package is installed: what it knows is Unknown, and the package is named."""
    fact, package = LOST[tool]
    script = _scripts(host)[fact]
    place = host.run(f"command -v {tool}").stdout.strip()
    host.run(f"mv {place} {place}.lost")
    try:
        value = CLASSES[fact]().process(host.run("sh -s", stdin=script).stdout.split("\n"))
    finally:
        host.run(f"mv {place}.lost {place}")
    assert isinstance(value, Unknown), value
    assert {package, tool} <= set(re.findall(r"[a-z-]+", value.reason))
