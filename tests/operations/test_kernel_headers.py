"""Headers of the line of kernels that is installed, on a booted Debian 13 with its own apt."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence

import pytest

from gpurig.operations import kernel
from lab.debs import make_deb
from lab.lab import Lab
from lab.plugin import Boot

from .passes import Passes, all_hold

pytestmark = pytest.mark.lab

RELEASE = "6.12.95+deb13-lab"
STABLE, BACKPORTS = "6.1.100-1", "6.12.95-1~bpo13+1"
# A repository of two series, stable's preferred: what Debian's backports are to its stable.
READY = f"""
mkdir -p /boot /lib/modules/{RELEASE}/build/include && echo kernel > /boot/vmlinuz-{RELEASE}
cd /srv/archive && for p in *.deb; do dpkg-deb -f $p; echo "Filename: ./$p"
    echo "Size: $(stat -c %s $p)"; echo "SHA256: $(sha256sum $p | cut -d ' ' -f 1)"; echo
done > Packages
echo 'deb [trusted=yes] file:/srv/archive ./' > /etc/apt/sources.list.d/archive.list
printf 'Package: linux-headers-lab\\nPin: version 6.1.*\\nPin-Priority: 900\\n' \
    > /etc/apt/preferences.d/stable
apt-get -qq update -o Dir::Etc::sourcelist=sources.list.d/archive.list \
    -o Dir::Etc::sourceparts=- -o APT::Get::List-Cleanup=0
"""

passes: Passes
packages: Sequence[str] = ("linux-headers-lab",)


def deployed() -> None:
    """The operation under test."""
    kernel.headers(packages=packages)


@pytest.fixture(scope="module", autouse=True)
def _host(lab: Lab, boot: Boot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A host with one kernel, whose headers are there."""
    global passes
    folder = tmp_path_factory.mktemp("kernels")
    host = boot("trixie", "kernels13")
    host.run("mkdir -p /srv/archive")
    for name in ("linux-image-lab", "linux-headers-lab"):
        for version in (STABLE, BACKPORTS):
            made = make_deb(folder, name, version)
            text = base64.b64encode(made.read_bytes()).decode()
            host.run(f"base64 -d > /srv/archive/{made.name}", stdin=text)
    host.run(READY)
    passes = Passes.over(host)
    yield
    passes.link.close()


def version(name: str) -> str:
    """What is installed of a package, empty where nothing is."""
    return passes.look(f"dpkg-query -W -f '${{Version}}' {name} 2>/dev/null || true").strip()


def test_without_a_package_of_kernels_none_of_headers_comes_and_no_image() -> None:
    """Nothing follows such a kernel; what apt would bring is another line's."""
    assert all_hold(passes.plan(deployed))
    assert (version("linux-image-lab"), version("linux-headers-lab")) == ("", "")


def test_headers_come_from_the_series_of_the_kernels() -> None:
    """Although apt prefers those of stable."""
    passes.shell(f"apt-get -y -qq install linux-image-lab={BACKPORTS} >/dev/null")
    assert all_hold(passes.up(deployed))
    assert version("linux-headers-lab") == BACKPORTS
    assert all_hold(passes.plan(deployed))


def test_headers_of_another_series_do_not_count_as_right() -> None:
    """As an earlier run left them: they are moved to the kernels' series."""
    passes.shell(f"apt-get -y -qq --allow-downgrades install linux-headers-lab={STABLE} >/dev/null")
    assert passes.drifted(deployed) == {"kernel.headers"}
    assert all_hold(passes.up(deployed))
    assert version("linux-headers-lab") == BACKPORTS


def test_a_kernel_without_headers_gets_its_own() -> None:
    """By the name of its release, of Proxmox's kernels as of others."""
    passes.shell(f"rm -r /lib/modules/{RELEASE}/build")
    found = passes.plan(deployed)["kernel.headers"]
    assert f"linux-headers-{RELEASE}" in str(found)
    proxmox = "6.14.11-4-pve"
    passes.shell(
        f"mv /boot/vmlinuz-{RELEASE} /boot/vmlinuz-{proxmox}; mkdir -p /lib/modules/{proxmox}"
    )
    found = passes.plan(deployed)["kernel.headers"]
    assert f"proxmox-headers-{proxmox}" in str(found)
