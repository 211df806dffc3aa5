"""An environment's promises on a booted Debian 13, with a lock of small packages."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpurig.locks import Lock
from gpurig.operations import environment, packages
from gpurig.promise import Verdict
from lab.lab import Lab
from lab.plugin import Boot

from .passes import Passes, all_hold

pytestmark = pytest.mark.lab

PATH = "/opt/gpurig/venvs/small"
SITE = f"{PATH}/lib/python3.13/site-packages"
SECRET = "canary-index-password"

passes: Passes
lock: Lock
downloads: environment.Downloads


def deployed() -> None:
    """The operations of deploy/environments.py."""
    packages.packages(layer="environments", packages=environment.PACKAGES)
    environment.tools(downloads=downloads)
    environment.interpreter(title="small", path=PATH, python="3.13", lock=lock)
    environment.packages(title="small", path=PATH, lock=lock, downloads=downloads)


@pytest.fixture(scope="module", autouse=True)
def _host(lab: Lab, boot: Boot) -> Iterator[None]:
    """A bare host without python3 that one run brings about."""
    global passes, lock, downloads
    done = subprocess.run(
        [Path(sys.executable).with_name("uv"), "pip", "compile", "-q", "--generate-hashes",
         "--no-header", "--no-emit-index-url", "--python-version", "3.13", "-"],
        input="six==1.17.0\nidna\npackaging\nsetuptools\n",
        env=os.environ | {"UV_DEFAULT_INDEX": lab.index_url}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    lock = Lock("small", done.stdout)
    # The lab's index asks for no password; that it is sent all the same is what is looked for.
    index = lab.index_url.replace("http://", f"http://ann:{SECRET}@")
    downloads = environment.Downloads(index)
    passes = Passes.over(boot("trixie", "env13"))
    assert passes.plan(deployed)["environment.small.packages"].verdict is Verdict.FOLLOWS
    assert all_hold(passes.up(deployed)), "one run converges from bare"
    assert all_hold(passes.up(deployed)), "again: nothing to do"
    yield
    passes.link.close()


BROKEN = {"environment.small.packages"}
DRIFTS = {
    "a module is deleted": (f"rm {SITE}/six.py", BROKEN),
    "a module is cut off": (f": > {SITE}/six.py", BROKEN),
    "a folder is deleted": (f"rm -r {SITE}/idna", BROKEN),
    "a package is forgotten": (f"rm -r {SITE}/six-*.dist-info", BROKEN),
    "its record is gone": (f"rm {SITE}/six-*.dist-info/RECORD", BROKEN),
    "another version": (f"{environment.TOOLS}/bin/uv pip install -q --python {PATH}/bin/python"
                        " --default-index INDEX six==1.16.0", BROKEN),
    "the interpreter is gone": (f"ln -sfn /usr/bin/python3.9 {PATH}/bin/python",
                                {"environment.small.interpreter"}),
    "the environment is gone": (f"rm -r {PATH}", {"environment.small.interpreter"}),
    "the tools are gone": (f"rm -r {environment.TOOLS}", {"environments.tools"}),
}  # fmt: skip


@pytest.mark.parametrize("drift", DRIFTS)
def test_each_drift_is_named_and_repaired(drift: str, lab: Lab) -> None:
    """The plan names the promise that is broken, and no other; one run repairs it."""
    script, broken = DRIFTS[drift]
    passes.shell(script.replace("INDEX", lab.index_url))
    assert passes.drifted(deployed) == broken
    assert all_hold(passes.up(deployed))
    passes.shell(f"{PATH}/bin/python -c 'import six, idna, packaging; six.moves'")
    assert "gpurig-old" not in passes.shell("ls -a /opt/gpurig/venvs")


def test_what_the_user_added_stays(lab: Lab) -> None:
    """In an environment that is repaired, and beside one that has to be made anew."""
    add = f"{environment.TOOLS}/bin/uv pip install -q --python {PATH}/bin/python"
    passes.shell(f"{add} --default-index {lab.index_url} attrs; rm {SITE}/six.py")
    assert "attrs" in passes.plan(deployed)["environment.small.packages"].leaves
    assert all_hold(passes.up(deployed))
    passes.shell(f"{PATH}/bin/python -c 'import attrs'")
    passes.shell(f"rm {PATH}/bin/python*")
    found = passes.plan(deployed)["environment.small.interpreter"]
    assert "attrs" in found.leaves
    assert all_hold(passes.up(deployed))
    passes.shell(f"ls {PATH}.gpurig-old/lib/python3.13/site-packages/attrs")
    passes.shell(f"rm -r {PATH}.gpurig-old")


def test_an_index_password_is_left_nowhere() -> None:
    """Neither on the host's disk nor where uv and pip keep what they were told."""
    found = passes.host.run(
        f"grep -rls {SECRET} /etc /opt/gpurig /run /tmp /root /var/log", check=False
    )
    assert not found.stdout


def test_only_root_may_write() -> None:
    """Nothing in the environment can be changed by groups or others."""
    loose = passes.shell(f"find {PATH} {environment.TOOLS} -perm /022 ! -type l")
    assert not loose
