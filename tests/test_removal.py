"""What `gpurig remove` knows to be gpurig's, and what it refuses before any host is asked."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from gpurig.cli import main
from gpurig.errors import InputError
from gpurig.facts.docker.daemon_json import DaemonFile
from gpurig.facts.removal.made import Made, MadeRecord
from gpurig.facts.removal.packages import LAYERS as PACKAGES
from gpurig.operations.removal.docker import standing, without
from gpurig.operations.shared.daemon_json import merged
from gpurig.operations.shared.made import noted, notes
from gpurig.settings.options import LAYERS

OURS = {"runtimes": {"nvidia": {"path": "nvidia-container-runtime", "args": []}},
        "features": {"cdi": True}, "log-driver": "local"}  # fmt: skip
THEIRS = {
    "nothing": {},
    "another key": {"debug": True},
    "beside ours": {"features": {"buildkit": True}, "runtimes": {"mine": {"path": "/bin/mine"}}},
    "one of ours": {"log-driver": "journald"},
    "all of ours": OURS,
}


def _made(config: dict[str, object]) -> Made:
    """The record after gpurig wrote its keys into a daemon.json that had this."""
    file = DaemonFile(
        path="/etc/docker/daemon.json", config=config, indent="  ", changed=1.0, lossy=""
    )
    lines = [json.dumps(entry) for entry in notes(file, merged(config, OURS))]
    found = MadeRecord().parse(lines, 0)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("config", THEIRS.values(), ids=THEIRS)
def test_what_was_there_before_is_there_after(config: dict[str, object]) -> None:
    """But for a value that gpurig replaced, which nobody knows any more and which stays."""
    after = merged(config, OURS)
    ours, _ = standing(_made(config), after)
    expected = config if config != {"log-driver": "journald"} else {"log-driver": "local"}
    assert without(after, ours) == expected


def test_a_key_that_the_user_changed_since_is_the_users() -> None:
    """It stays, and it is named."""
    changed = OURS | {"log-driver": "journald"}
    ours, doubt = standing(_made({}), changed)
    assert ["log-driver"] not in [list(key) for key in ours]
    assert [list(key) for key in doubt] == [["log-driver"]]
    assert without(changed, ours) == {"log-driver": "journald"}


def test_without_a_record_nothing_is_known_to_be_ours() -> None:
    """What gpurig of before wrote for GPUs is named, and stays."""
    ours, doubt = standing(Made(group_docker=[], daemon_keys=[], daemon_file=False, roots=[]), OURS)
    assert ours == []
    assert [".".join(key) for key in doubt] == ["runtimes.nvidia", "features.cdi"]


def test_a_note_is_one_line_whatever_stands_in_it() -> None:
    """A key of a user's may have quotes; the host's shell sees one word."""
    assert noted({"key": ["it's", 'a "b"\n']}).count("\n") == 0


@pytest.mark.parametrize("words", ["dcoker", "docker,", "", "environments", "docker;driver"])
def test_a_layer_that_has_no_packages_is_refused(words: str) -> None:
    """In one sentence, before any host is asked."""
    with pytest.raises(InputError, match=r"--packages: .* is no layer of packages; use driver, "):
        CliRunner().invoke(
            main.gpurig, ["remove", "gpu01", "--packages", words], catch_exceptions=False
        )


def test_each_layer_has_its_packages() -> None:
    """Those of the command line are those that the fact knows."""
    assert tuple(PACKAGES) == LAYERS
