"""What a drift says is what is there: gone, of another mode, of another time, one or many."""

from __future__ import annotations

from typing import cast

import pytest

from gpurig.facts.docker.proxy import DROP_IN, SECRET, Proxy
from gpurig.facts.driver.initramfs import Image
from gpurig.operations import cudnn
from gpurig.operations.docker import proxy
from gpurig.operations.driver import initramfs
from gpurig.operations.shared.words import counted

TEXT = proxy._environment("http://proxy.example.org:3128")
RIGHT = Proxy(
    drop_in=proxy._UNIT, secret=proxy._digest(TEXT), access="600 root:root", theirs=[],
    running="", marked=False, pid=0,
)  # fmt: skip
PROXIES = {
    "nothing there": ({"drop_in": "", "secret": "", "access": ""}, "dockerd gets no proxy"),
    "the address is gone": ({"secret": "", "access": ""}, f"no {SECRET}"),
    "the drop-in is gone": ({"drop_in": ""}, f"no {DROP_IN}"),
    "another address": ({"secret": "0" * 64}, f"{SECRET} differs"),
    "the drop-in was edited": ({"drop_in": "[Service]\n"}, f"{DROP_IN} differs"),
    "others read it": ({"access": "644 root:root"}, f"{SECRET} has owner root:root, mode 644"),
    "a user's, and edited": (
        {"access": "600 ann:ann", "secret": "0" * 64},
        f"{SECRET} differs, {SECRET} has owner ann:ann, mode 600",
    ),
}


@pytest.mark.parametrize(("differs", "told"), PROXIES.values(), ids=PROXIES)
def test_the_proxy_s_files_are_told_by_what_is_wrong(differs: dict[str, str], told: str) -> None:
    """A file that is gone does not differ, and one with another mode is not another file."""
    assert proxy._wrong(cast("Proxy", RIGHT | differs), TEXT) == told


IMAGES = {
    "touched": ({"remade": True}, "has another size or time than when gpurig made it"),
    "another configuration": ({"made_for": "9f86d0"}, "has an older configuration of modprobe"),
    "dracut as it comes": (
        {"maker": "dracut", "carries": False},
        "dracut copies no file of /etc/modprobe.d",
    ),
    "never made by gpurig": ({}, "gpurig did not make the initramfs of 6.12"),
}


@pytest.mark.parametrize(("differs", "told"), IMAGES.values(), ids=IMAGES)
def test_an_initramfs_is_told_by_what_is_known_of_it(differs: dict[str, str], told: str) -> None:
    """A changed time is no changed configuration."""
    image = Image(release="6.12", made_for="", remade=False, maker="update-initramfs", carries=True)
    assert told in initramfs._wrong(cast("Image", image | differs))


@pytest.mark.parametrize(
    ("number", "told"), [(0, "0 archives"), (1, "1 archive"), (2, "2 archives")]
)
def test_one_thing_is_one(number: int, told: str) -> None:
    """The plural is for many and for none."""
    assert counted(number, "archive") == told


@pytest.mark.parametrize(
    ("bounds", "version", "allowed"),
    [
        ((None, None), "9.12.0.46-1", True),
        ((None, "9.10.2"), "9.10.2.21-1", True),
        ((None, "9.10.2"), "9.12.0.46-1", False),
        (("9.5.1", "9.5.1"), "9.5.1.17-1", True),
        (("9.5.1", "9.5.1"), "9.5.0.50-1", False),
        (("9.12", "9.12"), "9.5.1.17-1", False),
    ],
)
def test_a_version_of_cudnn_is_within_its_bounds(
    bounds: tuple[str | None, str | None], version: str, allowed: bool
) -> None:
    """One that the settings name is neither newer nor older."""
    assert cudnn.Bounds(*bounds).allow(version) is allowed
