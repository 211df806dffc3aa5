"""What Horovod is built from, and the wheel that hosts share."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import gevent
import pytest

from gpurig.errors import GpurigError
from gpurig.stack.model import Environment
from gpurig.wheels import horovod
from lock_lines import locked

LOCK = locked("setuptools==80.9.0", "tensorflow==2.21.0")
PLACE = "debian-13"


def _environment(base: str = "tensorflow") -> Environment:
    return Environment("horovod", "horovod", base, "0.28.1", "3.13", "cpu", (), "horovod")


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> horovod.Build:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return horovod.build(_environment(), LOCK, "x86_64")


def test_every_patch_says_where_it_comes_from() -> None:
    """Each changes files of the source and names its origin above that."""
    patches = list((files("gpurig.wheels") / "data" / "patches" / "horovod-0.28.1").iterdir())
    assert patches
    for patch in patches:
        head, _, change = patch.read_text().partition("\n--- a/")
        assert "\nOrigin: " in head, patch.name
        assert change


def test_the_version_says_what_it_was_built_against(build: horovod.Build) -> None:
    """Another framework, source or patch is another version, and so another wheel."""
    assert build.version.startswith("0.28.1+tensorflow.2.21.0.")
    others = [
        replace(build, base_version="2.20.0"),
        replace(build, base="torch", base_version="2.13.0+cpu"),
        replace(build, patches=build.patches + "\n"),
        replace(build, sha256="0" * 64),
    ]
    assert len({one.version for one in (build, *others)}) == 5
    assert others[1].version.startswith("0.28.1+torch.2.13.0.cpu.")
    assert build.wheel.endswith("-cp313-cp313-linux_x86_64.whl")


def test_pytorchs_build_for_cuda_is_no_base() -> None:
    """It comes where the other's index cannot be used; that is said before any change."""
    lock = locked("nvidia-cublas==13.0", "torch==2.13.0")
    with pytest.raises(GpurigError, match=r"only with torch's build for the CPU"):
        horovod.build(_environment("pytorch"), lock, "x86_64")


def test_a_wheel_that_was_damaged_is_not_handed_out(build: horovod.Build) -> None:
    """It is compared with the sum that was written down; nor is one of another distribution."""
    assert horovod.kept(build, PLACE) is None
    horovod.keep(build, PLACE, b"wheel")
    assert horovod.kept(build, PLACE) == b"wheel"
    assert horovod.kept(build, "debian-12") is None
    (file,) = Path(horovod.cache()).rglob("*.whl")
    file.write_bytes(b"whee")
    assert horovod.kept(build, PLACE) is None


@pytest.mark.parametrize("fails", [False, True])
def test_one_host_builds_and_the_others_wait(build: horovod.Build, fails: bool) -> None:
    """As long as it lives: when its build has failed, the next one tries."""
    builders: list[str] = []

    def host(name: str) -> None:
        horovod.take_turns(build, PLACE, lambda: True)
        if horovod.kept(build, PLACE) is not None:
            return
        builders.append(name)
        gevent.sleep(0.01)
        if not (fails and len(builders) == 1):
            horovod.keep(build, PLACE, b"wheel")

    gevent.joinall([gevent.spawn(host, name) for name in "abc"], raise_error=True)
    assert len(builders) == (2 if fails else 1)


def test_a_host_that_is_gone_waits_for_no_build(
    build: horovod.Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is there waits on."""
    monkeypatch.setattr(horovod, "_ASKED", 0)
    builder = gevent.spawn(
        lambda: (horovod.take_turns(build, PLACE, lambda: True), gevent.sleep(9))
    )
    gevent.sleep(0)
    gone = gevent.spawn(horovod.take_turns, build, PLACE, lambda: False)
    there = gevent.spawn(horovod.take_turns, build, PLACE, lambda: True)
    gone.get()
    assert not there.dead
    assert not builder.dead
    gevent.killall([builder, there])
