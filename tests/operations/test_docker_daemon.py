"""What is written into daemon.json, and what the daemon is known to have taken of it."""

from __future__ import annotations

from typing import Any

import pytest

from gpurig.contract.values import Unknown
from gpurig.facts.docker.daemon_json import DaemonConfig, DaemonFile, Read
from gpurig.facts.docker.engine import Daemon
from gpurig.operations.docker import engine
from gpurig.operations.shared.daemon_json import (
    NVIDIA_RUNTIME,
    Change,
    differences,
    merged,
    stopped,
    unconfirmed,
    untaken,
    untold,
    wanted,
)

NVIDIA = wanted({}, nvidia=True, cdi=True)


def _daemon(**said: Any) -> Daemon:
    fresh = Daemon(
        version="26.1.5+dfsg1",
        runtimes={"runc": "runc", "io.containerd.runc.v2": "runc"},
        default_runtime="runc",
        cdi_spec_dirs=[],
        live_restore=False,
        log_driver="json-file",
        data_root="/var/lib/docker",
        storage_driver="overlay2",
        debug=False,
        labels=[],
        registry_mirrors=[],
        containers_running=0,
    )
    return Daemon(**{**fresh, **said})  # type: ignore[typeddict-item]


def test_without_a_gpu_and_wishes_nothing_is_wanted() -> None:
    """A host that needs no key gets no daemon.json."""
    assert wanted({}, nvidia=False, cdi=False) == {}


def test_foreign_keys_and_their_order_stay() -> None:
    """Merging appends; it never reorders and never drops."""
    theirs = {"labels": ["a=1"], "runtimes": {"mine": {"path": "/x"}}, "features": {"b": True}}

    result = merged(theirs, NVIDIA)

    assert list(result) == ["labels", "runtimes", "features"]
    assert list(result["runtimes"]) == ["mine", "nvidia"]
    assert result["features"] == {"b": True, "cdi": True}


def test_merging_twice_changes_nothing() -> None:
    """What was merged differs in nothing."""
    assert differences(merged({"mtu": 1400}, NVIDIA), NVIDIA) == []


def test_the_users_own_wish_outranks_ours() -> None:
    """A key in rig_docker_daemon replaces the one that comes with the toolkit."""
    keys = wanted({"features": {"cdi": False}}, nvidia=True, cdi=True)

    assert keys["features"] == {"cdi": False}


@pytest.mark.parametrize(
    "entry",
    [
        {"path": "nvidia-container-runtime"},
        {"path": "/usr/bin/nvidia-container-runtime", "runtimeArgs": ["--debug"]},
    ],
)
def test_another_spelling_of_the_runtime_holds(entry: dict[str, Any]) -> None:
    """The same executable by another name, or with the user's own arguments, is no drift."""
    assert differences({"runtimes": {"nvidia": entry}}, {"runtimes": NVIDIA["runtimes"]}) == []


def test_a_difference_is_named_by_its_path() -> None:
    """The sentence names the key itself, not the object it is in."""
    config = {"runtimes": {"nvidia": {**NVIDIA_RUNTIME, "path": "/opt/old"}}}

    ((key, actual, _),) = differences(config, {"runtimes": NVIDIA["runtimes"]})

    assert key == "runtimes.nvidia.path"
    assert actual == 'runtimes.nvidia.path is "/opt/old"'


TAKEN = {
    "defaults": ({}, _daemon()),
    "a runtime": (
        {"runtimes": {"nvidia": dict(NVIDIA_RUNTIME)}},
        _daemon(runtimes={"runc": "runc", "nvidia": "nvidia-container-runtime"}),
    ),
    "a shim without a path": (
        {"runtimes": {"kata": {"runtimeType": "io.containerd.kata.v2"}}},
        _daemon(runtimes={"runc": "runc", "kata": ""}),
    ),
    "CDI": ({"features": {"cdi": True}}, _daemon(cdi_spec_dirs=["/etc/cdi"])),
    "CDI, which Docker 20 does not know": (
        {"features": {"cdi": True}},
        _daemon(version="20.10.24+dfsg1"),
    ),
    "a mirror, with dockerd's slash": (
        {"registry-mirrors": ["https://mirror.example"]},
        _daemon(registry_mirrors=["https://mirror.example/"]),
    ),
}


@pytest.mark.parametrize(("config", "daemon"), TAKEN.values(), ids=TAKEN)
def test_what_the_daemon_tells_is_taken(config: dict[str, Any], daemon: Daemon) -> None:
    """A daemon that tells the value of the file has taken it."""
    assert untaken(config, daemon, []) == {}


UNTAKEN = {
    "runtimes": ({"runtimes": {"nvidia": dict(NVIDIA_RUNTIME)}}, _daemon()),
    "a runtime that was removed": ({}, _daemon(runtimes={"runc": "runc", "old": "/opt/old"})),
    "features": ({"features": {"cdi": True}}, _daemon()),
    "log-driver": ({"log-driver": "local"}, _daemon()),
    "live-restore": ({"live-restore": True}, _daemon()),
    "default-runtime": ({}, _daemon(default_runtime="nvidia")),
}


@pytest.mark.parametrize(("config", "daemon"), UNTAKEN.values(), ids=UNTAKEN)
def test_what_the_daemon_tells_otherwise_is_not_taken(
    config: dict[str, Any], daemon: Daemon
) -> None:
    """A daemon that tells another value has not taken the file's, and removed keys count."""
    assert len(untaken(config, daemon, [])) == 1


def test_runtimes_of_the_command_line_are_added_to_those_of_the_file() -> None:
    """dockerd takes runtimes from both places; one of the file's that is missing counts."""
    config = {"runtimes": {"nvidia": dict(NVIDIA_RUNTIME)}}
    both = {"nvidia": "nvidia-container-runtime", "mine": "/usr/bin/crun"}

    assert untaken(config, _daemon(runtimes=both), ["runtimes"]) == {}
    assert untaken(config, _daemon(runtimes=both), []) == {"runtimes": "mine, nvidia"}
    assert untaken(config, _daemon(), ["runtimes"]) == {"runtimes": "none"}


def test_no_password_of_a_url_is_told() -> None:
    """A sentence about a mirror or a proxy leaves out who logs in there."""
    config = {"registry-mirrors": ["https://ada:word@mirror.example"]}

    ((_, actual, _),) = differences(config, {"registry-mirrors": ["https://other.example"]})

    assert actual == 'registry-mirrors is ["https://mirror.example"]'


STOPPED = {
    "one": ({"mine": "no"}, "1 running container: mine"),
    "one that comes back": (
        {"db": "always"},
        "1 running container: db (start again, restart=always)",
    ),
    "both": (
        {"db": "unless-stopped", "mine": "no", "web": "on-failure"},
        "3 running containers: mine, web; db (start again, restart=unless-stopped)",
    ),
    "many": (
        dict.fromkeys("abcdefg", "no"),
        "7 running containers: a, b, c, d, e and 2 more",
    ),
}


@pytest.mark.parametrize(("policies", "said"), STOPPED.values(), ids=STOPPED)
def test_what_a_restart_stops_is_named(policies: dict[str, str], said: str) -> None:
    """Each running container by name, and those that Docker starts again as such."""
    assert stopped(policies) == said


def test_a_flag_of_the_unit_is_not_missed_in_the_file() -> None:
    """What the command line says need not be in daemon.json."""
    assert untaken({}, _daemon(log_driver="journald"), ["log-driver"]) == {}


def test_a_file_older_than_the_daemon_is_what_it_read() -> None:
    """Without a record the clocks decide, in the safe direction only."""
    config = {"log-opts": {"max-size": "5m"}}

    assert unconfirmed(config, 100.0, Read(started=101.0, file="", confirmed=None)) == set()
    assert unconfirmed(config, 101.0, Read(started=101.0, file="", confirmed=None)) == {"log-opts"}


def test_a_record_outranks_the_clocks() -> None:
    """What this daemon was seen to take counts, values that changed or went away do not."""
    known = untold({"log-opts": {"max-size": "5m"}, "mtu": 1400})
    read = Read(started=1.0, file="", confirmed=known)

    assert unconfirmed({"log-opts": {"max-size": "5m"}, "mtu": 1400}, 2.0, read) == set()
    assert unconfirmed({"log-opts": {"max-size": "9m"}}, 2.0, read) == {"log-opts", "mtu"}


def test_what_is_recorded_is_no_value() -> None:
    """The record holds hashes only: a daemon.json may hold a password."""
    assert "secret" not in str(untold({"proxies": {"http-proxy": "http://me:secret@proxy"}}))


BOTH = {
    "runtimes are added up": ({"runtimes": {}}, ["runtimes"], ""),
    "hosts": ({"hosts": ["fd://"]}, ["hosts"], "hosts is in"),
    "a proxy, one deeper": ({"proxies": {"http-proxy": "x"}}, ["http-proxy"], "http-proxy is in"),
    "only wished for": (
        {},
        ["log-opts"],
        "rig_docker_daemon sets log-opts, which is also a flag in /unit",
    ),
}


@pytest.mark.parametrize(("config", "flags", "said"), BOTH.values(), ids=BOTH)
def test_a_key_that_is_also_a_flag_is_found_as_dockerd_finds_it(
    monkeypatch: pytest.MonkeyPatch, config: dict[str, Any], flags: list[str], said: str
) -> None:
    """In both places dockerd refuses it, but for runtimes (moby, findConfigurationConflicts)."""
    file = DaemonFile(path="/d", config=config, indent="  ", changed=0.0, lossy="")

    def read(fact: type, **_: Any) -> Any:
        return file if fact is DaemonConfig else dict.fromkeys(flags, "/unit")

    monkeypatch.setattr(engine, "read", read)

    found = engine.usable("/d", {"log-opts": {}})

    assert found == file if not said else isinstance(found, Unknown) and said in found.reason


def _change(config: dict[str, Any], containers: int = 0, **said: Any) -> Change:
    file = DaemonFile(
        path="/etc/docker/daemon.json", config=config, indent="  ", changed=2.0, lossy=""
    )
    known = Read(started=1.0, file="", confirmed=said.pop("confirmed", {}))
    return Change(file, _daemon(containers_running=containers, **said), {}, known)


ALIVE = {"live-restore": True}


@pytest.mark.parametrize(
    ("change", "asked", "stops", "reloads"),
    [
        (_change({}), set(), False, True),
        (_change({"debug": True}), {"debug"}, False, True),
        (_change({"debug": True}, containers=2), {"debug"}, False, True),
        (_change({"data-root": "/x"}), {"data-root"}, False, False),
        (_change({"data-root": "/x"}, containers=2), {"data-root"}, True, True),
        (_change({"data-root": "/x", "debug": True}, containers=2), {"data-root", "debug"},
         False, True),
        (_change(ALIVE | {"log-opts": {"a": "b"}}, containers=2, live_restore=True),
         {"log-opts"}, False, False),
        (_change(ALIVE | {"data-root": "/x"}, containers=2, live_restore=True), {"data-root"},
         True, True),
    ],
)  # fmt: skip
def test_what_a_running_daemon_needs_follows_from_keys_and_containers(
    change: Change, asked: set[str], stops: bool, reloads: bool
) -> None:
    """A reload where dockerd takes the key; a restart where no container stops by it."""
    assert change.asked == asked
    assert change.stops_containers(restart=False) is stops
    assert change.by_reload(restart=False) is reloads


def test_a_restart_that_is_asked_for_stops_what_live_restore_does_not_keep() -> None:
    """With live-restore alone, and keys that containers outlive, they go on running."""
    kept = _change(ALIVE | {"log-driver": "local"}, containers=2, live_restore=True)
    lost = _change({"debug": True, "data-root": "/x"}, containers=2)

    assert (kept.kept_alive, kept.stops_containers(restart=True)) == (True, False)
    assert (lost.kept_alive, lost.stops_containers(restart=True)) == (False, True)
    assert not lost.by_reload(restart=True)


def test_after_a_reload_only_what_was_taken_is_confirmed() -> None:
    """A key that waits for a restart keeps the hash that it had, or none."""
    change = _change({"data-root": "/new", "insecure-registries": ["r"]}, containers=1)
    before = _change({"data-root": "/new"}, confirmed={"data-root": "old"})

    assert change.confirmed_by_reload == untold({"insecure-registries": ["r"]})
    assert before.confirmed_by_reload == {"data-root": "old"}
