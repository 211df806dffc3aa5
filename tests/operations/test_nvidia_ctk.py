"""
Parity with NVIDIA's own `nvidia-ctk runtime configure`, as the real binary does it.

Ours and the real one's daemon.json are equal as JSON, but where the real one loses what the user
wrote: each such case is listed, with what is lost, and is tried as well.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gpurig.facts.docker_daemon import DaemonConfig
from gpurig.operations.docker_daemon import merged, wanted
from gpurig.values import Unknown
from lab.lab import Lab

pytestmark = pytest.mark.lab

VERSIONS = ("1.19.1", "1.20.0")
MODES: dict[str, tuple[list[str], dict[str, Any]]] = {
    "plain": ([], wanted({}, nvidia=True, cdi=False)),
    "cdi": (["--enable-cdi"], wanted({}, nvidia=True, cdi=True)),
    "default": (
        ["--set-as-default"],
        wanted({"default-runtime": "nvidia"}, nvidia=True, cdi=False),
    ),
}
NVIDIA = '"nvidia": {"path": "nvidia-container-runtime", "args": []}'
FILES = {
    "empty object": "{}",
    "configured": f'{{"runtimes": {{{NVIDIA}}}}}',
    "another runtime": '{"runtimes": {"mine": {"path": "/usr/bin/crun"}}}',
    "another runtime with arguments": '{"runtimes": {"m": {"path": "/m", "runtimeArgs": ["-v"]}}}',
    "a shim": '{"runtimes": {"kata": {"runtimeType": "io.containerd.kata.v2"}}}',
    "both runtimes": f'{{"runtimes": {{{NVIDIA}, "mine": {{"path": "/usr/bin/crun"}}}}}}',
    "runtime at an old place": '{"runtimes": {"nvidia": {"path": "/opt/old", "args": ["-v"]}}}',
    "no runtimes": '{"runtimes": {}}',
    "another default": '{"default-runtime": "m", "runtimes": {"m": {"path": "/m"}}}',
    "default is nvidia": f'{{"default-runtime": "nvidia", "runtimes": {{{NVIDIA}}}}}',
    "no features": '{"features": {}}',
    "CDI off": '{"features": {"cdi": false}}',
    "CDI on": '{"features": {"cdi": true}}',
    "log rotation": '{"log-driver": "json-file", "log-opts": {"max-size": "10m", "max-file": "3"}}',
    "data-root": '{"data-root": "/srv/docker"}',
    "mirrors": '{"registry-mirrors": ["https://mirror.example"], "insecure-registries": []}',
    "shm and live-restore": '{"default-shm-size": "8G", "live-restore": true}',
    "hosts": '{"hosts": ["fd://", "unix:///var/run/docker.sock"]}',
    "ulimits": '{"default-ulimits": {"memlock": {"Name": "memlock", "Hard": -1, "Soft": -1}}}',
    "pools": '{"default-address-pools": [{"base": "172.30.0.0/16", "size": 24}], "mtu": 1450}',
    "nested": '{"builder": {"gc": {"enabled": true, "policy": [{"filter": ["unused-for=9h"]}]}}}',
    "proxies": '{"proxies": {"http-proxy": "http://proxy.example:3128", "no-proxy": "*.local"}}',
    "unicode": '{"labels": ["größe=1", "\\u00e9=<&>", "😀=\\"\\\\"]}',
    "numbers": '{"a": 0, "b": -1, "c": 1.5, "d": 1e2, "e": 2147483648}',
    "null and booleans": '{"debug": false, "tls": true, "bip": null, "labels": []}',
    "tabs and line ends": '\n{\n\t"debug":\ttrue\n}\n\n',
    "other features": '{"features": {"buildkit": true, "containerd-snapshotter": true}}',
    "features with CDI": '{"features": {"cdi": true, "containerd-snapshotter": true}}',
    "the user's arguments": (
        '{"runtimes": {"nvidia": {"path": "nvidia-container-runtime", "runtimeArgs": ["-v"]}}}'
    ),
    "the user's options": (
        '{"runtimes": {"nvidia": {"path": "nvidia-container-runtime", "options": {"a": 1}}}}'
    ),
    "the whole path": '{"runtimes": {"nvidia": {"path": "/usr/bin/nvidia-container-runtime"}}}',
    "a number beyond a double": '{"mtu": 9007199254740993}',
}
# What the real one does not keep: by file, the modes in which, and the keys.
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
# Not one JSON object: ours leaves these alone.
REFUSED = {
    "an empty file": "",  # of which ours makes one
    "null": "null",
    "an array": "[]",
    "a trailing comma": '{"debug": true,}',
    "a byte order mark": "\ufeff{}",
    "runtimes is an array": '{"runtimes": []}',
    "runtimes is null": '{"runtimes": null}',
}
# And these, which the real one rewrites without a word, are lossy as well.
REWRITTEN = {
    "a second object": ('{"debug": true} {"mtu": 1450}', {"mtu": 1450}),
    "a key twice": ('{"debug": true, "debug": false}', {"debug": True}),
    "half a character": ('{"labels": ["\\ud800=1"]}', {"labels": ["\ud800=1"]}),
}


@pytest.fixture(scope="module", params=VERSIONS)
def nvidia_ctk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real binary, out of NVIDIA's package."""
    package = Lab().kit / f"debs/nvidia-container-toolkit-base_{request.param}-1_amd64.deb"
    folder = tmp_path_factory.mktemp("nvidia-ctk")
    subprocess.run(["dpkg-deb", "--extract", package, folder], check=True)
    return folder / "usr/bin/nvidia-ctk"


def _real(binary: Path, file: Path, text: str, flags: list[str]) -> tuple[int, str]:
    """Its exit status, and the text of the file afterwards."""
    file.write_text(text, encoding="utf-8")
    command = [binary, "runtime", "configure", "--runtime=docker", f"--config={file}", *flags]
    done = subprocess.run(command, capture_output=True, check=False)
    return done.returncode, file.read_text(encoding="utf-8")


def _read(text: str) -> dict[str, Any] | Unknown:
    """The file as our fact reads it."""
    lines = ["/etc/docker/daemon.json", "1.000000", *text.split("\n"), "", "gpurig-exit:0"]
    read = DaemonConfig().process(lines)
    return read if isinstance(read, Unknown) else read["config"]  # type: ignore[index,return-value]  # never ABSENT


def _leaves(value: Any, name: str = "") -> dict[str, Any]:
    """The values that are no objects, by their keys with dots."""
    if not isinstance(value, dict) or not value:
        return {name: value}
    found: dict[str, Any] = {}
    for key, item in value.items():
        found |= _leaves(item, f"{name}.{key}" if name else key)
    return found


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", FILES)
def test_ours_is_the_real_one_s_but_for_what_that_loses(
    nvidia_ctk: Path, tmp_path: Path, name: str, mode: str
) -> None:
    """The same JSON; where the real one loses a listed key, ours keeps it and all else is equal."""
    flags, keys = MODES[mode]
    config = _read(FILES[name])
    assert isinstance(config, dict)

    code, text = _real(nvidia_ctk, tmp_path / "daemon.json", FILES[name], flags)
    ours, real = merged(config, keys), json.loads(text)

    assert code == 0
    modes, keys_lost = LOST.get(name, ((), set()))
    if mode not in modes:
        assert ours == real
        return
    mine, its, before = _leaves(ours), _leaves(real), _leaves(config)
    for key in keys_lost:
        assert mine[key] == before[key], "ours keeps it"
        assert its.get(key) != before[key], "the real one still loses it"
    its.pop("runtimes.nvidia.args", None)  # which the real one adds to the user's entry
    mine.pop("runtimes.nvidia.args", None)
    assert {k: v for k, v in mine.items() if k not in keys_lost} == {
        k: v for k, v in its.items() if k not in keys_lost
    }


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_what_the_real_one_refuses_ours_leaves_alone(
    nvidia_ctk: Path, tmp_path: Path, text: str
) -> None:
    """Both leave the file as it is; an empty one means no key to ours, as it does to dockerd."""
    code, after = _real(nvidia_ctk, tmp_path / "daemon.json", text, [])

    assert (code != 0, after) == (True, text)
    assert _read(text) == {} if not text else isinstance(_read(text), Unknown)


@pytest.mark.parametrize(("text", "lost"), REWRITTEN.values(), ids=REWRITTEN)
def test_what_the_real_one_cuts_ours_refuses(
    nvidia_ctk: Path, tmp_path: Path, text: str, lost: dict[str, Any]
) -> None:
    """Where the real one keeps half of what is written, ours leaves the file and says why."""
    code, after = _real(nvidia_ctk, tmp_path / "daemon.json", text, [])

    assert code == 0
    ((key, value),) = lost.items()
    assert json.loads(after).get(key) != value
    assert isinstance(_read(text), Unknown)
