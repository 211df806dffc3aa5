"""`up --restart-docker`: from the command line to the host's data, which the deploy reads."""

from __future__ import annotations

from typing import Any, cast

import pytest

from gpurig.cli.verbs import Asked
from gpurig.contract.values import Unknown
from gpurig.deploy.docker import RESTART
from gpurig.engine.result import HostResult
from gpurig.engine.run import Options, _HostRun
from gpurig.facts.docker.daemon_json import DaemonConfig, DaemonFile
from gpurig.hosts.inventory import HostSpec
from gpurig.operations.docker import engine as docker


@pytest.mark.parametrize("given", [True, False])
def test_the_flag_reaches_the_host_s_data(given: bool) -> None:
    """The word of the command line is data of every host in that run, and of no other."""
    options = {"wishes": (), "target": "h", "limit": None, "as_json": True, "debug": False}
    asked = Asked.of("up", {**options, "restart_docker": given})
    spec = HostSpec.of("h", "ssh", "h", {})
    nobody = cast("Any", None)

    run = _HostRun(
        spec,
        HostResult("h"),
        Options("up", restart_docker=asked.restart_docker),
        nobody,
        nobody,
        nobody,
    )

    assert (run.link.data.get(RESTART, False), RESTART in spec.data) == (given, False)


BOTH = {
    "runtimes are added up": ({"runtimes": {}}, ["runtimes"], ""),
    "hosts": ({"hosts": ["fd://"]}, ["hosts"], "hosts stands in"),
    "a proxy, one deeper": ({"proxies": {"http-proxy": "x"}}, ["http-proxy"], "http-proxy stands"),
    "only wished for": ({}, ["log-opts"], "log-opts is asked for and stands as a flag in /unit"),
}


@pytest.mark.parametrize(("config", "flags", "said"), BOTH.values(), ids=BOTH)
def test_a_key_that_is_also_a_flag_is_found_as_dockerd_finds_it(
    monkeypatch: pytest.MonkeyPatch, config: dict[str, Any], flags: list[str], said: str
) -> None:
    """In both places dockerd refuses it, but for runtimes (moby, findConfigurationConflicts)."""
    file = DaemonFile(path="/d", config=config, indent="  ", changed=0.0)

    def read(fact: type, **_: Any) -> Any:
        return file if fact is DaemonConfig else dict.fromkeys(flags, "/unit")

    monkeypatch.setattr(docker, "read", read)

    found = docker.usable("/d", {"log-opts": {}})

    assert found == file if not said else isinstance(found, Unknown) and said in found.reason
