"""Horovod on booted Debian 13 hosts: compiled on the first, handed to the second, repaired."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpurig.contract.finding import Verdict
from gpurig.facts.environments.horovod import ADDED, FOLDER
from gpurig.operations import host
from gpurig.operations.environments import environment, uv
from gpurig.operations.environments.horovod import wheel
from gpurig.operations.shared import packages
from gpurig.stack.model import Environment
from gpurig.wheels import horovod
from gpurig.wheels.horovod import Build
from gpurig.wheels.locks import Lock
from lab.lab import Lab
from lab.plugin import Boot
from lab.states import built_wheels

from .passes import Passes, all_hold
from .small_lock import small_lock

pytestmark = pytest.mark.lab

PATH = "/opt/gpurig/venvs/horovod"
SITE = f"{PATH}/lib/python3.13/site-packages"
PINS = ("tensorflow==2.21.0", "setuptools", "cloudpickle", "packaging", "psutil", "pyyaml")
ID = "environment.horovod.horovod"
SUM = """
import horovod.tensorflow as hvd, tensorflow as tf
hvd.init()
print("sum", hvd.allreduce(tf.constant([1.0 + hvd.rank()]), op=hvd.Sum).numpy().tolist())
"""

passes: Passes
lock: Lock
build: Build
downloads: uv.Downloads


def surroundings() -> None:
    """What stands before Horovod: the environment with its framework."""
    packages.packages(promise="environments.packages", packages=environment.PACKAGES)
    uv.tools(downloads=downloads)
    environment.interpreter(
        title="horovod", path=PATH, python="3.13", lock=lock, downloads=downloads,
        besides=("horovod",),
    )  # fmt: skip
    environment.packages(
        title="horovod", path=PATH, lock=lock, downloads=downloads, besides=("horovod",)
    )


def deployed() -> None:
    """The same as deploy/environments.py has it."""
    surroundings()
    host.resolves()
    wheel(title="horovod", path=PATH, build=build, downloads=downloads)


@pytest.fixture(scope="module", autouse=True)
def _host(lab: Lab, boot: Boot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A bare host, and a copy of it taken before Horovod was built."""
    global passes, lock, build, downloads
    lock = small_lock(lab, *PINS, key="horovod")
    given = Environment(
        "horovod", "horovod", "tensorflow", "0.28.1", "3.13", "cpu", PINS, "horovod"
    )
    build = horovod.build(given, lock.text, "x86_64")
    downloads = uv.Downloads(lab.index_url)
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    first = boot("trixie", "hvd13")
    passes = Passes.over(first)
    assert passes.plan(deployed)[ID].verdict is Verdict.FOLLOWS
    assert all_hold(passes.up(surroundings))
    passes.link.close()
    lab.save(first.name, "hvd13-unbuilt")
    passes = Passes.over(first)
    yield
    passes.link.close()
    patch.undo()
    lab.forget("hvd13-unbuilt")


def _packages() -> str:
    return passes.shell("dpkg-query -W -f '${Package} ${Version} ${db:Status-Abbrev}\\n'")


def test_it_is_built_and_the_compiler_goes_again(lab: Lab) -> None:
    """From bare; a tool that the user had stays, the others go; again: nothing to do."""
    passes.shell("apt-get -qq install -y --no-install-recommends make >/dev/null 2>&1")
    before = _packages()
    assert "build it" in passes.plan(deployed)[ID].will
    assert all_hold(passes.up(deployed))
    assert _packages() == before
    assert all_hold(passes.up(deployed))
    assert passes.shell(f"ls -d {FOLDER} 2>/dev/null || :") == ""
    assert not passes.shell(f"find {PATH} ! -type l '(' ! -user root -o -perm /022 ')'")
    assert horovod.kept(build, "debian-13") is not None
    shutil.copytree(horovod.cache(), built_wheels(lab), dirs_exist_ok=True)


@pytest.mark.parametrize("attempt", [0, *(pytest.param(n, marks=pytest.mark.long) for n in (1, 2))])
def test_two_processes_agree(attempt: int) -> None:
    """horovodrun starts two processes, and each has the sum of both."""
    passes.host.write("/root/sum.py", SUM)
    told = passes.shell(f"cd /root && PATH={PATH}/bin:$PATH horovodrun -np 2 --gloo python sum.py")
    assert told.count("sum [3.0]") == 2, told


DRIFTS = {
    "files are gone": (f"rm -r {SITE}/horovod/runner", ID),
    "the library is cut off": (f": > $(ls {SITE}/horovod/tensorflow/*.so)", ID),
    "its record is gone": (f"rm {SITE}/horovod-*.dist-info/RECORD", ID),
    "it is not there": (f"rm -r {SITE}/horovod*", ID),
    # What is left when the framework has moved on: one that was built against another.
    "built against another": (
        f"mv {SITE}/horovod-*.dist-info {SITE}/horovod-0.28.1+tensorflow.2.20.0.dist-info", ID),
    "a build was cut off": (
        f"mkdir -p {FOLDER}/work; echo patch > {ADDED};"
        " apt-get -qq install -y --mark-auto patch >/dev/null 2>&1", ID),
    "its name is unknown": ("sed -i \"/$(uname -n)/d\" /etc/hosts", "host.name"),
}  # fmt: skip


LONG = DRIFTS.keys() - {"files are gone", "its name is unknown"}  # each installs it again


@pytest.mark.parametrize(
    "drift", [pytest.param(x, marks=pytest.mark.long) if x in LONG else x for x in DRIFTS]
)
def test_each_drift_is_named_and_repaired(drift: str) -> None:
    """The plan names the promise that is broken, and no other; one run repairs it."""
    script, broken = DRIFTS[drift]
    before = _packages()
    passes.shell("echo '192.0.2.7 user.example' >> /etc/hosts")
    passes.repaired(deployed, script, {broken})
    assert _packages() == before, "nothing was installed or left"
    assert "192.0.2.7 user.example" in passes.shell("cat /etc/hosts")
    passes.shell(f"{PATH}/bin/horovodrun --check-build | grep -F '[X] TensorFlow'")


def test_what_the_user_has_come_to_need_stays() -> None:
    """Of a build that was cut off: a tool that the user has asked for since is the user's."""
    passes.shell(
        f"mkdir -p {FOLDER}; echo patch > {ADDED}; apt-get -qq install -y patch >/dev/null 2>&1"
    )
    assert all_hold(passes.up(deployed))
    passes.shell("dpkg-query -W patch && apt-get -qq purge -y patch >/dev/null")


def test_the_next_host_gets_the_wheel_without_a_compiler(boot: Boot) -> None:
    """The plan says so, nothing is installed for it, and both hosts have the same bytes."""
    sums = f"cd {SITE} && find horovod -type f ! -name '*.pyc' | sort | xargs sha256sum"
    built = passes.shell(sums)
    other = Passes.over(boot("", "hvd13b", snapshot="hvd13-unbuilt"))
    try:
        assert "install the wheel" in other.plan(deployed)[ID].will
        other.shell("! command -v g++ && ! command -v cmake && cp /var/log/dpkg.log /root/before")
        assert all_hold(other.up(deployed))
        other.shell("cmp /var/log/dpkg.log /root/before")
        assert other.shell(sums) == built
    finally:
        other.link.close()


def test_a_damaged_wheel_of_the_lab_is_not_handed_out() -> None:
    """The control machine compares its copy with the sum that it wrote down."""
    (file,) = Path(os.environ["XDG_CACHE_HOME"]).rglob("*.whl")
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    assert horovod.kept(build, "debian-13") is None
    file.write_bytes(whole)
    assert horovod.kept(build, "debian-13") == whole
