"""Which files go with a program, and how many processes run where: words of a command line."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gpurig.cli import train
from gpurig.errors import InputError
from gpurig.training import processes, project
from gpurig.training.noise import is_noise
from gpurig.training.project import Project
from gpurig.training.workload import Workload

TREE = ("train.py", "net/model.py", "data/small.csv", ".env", ".git-credentials", "cache/x.bin",
        "net/__pycache__/model.pyc", "gpurig-train/20260101-000000/old.pt")  # fmt: skip
PROGRAM = {"train.py", "net/model.py", "data/small.csv"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A program with modules, a cache, secrets, and results of an earlier training."""
    for name in TREE:
        file = tmp_path / "own" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    return tmp_path / "own"


def _git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True)


def _sent(program: Path, workdir: Path | None = None) -> Project:
    return project.project(program, workdir)


def test_hidden_files_and_caches_stay_here(folder: Path) -> None:
    """Where neither git nor an ignore file says more; results of before stay as well."""
    assert _sent(folder / "train.py").files.keys() == PROGRAM | {"cache/x.bin"}


@pytest.mark.parametrize("name", [".gitignore", ".gpurigignore"])
def test_an_ignore_file_counts_without_a_repository(folder: Path, name: str) -> None:
    """In git's own words, with its wildcards."""
    (folder / name).write_text("/cache/\n*.csv\n")
    found = _sent(folder / "train.py")
    assert found.files.keys() == PROGRAM - {"data/small.csv"} | {"cache/", "data/"}
    assert name in found.rule


def test_git_says_what_is_sent(folder: Path) -> None:
    """What it tracks, though hidden, and what is new; not what it ignores, nor a new secret."""
    (folder / ".gitignore").write_text("cache/\n")
    (folder / ".config").write_text("x")
    _git(folder, "init")
    _git(folder, "add", ".gitignore", ".config", "train.py")
    found = _sent(folder / "train.py")
    assert found.files.keys() == PROGRAM | {".gitignore", ".config", "cache/"}
    assert found.rule == "as git says"
    assert "5 files" in found.told


FOLDERS = ("empty/deep", "net/out", "cache/inner", ".hidden", "env/lib", "own.egg-info",
           "venv", "net/__pycache__/inner", "net/gpurig-train")  # fmt: skip


@pytest.mark.parametrize("repository", [False, True])
def test_folders_without_files_are_sent(folder: Path, repository: bool) -> None:
    """Empty ones, and ignored ones without what is in them; nothing that tools make for them."""
    for name in FOLDERS:
        (folder / name).mkdir(parents=True)
    (folder / "env/pyvenv.cfg").touch()
    (folder / "net/out/.gitkeep").touch()
    (folder / "sets").symlink_to(folder / "empty")
    (folder / ".gitignore").write_text("/cache/\n/env/\n")
    if repository:
        _git(folder, "init")
    found = _sent(folder / "train.py")
    assert found.files.keys() == PROGRAM | {"cache/", "empty/", "empty/deep/", "net/out/"}
    assert not found.files["cache/"].read_bytes()
    assert "3 files" in found.told


def test_no_more_folders_are_sent_than_a_host_is_to_make(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The uppermost ones, which the program most likely names."""
    (folder / "a/b/c").mkdir(parents=True)
    (folder / "z").mkdir()
    monkeypatch.setattr(project, "DEPTH", 2)
    assert _sent(folder / "train.py").files.keys() - PROGRAM == {"cache/x.bin", "a/", "a/b/", "z/"}
    monkeypatch.setattr(project, "FOLDERS", 2)
    assert _sent(folder / "train.py").files.keys() - PROGRAM == {"cache/x.bin", "a/", "z/"}


def test_without_git_an_ignore_file_is_not_passed_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody can read here may name the secrets."""
    monkeypatch.setattr(project.shutil, "which", lambda name: None)
    assert _sent(folder / "train.py").files.keys() == PROGRAM | {"cache/x.bin"}
    (folder / ".gpurigignore").write_text("data\n")
    with pytest.raises(InputError, match="git is not installed"):
        _sent(folder / "train.py")


def test_a_folder_may_be_named(folder: Path) -> None:
    """The program keeps its place in it, and lies in it."""
    found = Workload.of(str(folder / "net/model.py"), (), str(folder))
    assert found.program == "net/model.py"
    assert found.files.keys() >= PROGRAM
    with pytest.raises(InputError, match="is not in"):
        _sent(folder / "train.py", folder / "net")


def test_a_home_folder_is_not_sent(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program right in it goes alone, and that is told."""
    monkeypatch.setenv("HOME", str(folder))
    found = _sent(folder / "train.py")
    assert found.files.keys() == {"train.py"}
    assert "without the files beside it" in found.told


def test_too_much_is_refused_with_its_largest_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any host is contacted; the sentence says where to leave them out."""
    monkeypatch.setattr(project, "LIMIT", 100)
    (folder / "data/large.bin").write_bytes(b"x" * 2000)
    with pytest.raises(InputError, match=r"the largest: data/large.bin \(2.0 kB\).*gpurigignore"):
        _sent(folder / "train.py")


def test_a_link_to_a_folder_is_named(folder: Path, tmp_path: Path) -> None:
    """Its files may be anywhere; what a link to a file leads to is sent."""
    (folder / "sets").symlink_to(tmp_path)
    (tmp_path / "settings.yaml").write_text("a: 1")
    (folder / "settings.yaml").symlink_to(tmp_path / "settings.yaml")
    found = _sent(folder / "train.py")
    assert "settings.yaml" in found.files
    assert "not sets, which links to a folder" in found.told


TWO = ["gpu01", "gpu02"]


@pytest.mark.parametrize(
    ("total", "slots", "each"),
    [
        (None, "", {}),
        (4, "", {"gpu01": 2, "gpu02": 2}),
        (None, "gpu01:2,gpu02", {"gpu01": 2}),
        (3, "gpu01:2,gpu02:2", {"gpu01": 2, "gpu02": 1}),
        (2, "gpu01:2,gpu02:2", {"gpu01": 2, "gpu02": 0}),
    ],
)
def test_processes_are_given_to_hosts_as_mpirun_does(
    total: int | None, slots: str, each: dict[str, int]
) -> None:
    """In their order, as many as each takes; evenly where nothing is said of them."""
    assert processes.per_host(TWO, total, processes.slots_of(slots) if slots else {}) == each


@pytest.mark.parametrize(
    ("function", "arguments", "said"),
    [
        (processes.per_host, (TWO, 3, {}), "do not divide evenly"),
        (processes.per_host, (TWO, 9, {"gpu01": 2}), "take 3 processes, not 9"),
        (processes.slots_of, ("gpu01:0",), "'gpu01:0' is no host"),
        (processes.slots_of, ("a,a",), "is there twice"),
        (processes.by_name, ({"gpus": 2}, TWO), "gpus is no host that trains here"),
        (processes.first_nodes, (TWO, "1:4"), "'1:4' is no number of hosts"),
        (processes.first_nodes, (TWO, "3"), "there are 2 hosts, not 3"),
        (train._number, ("many",), "'many' is no number of processes"),
    ],
)
def test_wrong_numbers_are_one_sentence(function: object, arguments: tuple, said: str) -> None:
    """What is wrong, by which option, and what to write."""
    with pytest.raises(InputError, match=said):
        function(*arguments)


def test_a_host_of_h_may_have_a_user() -> None:
    """As ssh takes it."""
    assert processes.by_name({"ada@gpu01": 4, "gpu02": None}, TWO) == {"gpu01": 4, "gpu02": None}


def test_words_of_torchrun_are_understood() -> None:
    """``auto`` and ``gpu`` are what gpurig does anyway; some hosts are the first ones."""
    assert train._number("gpu") is train._number("auto") is train._number(None) is None
    assert processes.first_nodes(TWO, "1") == ["gpu01"]
    assert processes.first_nodes(TWO, None) == TWO


NOISE = (
    "2026-11-30 10:00:00.123456: I tensorflow/core/util/port.cc:153] oneDNN custom operations are",
    "I0000 00:00:1732960800.123456   12345 cpu_feature_guard.cc:210] This TensorFlow binary is",
    "[W1130 10:00:00.123456789 socket.cpp:759] [c10d] The client socket has failed to connect",
    "W1130 10:00:00.123000 1234 torch/distributed/run.py:792] Setting OMP_NUM_THREADS",
    "Exception raised from recvBytes at /torch/csrc/Utils.hpp:787 (most recent call first):",
    "frame #3: <unknown function> + 0x674888d (0x7f in /opt/torch/lib/libtorch_cpu.so)",
    "frame #10: /opt/gpurig/venvs/pytorch/bin/python() [0x53b6c7]",
    "[1]<stderr>:2026-11-30 10:00:00.1: W external/local_xla/xla/tsl/a.cc:1] x",
)
OWN = (
    "I1130 10:00:00.000000 139872 train.py:50] step 1, loss 0.3",
    "2026-11-30 10:00:00.123456: E tensorflow/core/framework/op.cc:1] OOM",
    "frame #12 of 90 rendered",
    "[rank0]: Traceback (most recent call last):",
    "{'loss': 0.3, 'epoch': 1.0}",
    '{"passed": 17}',
)


def test_only_what_frameworks_say_of_themselves_is_folded() -> None:
    """No error, and nothing that a program logs in the same form."""
    assert [line for line in NOISE if not is_noise(line)] == []
    assert [line for line in OWN if is_noise(line)] == []
