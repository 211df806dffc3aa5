"""sudo's password: asked for where one will be needed, three times at most, and shown nowhere."""

from __future__ import annotations

import os
import pty
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gpurig.contract.fact import read
from gpurig.engine.runner import Link, prepare_engine
from gpurig.errors import HostError
from gpurig.facts.host.name import HostName
from gpurig.hosts import frame
from gpurig.hosts.inventory import HostSpec
from gpurig.hosts.passwords import Passwords
from gpurig.hosts.sudo import PasswordWanted, not_started, with_sudo
from gpurig.settings.redaction import Redaction

# As sudo's, without its rights: a fresh timestamp counts unless -k is there, as it does for sudo.
SUDO = """#!/bin/sh
echo "${*%% -- *}" >> LOG; case $* in *hush*) echo LEAKED >> LOG ;; esac
free=NOPASSWD reset= stdin=
while [ "$1" != -- ]; do
  case $1 in -k) reset=1 ;; -S) stdin=1 ;; -n|-H) ;; -p) shift ;; esac
  shift
done
shift
[ -n "$reset" ] || exec "$@"
[ -z "$free" ] || exec "$@"
[ -n "$stdin" ] || { echo "REFUSES" >&2; exit 1; }
read -r typed
[ "$typed" = hush ] || { echo "WRONG" >&2; exit 1; }
exec "$@"
"""
ENGLISH = "sudo: a password is required", "Sorry, try again.\nsudo: 1 incorrect password attempt"
GERMAN = "sudo: Ein Passwort ist notwendig", "Das hat nicht funktioniert."
RUST = (
    "sudo-rs: interactive authentication is required",
    "sudo: Authentication failed, try again.\nsudo-rs: Maximum 3 incorrect authentication attempts",
)
MUTE = "", ""

Sudo = Callable[..., Path]


@pytest.fixture
def sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sudo:
    """A user who is not root, and a sudo whose password is "hush"; the log of its calls."""
    prepare_engine()
    monkeypatch.setattr(frame, "PATH", f"{tmp_path}:{frame.PATH}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    def made(words: tuple[str, str] = ENGLISH, free: bool = False) -> Path:
        program, log = tmp_path / "sudo", tmp_path / "log"
        text = SUDO.replace("LOG", str(log)).replace("REFUSES", words[0]).replace("WRONG", words[1])
        program.write_text(text.replace("NOPASSWD", "1" * free))
        program.chmod(0o755)
        return log

    return made


@pytest.fixture(autouse=True)
def _nothing_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test types is hidden from no other test."""
    monkeypatch.setattr(Redaction, "_learnt", [])


class Somebody:
    """Who types these lines, one after the other, and then nothing."""

    def __init__(self, *lines: str) -> None:
        self.lines, self.prompts = list(lines), list[str]()

    def __call__(self, prompt: str) -> str | None:
        self.prompts.append(prompt)
        return self.lines.pop(0) if self.lines else None


def _name() -> str:
    return str(read(HostName)["name"])


def _plan(somebody: Callable[[str], str | None], **data: str) -> Link:
    link = Link(
        HostSpec.of("@local", "local", "", data), batch=False, passwords=Passwords(somebody)
    )
    link.open()
    try:
        assert link.plan(_name).answer == os.uname().nodename
    finally:
        link.close()
    return link


@pytest.mark.parametrize("words", [ENGLISH, GERMAN, RUST, MUTE])
@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_three_tries_in_any_language(sudo: Sudo, words: tuple[str, str], wrong: int) -> None:
    """The right one counts, also at the third try, whatever sudo speaks."""
    sudo(words)
    somebody = Somebody(*["wrong"] * wrong, "hush", "too many")
    link = _plan(somebody)
    assert link.data["_sudo_password"] == "hush"
    assert somebody.lines == ["too many"]
    assert all("password of" in prompt and "@local" in prompt for prompt in somebody.prompts)


@pytest.mark.parametrize("words", [ENGLISH, GERMAN, RUST, MUTE])
def test_three_wrong_ones_end_the_run(sudo: Sudo, words: tuple[str, str]) -> None:
    """One sentence, which does not name what the person has never seen; no fourth question."""
    sudo(words)
    somebody = Somebody("a", "b", "c", "hush")
    with pytest.raises(HostError, match=r"sudo refuses the password of .*3 times") as error:
        _plan(somebody)
    assert somebody.lines == ["hush"]
    assert "_sudo_password" not in str(error.value)


@pytest.mark.parametrize("words", [ENGLISH, GERMAN, RUST, MUTE])
def test_without_a_person_it_is_one_sentence(sudo: Sudo, words: tuple[str, str]) -> None:
    """It says how to give the password; one of the inventory's that is wrong is not asked for."""
    sudo(words)
    with pytest.raises(PasswordWanted, match=r"sudo needs a password.*set _sudo_password"):
        _plan(Somebody())
    somebody = Somebody("hush")
    with pytest.raises(PasswordWanted, match=r"sudo refuses the password.*check _sudo_password"):
        _plan(somebody, _sudo_password="wrong")
    assert somebody.lines == ["hush"]


def test_nobody_is_asked_without_need(sudo: Sudo) -> None:
    """Not where sudo wants none, not with the inventory's password; and it costs no command."""
    log = sudo(free=True)
    somebody = Somebody("hush")
    _plan(somebody)
    first = len(log.read_text().splitlines())
    log.unlink()
    sudo()
    _plan(somebody, _sudo_password="hush")
    assert somebody.prompts == []
    assert len(log.read_text().splitlines()) == first == 2, "one for sudo, one for the fact"


def test_a_fresh_timestamp_does_not_count(sudo: Sudo) -> None:
    """No command counts it, and none ends it: -k never stands alone. The password is in no line."""
    log = sudo()
    _plan(Somebody("hush"))
    calls = log.read_text().splitlines()
    assert calls
    assert {call.split()[1] for call in calls} <= {"-k", "-S"}, calls
    assert all("-k" in call.split() for call in calls), calls


def test_the_next_host_may_have_the_same() -> None:
    """Enter takes the password that the host before has accepted; it is sent only so."""
    somebody = Somebody("hush", "", "", "other")
    passwords = Passwords(somebody)
    wanted = PasswordWanted("sudo-refused", "sudo needs a password")
    assert passwords.ask("ada", "gpu01", wanted, "hush".__eq__) == "hush"
    assert passwords.ask("ada", "gpu02", wanted, "hush".__eq__) == "hush"
    assert passwords.ask("ada", "gpu03", wanted, "other".__eq__) == "other"
    told = ["(Enter: the one of" in prompt for prompt in somebody.prompts]
    assert told == [False, True, True, False], somebody.prompts
    assert "gpu02" in somebody.prompts[2]


def test_what_is_typed_is_redacted_at_once() -> None:
    """By each log that is open already."""
    redacted = Redaction([])
    wanted = PasswordWanted("sudo-refused", "sudo needs a password")
    Passwords(Somebody("wo'rd-of-ada")).ask("ada", "gpu01", wanted, lambda word: True)
    assert redacted("""x wo'rd-of-ada 'wo'"'"'rd-of-ada'""") == "x ***** '*****'"


@pytest.mark.parametrize(
    ("code", "said", "given", "what"),
    [
        (1, "sudo: a password is required", False, "sudo needs a password"),
        (1, "Sorry, try again.\nsudo: no password was provided", True, "sudo refuses the password"),
        (1, "sudo: 1 incorrect password attempt", True, "sudo refuses the password"),
        (1, "ann is not in the sudoers file.", True, "this user may not use sudo"),
        (1, "Sorry, user ann may not run sudo on gpu01.", True, "this user may not use sudo"),
        (1, "sudo-rs: I'm sorry ann. I'm afraid I can't do that", False,
         "this user may not use sudo"),
        (1, "sudo: sorry, you must have a tty to run sudo", False,
         "sudo there works on a terminal only (requiretty)"),
        (127, "sh: 1: sudo: not found", False, "gpurig needs root, and the host has no sudo"),
        (127, "env: «sudo»: No existe el archivo", False,
         "gpurig needs root, and the host has no sudo"),
        (1, "sudo: no valid sudoers sources found, quitting", False,
         "sudo needs a password (sudo: no valid sudoers sources found, quitting)"),
        (1, "", True, "sudo refuses the password"),
    ],
)  # fmt: skip
def test_what_sudo_says_becomes_a_sentence(code: int, said: str, given: bool, what: str) -> None:
    """As sudo 1.9.16 and sudo-rs 0.2.5 print it; what they do not say follows from the status."""
    error = not_started("h", code, said.splitlines(), given)
    assert error is not None
    assert error.what == what


def test_another_status_is_none_of_sudo_s() -> None:
    """A shell that ends with it has been started."""
    assert not_started("h", 255, ["Connection reset"], given=True) is None


def test_a_password_of_any_bytes_goes_to_standard_input() -> None:
    """As the terminal gave it, not in the line."""
    line, data = with_sudo("true", None, "p\udce4ss", b"")
    assert data == b"p\xe4ss\n"
    assert "p" + chr(0xDCE4) not in line


TYPES = """
from gpurig.hosts import greenlets
greenlets.patch()
from gpurig.hosts.passwords import typed
try:
    print("it is", ascii(typed("word: ")))
except KeyboardInterrupt:
    print("it is over")
"""


@pytest.mark.parametrize(
    ("keys", "seen"),
    [
        (b"hush hush\n", "it is 'hush hush'"),
        (b"\n", "it is ''"),
        (b"\x04", "it is None"),
        (b"wrong\x15hush\n", "it is 'hush'"),
        ("pässwörd\n".encode(), "it is 'p\\xe4ssw\\xf6rd'"),
    ],
)
def test_a_line_is_typed_unseen(keys: bytes, seen: str) -> None:
    """What is typed is not shown; the terminal's own keys work; then it shows again."""
    told, echo = _on_terminal(TYPES, keys)
    assert told.splitlines()[0] == "word: "
    assert seen in told
    assert echo


def test_ctrl_c_gives_the_terminal_back() -> None:
    """The process ends, and what is typed then is shown."""
    told, echo = _on_terminal(TYPES, b"hal\x03")
    assert "it is over" in told
    assert "hal" not in told
    assert echo


def _on_terminal(program: str, keys: bytes) -> tuple[str, bool]:
    """What a program prints on a terminal of its own, and whether that shows keys at its end."""
    import termios

    process, terminal = pty.fork()
    if not process:
        os.execv(sys.executable, [sys.executable, "-c", program])
    told, until = b"", time.monotonic() + 30
    try:
        while select.select([terminal], [], [], until - time.monotonic())[0]:
            try:
                told += os.read(terminal, 4096)
            except OSError:
                break
            if keys and b"word: " in told:
                os.write(terminal, keys)
                keys = b""
            echo = bool(termios.tcgetattr(terminal)[3] & termios.ECHO)
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        os.close(terminal)
    return told.decode().replace("\r\n", "\n"), echo
