"""NVML's stand-in says of five kinds of GPU what was recorded, to pynvml and to nvidia-smi."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from . import ask_nvml, bases
from .errors import LabError
from .lab import Lab
from .standins import nvml
from .standins.gpus import KINDS

pytestmark = pytest.mark.lab  # root and gcc; only the last test boots hosts
RECORDED = Path(__file__).parents[1] / "data/recorded"
ASK = Path(ask_nvml.__file__)
FAILURES = json.loads((RECORDED / "pynvml/failures.json").read_text())
H100 = "trixie-h100x2"


class Recording(NamedTuple):
    """What was recorded on one machine."""

    suite: str
    kind: str
    count: int
    said: dict[str, Any]


def recording(folder: str, name: str) -> Recording:
    """One of ``pynvml`` or ``nvidia-smi``, by the name of its machine: ``trixie-h100x2``."""
    suite, kind, count = re.fullmatch(r"(\w+)-(\w+)x(\d)", name).groups()  # type: ignore[union-attr]
    said = json.loads((RECORDED / folder / f"{name}.json").read_text())
    return Recording(suite, kind, int(count), said)


NAMES = sorted(file.stem for file in RECORDED.glob("pynvml/*-*.json"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what gcc makes, which is here."""
    bases.install_packages(Lab().folder)
    return tmp_path_factory.mktemp("nvml")


def _library(cache: Path, name: str) -> bytes:
    machine = recording("pynvml", name)
    driver = machine.said["nvmlSystemGetDriverVersion"]
    return nvml.library(cache, machine.kind, machine.count, driver)


def _ask(folder: Path, library: bytes, nodes: Sequence[int]) -> dict[str, Any]:
    """What pynvml gets of a library where only these nodes of GPUs are."""
    (folder / nvml.SONAME).write_bytes(library)
    made = " ".join(f"/dev/nvidia{node}" for node in nodes)
    inside = f'mount -t tmpfs none /dev && touch /dev/nvidiactl {made} && exec "$@"'
    functions = recording("pynvml", H100).said["devices"][0]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", inside, "sh", sys.executable, ASK, *functions],
        env={"LD_LIBRARY_PATH": str(folder), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def _expected(name: str, nodes: Sequence[int]) -> dict[str, Any]:
    """What was recorded on a machine, of its first GPUs or without a driver."""
    said = recording("pynvml", name).said
    if not nodes:
        before = "nvmlSystemGetDriverVersion before nvmlInit"
        no_driver = FAILURES["the package's own NVML and no driver"]
        return {before: said[before], "nvmlInit": no_driver}
    return said | {"nvmlDeviceGetCount": len(nodes), "devices": said["devices"][: len(nodes)]}


@pytest.mark.parametrize("name", NAMES)
def test_pynvml_gets_what_was_recorded(cache: Path, tmp_path: Path, name: str) -> None:
    """Every value and every error of each kind, count and driver."""
    nodes = range(recording("pynvml", name).count)
    assert _ask(tmp_path, _library(cache, name), nodes) == _expected(name, nodes)


@pytest.mark.parametrize("nodes", [[0], []], ids=str)
def test_the_nodes_are_what_is_counted(cache: Path, tmp_path: Path, nodes: list[int]) -> None:
    """One node less is one GPU less; without any the driver is not loaded, error 9."""
    assert _ask(tmp_path, _library(cache, H100), nodes) == _expected(H100, nodes)


def test_a_gpu_is_the_same_under_another_index(cache: Path, tmp_path: Path) -> None:
    """Alone, as a container may have it, GPU 1 is number 0 and keeps name, UUID and address."""
    (alone,) = _ask(tmp_path, _library(cache, H100), [1])["devices"]
    recorded = recording("pynvml", H100).said["devices"][1]
    assert alone == recorded | {"nvmlDeviceGetIndex": 0}


def test_it_answers_where_it_is_mounted(cache: Path, tmp_path: Path) -> None:
    """Under another name, as in a container, it says the same: it carries its answers."""
    elsewhere = tmp_path / "libnvidia-ml.so.550"
    elsewhere.touch()
    (tmp_path / nvml.SONAME).symlink_to(elsewhere)
    assert _ask(tmp_path, _library(cache, H100), [0, 1]) == _expected(H100, [0, 1])


def test_no_library_is_error_12(tmp_path: Path) -> None:
    """pynvml says so itself of a file that is no library."""
    assert _ask(tmp_path, b"", [0])["nvmlInit"] == FAILURES["no library"]


# What is changed in nvml.c, or of a kind; the recording and the nodes that show it.
C_CHANGES = {
    "answers without nodes": (" && !access(path, F_OK)", "", [0]),
    "initializes without a driver": ("    if (!count)\n        return DRIVER_NOT_LOADED;", "", []),
    "answers before nvmlInit": ("if (!users) return UNINITIALIZED;", "", [0, 1]),
    "all memory is free": ('number("memory_free"), 0}', 'number("memory"), 0}', [0, 1]),
    "one too many is an invalid argument": ("? NOT_FOUND :", "? INVALID_ARGUMENT :", [0, 1]),
    "all GPUs have one UUID": ('own_key(gpu->node, "uuid")', 'own_key(0, "uuid")', [0, 1]),
    "fans turn": (
        "nvmlDeviceGetFanSpeed(Device gpu, unsigned *out) { return NOT_SUPPORTED; }",
        "nvmlDeviceGetFanSpeed(Device gpu, unsigned *out) { return *out = 0; }",
        [0, 1],
    ),
}
KIND_CHANGES: dict[str, dict[str, Any]] = {
    "bus numbers count up": {"buses": "1a 1b 1c 1d 1e 1f 20 21"},
    "another board": {"subsystem": "10de:16c1"},
    "no MIG": {"mig_devices": 0},
    "an older architecture": {"architecture": 8},
}


@pytest.mark.parametrize(("old", "new", "nodes"), C_CHANGES.values(), ids=C_CHANGES)
def test_a_change_of_the_program_is_noticed(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    old: str, new: str, nodes: list[int],
) -> None:  # fmt: skip
    """The recordings catch each of these."""
    text = nvml.SOURCE.read_text()
    assert text.count(old) == 1
    changed = tmp_path / "nvml.c"
    changed.write_text(text.replace(old, new))
    monkeypatch.setattr(nvml, "SOURCE", changed)
    assert _ask(tmp_path, _library(cache, H100), nodes) != _expected(H100, nodes)


@pytest.mark.parametrize("change", KIND_CHANGES.values(), ids=KIND_CHANGES)
def test_a_change_of_a_kind_is_noticed(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    """The recording of eight GPUs catches each of these."""
    name, nodes = "trixie-h100x8", range(8)
    monkeypatch.setitem(KINDS, "h100", replace(KINDS["h100"], **change))
    assert _ask(tmp_path, _library(cache, name), nodes) != _expected(name, nodes)


def test_it_is_compiled_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each source is compiled once, for all kinds."""
    _library(cache, H100)
    monkeypatch.setenv("PATH", "/nonexistent")
    _library(cache, "bookworm-a100x1")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("h200", 1, "550.163.01"), "there is no GPU h200"),
        (("h100", 9, "550.163.01"), "1 to 8 GPUs, not 9"),
        (("h100", 1, "999.1"), "does not know the driver 999.1"),
    ],
)
def test_what_it_does_not_have_is_said(cache: Path, asked: tuple[str, int, str], said: str) -> None:
    """Another kind, too many GPUs, another driver: one sentence."""
    with pytest.raises(LabError, match=said):
        nvml.library(cache, *asked)


INSTALL = """
sed -i 's/^Components: main$/& contrib non-free non-free-firmware/' \
    /etc/apt/sources.list.d/debian.sources
apt-get -qq update
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    nvidia-smi libnvidia-ml1
"""
NVML = "$(readlink -f /usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1)"
# What was missing when it was recorded, in a mount namespace whose /dev is its own.
MISSING = {
    "one node less": "rm /dev/nvidia1",
    "nodes that may not be opened, as a user": "chmod 600 /dev/nvidia?",
    "NVML that may not be read, as a user": (
        f"cp {NVML} /dev/nvml; chmod 600 /dev/nvml; mount --bind /dev/nvml {NVML}"
    ),
    "no NVML": f"mount -t tmpfs none $(dirname {NVML})",
    "NVML that is an empty file": f"touch /dev/nvml; mount --bind /dev/nvml {NVML}",
    "the package's own NVML and no driver": "rm /dev/nvidia?",
}


@pytest.mark.parametrize("suite", bases.SUITES)
def test_nvidia_smi_prints_what_was_recorded(boot: Any, lab: Any, cache: Path, suite: str) -> None:
    """Debian's own prints the same table and ends the same; its packages are as dpkg knows them."""
    host = boot(suite, f"nvml-{suite}", gpu="h100", gpus=2)
    host.run(INSTALL)
    driver = host.description.driver
    assert driver in host.run("dpkg-query -W libnvidia-ml1").stdout
    assert host.run("dpkg -V libnvidia-ml1").stdout == ""
    assert host.description.gpu_id == "10de:2330"

    place = host.root / host.run(f"echo {NVML}").stdout.strip().lstrip("/")
    wrong = {}
    for file in sorted(RECORDED.glob(f"nvidia-smi/{suite}-*.json")):
        machine = recording("nvidia-smi", file.stem)
        place.write_bytes(nvml.library(cache, machine.kind, machine.count, driver))
        nodes = " ".join(f"/dev/nvidia{node}" for node in range(machine.count))
        was = re.search(r"Driver Version: (\S+)", machine.said["table"]["stdout"])
        for name, record in machine.said.items():
            inside = f"mount -t tmpfs none /dev; touch {nodes}; {MISSING.get(name, ':')};"
            done = host.run(
                f"unshare --mount sh -c {shlex.quote(inside + record['command'])}", check=False
            )
            said = re.sub(r"(?m)^\w{3} \w{3} [ \d]\d [\d:]{8} \d{4}", "DATE", done.stdout)
            expected = record["stdout"].replace(was[1], driver)  # type: ignore[index]
            if (done.rc, said, done.stderr) != (record["exit"], expected, ""):
                wrong[f"{file.stem}, {name}"] = (done.rc, said, done.stderr)
    lab.remove(host.name)
    assert not wrong
