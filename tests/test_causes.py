"""The cause of a failure: what ails the host is told, where the failure is about it."""

from __future__ import annotations

import pytest

from gpurig.engine.causes import causes, paths
from gpurig.facts.host.trouble import Dead, Found, Place

NOW = 1_800_000_000
ROOMY = Place(mount="/", free_bytes=10**10, free_inodes=10**6)


def _found(
    clock: int = NOW,
    rooms: tuple[Place, ...] = (),
    immutable: tuple[str, ...] = (),
    locks: tuple[str, ...] = (),
    holds: tuple[str, ...] = (),
    proxies: tuple[Dead, ...] = (),
) -> Found:
    return Found(
        clock=clock, rooms=[ROOMY, *rooms], immutable=list(immutable), locks=list(locks),
        holds=list(holds), proxies=list(proxies),
    )  # fmt: skip


def _room(mount: str, free_bytes: int = 10**10, free_inodes: int | None = 9) -> Place:
    return Place(mount=mount, free_bytes=free_bytes, free_inodes=free_inodes)


PROXY = Dead(key="Acquire::http::Proxy", place="proxy:3128", file="/etc/apt/apt.conf.d/90proxy")
FETCH = "E: Failed to fetch http://mirror.example/debian/x.deb  Could not connect to proxy:3128"
ROOM = "E: You don't have enough free space in /var/cache/apt/archives/."
HELD = "E: Unable to correct problems, you have held broken packages."
TOLD = {
    "a clock a year behind": (
        _found(clock=NOW - 365 * 86400), "E: Release file is not valid yet",
        ["the host's clock says 2026-01-15 08:00 and this machine's 2027-01-15 08:00 UTC;"
         " set the wrong one"],
    ),
    "a clock ten minutes ahead": (_found(clock=NOW + 600), "certificate is not yet valid", []),
    "a full file system, whatever failed": (
        _found(rooms=(_room("/boot", 4096),)), "dkms: build failed",
        ["/boot is full; free disk space there"],
    ),
    "no inodes": (
        _found(rooms=(_room("/var", free_inodes=0),)), "mkdir: cannot create directory",
        ["/var has no inodes left; remove files there"],
    ),
    "btrfs counts no inodes": (_found(rooms=(_room("/var", free_inodes=None),)), "x", []),
    "little room, and it is said": (
        _found(rooms=(_room("/var/cache/apt/archives", 9_000_000),)), ROOM,
        ["/var/cache/apt/archives has 9 MB free; free disk space there"],
    ),
    "little room below another mount": (
        _found(rooms=(_room("/var", 9_000_000),)), ROOM,
        ["/var has 9 MB free; free disk space there"],
    ),
    "little room that nothing speaks of": (
        _found(rooms=(_room("/boot", 9_000_000),)), FETCH, [],
    ),
    "an immutable file": (
        _found(immutable=("/etc/x.conf",)), "mv: cannot move '/a' to '/etc/x.conf': Operation not"
        " permitted", ["/etc/x.conf is immutable; run chattr -i /etc/x.conf"],
    ),
    "a dead proxy": (
        _found(proxies=(PROXY,)), FETCH,
        ["the proxy proxy:3128 does not answer (Acquire::http::Proxy in"
         " /etc/apt/apt.conf.d/90proxy)"],
    ),
    "a dead proxy, and packages that would go": (
        _found(proxies=(PROXY,)), "E: would remove nvidia-container-toolkit, which is not",
        ["the proxy proxy:3128 does not answer (Acquire::http::Proxy in"
         " /etc/apt/apt.conf.d/90proxy)"],
    ),
    "a dead proxy that nothing needed": (_found(proxies=(PROXY,)), "chgrp: invalid group", []),
    "a hold": (
        _found(holds=("libcuda1", "tree")), f" libcuda1 : Depends: x\n{HELD}",
        ["libcuda1 is on hold; run apt-mark unhold to let gpurig move it"],
    ),
    "a hold of something else": (
        _found(holds=("tree",)), "E: would remove nginx; the lock is held", [],
    ),
    "a hold that apt does not name": (
        _found(holds=("tree",)), HELD,
        ["tree is on hold; run apt-mark unhold to let gpurig move it"],
    ),
    "a lock": (
        _found(locks=("unattended-upgr (process 812)",)),
        "E: Could not get lock /var/lib/dpkg/lock-frontend",
        ["another program has apt's lock: unattended-upgr (process 812); gpurig waited 600 s"
         " for it"],
    ),
    "another apt that was in nobody's way": (_found(locks=("apt (process 1)",)), FETCH, []),
}  # fmt: skip


@pytest.mark.parametrize(("found", "said", "told"), TOLD.values(), ids=TOLD)
def test_what_ails_the_host_is_told(found: Found, said: str, told: list[str]) -> None:
    """A cause is told where what failed speaks of its like, and where a host can do nothing."""
    assert causes(found, said.split("\n"), NOW) == told


def test_the_files_that_a_program_names_are_looked_at() -> None:
    """With their folders; an address is no file."""
    lines = ["mv: cannot move '/etc/a.new' to '/etc/a/b': x", "E: http://host/path/file"]
    assert paths(lines) == ("/etc/a.new", "/etc", "/etc/a/b", "/etc/a")
    assert paths(["No space left on device"], "upload to /etc/a/b") == ("/etc/a/b", "/etc/a")
