"""Modes and owners of gpurig's files in folders of the system (root; Debian 13)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gpurig.contract.finding import Verdict
from gpurig.facts.container_toolkit.toolkit import CONFIG
from gpurig.facts.cuda import PROFILE
from gpurig.facts.docker.daemon_json import DAEMON_JSON
from gpurig.facts.docker.daemon_json import RECORD as CONFIGURED
from gpurig.facts.docker.proxy import DROP_IN
from gpurig.facts.environments.jupyter import KERNELS
from gpurig.facts.kernel.grub import DROP_IN as GRUB
from gpurig.facts.removal.made import RECORD as MADE
from gpurig.facts.rootless import UNIT
from gpurig.operations import files
from gpurig.operations.container_toolkit.device_links import RULE
from gpurig.operations.cuda import LOADER_FILE
from gpurig.operations.driver.modprobe import FILE as BLACKLIST
from gpurig.operations.driver.nodes import RULE as NODES
from gpurig.operations.rootless.unit import FOLDER_FILE
from lab.plugin import Boot

from .passes import Passes, all_hold

pytestmark = pytest.mark.lab

SOURCE = "/etc/apt/sources.list.d/gpurig-docker.sources"
PIN = "/etc/apt/preferences.d/gpurig-nvidia"
REPOSITORY = "/etc/yum.repos.d/gpurig-docker.repo"
KERNEL = f"{KERNELS}/gpurig-jax"
READ = (SOURCE, PIN, REPOSITORY, PROFILE, LOADER_FILE, UNIT, f"{KERNEL}/kernel.json", CONFIG)
ROOT_S = (BLACKLIST, RULE, NODES, FOLDER_FILE, GRUB, DROP_IN)  # only root needs to read them
ALL = (*READ, *ROOT_S, MADE, CONFIGURED, DAEMON_JSON)
PROMISE = "files.access"


def deployed() -> None:
    """The first promise of every run."""
    files.access()


@pytest.fixture(scope="module")
def host(boot: Boot) -> Iterator[Passes]:
    """A host on which files lie where gpurig writes them, with the modes that it gives."""
    opened = Passes.over(boot("trixie", "modes13"))
    assert all_hold(opened.up(deployed)), "nothing is there, and nothing is wrong"
    for file in ALL:
        opened.host.write(file, "# Written by gpurig\n")
    opened.shell(f"useradd -m ann; chmod 755 /run/gpurig; chmod 644 {' '.join(ALL)}")
    assert all_hold(opened.plan(deployed))
    yield opened
    opened.link.close()


DRIFTS = {
    "root's umask was 077": (
        f"chmod 600 {' '.join(READ)}; chmod 700 {KERNEL}", f"{SOURCE} has owner root, mode 600"),
    "others can write what root reads": (
        f"chmod 666 {PIN} {BLACKLIST} {RULE} {MADE} {CONFIGURED} {CONFIG};"
        f" chmod 646 {DAEMON_JSON}",
        f"{PIN} has owner root, mode 666"),
    "a user's": (
        f"chown ann: {LOADER_FILE} {DROP_IN} {UNIT} {DAEMON_JSON} /run/gpurig {KERNEL}",
        f"{LOADER_FILE} has owner ann, mode 644"),
    "a group may write": (f"chgrp ann {PROFILE}; chmod 664 {PROFILE}",
                          f"{PROFILE} has owner root, mode 664"),
}  # fmt: skip


@pytest.mark.parametrize("drift", DRIFTS)
def test_each_mode_and_owner_is_named_and_put_right(host: Passes, drift: str) -> None:
    """With what it is; after one run an ordinary user reads all of them and writes none."""
    script, actual = DRIFTS[drift]
    before = host.shell(f"stat -c '%n %U %a' {' '.join(ALL)} {KERNEL} /run/gpurig; cat {PIN}")
    host.shell(script)
    found = host.plan(deployed)[PROMISE]
    assert found.verdict is Verdict.DRIFTED
    assert found.actual.startswith(actual)
    assert all_hold(host.up(deployed))
    after = host.shell(f"stat -c '%n %U %a' {' '.join(ALL)} {KERNEL} /run/gpurig; cat {PIN}")
    assert after == before
    host.shell(f"runuser -u ann -- cat {' '.join(READ)} >/dev/null")


def test_a_folder_on_the_way_is_named_and_left(host: Passes) -> None:
    """It is the administrator's; a user tries it, so a folder counts that no mode of ours shows."""
    host.shell("chmod 700 /etc/profile.d")
    try:
        found = host.up(deployed)[PROMISE]
        assert host.shell("stat -c %a /etc/profile.d").strip() == "700"
    finally:
        host.shell("chmod 755 /etc/profile.d")
    assert found.verdict is Verdict.UNKNOWN
    assert found.reason == (
        f"users cannot enter /etc/profile.d, mode 700, and so not read {PROFILE};"
        " run: chmod o+x /etc/profile.d"
    )


def test_what_only_root_reads_may_be_private(host: Passes) -> None:
    """A careful administrator's modes are no drift, nor is their folder."""
    host.shell(f"chmod 600 {' '.join(ROOT_S)}; chmod 700 /etc/modprobe.d")
    try:
        assert all_hold(host.plan(deployed))
    finally:
        host.shell(f"chmod 755 /etc/modprobe.d; chmod 644 {' '.join(ROOT_S)}")


def test_a_link_in_the_place_of_a_file_is_named(host: Passes) -> None:
    """Where it leads is changed by others; root does not write through it."""
    host.shell(f"install -o ann -m 666 /dev/null /home/ann/x; ln -sf /home/ann/x {BLACKLIST}")
    try:
        found = host.up(deployed)[PROMISE]
        assert host.shell("stat -c '%U %a' /home/ann/x").strip() == "ann 666"
    finally:
        host.shell(f"rm {BLACKLIST}; echo '# Written by gpurig' > {BLACKLIST}")
    assert found.verdict is Verdict.UNKNOWN
    assert f"rm {BLACKLIST}" in found.reason


def test_what_is_the_user_s_stays(host: Passes) -> None:
    """Their unit and kernel, a private daemon.json, one for a group, and one that is a link."""
    host.shell(
        f"echo '[Unit]' > {UNIT}; echo '{{}}' > {KERNEL}/kernel.json;"
        f" chmod 600 {UNIT} {KERNEL}/kernel.json; chmod 700 {KERNEL}; chmod 640 {DAEMON_JSON}"
    )
    assert all_hold(host.plan(deployed))
    host.shell(f"chgrp ann {DAEMON_JSON}; chmod 660 {DAEMON_JSON}")
    assert all_hold(host.plan(deployed))
    host.shell(f"mv {DAEMON_JSON} /home/ann/d.json; ln -s /home/ann/d.json {DAEMON_JSON}")
    host.shell("chown ann /home/ann/d.json")
    assert all_hold(host.plan(deployed))
