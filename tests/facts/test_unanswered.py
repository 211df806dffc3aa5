"""A tool that does not answer is no answer: the fact that asked it is Unknown, with the reason."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from pyinfra.api import StringCommand

from fact_classes import ASKED_PLAINLY, CLASSES
from gpurig.contract.fact import WATCHED, Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown
from silent_tools import script


class _Text(Fact[str]):
    """What a script prints, whatever its exit status."""

    def __init__(self, text: str) -> None:
        self.text = text

    def command(self) -> StringCommand:
        return framed(self.text)

    def parse(self, lines: list[str], code: int) -> str | Absent | Unknown:
        return "\n".join(lines) if code != 3 else ABSENT


def _read(
    fact: Fact[str], path: Path | None = None, info: Path | None = None, **asked: str
) -> str | Absent | Unknown:
    """
    The fact's value here, with a folder of tools in front of all others.

    + info: a folder in the place of dpkg's lists; asked: the fact's arguments
    """
    before = f"{path}:" if path else ""
    script = StringCommand(fact.command(**asked)).get_raw_value()
    done = subprocess.run(
        ["dash", "-c", script.replace("/var/lib/dpkg/info", str(info)) if info else script],
        env=os.environ | {"PATH": f"{before}/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return fact.process(done.stdout.removesuffix("\n").split("\n"))


def _tool(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


ASKED = {
    "plainly": "sort /etc/passwd",
    "in a pipe, first": "sort /etc/passwd | sed -n 1p",
    "in a pipe, last": "echo b | sort",
    "in a word": 'echo "has $(sort /etc/passwd)"',
    "after or": "sort /etc/passwd || :",
    "without a word of its own": "sort /etc/passwd 2>/dev/null; :",
    "in a loop of a pipe": "echo a | while read -r a; do echo $a | sort; done",
    "in a fact within a fact": str(framed("sort /etc/passwd").get_raw_value()),
}
DIES = {
    "exit 1": "the host's sort failed (exit status 1)",
    "echo half; exit 2": "the host's sort failed (exit status 2)",
    "printf half; exit 1": "the host's sort failed (exit status 1)",
    "kill -9 $$": "the host's sort was killed (signal 9)",
}


@pytest.mark.parametrize("dies", DIES)
@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_a_tool_that_dies_wherever_it_stands_is_no_answer(
    asked: str, dies: str, tmp_path: Path
) -> None:
    """Its status counts, in a pipe as well, and what it had printed does not."""
    assert not isinstance(_read(_Text(asked)), Unknown)
    _tool(tmp_path, "sort", dies)
    assert _read(_Text(asked), tmp_path) == Unknown(DIES[dies])


def test_what_nobody_reads_on_is_no_failure() -> None:
    """`head` ends, and what writes to it ends of that."""
    assert _read(_Text("sed p /proc/self/environ /usr/bin/* | head -n 1 >/dev/null; echo a")) == "a"


@pytest.mark.parametrize("way", ["silent", "with a reason", "killed"])
def test_a_tool_that_may_fail_gives_its_reason(way: str, tmp_path: Path) -> None:
    """Without one it did not answer; what it prints stays apart from the reason."""
    dies = {"silent": "exit 1", "with a reason": "echo out; echo no >&2; exit 1",
            "killed": "echo no >&2; kill -9 $$"}[way]  # fmt: skip
    _tool(tmp_path, "asked", dies)
    wanted = {"silent": Unknown("the host's asked failed (exit status 1)"),
              "with a reason": "out\nno",
              "killed": Unknown("the host's asked was killed (signal 9)")}[way]  # fmt: skip
    assert _read(_Text("may asked || echo no"), tmp_path) == wanted


LOOP = "Too many levels of symbolic links"
FOLDERS: dict[str, tuple[str, object]] = {
    "a folder": ("mkdir there", "in"),
    "nothing": (":", ABSENT),
    "a file": (": >there", ABSENT),
    # As a mount whose server is gone: it is there, and nobody can enter it.
    "what cannot be entered": ("ln -s there there", Unknown(f"FOLDER cannot be entered ({LOOP})")),
}


@pytest.mark.parametrize(("made", "wanted"), FOLDERS.values(), ids=FOLDERS)
def test_a_folder_that_cannot_be_entered_is_not_absent(
    made: str, wanted: object, tmp_path: Path
) -> None:
    """Its reason is the system's."""
    subprocess.run(["sh", "-c", made], cwd=tmp_path, check=True)
    read = _read(_Text(f"into {tmp_path}/there || exit 3; echo in"))
    if isinstance(wanted, Unknown):
        wanted = Unknown(wanted.reason.replace("FOLDER", f"{tmp_path}/there"))
    assert read == wanted


def test_a_lost_tool_is_not_an_absent_one(tmp_path: Path) -> None:
    """A package of dpkg's database that brings a tool makes a host without it Unknown."""
    info = tmp_path / "info"
    info.mkdir()
    (info / "kmod:amd64.list").write_text("/.\n/usr/share/doc/gpurig-tool\n/usr/sbin/gpurig-tool\n")
    (info / "docs.list").write_text("/.\n/usr/share/doc/gpurig-tool\n")

    def asked(package: str) -> str | Absent | Unknown:
        text = _Text(f"tool gpurig-tool {package} || exit 3; echo there")
        return _read(text, tmp_path, info)

    assert asked("docs") is ABSENT
    assert asked("nosuch docs") is ABSENT
    lost = "the package kmod is installed and its command gpurig-tool is not found; reinstall it"
    assert asked("docs kmod") == Unknown(lost)
    _tool(tmp_path, "gpurig-tool", ":")
    assert asked("kmod") == "there"


@pytest.mark.parametrize("fact", [name for name in ASKED_PLAINLY])
def test_no_fact_filters_with_grep(fact: str) -> None:
    """grep ends with 1 for "no", and so do tools that die: nothing tells one from the other."""
    assert "grep" not in script(CLASSES[fact], {})
    assert "grep" not in WATCHED


RPM = {
    "silent": ("exit 1", "rpm does not answer: no output"),
    "half": ("printf 'package 0:1.2'; exit 1", "rpm does not answer: no output"),
    "killed": ("kill -9 $$", "rpm does not answer: no output"),
}


@pytest.mark.parametrize(("dies", "reason"), RPM.values(), ids=RPM)
def test_an_rpm_that_dies_has_no_packages_to_miss(dies: str, reason: str, tmp_path: Path) -> None:
    """Only what rpm says is not installed is not installed."""
    _tool(tmp_path, "rpm", dies)
    fact = CLASSES["RpmPackages"]()
    assert _read(fact, tmp_path, packages="nvidia-driver") == Unknown(reason)
