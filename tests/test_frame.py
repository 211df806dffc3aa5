"""The frame of a command: whatever a host prints, an answer is ours and whole, or there is none."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import gevent
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gpurig.contract.limits import Limits
from gpurig.errors import HostError
from gpurig.hosts import frame
from gpurig.hosts.answer import Flooded
from gpurig.hosts.exchange import LOST, Room, Running, Silent, Unbegun, follow
from gpurig.hosts.frame import Frame, encoded, under_sudo
from gpurig.hosts.local import LocalTransport

SHELLS = [one for one in ("sh", "bash", "zsh", "fish", "tcsh", "ksh") if shutil.which(one)]
# What quoting has to survive, at the least: all that is special to some shell.
ODD = "'\"\\$`!*?[]{}()<>|&;#~%^= \t\n\x1b\x7fé\U0001f600-"

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("length", [1, 4000])
@pytest.mark.parametrize("sudo", [False, True])
def test_a_line_is_the_same_in_every_login_shell(shell: str, length: int, sudo: bool) -> None:
    """Also one that is much longer than an argument may be; sudo adds a mark of its own."""
    wanted = ODD * length
    quoted = "'" + wanted.replace("'", "'\\''") + "'"
    line = f"printf %s {quoted}; echo err >&2; exit 3"
    one = Frame()
    around = one.around(f"env -- {under_sudo(line)}" if sudo else line, reads=False)
    assert len(around) < 131_072
    done = subprocess.run([shell, "-c", around], capture_output=True, check=False)
    begin, end = one.mark + b"\n", one.mark + b" 3\n"
    assert done.stdout == begin * (1 + sudo) + wanted.encode() + end
    assert done.stderr == begin * (1 + sudo) + b"err\n" + end


@settings(deadline=None, max_examples=50)
@given(texts)
@example(ODD)
def test_encoded_text_is_printed_back(text: str) -> None:
    """And has nothing that a shell minds between single quotes."""
    word = encoded(text)
    assert not set(word) & set("'!\n\t")
    assert word.replace("\\0", "").isascii()
    done = subprocess.run(["sh", "-c", f"printf %b '{word}'"], capture_output=True, check=True)
    assert done.stdout == text.encode()


ENVIRONMENT = {
    "PATH": "/nowhere", "LANG": "de_DE.UTF-8", "LC_ALL": "de_DE.UTF-8", "LANGUAGE": "de",
    "PYTHONPATH": "/opt/ros", "CDPATH": "/tmp", "GREP_OPTIONS": "-v", "PIP_INDEX_URL": "http://x",
    "BASH_ENV": "/dev/stdin", "ENV": "/dev/stdin", "POSIXLY_CORRECT": "1", "LD_PRELOAD": "",
    "HOME": "/home/ada", "USER": "ada", "https_proxy": "http://proxy:3128", "no_proxy": "",
}  # fmt: skip


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_command_has_one_environment(shell: str) -> None:
    """One PATH, one language; of the host's own stays who it is, and from where it fetches."""
    one = Frame()
    done = subprocess.run(
        [f"/bin/{shell}", "-c", one.around("umask; env", reads=False)],
        capture_output=True, text=True, check=False, env=ENVIRONMENT,
    )  # fmt: skip
    mask, *found = done.stdout.splitlines()[1:-1]
    assert mask == "0022"
    kept = {name: ENVIRONMENT[name] for name in frame.KEPT if name in ENVIRONMENT}
    assert {"HOME", "USER", "https_proxy", "no_proxy"} <= kept.keys()
    assert dict(each.split("=", 1) for each in found if not each.startswith(("_=", "PWD="))) == {
        **kept, "LC_ALL": "C", "PATH": frame.PATH,
    }  # fmt: skip


def test_no_value_of_the_environment_is_a_word_of_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every user may read the words; a proxy's or an index's value holds a password."""
    spy, words = tmp_path / "env", tmp_path / "words"
    spy.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {words}\nexec /usr/bin/env "$@"\n')
    spy.chmod(0o755)
    monkeypatch.setattr(frame, "PATH", f"{tmp_path}:{frame.PATH}")
    secret = {name: "http://u:hunter2@p:1" for name in frame.KEPT} | {"MINE": "hunter2"}
    done = subprocess.run(
        ["/bin/sh", "-c", Frame().around("echo $https_proxy $MINE", reads=False)],
        capture_output=True, text=True, check=False, env=secret,
    )  # fmt: skip
    assert done.stdout.splitlines()[1] == secret["https_proxy"]
    assert "MINE" in words.read_text().split()
    assert "hunter2" not in words.read_text()


PROFILES = {
    "prints": "echo hello; printf 'half a line'",
    "prints errors": "echo hello >&2",
    "shows what it runs": "set -vx",
    "reads a line": 'read -r name; echo "hello $name"',
    "reads three lines": "read -r a; read -r b; read -r c",
    "asks until it is told": 'while read -r answer; do [ -n "$answer" ] || break; done',
    "changes everything": "umask 077; PATH=/nowhere; LC_ALL=de_DE.UTF-8; export PATH LC_ALL; cd /",
    "has a trap": "trap 'echo bye; exit 9' EXIT",
    "has aliases": "alias exec=false sh=false eval=false printf=false",
    "has options": "set -eu; set -o noglob; IFS=g",
    "runs what it is given": "x() { :; }; export x=1",
}


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@pytest.mark.parametrize("data", [b"", b"secret\nand more"], ids=["no input", "input"])
def test_a_profile_changes_no_answer(profile: str, data: bytes) -> None:
    """Whatever it prints, reads, sets: the command has its own input, and its answer is whole."""
    transport = _Profile(profile)
    code, output = transport.run("cat; echo ' there'; exit 3", data)
    assert (code, output.stdout) == (3, f"{data.decode()} there")


def test_what_reads_before_the_command_gets_no_input() -> None:
    """A profile that hands the shell over to another one: the password is not for that one."""
    transport = _Profile("sed 's/^/took: /' >&2; exit 0", Limits(connect=1))
    with pytest.raises(HostError, match="no answer for 1 s while starting its shell"):
        transport.run("cat", b"secret\n")
    assert b"secret" not in transport.written.getvalue()
    with pytest.raises(HostError, match="does not run gpurig's command"):
        transport.run("cat")


def test_a_profile_that_empties_the_input_gives_no_empty_answer() -> None:
    """An upload of which nothing arrives has failed."""
    transport = LocalTransport()
    start = transport._start

    def starting(line: str) -> Any:
        stdin, *rest = start(line)
        stdin.close()
        return BytesIO(), *rest

    transport._start = starting  # type: ignore[method-assign]
    assert transport.run("cat; echo done", b"data")[0] != 0


class _Profile(LocalTransport):
    """This machine with a login shell that runs a profile; keeps what is written to it."""

    def __init__(self, profile: str, limits: Limits | None = None) -> None:
        super().__init__(limits=limits)
        self.profile, self.written = profile, BytesIO()

    def _start(self, line: str) -> Any:
        stdin, *rest = super()._start(f"{self.profile}\n{line}")
        write = stdin.write

        def written(data: bytes) -> int:
            self.written.write(data)
            return int(write(data))

        stdin.write = written
        return stdin, *rest


@dataclass
class Said:
    """What a host prints on one stream: an answer in its frame, and bytes around it."""

    before: bytes
    between: bytes
    answer: bytes
    after: bytes

    def like(self, mark: bytes) -> Said:
        """With what nearly is this mark."""
        fields = (self.before, self.between, self.answer, self.after)
        return Said(*(one.replace(b"MARK", mark[:-1]) for one in fields))

    def framed(self, mark: bytes, marks: int, status: int | None) -> bytes:
        begin = mark + b"\n"
        whole = self.before + begin + (self.between + begin) * (marks - 1) + self.answer
        return whole + (mark + b" %d\n" % status + self.after if status is not None else b"")


# Bytes that look like a frame's, among any others.
noise = st.lists(
    st.binary(max_size=20)
    | st.sampled_from([b"gpurig-", b"\n", b"MARK\n", b"MARK", b" 0\n", b"\r\n"])
).map(b"".join)
said = st.builds(Said, noise, noise, noise, noise)
cuts = st.lists(st.integers(1, 40), max_size=12)


def _pieces(whole: bytes, sizes: Iterable[int]) -> Callable[[], bytes]:
    def cut() -> Iterator[bytes]:
        left = whole
        for size in sizes:
            if left:
                yield left[:size]
            left = left[size:]
        if left:
            yield left

    pieces = cut()
    return lambda: next(pieces, b"")


def _running(
    one: Frame, out: bytes, err: bytes, sizes: list[int], marks: int, code: int
) -> Running:
    readers = (_pieces(whole, sizes) for whole in (out, err))
    stdin = BytesIO()
    stdin.close = lambda: None  # type: ignore[method-assign]
    return Running(stdin, *readers, lambda: code, lambda: None, one, marks)


def _followed(running: Running) -> tuple[int, dict[str, str]]:
    told: dict[str, list[str]] = {"stdout": [], "stderr": []}
    code, _ = follow(
        running, b"x", (9, 9), Room(1e7), lambda stream, line: told[stream].append(line)
    )
    return code, {stream: "\n".join(found) for stream, found in told.items()}


def _shown(answer: bytes) -> str:
    return answer.removesuffix(b"\n").decode("utf-8", "replace")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(said, said, cuts, st.integers(1, 2), st.integers(0, 255))
def test_any_bytes_around_an_answer_leave_it_whole(
    out: Said, err: Said, sizes: list[int], marks: int, status: int
) -> None:
    """In any chunks, before, between and after; the status is the frame's and no wrapper's."""
    one = Frame()
    out, err = out.like(one.mark), err.like(one.mark)
    whole = (each.framed(one.mark, marks, status) for each in (out, err))
    began = time.monotonic()
    code, told = _followed(_running(one, *whole, sizes, marks, 77))
    assert code == status
    assert told == {"stdout": _shown(out.answer), "stderr": _shown(err.answer)}
    assert time.monotonic() - began < 5


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(said, cuts, st.integers(1, 2), st.data())
def test_an_answer_that_is_cut_off_is_no_answer(
    out: Said, sizes: list[int], marks: int, data: st.DataObject
) -> None:
    """Wherever the connection ends: before the mark, or before the end is told."""
    one = Frame()
    out = out.like(one.mark)
    whole = out.framed(one.mark, marks, 0).removesuffix(out.after)
    cut = data.draw(st.integers(0, len(whole) - 1))
    running = _running(one, whole[:cut], one.mark + b"\n", sizes, marks, 0)
    if cut < len(out.before + one.mark) + 1:
        with pytest.raises(Unbegun):
            _followed(running)
    else:
        assert _followed(running)[0] == LOST


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(noise, noise, cuts, st.integers(0, 255))
def test_without_a_mark_nothing_is_an_answer(
    out: bytes, err: bytes, sizes: list[int], code: int
) -> None:
    """Whatever a host prints that runs none of our commands, and whatever its status is."""
    with pytest.raises(Unbegun):
        _followed(_running(Frame(), out, err, sizes, 1, code))


@pytest.mark.parametrize("marks", [0, 1])
def test_noise_without_an_end_ends(marks: int) -> None:
    """Before the answer begins, in single bytes: within its bound, in time and in memory."""
    one = Frame()
    began = iter([one.mark + b"\n"] * marks)

    def noisy() -> bytes:
        gevent.sleep(0)
        return next(began, b"y\n" * 5000)

    running = Running(BytesIO(), noisy, noisy, lambda: 0, lambda: None, one, 2)
    with suppress(Flooded), pytest.raises(Silent):
        follow(running, b"", (1, 1), Room(1e7), lambda stream, line: None)


def test_sudo_s_refusal_is_what_it_says() -> None:
    """The mark behind sudo does not come: its own words are the answer."""
    one = Frame()
    whole = b"hi\n" + one.mark + b"\nsudo: a password is required\n" + one.mark + b" 1\n"
    code, told = _followed(_running(one, one.mark + b"\n" + one.mark + b" 1\n", whole, [], 2, 1))
    assert (code, told["stderr"]) == (1, "sudo: a password is required")
