"""
Parity with NVIDIA's own `nvidia-ctk runtime configure`, as recorded of 1.20.0.

Ours and the recorded daemon.json are equal as JSON, but where NVIDIA's program loses what the user
wrote: each such case is listed, with what is lost, and is tried as well.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gpurig.contract.values import Absent, Unknown
from gpurig.facts.docker.daemon_json import DaemonConfig, DaemonFile
from gpurig.operations.shared.daemon_json import merged, wanted

# Of each file its text before, and by mode the exit status and the text afterwards.
RECORDED: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data/recorded/nvidia-ctk/daemon-json.json").read_text("utf-8")
)
MODES: dict[str, dict[str, Any]] = {
    "plain": wanted({}, nvidia=True, cdi=False),
    "cdi": wanted({}, nvidia=True, cdi=True),  # --enable-cdi
    "default": wanted({"default-runtime": "nvidia"}, nvidia=True, cdi=False),  # --set-as-default
}
# What NVIDIA's program does not keep: by file, the modes in which, and the keys.
ALWAYS = tuple(MODES)
LOST: dict[str, tuple[tuple[str, ...], set[str]]] = {
    # its code asserts map[string]bool, while a parsed file gives map[string]any
    "other features": (("cdi",), {"features.buildkit", "features.containerd-snapshotter"}),
    "features with CDI": (("cdi",), {"features.containerd-snapshotter"}),
    # it replaces the entry of its runtime as a whole
    "the user's arguments": (ALWAYS, {"runtimes.nvidia.runtimeArgs"}),
    "the user's options": (ALWAYS, {"runtimes.nvidia.options.a"}),
    "the whole path": (ALWAYS, {"runtimes.nvidia.path"}),
    # every number is a float64 to it
    "a number beyond a double": (ALWAYS, {"mtu"}),
}
# Not one JSON object: both leave these alone, but for the empty file, of which ours makes one.
REFUSED = [
    "an empty file",
    "an array",
    "a trailing comma",
    "runtimes is an array",
]
# NVIDIA's program refuses these, and dockerd takes them: ours reads them as dockerd does.
TAKEN = {"null": {}, "a byte order mark": {}, "runtimes is null": {"runtimes": None}}
# NVIDIA's program rewrites these without a word and loses this; ours leaves them alone.
REWRITTEN = {
    "a second object": {"mtu": 1450},
    "a key twice": {"debug": True},
    "half a character": {"labels": ["\ud800=1"]},
}
MERGED = [name for name in RECORDED if name not in {*REFUSED, *TAKEN, *REWRITTEN}]


def _file(text: str) -> DaemonFile | Unknown:
    """The file as our fact reads it."""
    lines = ["/etc/docker/daemon.json", "1.000000", *text.split("\n"), "", "gpurig-exit:0"]
    found = DaemonConfig().process(lines)
    assert not isinstance(found, Absent)
    return found


def _read(text: str) -> dict[str, Any] | Unknown:
    """What it says."""
    read = _file(text)
    return read if isinstance(read, Unknown) else read["config"]


def _leaves(value: Any, name: str = "") -> dict[str, Any]:
    """The values that are no objects, by their keys with dots."""
    if not isinstance(value, dict) or not value:
        return {name: value}
    found: dict[str, Any] = {}
    for key, item in value.items():
        found |= _leaves(item, f"{name}.{key}" if name else key)
    return found


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", MERGED)
def test_ours_is_nvidia_s_but_for_what_that_loses(name: str, mode: str) -> None:
    """The same JSON; where NVIDIA's loses a listed key, ours keeps it and all else is equal."""
    config = _read(RECORDED[name]["before"])
    assert isinstance(config, dict)
    recorded = RECORDED[name][mode]
    ours, theirs = merged(config, MODES[mode]), json.loads(recorded["after"])

    assert recorded["exit"] == 0
    modes, keys_lost = LOST.get(name, ((), set()))
    if mode not in modes:
        assert ours == theirs
        return
    mine, its, before = _leaves(ours), _leaves(theirs), _leaves(config)
    for key in keys_lost:
        assert mine[key] == before[key], "ours keeps it"
        assert its.get(key) != before[key], "NVIDIA's loses it"
    its.pop("runtimes.nvidia.args", None)  # which NVIDIA's adds to the user's entry
    mine.pop("runtimes.nvidia.args", None)
    assert {k: v for k, v in mine.items() if k not in keys_lost} == {
        k: v for k, v in its.items() if k not in keys_lost
    }


@pytest.mark.parametrize("name", REFUSED)
def test_what_nvidia_s_refuses_ours_leaves_alone(name: str) -> None:
    """Both leave the file as it is; an empty one means no key to ours, as it does to dockerd."""
    text, recorded = RECORDED[name]["before"], RECORDED[name]["plain"]

    assert recorded["exit"] != 0
    assert recorded["after"] == text
    assert _read(text) == {} if not text else isinstance(_read(text), Unknown)


@pytest.mark.parametrize("name", TAKEN)
def test_what_dockerd_takes_ours_takes(name: str) -> None:
    """NVIDIA's program refuses it; to dockerd it says what it says to us."""
    assert RECORDED[name]["plain"]["exit"] != 0
    read = _read(RECORDED[name]["before"])
    assert isinstance(read, dict)
    assert {key: read.get(key) for key in TAKEN[name]} == TAKEN[name]


@pytest.mark.parametrize("name", REWRITTEN)
def test_what_nvidia_s_cuts_ours_refuses(name: str) -> None:
    """Where NVIDIA's keeps half of what is written, ours writes nothing and says why."""
    recorded = RECORDED[name]["plain"]

    assert recorded["exit"] == 0
    ((key, value),) = REWRITTEN[name].items()
    assert json.loads(recorded["after"]).get(key) != value
    file = _file(RECORDED[name]["before"])
    assert isinstance(file, Unknown) or file["lossy"]
