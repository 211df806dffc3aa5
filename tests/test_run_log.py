"""The log of a run: private, and without a secret whoever logs it."""

from __future__ import annotations

import json
import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyinfra import logger
from pyinfra.api import Config, Inventory, State, StringCommand

from gpurig import store
from gpurig.engine import prefetch
from gpurig.errors import GpurigError
from gpurig.hosts.connector import GpurigConnector, reading_fact
from gpurig.report import run_log, run_report
from gpurig.settings import redaction
from gpurig.settings.options import Options

DATA = {
    "_sudo_password": "hush",
    "ssh_password": 'it\'s \\ "told" \t nobody',
    "ssh_key_password": "ключ",
    "rig_proxy": "http://ann:pw@proxy.example.org:3128",
    "rig_users": ["ann"],
}
SECRETS = [value for key, value in DATA.items() if key != "rig_users"]


@pytest.fixture(autouse=True)
def _loggers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A state folder of the test's own; pyinfra's logger is as it was afterwards."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    before = list(logger.handlers), logger.level, logger.propagate
    yield
    for handler in set(logger.handlers) - set(before[0]):
        handler.close()
    logger.handlers[:], logger.level, logger.propagate = before


@pytest.mark.parametrize("debug", [False, True])
def test_no_secret_reaches_a_line(debug: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Passwords and proxies are replaced in whichever form values are logged, tracebacks too."""
    secrets = redaction.secrets_of([DATA])
    folder = run_log.open_run(Options(debug=debug), secrets=secrets)
    logger.debug("as Python %r", DATA)
    logger.info("as JSON %s", json.dumps(DATA))
    for secret in SECRETS:
        logger.warning("plain %s, for a shell %s", secret, shlex.quote(str(secret)))
    try:
        raise ValueError(DATA["ssh_password"])
    except ValueError:
        logger.exception("it broke")
    told = (folder / "log").read_text() + capsys.readouterr().err
    assert told.count("rig_users") == (4 if debug else 2)
    assert "Traceback" in told
    for part in (
        "hush",
        "told",
        "nobody",
        "ключ",
        json.dumps("ключ")[1:-1],
        "pw@",
        "proxy.example",
    ):
        assert part not in told


def test_more_is_the_commands_that_change_hosts(capsys: pytest.CaptureFixture[str]) -> None:
    """As the log has them, without secrets; what reads facts is in the log alone."""
    folder = run_log.open_run(Options(verbose=True), redaction.secrets_of([DATA]))
    target = "@gpurig/@local"
    state = State(Inventory(([target], {})), Config())
    connector = GpurigConnector(state, state.inventory.get_host("@local"))
    connector.connect()
    connector.run_shell_command(StringCommand("echo hush"))
    connector.run_shell_command(StringCommand("echo oops; false"))
    token = reading_fact.set(True)
    connector.run_shell_command(StringCommand("echo read"))
    reading_fact.reset(token)
    log, told = (folder / "log").read_text(), capsys.readouterr().err
    assert "echo read" in log
    first, second, third = told.splitlines()
    assert first == "@local: echo *****"
    assert second == "@local: echo oops; false"
    assert third.startswith("@local: exit 1: ")
    assert all(line in log for line in (first, second, third))


@given(st.text(min_size=1))
def test_any_secret_is_hidden_in_every_form(secret: str) -> None:
    """Quotes, backslashes and other scripts change how a value is written, not that it goes."""
    formatter = run_log._Redacted("%(message)s", [secret])
    for form in (repr(secret), json.dumps(secret), shlex.quote(secret), secret):
        record = logger.makeRecord("", 10, "", 0, "%s", (form,), None)
        assert set(formatter.format(record)) <= set("*'\"")


def test_the_folder_is_its_user_s_only() -> None:
    """0700 and 0600 under any umask; `latest` is the newest run."""
    first = run_log.open_run(Options())
    logger.handlers[0].close()
    second = run_log.open_run(Options())
    for folder in (first, second):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "log").stat().st_mode) == 0o600
    assert (second.parent / "latest").resolve() == second


def test_a_state_folder_that_cannot_be_written_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it would be, why not, and which variable moves it."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(GpurigError, match="set XDG_STATE_HOME") as error:
        run_log.open_run(Options())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o027, 0o077, 0o177])
def test_modes_do_not_depend_on_the_umask(
    umask: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logs, reports and caches hold details of hosts: they are the user's alone, from $HOME on."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(variable, raising=False)
    before = os.umask(umask)
    try:
        folder = run_log.open_run(Options())
        logger.info("a line")
        run_report.write(folder, "plan", [], 0)
        prefetch.remember("gpu01", [("gpurig.facts.users.groups", "Users", ())])
        store.write(store.configuration() / "locks" / "x.txt", "x", mode=0o644)
    finally:
        os.umask(before)
    found = {path: path.lstat().st_mode & 0o7777 for path in tmp_path.rglob("*")}
    files = {path.name: mode for path, mode in found.items() if path.is_file()}
    files.pop("latest", None)
    assert files.pop("run.json") == 0o600
    assert files.pop("x.txt") == 0o644
    assert set(files) == {
        "log",
        "report.json",
        "report.html",
        "junit.xml",
        "gpu01.json",
    }
    assert set(files.values()) == {0o600}
    assert {m for path, m in found.items() if path.is_dir() and path.name != "latest"} == {0o700}
