"""An environment's promises on a booted Debian 13, with a lock of small packages."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyinfra import logger

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
    "the interpreter is another": (
        f"rm {PATH}/bin/python; printf '#!/bin/sh\\necho 3.12\\n' > {PATH}/bin/python;"
        f" chmod 755 {PATH}/bin/python",
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


def test_an_index_password_is_seen_nowhere(capsys: pytest.CaptureFixture[str]) -> None:
    """Not in any command line while tools and packages are installed, in no log, on no disk."""
    passes.host.write("/root/secret", SECRET + "\n")
    passes.host.write(
        "/root/watch",
        "while :; do for p in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < $p 2>/dev/null; echo; done;"
        " done >> /root/seen",
    )
    told = io.StringIO()
    handler = logging.StreamHandler(told)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    passes.shell(f"rm -r {environment.TOOLS} {SITE}/six.py")
    passes.shell("systemd-run --quiet --unit=watch sh /root/watch")
    try:
        assert all_hold(passes.up(deployed))
    finally:
        passes.shell("systemctl stop watch.service")
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert int(passes.shell("grep -c 'uv pip install' /root/seen")), "the watch saw the commands"
    assert int(passes.shell("grep -c 'pip install.*--require-hashes' /root/seen"))
    assert passes.host.run("grep -f /root/secret /root/seen", check=False).rc == 1
    assert "environments.tools" in told.getvalue() or "pip" in told.getvalue()
    output = capsys.readouterr()
    assert SECRET not in told.getvalue() + output.out + output.err
    passes.shell("rm /root/seen /root/watch")
    left = "/etc /opt /run /tmp /root /var --exclude=secret"
    assert not passes.host.run(f"grep -rlsf /root/secret {left}", check=False).stdout


def test_only_root_may_write() -> None:
    """Nothing in the environment can be changed by groups or others."""
    loose = passes.shell(f"find {PATH} {environment.TOOLS} -perm /022 ! -type l")
    assert not loose
