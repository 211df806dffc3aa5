"""Tab: what is offered, in the shells' own way, cheaply, and without running anything."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gpurig.cli.main import gpurig
from gpurig.settings.table import TABLE

GPURIG = Path(sys.executable).with_name("gpurig")
BREAKS = " \t\n\"'@><=;|&(:"  # bash's own

INVENTORY = """\
open("run", "w")
gpus = [("gpu01", {"rig_users": ["ada"]}), "gpu02", compute()]
cpus = (["cpu01", "bad name", "$(reboot)"], {"rig_reboot": "never"})
_hidden = ["gpu09"]
hosts = [f"gpu{n}" for n in range(9)]
text = "gpu08"
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with an inventory, and a home with an SSH configuration."""
    (tmp_path / "home/.ssh").mkdir(parents=True)
    (tmp_path / "home/.ssh/config").write_text("Host box1 box*\n  User x\nhost=box2\nMatch all\n")
    (tmp_path / "work/labs").mkdir(parents=True)
    (tmp_path / "work/lab.py").write_text(INVENTORY)
    (tmp_path / "work/labs/b.py").write_text("hosts = [")
    (tmp_path / "work/notes.txt").touch()
    (tmp_path / "work/_x.py").touch()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "work"


def _tab(line: str, breaks: str = BREAKS) -> list[str]:
    told = {"GPURIG_LINE": line, "GPURIG_BREAKS": breaks, "_GPURIG_COMPLETE": "bash_complete"}
    done = subprocess.run(
        [GPURIG], capture_output=True, text=True, check=True, env=os.environ | told
    )
    assert done.stderr == ""
    return done.stdout.split()


LINES = {
    "a verb": ("gpurig ver", ["verify"]),
    "an option": ("gpurig up --restart", ["--restart-docker"]),
    "an option before the verb": ("gpurig --qu", ["--quiet"]),
    "a choice": ("gpurig up --prove al", ["always"]),
    "a command of a command": ("gpurig image b", ["build"]),
    "this machine, bash takes @ apart": ("gpurig up @", ["local"]),
    "inventories": ("gpurig up lab", ["lab.py", "labs/"]),
    "a folder": ("gpurig up labs/", ["labs/b.py"]),
    "hosts of ssh": ("gpurig up bo", ["box1", "box2"]),
    "one more host": ("gpurig up box1 bo", ["box1", "box2"]),
    "after a comma": ("gpurig up box1,bo", ["box1,box1", "box1,box2"]),
    "hosts of the inventory": ("gpurig up lab.py --limit gpu0", ["gpu01", "gpu02"]),
    "groups": ("gpurig up lab.py -y --limit ", ["gpus", "gpu01", "gpu02", "cpus", "cpu01"]),
    "hosts, one more": ("gpurig up lab.py --limit gpu01,cpu", ["gpu01,cpus", "gpu01,cpu01"]),
    "hosts of a broken inventory": ("gpurig up labs/b.py --limit ", []),
    "hosts of none": ("gpurig up nothing.py --limit ", []),
    "settings": ("gpurig up --set rig_docker_r", ["rig_docker_rootless="]),
    "values": ("gpurig up --set rig_docker_rootless=", ["true", "false"]),
    "values, begun": ("gpurig up --set rig_jupyter=t", ["true"]),
    "no values": ("gpurig up --set rig_users=", []),
    "a setting's name": ("gpurig settings rig_jup", ["rig_jupyter"]),
    "a setting's short name": ("gpurig settings jup", ["jupyter"]),
    "help": ("gpurig help pl", ["plan"]),
    "a shell": ("gpurig completion z", ["zsh"]),
    "a wrong line": ("gpurig up --foo --prove al", ["always"]),
    "an open quote": ("gpurig up 'la", ["lab.py", "labs/"]),
    "a program's words": ("gpurig train lab.py -- --", []),
}


@pytest.mark.parametrize(("line", "offered"), LINES.values(), ids=LINES)
def test_a_tab_offers(lab: Path, line: str, offered: list[str]) -> None:
    """What can stand there, as it replaces what bash takes for the word."""
    assert _tab(line) == offered
    assert not (lab / "run").exists(), "an inventory is a program"


def test_every_setting_is_offered(lab: Path) -> None:
    """Their names are read of the text of their declarations."""
    assert _tab("gpurig up --set ") == [f"{key}=" for key in TABLE]
    assert _tab("gpurig settings ") == list(TABLE)


def test_every_verb_is_offered(lab: Path) -> None:
    """In the order of `--help`."""
    assert _tab("gpurig ") == list(gpurig.commands)


HEAVY = {"pyinfra", "paramiko", "gevent", "docker", "rich", "testinfra", "cryptography"}


@pytest.mark.parametrize("line", ["gpurig ", "gpurig up --set rig_", "gpurig up lab.py --limit "])
def test_a_tab_is_cheap(lab: Path, line: str) -> None:
    """It imports nothing that reaches a host or draws, which takes half a second of a processor."""
    told = {"GPURIG_LINE": line, "GPURIG_BREAKS": BREAKS, "_GPURIG_COMPLETE": "bash_complete"}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", GPURIG], capture_output=True, text=True, check=True,
        env=os.environ | told,
    )  # fmt: skip
    imported = {row.rpartition("|")[2].strip().partition(".")[0] for row in done.stderr.split("\n")}
    assert done.stdout
    assert "gpurig" in imported
    assert not imported & HEAVY


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_takes_its_script(shell: str) -> None:
    """The shell itself reads it, where it is installed; each names gpurig and how it is asked."""
    done = subprocess.run([GPURIG, "completion", shell], capture_output=True, text=True, check=True)
    assert f"_GPURIG_COMPLETE={shell}_complete" in done.stdout
    assert re.search(r"(complete|compdef) .*gpurig", done.stdout)
    if program := shutil.which(shell):
        subprocess.run([program, "-n"], input=done.stdout, text=True, check=True)


def _typed(keys: str) -> str:
    """What an interactive bash shows for these keys, once it is still."""
    shown = subprocess.run(
        [sys.executable, Path(__file__).with_name("typed_in_bash.py"), keys],
        env=os.environ | {"PATH": f"{GPURIG.parent}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE, check=True,
    ).stdout  # fmt: skip
    # Before a word that it takes apart bash goes back a column and does not write it again.
    return re.sub(r"@\x08", "@", shown.decode().rpartition("\nready")[2])


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ("gpurig ver\t", "gpurig verify "),
        ("gpurig up --set rig_jup\t", "gpurig up --set rig_jupyter="),
        ("gpurig up --set rig_jupyter=f\t", "gpurig up --set rig_jupyter=false "),
        ("gpurig up @\t", "gpurig up @local "),
        ("gpurig up labs\t", "gpurig up labs/"),
        ("gpurig up lab.py --limit cpu0\t", "gpurig up lab.py --limit cpu01 "),
        ("gpurig resolve --facts no\t", "gpurig resolve --facts notes.txt "),
    ],
)
def test_a_real_bash_completes(lab: Path, keys: str, line: str) -> None:
    """At a terminal: no space after what goes on, none of its own words lost."""
    typed = _typed(keys)
    assert f"$ {line}" in typed
    assert f"$ {line} " not in typed


def test_a_tab_prepares_no_clone(tmp_path: Path) -> None:
    """`./gpurig` offers nothing before it was called once, rather than install for a minute."""
    clone = tmp_path / "clone"
    (clone / "src/gpurig/wheels/data/locks").mkdir(parents=True)
    shutil.copy(Path(__file__).parents[1] / "gpurig", clone / "gpurig")
    for name in ("pyproject.toml", "requirements.lock", "src/gpurig/wheels/data/locks/uv.txt"):
        (clone / name).touch()
    done = subprocess.run(
        [clone / "gpurig"], capture_output=True, text=True, check=False,
        env=os.environ | {"_GPURIG_COMPLETE": "bash_complete"},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (clone / ".venv").exists()
