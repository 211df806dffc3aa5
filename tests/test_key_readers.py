"""Whatever key file is accepted: gpg, gpgv, sqv and rpm find the pinned key in it and no other."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import key_files
from key_readers import READ, judged, put_signatures
from lab.hosts import Host

NUMBER = int(os.environ.get("GPURIG_KEY_FILES", "200"))


def test_no_reader_of_this_machine_finds_another_key(tmp_path: Path) -> None:
    """200 files that nobody should write; what is handed over whole is found by each reader."""
    assert key_files.write(tmp_path, NUMBER) > NUMBER // 10
    put_signatures(tmp_path)
    done = subprocess.run(
        ["sh", "-c", READ], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    wrong, outcomes = judged(done.stdout)
    assert not wrong
    for reader in ("gpg", "gpgv"):
        assert outcomes[f"{reader} the key"] or not shutil.which(reader)


def test_the_attacker_s_own_key_is_found() -> None:
    """The comparison notices another key: as gpg lists it, as rpm does, by a signature."""
    name = "whole-1.gpg"
    assert judged(f"{name} gpg {key_files.OTHER}")[0]
    assert judged(f"{name} gpg {key_files.PINNED} {key_files.OTHER}")[0]
    assert judged(f"{name} sqv genuine attacker")[0]
    assert judged(f"{name} rpm e2d3b7bf 645a8f2d")[0]
    assert judged(f"{name} sqv")[0], "the pinned key has to be found"
    assert not judged(f"{name} rpm e2d3b7bf")[0]


@pytest.mark.lab
@pytest.mark.parametrize(
    ("suite", "readers"),
    [("trixie", ("gpg", "sqv", "rpm")), ("bookworm", ("gpg", "gpgv", "rpm"))],
)
def test_no_reader_of_apt_s_or_rpm_s_finds_another_key(
    suite: str, readers: tuple[str, ...], boot: Callable[..., Host], tmp_path: Path
) -> None:
    """sqv and rpm on Sequoia of Debian 13, gpgv and rpm's own reader of Debian 12."""
    host = boot(suite, f"readers-{suite}")
    host.run("apt-get -qq update && apt-get -qq -y install --no-install-recommends rpm gpg")
    key_files.write(tmp_path, NUMBER)
    put_signatures(tmp_path)
    shutil.copytree(tmp_path, host.root / "srv/keys")
    wrong, outcomes = judged(host.run(f"cd /srv/keys\n{READ}").stdout)
    assert not wrong
    assert all(outcomes[f"{reader} the key"] for reader in readers), outcomes
