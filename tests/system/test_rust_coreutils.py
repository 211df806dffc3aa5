"""
A Debian 13 whose coreutils are those in Rust, as Ubuntu has them from 25.10 on.

They are sid's, which need a newer libc: each program is a script that starts them with their own
loader and libraries. Debian's own package of them in 13 is too old for Debian itself.
"""

from __future__ import annotations

from typing import Any

import pytest

from lab.hosts import Host
from lab.lab import Lab
from lab.plugin import Boot
from system import laws
from system.person import Answer, Person, settings

pytestmark = [pytest.mark.lab, pytest.mark.long]

PACKAGES = ("rust-coreutils", "libc6", "libgcc-s1", "libselinux1", "libssl3t64", "libsystemd0",
            "libpcre2-8-0", "libcap2", "libzstd1", "zlib1g")  # fmt: skip
FETCHED = f"""
set -e
uri=$(sed -n 's/^URIs: //p' /etc/apt/sources.list.d/debian.sources | head -n 1)
echo "deb $uri sid main" > /etc/apt/sources.list.d/sid.list
mkdir -p /opt/rust/debs; cd /opt/rust/debs; apt-get -qq update
apt-get -qq download {" ".join(f"{name}/sid" for name in PACKAGES)} 2>/dev/null
for deb in *.deb; do dpkg-deb -x "$deb" /opt/rust/root; done
rm /etc/apt/sources.list.d/sid.list; apt-get -qq update
"""
SWAPPED = r"""
set -e
r=/opt/rust/root
lib=$r/usr/lib/x86_64-linux-gnu
run="$r/usr/lib64/ld-linux-x86-64.so.2 --library-path $lib $r/usr/bin/coreutils"
mkdir -p /opt/rust/gnu /opt/rust/new
for name in $($run --list | sort -u); do
    [ "$name" != '[' ] && [ -x "/usr/bin/$name" ] || continue
    cp -a "/usr/bin/$name" /opt/rust/gnu/
    printf '#!/bin/sh\nexec %s %s "$@"\n' "$run" "$name" > "/opt/rust/new/$name"
    chmod 755 "/opt/rust/new/$name"
done
for new in /opt/rust/new/*; do /opt/rust/gnu/mv -f "$new" "/usr/bin/${new##*/}"; done
"""


def _told(plan: Answer, host: str) -> list[tuple[Any, ...]]:
    """What a plan says of each promise."""
    return [(one["id"], one["verdict"], one["actual"], one["will"]) for one in
            plan.host(host)["plan"]]  # fmt: skip


def test_from_bare_to_proven(boot: Boot, lab: Lab, somebody: Person) -> None:
    """The plan is that of GNU's, `up` proves the host, and a second run changes nothing."""
    host: Host = boot("trixie", "rust")
    data = host.ssh_data() | {"rig_components": ["docker", "environments"]}
    inventory = somebody.inventory(
        {host.name: data}, **settings(lab), rig_frameworks=["xgboost"], rig_workloads=["trees"]
    )
    host.run(FETCHED)
    before = somebody.gpurig("plan", inventory, "--json")
    host.run(SWAPPED)
    assert "uutils" in host.run("stat --version").stdout

    plan = somebody.gpurig("plan", inventory, "--json")
    assert _told(plan, host.name) == _told(before, host.name)
    up = somebody.gpurig("up", inventory, "--json")
    assert up.code == 0, up.problems
    laws.plan_told_the_truth(up, host.name)
    laws.everything_is_proven(up, host.name)
    laws.again_changes_nothing(somebody, inventory, host)
