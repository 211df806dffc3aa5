"""No driver is older than a GPU's id: every listed id on every distribution from every source."""

from __future__ import annotations

import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gpurig.stack.described import Given, described
from gpurig.stack.gpu_ids import knows, next_release, since
from gpurig.stack.gpus import called, gpu, row_of
from gpurig.stack.model import Refusal, Stack
from gpurig.stack.tables import tables
from gpurig.stack.versions import numbers
from stack.observations import answer

ROOT = Path(__file__).parents[2]
(LIST,) = tables().gpu_list
IDS = [f"10de:{device}" for device in sorted(LIST.first)]
SYSTEMS = [row.word for row in tables().distribution if row.family != "macos"]
KERNELS = {
    "debian:12": "6.1.0-45-amd64", "debian:13": "6.12.117+deb13-amd64",
    "debian:14": "7.2.12-amd64", "debian:sid": "7.2.13-amd64",
    "ubuntu:22.04": "5.15.0-119-generic", "ubuntu:24.04": "6.8.0-90-generic",
    "ubuntu:26.04": "7.0.0-10-generic", "linuxmint:22": "6.8.0-90-generic",
    "zorin:17": "6.8.0-90-generic", "zorin:18": "6.8.0-90-generic",
    "elementary:8": "6.8.0-90-generic",
    "rhel:8": "4.18.0-553.el8_10.x86_64", "rhel:9": "5.14.0-570.el9_6.x86_64",
    "rhel:10": "6.12.0-55.el10.x86_64", "fedora:43": "6.17.1-300.fc43.x86_64",
    "fedora:44": "6.19.5-200.fc44.x86_64",
}  # fmt: skip


@pytest.mark.parametrize("source", ["auto", "distribution", "nvidia"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_no_driver_is_older_than_the_id_of_a_gpu(system: str, source: str) -> None:
    """The version that is had at least knows the id by NVIDIA's lists; else the answer refuses."""
    for pci_id in IDS:
        host = described(Given(os=system, kernel=KERNELS[system], gpus=[pci_id]))
        found = answer(host, driver_source=source, frameworks=[], components=["driver"])
        if isinstance(found, Refusal):
            assert found.ways_out
            continue
        driver = found.driver
        assert driver is not None
        assert knows(pci_id, driver.minimum_version, driver.flavour), (pci_id, driver)
        assert numbers(driver.minimum_version) >= numbers(driver.oldest or "")
        row = row_of(pci_id)
        assert row is not None
        assert driver.flavour in row.flavours


def test_every_listed_id_has_a_row_and_a_name() -> None:
    assert len(IDS) == 293
    for pci_id in IDS:
        assert row_of(pci_id) is not None, pci_id
        assert called(gpu(pci_id)).endswith(f" ({pci_id})"), pci_id


def test_a_list_has_entries_of_branches_that_were_read() -> None:
    """The last release that was read of each, in order; no entry is after it."""
    read = {numbers(one)[0]: one for one in LIST.read}
    assert list(read) == sorted(read)
    assert set(LIST.earlier) <= set(LIST.first)
    for device, entries in LIST.first.items():
        releases = [one for one in entries if not one.startswith("not ")]
        assert releases, device
        assert releases == sorted(releases, key=numbers), device
        for one in releases:
            assert numbers(one) <= numbers(read[numbers(one)[0]]), device
        without = [int(one.removeprefix("not ")) for one in entries if one.startswith("not ")]
        assert all(branch in read and branch > numbers(releases[0])[0] for branch in without)


@pytest.mark.parametrize(
    ("pci_id", "version", "flavour", "known"),
    [
        ("10de:2335", "535.309.01", "proprietary", False),
        ("10de:2335", "550.54.14", "open", False),
        ("10de:2335", "550.163.01", "proprietary", True),
        ("10de:2685", "535.154.05", "open", False),  # listed by that one, and by none after it
        ("10de:28a3", "550.142", "open", True),
        ("10de:28a3", "565.77", "open", False),  # newer, and does not list it
        ("10de:2c3a", "595.45.04", "open", False),
        ("10de:2c3a", "595.58.03", "open", True),  # after the last that was read
        ("10de:1eb8", "550.163.01", "proprietary", True),
        ("10de:1eb8", "550.163.01", "open", False),
        ("10de:2204", "470.256.02", "proprietary", True),  # of branches before the lists: unknown
        ("10de:3010", "615.71.09", "open", True),  # in no list
        ("10de:2335", "", "open", True),  # of a version that nobody could read
    ],
)
def test_a_release_knows_an_id_as_the_lists_say(
    pci_id: str, version: str, flavour: Any, known: bool
) -> None:
    """By the release, not by the branch; a newer branch can be older than an id."""
    assert knows(pci_id, version, flavour) is known


def test_the_next_release_that_knows_an_id_knows_it() -> None:
    """What a rejection names is a release that would do."""
    for pci_id in IDS:
        for branch in (535, 545, 550, 570, 575, 580):
            named = next_release(pci_id, branch, "open")
            assert knows(pci_id, named, "open"), (pci_id, branch, named)
            own = since(pci_id, branch, "open")
            assert own is None or knows(pci_id, own, "open")


def test_the_script_reads_a_list_as_the_table_has_it(tmp_path: Path) -> None:
    """Releases of a clone: from which one on all list an id, and what is for developers is not."""
    told = {"515.48.07": ["1E02"], "535.43.08": ["1E02", "2335"], "535.54.03": ["1E02"],
            "550.54.14": ["1E02"], "550.90.07": ["1E02", "2335"]}  # fmt: skip
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    for release, ids in told.items():
        rows = "".join(f"| A GPU | {one} |\n" for one in ids)
        (tmp_path / "README.md").write_text(rows + f"{release}\n", encoding="utf-8")
        subprocess.run([*git, "add", "."], check=True)
        subprocess.run([*git, "commit", "-qm", release], check=True)
        subprocess.run([*git, "tag", release], check=True)
    by_branch = _script().releases(str(tmp_path))
    assert {branch: list(one) for branch, one in by_branch.items()} == {
        515: ["515.48.07"], 535: ["535.54.03"], 550: ["550.54.14", "550.90.07"],
    }  # fmt: skip
    assert _script().first("2335", by_branch) == ["550.90.07"]
    assert _script().first("1e02", by_branch) == ["515.48.07"]


def _script() -> ModuleType:
    loader = SourceFileLoader("gpu_ids_script", str(ROOT / "scripts" / "gpu-ids"))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    loader.exec_module(module)
    sys.dont_write_bytecode = before
    return module


def test_a_stack_says_which_of_the_two_decided() -> None:
    """By the id, or by the family."""
    for pci_id, words in (("10de:2335", "from driver 550.90.07 on"), ("10de:3010", "its family")):
        found = answer(described(Given(os="ubuntu:24.04", kernel="6.8.0-1-generic", gpus=[pci_id])))
        assert isinstance(found, Stack)
        (reason,) = [it.reason for it in found.because if it.choice.startswith("GPU ")]
        assert words in reason
