"""The initramfs of a host on which dracut makes it, as newer distributions do: what is in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gpurig.contract.finding import Verdict
from gpurig.errors import HostError
from gpurig.facts.driver.initramfs import DRACUT
from gpurig.operations.driver import initramfs, modprobe
from lab.plugin import Boot

from .passes import Passes, all_hold

pytestmark = pytest.mark.lab

PROMISE = "driver.initramfs"
KERNEL = "$(ls /boot | sed -n 's/^vmlinuz-//p')"
IMAGE = f"/boot/initrd.img-{KERNEL}"
passes: Passes


def deployed() -> None:
    """The blacklist, and the image that has it."""
    modprobe.nouveau_blacklist()
    initramfs.initramfs()


@pytest.fixture(scope="module", autouse=True)
def _host(boot: Boot) -> Iterator[None]:
    """A host with dracut and a kernel, whose image dracut made before there was a blacklist."""
    global passes
    passes = Passes.over(boot("trixie", "dracut"))
    passes.shell(
        "apt-get -qq update; DEBIAN_FRONTEND=noninteractive apt-get -qq -y install dracut"
        " linux-image-cloud-amd64 >/dev/null 2>&1"
    )
    yield
    passes.link.close()


def _inside() -> str:
    return passes.shell(f"lsinitrd {IMAGE} -f {modprobe.FILE[1:]}")


def test_from_bare_the_blacklist_is_in_the_image_and_stays_there() -> None:
    """Also in the image that a kernel's own hook makes afterwards."""
    assert all_hold(passes.up(deployed, {"driver.nouveau-blacklist"}))
    assert _inside() == modprobe.TEXT
    assert all_hold(passes.up(deployed)), "and again: nothing"

    passes.shell(f"/etc/kernel/postinst.d/dracut {KERNEL} /boot/vmlinuz-{KERNEL}")
    assert _inside() == modprobe.TEXT
    found = passes.plan(deployed)[PROMISE]
    assert "another size or time" in found.actual
    assert all_hold(passes.up(deployed, {PROMISE}))


def test_a_lost_drop_in_comes_back() -> None:
    """The next image would be made without it."""
    passes.shell(f"rm {DRACUT}")
    assert DRACUT in passes.plan(deployed)[PROMISE].will
    assert all_hold(passes.up(deployed, {PROMISE}))
    passes.shell(f"mv {DRACUT} /etc/dracut.conf.d/mine.conf")
    assert all_hold(passes.plan(deployed)), "whoever's file says so"


def test_what_fails_is_told_by_its_first_error() -> None:
    """A module of dracut's that is not there; and an image that lacks what it should have."""
    mine, broken = "/etc/dracut.conf.d/mine.conf", "/etc/dracut.conf.d/broken.conf"
    passes.shell(f"echo 'add_dracutmodules+=\" no-such-module \"' > {broken}; touch {IMAGE}")
    with pytest.raises(HostError, match=r"was not made: .*no-such-module"):
        passes.link.apply(deployed)
    passes.shell(f"rm {broken}; sed -i 's#/[*].conf#/none.conf#' {mine}")
    assert passes.plan(deployed)[PROMISE].verdict is Verdict.DRIFTED
    with pytest.raises(HostError, match=f"was made without {modprobe.FILE}"):
        passes.link.apply(deployed)
