"""An environment's promises on a booted Debian 13, with a lock of small packages."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from pyinfra import logger

from gpurig.contract.finding import Verdict
from gpurig.errors import HostError
from gpurig.operations.environments import environment, uv
from gpurig.operations.environments.building import CHANGING
from gpurig.operations.shared import packages
from gpurig.wheels.locks import Lock
from lab.lab import Lab
from lab.plugin import Boot

from .passes import Passes, all_hold
from .small_lock import small_lock

pytestmark = pytest.mark.lab

PATH = "/opt/gpurig/venvs/small"
SITE = f"{PATH}/lib/python3.13/site-packages"
SECRET = "canary-index-password"

passes: Passes
lock: Lock
downloads: uv.Downloads


keep_extras = True


def options() -> dict[str, Any]:
    return {"downloads": downloads, "keep_extras": keep_extras}


def deployed() -> None:
    """The operations of deploy/environments.py."""
    packages.packages(promise="environments.packages", packages=environment.PACKAGES)
    uv.tools(downloads=downloads)
    environment.interpreter(title="small", path=PATH, python="3.13", lock=lock, **options())
    environment.packages(title="small", path=PATH, lock=lock, **options())
    environment.search_path(title="small", path=PATH)


@pytest.fixture(scope="module", autouse=True)
def _host(lab: Lab, boot: Boot) -> Iterator[None]:
    """A bare host without python3 that one run brings about."""
    global passes, lock, downloads
    lock = small_lock(lab, "six==1.17.0", "idna", "packaging", "tabulate")
    # The lab's index asks for no password; that it is sent all the same is what is looked for.
    index = lab.index_url.replace("http://", f"http://ann:{SECRET}@")
    downloads = uv.Downloads(index)
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
    "a module is edited at the same size": (f"sed -i s/Utilities/utilities/ {SITE}/six.py", BROKEN),
    "one is, and has its old time": (
        f"f={SITE}/idna/core.py; touch -r $f /root/t; sed -i s/IDNA/idnA/ $f; touch -r /root/t $f",
        BROKEN),
    "one is, and all get their modes again": (
        f"sed -i s/Version/version/ {SITE}/packaging/version.py;"
        f" chmod -R go+rX {PATH}", BROKEN),
    "a script cannot be run": (f"chmod a-x {PATH}/bin/tabulate", BROKEN),
    "its record is gone": (f"rm {SITE}/six-*.dist-info/RECORD", BROKEN),
    "another version": (f"{uv.TOOLS}/bin/uv pip install -q --python {PATH}/bin/python"
                        " --default-index INDEX six==1.16.0", BROKEN),
    "the interpreter is gone": (f"ln -sfn /usr/bin/python3.9 {PATH}/bin/python",
                                {"environment.small.interpreter"}),
    "the interpreter is another": (
        f"rm {PATH}/bin/python; printf '#!/bin/sh\\necho 3.12\\n' > {PATH}/bin/python;"
        f" chmod 755 {PATH}/bin/python",
        {"environment.small.interpreter"}),
    "the environment is gone": (f"rm -r {PATH}", {"environment.small.interpreter"}),
    "its pyvenv.cfg is gone": (f"rm {PATH}/pyvenv.cfg", {"environment.small.interpreter"}),
    "a change was cut off": (f"touch {PATH}/{CHANGING}; rm {SITE}/six.py",
                             {"environment.small.interpreter"}),
    "a building was cut off": ("mkdir -p /opt/gpurig/venvs/.gpurig/small.new/lib",
                               {"environment.small.interpreter"}),
    "gpurig's record of it is gone": (f"rm {PATH}/.gpurig.json", BROKEN),
    "the tools are gone": (f"rm -r {uv.TOOLS}", {"environments.tools"}),
}  # fmt: skip


@pytest.mark.parametrize("drift", DRIFTS)
def test_each_drift_is_named_and_repaired(drift: str, lab: Lab) -> None:
    """The plan names the promise that is broken, and no other; one run repairs it."""
    script, broken = DRIFTS[drift]
    passes.repaired(deployed, script.replace("INDEX", lab.index_url), broken)
    passes.shell(f"{PATH}/bin/python -c 'import six, idna, packaging; six.moves'")
    assert passes.shell("ls -A /opt/gpurig/venvs").split() == [".gpurig", "small"]


HIDDEN = {
    "a .pth file": (
        "mkdir -p /opt/h; : > /opt/h/six.py;"
        f" echo 'import sys; sys.path.insert(0, \"/opt/h\")' > {SITE}/h.pth",
        f"rm -r {SITE}/h.pth /opt/h", f"/opt/h hides its six ({SITE}/h.pth)"),
    "PYTHONPATH for everybody": (
        "mkdir -p /opt/h; : > /opt/h/idna.py; echo 'PYTHONPATH=\"/opt/h\"' >> /etc/environment",
        "rm -r /opt/h; sed -i /PYTHONPATH/d /etc/environment", "/opt/h hides its idna (/etc/env"),
    "PYTHONPATH of login shells": (
        "mkdir -p /opt/h; : > /opt/h/six.py;"
        " echo 'export PYTHONPATH=/opt/h:$PYTHONPATH' > /etc/profile.d/h.sh",
        "rm -r /opt/h /etc/profile.d/h.sh", "/opt/h hides its six (/etc/profile.d/h.sh:1)"),
    "PYTHONHOME": ("echo PYTHONHOME=/opt/py >> /etc/environment",
                   "sed -i /PYTHONHOME/d /etc/environment", "PYTHONHOME is set (/etc/env"),
    "sitecustomize": (
        "f=/etc/python3.13/sitecustomize.py; cp -a $f /root/s; printf 'import sys\\nsys.path[:] ="
        " [p for p in sys.path if not p.endswith(\"site-packages\")]\\n' > $f",
        "mv /root/s /etc/python3.13/sitecustomize.py", "sitecustomize.py takes its packages off"),
}  # fmt: skip


@pytest.mark.parametrize(("script", "back", "said"), HIDDEN.values(), ids=HIDDEN)
def test_what_hides_its_packages_is_named_and_stays(script: str, back: str, said: str) -> None:
    """A person's line waits for them, with its place; the environment is not made again."""
    passes.shell(script)
    found = passes.up(deployed, set())["environment.small.search-path"]
    assert (found.verdict, said in found.reason) == (Verdict.DUE, True), found
    passes.shell(back)


def test_a_path_that_hides_nothing_is_nobodys_business() -> None:
    """As ROS sets one for everybody, or an editable installation for one environment."""
    passes.shell(
        f"mkdir -p /opt/ros/rclpy; echo /opt/ros > {SITE}/ros.pth;"
        " echo 'export PYTHONPATH=/opt/ros' > /etc/profile.d/ros.sh"
    )
    assert all_hold(passes.plan(deployed))
    passes.shell(f"rm -r /opt/ros {SITE}/ros.pth /etc/profile.d/ros.sh")


def test_what_changes_no_content_is_no_drift() -> None:
    """Modes, times, links and copies change an inode: what is in the files is compared."""
    passes.shell(
        f"find {PATH} -type f -exec cat {{}} + >/dev/null; chmod -R go+rX {PATH};"
        f" find {SITE} -name '*.py' -exec touch -a {{}} +; ln {SITE}/six.py /opt/six.py;"
        f" rm /opt/six.py; cp -a {PATH} {PATH}.copy; rm -r {PATH}; mv {PATH}.copy {PATH}"
    )
    assert all_hold(passes.plan(deployed))


def add(lab: Lab, *wanted: str) -> None:
    """Install something as the host's administrator would."""
    passes.shell(
        f"{uv.UV} pip install -q --python {PATH}/bin/python --default-index {lab.index_url}"
        f" {' '.join(wanted)}"
    )


def test_imports_of_users_compile_nothing() -> None:
    """They cannot write there, so what is compiled lies there already, and is taken."""
    told = passes.shell(f"cd / && runuser -u nobody -- {PATH}/bin/python -v -c 'import six' 2>&1")
    assert f"code object from '{SITE}/__pycache__/six." in told


def test_what_the_user_added_stays(lab: Lab) -> None:
    """In an environment that is repaired, and in one that has to be made anew: at its version."""
    add(lab, "attrs==25.1.0")
    passes.shell(f"rm {SITE}/six.py")
    assert "attrs" in passes.plan(deployed)["environment.small.packages"].leaves
    assert all_hold(passes.up(deployed))
    passes.shell(f"{PATH}/bin/python -c 'import attrs'")
    passes.shell(f"rm {PATH}/bin/python*")
    assert "attrs" in passes.plan(deployed)["environment.small.interpreter"].leaves
    assert all_hold(passes.up(deployed))
    passes.shell(f"ls -d {SITE}/attrs-25.1.0.dist-info; test ! -e {PATH}.gpurig-old")


def test_what_came_with_an_earlier_lock_goes(lab: Lab) -> None:
    """As ipykernel does without Jupyter; not where the user's own packages may need it."""
    record = f"{PATH}/.gpurig.json"
    packages = json.loads(passes.host.read(record))["packages"]
    assert {"idna", "packaging", "six", "tabulate"} <= set(packages.split())
    earlier = json.dumps({"lock": "earlier", "packages": f"attrs {packages}"})

    passes.shell(f"{uv.UV} pip uninstall -q --python {PATH}/bin/python attrs || :")
    add(lab, "attrs==25.1.0", "iniconfig")
    passes.host.write(record, earlier)
    assert "attrs" in passes.plan(deployed)["environment.small.packages"].leaves
    assert all_hold(passes.up(deployed, BROKEN))
    passes.shell(f"ls -d {SITE}/attrs-*.dist-info {SITE}/iniconfig-*.dist-info")

    passes.shell(f"{uv.UV} pip uninstall -q --python {PATH}/bin/python iniconfig")
    found = passes.plan(deployed)["environment.small.packages"]
    assert (found.actual, found.leaves) == ("attrs in no lock any more", "")
    assert all_hold(passes.up(deployed, BROKEN))
    passes.shell(f"! ls -d {SITE}/attrs-*.dist-info 2>/dev/null")
    assert all_hold(passes.up(deployed)), "again: nothing to do"


def test_what_cannot_be_had_again_is_named_and_stays_aside(lab: Lab) -> None:
    """A package of the user's own making is in no index: the old environment is not removed."""
    source = "/root/mine"
    passes.host.write(f"{source}/mine.py", "answer = 42\n")
    passes.host.write(
        f"{source}/pyproject.toml",
        '[project]\nname = "mine"\nversion = "1.0"\n[build-system]\nrequires = ["setuptools"]\n'
        'build-backend = "setuptools.build_meta"\n',
    )
    add(lab, source)
    passes.shell(f"mkdir {SITE}/lost-2.0.dist-info && touch {SITE}/lost-2.0.dist-info/RECORD")
    passes.shell(f"rm {PATH}/bin/python*")
    assert "mine" in passes.plan(deployed)["environment.small.interpreter"].leaves
    found = passes.up(deployed)
    assert all_hold(found)
    told = found["environment.small.interpreter"].reason
    assert "mine" in told
    assert "lost==2.0" in told
    assert "attrs" not in told
    passes.shell(f"ls {PATH}.gpurig-old/lib/python3.13/site-packages/mine.py")
    passes.shell(f"{PATH}/bin/python -c 'import attrs'; rm -r {PATH}.gpurig-old")


def test_extras_go_where_they_are_not_kept(lab: Lab) -> None:
    """With rig_keep_extras = false what was added by hand is drift, named, and removed."""
    global keep_extras
    add(lab, "attrs")
    keep_extras = False
    try:
        found = passes.plan(deployed)["environment.small.packages"]
        assert found.verdict is Verdict.DRIFTED
        assert "attrs added by hand" in found.actual
        assert all_hold(passes.up(deployed))
    finally:
        keep_extras = True
    passes.shell(f"test ! -e {SITE}/attrs && {PATH}/bin/python -c 'import six'")


def test_a_build_that_fails_leaves_the_old_one(lab: Lab) -> None:
    """Where the index does not answer, what was there is there still, and nothing beside it."""
    global downloads
    good, downloads = downloads, uv.Downloads("http://10.77.0.1:9/simple/")
    passes.shell(f"rm {PATH}/bin/python*; touch {PATH}/of-the-user")
    try:
        with pytest.raises(HostError):
            passes.link.apply(deployed)
    finally:
        downloads = good
    passes.shell(f"ls {PATH}/of-the-user {SITE}/six.py")
    assert passes.shell("ls /opt/gpurig/venvs/.gpurig").split() == ["lock"]
    assert all_hold(passes.up(deployed))


def test_nobody_sees_half_an_environment() -> None:
    """While it is made anew somebody who uses it finds the old one or the new one, whole."""
    passes.shell(
        f"touch {PATH}/{CHANGING};"
        f' printf \'while :; do {PATH}/bin/python -c "import six, idna, packaging" || echo half;'
        " done' > /root/use"
    )
    passes.shell("systemd-run --quiet --unit=use -p StandardError=file:/root/used"
                 " -p StandardOutput=file:/root/used sh /root/use")  # fmt: skip
    try:
        assert all_hold(passes.up(deployed, {"environment.small.interpreter"}))
    finally:
        passes.shell("systemctl stop use.service")
    assert passes.shell("cat /root/used") == ""


def test_activation_as_people_know_it() -> None:
    """`source …/bin/activate` gives its Python and pip, `deactivate` takes them."""
    told = passes.shell(
        f"bash -c 'source {PATH}/bin/activate && command -v python pip && echo $VIRTUAL_ENV &&"
        ' python -c "import sys; print(sys.prefix)" && pip --version && deactivate &&'
        " test -z $VIRTUAL_ENV'"
    ).split("\n")
    assert told[:4] == [f"{PATH}/bin/python", f"{PATH}/bin/pip", PATH, PATH]
    assert f"from {SITE}/pip" in told[4]
    assert ".new" not in passes.shell(f"grep -rlIF .gpurig/small.new {PATH} || true")


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
    passes.shell(f"rm -r {uv.TOOLS} {SITE}/six.py")
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
    loose = passes.shell(f"find {PATH} {uv.TOOLS} -perm /022 ! -type l")
    assert not loose
