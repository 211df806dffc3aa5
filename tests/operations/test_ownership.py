"""Owners and modes: what root may run, which umask holds, what is repaired (root; Debian 13)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from gpurig.contract.finding import Verdict
from gpurig.facts.host.ownership import GUARD
from gpurig.operations import workloads
from gpurig.operations.environments import environment, uv
from gpurig.operations.shared import ownership, packages
from lab.lab import Lab
from lab.plugin import Boot

from .passes import Passes, all_hold
from .small_lock import small_lock

pytestmark = pytest.mark.lab

ANN = 1234  # a user who is not root
ROOT = "/opt/gpurig/venvs"
PATH = f"{ROOT}/small"
SITE = f"{PATH}/lib/python3.13/site-packages"
FOLDERS = (ownership.OURS, ROOT, f"{ROOT}/.gpurig")
OURS = (ownership.OURS, workloads.FOLDER, workloads.STATE)


def _told(function: str, *paths: Path) -> str:
    """What a function of the guard prints of these paths; what it cannot read as well."""
    unread = 'exec 9>&1; unread() { echo "unread $*" >&9; }; '  # as `framed` brings it
    done = subprocess.run(
        ["sh", "-euc", f'{unread}{GUARD}{function} "$@"', "sh", *paths],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not done.stderr, done.stderr
    return done.stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """``opt/tool`` and a link to it through another folder and two links, all root's."""
    for folder in ("opt", "other", "a b"):
        (tmp_path / folder).mkdir(mode=0o755)
    tool = tmp_path / "opt" / "tool"
    tool.touch(mode=0o755)
    (tmp_path / "other" / "second").symlink_to("../a b/third")
    (tmp_path / "a b" / "third").symlink_to(tool)
    (tmp_path / "first").symlink_to(tmp_path / "other" / "second")
    return tmp_path


WRONG: dict[str, tuple[Callable[[Path], None], str]] = {
    "its file": (lambda t: (t / "opt/tool").chmod(0o775), "others can write {}/opt/tool, mode 775"),
    "its folder": (lambda t: (t / "opt").chmod(0o757), "others can write {}/opt, mode 757"),
    "its owner": (lambda t: os.chown(t / "opt/tool", ANN, 0), "{}/opt/tool belongs to"),
    "a folder between": (lambda t: (t / "a b").chmod(0o777), "others can write {}/a b, mode 777"),
    "a link between": (lambda t: os.lchown(t / "other/second", ANN, 0), "{}/other/second belongs"),
    "a circle": (lambda t: ((t / "opt/tool").unlink(), (t / "opt/tool").symlink_to("tool"))[1],
                 "unread : {}/opt/tool cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_each_step_to_a_program_is_looked_at(tree: Path, wrong: str) -> None:
    """Any folder, link or file on the way that others can change is a reason, and is named."""
    assert _told("guarded", tree / "first", tree / "missing") == ""
    change, reason = WRONG[wrong]
    change(tree)
    assert _told("guarded", tree / "opt", tree / "first").startswith(reason.format(tree))


def test_a_sticky_folder_protects_what_is_root_s(tree: Path) -> None:
    """/tmp may lead to a program of root's; nobody else's in it is run."""
    (tree / "opt").chmod(0o1777)
    assert _told("guarded", tree / "first") == ""
    os.lchown(tree / "opt/tool", ANN, 0)
    assert _told("guarded", tree / "first").startswith(f"{tree}/opt/tool belongs to")


def test_every_file_below_is_looked_at(tree: Path) -> None:
    """What others can change comes before what users cannot read; links have no mode."""
    assert _told("within", tree) == f"closed users cannot read {tree}/, mode 700"
    tree.chmod(0o755)
    assert _told("within", tree) == ""
    (tree / "a b" / "deep").mkdir(mode=0o750)
    assert _told("within", tree) == f"closed users cannot read {tree}/a b/deep, mode 750"
    (tree / "opt" / "tool").chmod(0o757)
    assert _told("within", tree) == f"open others can write {tree}/opt/tool, mode 757"
    assert _told("within", tree / "missing").startswith("unread")


@pytest.mark.parametrize(
    "part",
    ["bin/pybuilddir.txt", "pyvenv.cfg", "base/lib/python3.13/os.py", "base/lib/libpython3.13.so"],
)
def test_what_an_interpreter_reads_first_is_looked_at(tmp_path: Path, part: str) -> None:
    """Files beside it, pyvenv.cfg, and the standard library of the Python that `home` names."""
    for name in ("bin/python", "base/bin/python3", "base/lib/python3.13/os.py", part):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "pyvenv.cfg").write_text(f"home = {tmp_path}/base/bin\nversion = 3.13\n")
    assert _told("guarded_python", tmp_path) == ""
    os.chown(tmp_path / part, ANN, ANN)
    assert _told("guarded_python", tmp_path).startswith(f"{tmp_path}/{part} belongs to")


passes: Passes


def deployed() -> None:
    """The operations of deploy/environments.py and of deploy/workloads.py."""
    ownership.folders(promise="environments.folders", paths=FOLDERS)
    packages.packages(promise="environments.packages", packages=environment.PACKAGES)
    uv.tools(downloads=given.downloads)
    environment.interpreter(
        title="small", path=PATH, python="3.13", lock=given.lock, downloads=given.downloads
    )
    environment.packages(title="small", path=PATH, lock=given.lock, downloads=given.downloads)
    ownership.folders(promise="workloads.folders", paths=OURS)
    workloads.user(user="gpurig")
    workloads.programs()
    workloads.data(user="gpurig")


given = SimpleNamespace()


@pytest.fixture(scope="module")
def host(lab: Lab, boot: Boot) -> Iterator[Passes]:
    """A bare host with a user that one run converges, under umask 077."""
    given.lock, given.downloads = small_lock(lab, "six==1.17.0"), uv.Downloads(lab.index_url)
    opened = Passes.over(boot("trixie", "own13"))
    opened.shell("useradd -m ann")
    _with_umask(opened, "077")
    assert all_hold(opened.up(deployed)), "one run converges from bare"
    yield opened
    opened.link.close()


def _with_umask(host: Passes, umask: str) -> None:
    """Every new session has this umask, by PAM, login.defs and the profile; it says so itself."""
    host.shell(
        f"sed -i '/^UMASK/d' /etc/login.defs; echo UMASK {umask} >> /etc/login.defs;"
        " sed -i '/umask/d' /etc/profile /etc/pam.d/common-session*;"
        f" echo umask {umask} >> /etc/profile; for f in /etc/pam.d/common-session*; do"
        f" echo session optional pam_umask.so umask=0{umask} >> $f; done"
    )
    host.link.reopen()
    assert host.host.ssh("umask").stdout.strip() == f"0{umask}"


def _modes(host: Passes) -> str:
    folders = f"{ownership.OURS} {workloads.STATE}"
    assert not host.shell(f"find {folders} -perm /022 ! -type l")
    return host.shell(f"find {folders} -printf '%p %m %u %g\\n' | sort")


def test_the_host_s_umask_decides_nothing(host: Passes) -> None:
    """From bare under 077, 027 and 000: the same modes, nothing that others can write, usable."""
    modes = {"077": _modes(host)}
    for umask in ("027", "000"):
        _with_umask(host, umask)
        host.shell(f"rm -rf {ownership.OURS} {workloads.STATE}")
        assert all_hold(host.up(deployed))
        modes[umask] = _modes(host)
        told = host.shell(f"runuser -u ann -- {PATH}/bin/python -c 'import six; print(6 * 7)'")
        assert told == "42\n"
    assert modes["077"] == modes["027"] == modes["000"]


TRACE = "/root/trace"
# What an attacker leaves: it answers as the real one does, and shows that it was run.
EVIL = f'#!/bin/sh\ntouch {TRACE}; [ -e {{0}}.real ] && exec {{0}}.real "$@"\n'


def _replace(host: Passes, program: str, owner: str, mode: str) -> None:
    """A program is kept beside another in its place, which belongs to that owner."""
    host.shell(f"rm -f {TRACE}; mv {program} {program}.real")
    host.host.write(program, EVIL.format(program))
    host.shell(f"chown {owner}: {program} && chmod {mode} {program}")


INTERPRETER = "environment.small.interpreter"
DRIFTS: dict[str, tuple[Callable[[Passes], object], set[str], str]] = {
    "uv is a user's": (
        lambda host: _replace(host, uv.UV, "ann", "777"), {"environments.tools"},
        f"{uv.UV} belongs to ann"),
    "uv may be written": (
        lambda host: _replace(host, uv.UV, "root", "777"), {"environments.tools"},
        f"others can write {uv.UV}, mode 777"),
    "its interpreter is a user's": (
        lambda host: _replace(host, f"{PATH}/bin/python", "ann", "755"), {INTERPRETER},
        f"{PATH}/bin/python belongs to ann"),
    "a module may be written": (
        lambda host: host.shell(f"rm -f {TRACE}; chmod 666 {SITE}/six.py"), {INTERPRETER},
        f"others can write {SITE}/six.py, mode 666"),
    "users cannot read it": (
        lambda host: host.shell(f"rm -f {TRACE}; chmod 700 {SITE}"), {INTERPRETER},
        f"users cannot read {SITE}, mode 700"),
    "gpurig's folder is closed": (
        lambda host: host.shell(f"rm -f {TRACE}; chmod 750 {ownership.OURS}"),
        {"environments.folders", "workloads.folders"}, "/opt/gpurig has owner root, mode 750"),
    "gpurig's folder is open, uv a user's": (
        lambda host: (_replace(host, uv.UV, "ann", "755"), host.shell(f"chmod 777 {FOLDERS[0]}")),
        {"environments.folders", "workloads.folders"}, "/opt/gpurig has owner root, mode 777"),
    "a package is a user's": (
        lambda host: host.shell(f"rm -f {TRACE}; chown -R ann: {SITE}/six*"), {INTERPRETER},
        f"{SITE}/six.py belongs to ann"),
    "the programs' folder is closed": (
        lambda host: host.shell(f"rm -f {TRACE}; chmod 700 {workloads.FOLDER}"),
        {"workloads.folders"}, f"{workloads.FOLDER} has owner root, mode 700"),
    "a program may be written": (
        lambda host: host.shell(f"chmod 666 {workloads.FOLDER}/matmul.py"), {"workloads.files"},
        "matmul.py has owner root, mode 666, wanted root and 644"),
    "a program is a user's": (
        lambda host: host.shell(f"chown ann {workloads.FOLDER}/matmul.py"), {"workloads.files"},
        "matmul.py has owner ann, mode 644, wanted root and 644"),
    "users cannot read a program": (
        lambda host: host.shell(f"chmod 600 {workloads.FOLDER}/mnist.py"), {"workloads.files"},
        "mnist.py has owner root, mode 600, wanted root and 644"),
}  # fmt: skip


@pytest.mark.parametrize("drift", DRIFTS)
def test_what_others_could_write_is_made_again_and_never_run(host: Passes, drift: str) -> None:
    """The plan names it and starts nothing of it; one run replaces it, with the usual modes."""
    assert all_hold(host.plan(deployed))
    usual = _modes(host)
    change, drifted, actual = DRIFTS[drift]
    change(host)
    found = host.plan(deployed)
    assert {id for id, one in found.items() if one.verdict is Verdict.DRIFTED} == drifted
    assert actual in {found[id].actual for id in drifted}
    assert all_hold(host.up(deployed))
    host.shell(f"test ! -e {TRACE}")
    assert _modes(host) == usual


def test_a_python_that_users_cannot_start_is_named(host: Passes) -> None:
    """The distribution's own is not changed; what stands on it is no green."""
    assert all_hold(host.plan(deployed))
    python = host.shell(f"readlink -f {PATH}/bin/python").strip()
    host.shell(f"chmod 750 {python}")
    try:
        told = host.plan(deployed)[INTERPRETER]
    finally:
        host.shell(f"chmod 755 {python}")
    assert told.verdict is Verdict.UNKNOWN
    assert told.reason.startswith(f"users cannot start {python} (Permission denied)")


FOREIGN = {
    "777": "others can write /opt, mode 777; run: chmod go-w /opt",
    "750": "users cannot enter /opt, mode 750; run: chmod o+x /opt",
}


@pytest.mark.parametrize("mode", FOREIGN)
def test_a_parent_that_is_not_gpurig_s_is_named_and_left(host: Passes, mode: str) -> None:
    """Nothing is changed; where others can write to it, nothing below it is run or built either."""
    assert all_hold(host.plan(deployed))
    for program in (uv.UV, f"{PATH}/bin/python"):
        _replace(host, program, "root", "755")
    host.shell(f"chmod {mode} /opt; touch /root/since")
    try:
        found = host.up(deployed)
        ran = host.shell(f"ls {TRACE} 2>/dev/null || :")
        changed = host.shell(f"find /opt {workloads.STATE} -newer /root/since")
    finally:
        host.shell(f"chmod 755 /opt; for f in {uv.UV} {PATH}/bin/python; do mv $f.real $f; done")
    told = found["environments.folders"]
    assert (told.verdict, told.reason) == (Verdict.UNKNOWN, FOREIGN[mode])
    assert not changed
    if mode == "777":
        assert not ran
        assert {found[id].verdict for id in ("environments.tools", INTERPRETER)} == {
            Verdict.UNKNOWN
        }
    assert all_hold(host.plan(deployed))
