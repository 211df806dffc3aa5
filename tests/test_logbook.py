"""The log of a run: private, and without a secret whoever logs it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from pyinfra import logger

from gpurig import logbook
from gpurig.inventory import HostSpec


def test_no_secret_reaches_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords and proxies of the inventory are replaced in every line."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    data = {"_sudo_password": "hush", "ssh_password": "tell nobody", "rig_users": ["ann"]}
    data |= {"rig_proxy": "http://ann:pw@proxy.example.org:3128"}
    spec = HostSpec.of("h", "ssh", "h", data)
    handlers = list(logger.handlers)
    try:
        folder = logbook.open_run(debug=False, secrets=logbook.secrets_of([spec]))
        logger.debug("with %r", data)
        text = (folder / "log").read_text()
    finally:
        for handler in logger.handlers:
            handler.close()
        logger.handlers[:] = handlers
    assert "rig_users" in text
    for secret in ("hush", "tell nobody", "ann:pw"):
        assert secret not in text
    assert stat.S_IMODE((folder / "log").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (folder.parent / "latest").resolve() == folder
