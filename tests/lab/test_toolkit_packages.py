"""The stand-in's packages and units do what NVIDIA's did when they were recorded."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import bases
from .commands import run
from .hosts import Host
from .lab import Lab
from .plugin import Boot
from .recordings import CONFIG, recorded
from .scratch import LIBRARIES, Scratch
from .standins.toolkit import packages as toolkit

pytestmark = pytest.mark.lab

NAMES = f"{toolkit.UPPER} {toolkit.BASE} {toolkit.TOOLS} {toolkit.LIBRARY}"
LISTED = (
    f"for p in {NAMES}; do echo == $p; dpkg -L $p | while read -r f;"
    " do [ -d $f ] || stat -c '%a %U %G %n' $f; done; done"
)
RELATIONS = ("Depends", "Pre-Depends", "Recommends", "Breaks", "Conflicts", "Replaces", "Provides")
SCRIPTS = "ls /var/lib/dpkg/info | grep nvidia-container | grep -vE '[.](list|md5sums)$'"


def _shown(root: Scratch, debs: list[Path], command: str) -> str:
    """What a command says after dpkg has got the packages."""
    given: dict[str, str | bytes] = {deb.name: deb.read_bytes() for deb in debs}
    ran = root.run(f"dpkg -i /out/*_1.19*.deb > /dev/null && {command}", given=given)
    assert ran.exit == 0, ran.stderr
    return ran.stdout


def test_packages_are_what_was_recorded(lab: Lab, tmp_path: Path) -> None:
    """Relations, files and modes, conffiles, scripts; config.toml over an upgrade and a purge."""
    facts = recorded("packages.json")
    (empty := tmp_path / "empty").mkdir()
    root = Scratch(bases.base(lab.disk, "trixie"), empty)
    debs = toolkit.build(tmp_path, ["1.19.1", "1.20.0"])

    for deb in (deb for deb in debs if "_1.19" in deb.name):
        said = run("dpkg-deb", "--field", deb, "Package", *RELATIONS)
        fields = dict(line.split(": ", 1) for line in said.splitlines())
        assert facts["relations"][fields.pop("Package")] == fields
    files = "".join(
        f"== {name}\n" + "".join(f"{file}\n" for file in listed)
        for name, listed in facts["files"].items()
    )
    assert _shown(root, debs, LISTED) == files
    conffiles = _shown(root, debs, f"dpkg-query -W -f '${{Conffiles}}' {NAMES}").split()[::2]
    assert conffiles == [file for listed in facts["conffiles"].values() for file in listed]
    assert _shown(root, debs, SCRIPTS).split() == facts["scripts"]
    moved = f"{facts['upgrade']['setup']}; dpkg -i /out/*_1.20*.deb > /dev/null; cat {CONFIG}"
    config = recorded("config.toml").replace('mode = "auto"', 'mode = "cdi"')
    assert _shown(root, debs, moved) == config, "values stay, the user's comments go"
    gone = f"dpkg --{{}} {NAMES} > /dev/null; ls -d {{}} 2> /dev/null || :"
    for verb in ("removed", "purged"):
        kept, lost = facts[verb]["kept"], facts[verb].get("gone", [])
        said = _shown(root, debs, gone.format(verb[:-1], " ".join(kept + lost)))
        assert said.split() == sorted(kept), verb


@pytest.fixture(scope="module")
def host(lab: Lab, boot: Boot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A Debian 13 with the packages, NVML and a program in place of nvidia-smi."""
    host = boot("trixie", "toolkit-units", gpu="h100", gpus=2)
    current = f"/{LIBRARIES}/nvidia/current"
    host.run(
        f"ln -s {current}/libnvidia-ml.so.* /{LIBRARIES}/libnvidia-ml.so.1;"
        " printf '#!/bin/sh\\n' > /usr/bin/nvidia-smi; chmod 755 /usr/bin/nvidia-smi"
    )
    folder = tmp_path_factory.mktemp("debs")
    for deb in toolkit.build(folder, toolkit.VERSIONS[-1:]):
        (host.root / "root" / deb.name).write_bytes(deb.read_bytes())
    host.run("dpkg -i /root/*.deb")
    yield host
    lab.remove(host.name)


# What is put back may start the service once more.
SETTLED = "while systemctl is-active nvidia-cdi-refresh.service | grep -q ing; do sleep 0.1; done"
STATE = (
    'for u in nvidia-cdi-refresh.service nvidia-cdi-refresh.path; do echo "$u $(systemctl show -p'
    " LoadState,ActiveState,SubState,Result,UnitFileState,ConditionResult,NRestarts $u"
    " | tr '\\n' ' ')\"; done; ls /etc/cdi/* /run/cdi/* 2>/dev/null || :"
)


def _state(host: Host) -> list[str]:
    return [line.rstrip() for line in host.run(STATE).stdout.splitlines()]


def test_the_units_do_what_was_recorded(host: Host) -> None:
    """After each event both units and the specs are as recorded: conditions, limits, a mask."""
    host.run("mkdir -p /lib/modules/$(uname -r)")
    for event in recorded("units.json"):
        host.run(event.get("setup", ":"), check=False)
        said = host.run(event["event"], check=False)
        for line in event.get("said", []):
            assert line == "exit 1" if said.rc else line in said.stdout, event["id"]
        time.sleep(0.7)  # for what must not happen
        deadline = time.monotonic() + 20
        while (found := _state(host)) != event["state"]:
            assert time.monotonic() < deadline, (event["id"], found, event["state"])
            time.sleep(0.2)
        if "after" in event:
            host.run(f"{event['after']}; sleep 0.7; {SETTLED}")
