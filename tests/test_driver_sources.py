"""Which packages of the driver are wanted, by source and age; no host is needed for that."""

from __future__ import annotations

import pytest

from gpurig.facts.packages.apt import Pin, Sources
from gpurig.operations.driver.preferences import (
    CUDA_REPOSITORY,
    _pinned_by,
    _shared,
    _wanted,
    fits,
    is_too_old,
    nvidia_places,
)
from gpurig.stack.model import Driver, Repository

NVIDIA = Repository("nvidia", "https://a.example.com/debian12/x86_64/", "/", (), "", "")


def _driver(oldest: str | None, repository: Repository | None = NVIDIA) -> Driver:
    return Driver("580", "open", "nvidia", ("nvidia-driver-cuda",), "nvidia", "nvidia",
                  oldest or "580.65.06", oldest=oldest, repository=repository)  # fmt: skip


@pytest.mark.parametrize(
    ("oldest", "version", "old"),
    [
        ("580.82.07", "580.65.06-1", True),
        ("580.82.07", "580.82.07-1", False),
        ("580.82.07", "580.126.09-1ubuntu1", False),  # by number, not by letter
        (None, "580.65.06-1", False),
        ("580.82.07", "1.20.0-1", False),  # of a package that has no version of the driver's
    ],
)
def test_a_package_is_too_old_below_the_first_release_that_knows_the_gpus(
    oldest: str | None, version: str, old: bool
) -> None:
    """And where the whole branch knows them none is."""
    assert is_too_old(_driver(oldest), version) is old


def test_apt_is_not_left_a_candidate_that_is_too_old() -> None:
    """Of both sources."""
    place = ["https://a.example.com/debian12/x86_64"]
    assert fits(_driver("580.82.07"), "580.95.05-1", place, place)
    assert not fits(_driver("580.82.07"), "580.65.06-1", place, place)
    own = _driver("580.82.07", None)
    assert fits(own, "580.95.05-1", ["http://mirror.example.com/debian"], place)
    assert not fits(own, "580.65.06-1", ["http://mirror.example.com/debian"], place)


PLACE = f"http://m.example.com/nvidia{CUDA_REPOSITORY[0]}debian13/x86_64"
LINES = {
    "hosts of their own": (f"deb http://deb.example.com/debian trixie main\ndeb {PLACE}/ /",
                           'origin "m.example.com"'),
    "one host mirrors both": (f"deb http://m.example.com/debian trixie main\ndeb {PLACE}/ /",
                              "release o=NVIDIA"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "pinned"), LINES.values(), ids=LINES)
def test_a_repository_is_known_by_its_whole_address(text: str, pinned: str) -> None:
    """The distribution's driver fits where it comes from the host that has NVIDIA's as well."""
    sources = Sources().process(["### /etc/apt/sources.list", *text.splitlines(), "gpurig-exit:0"])
    assert isinstance(sources, list)
    nvidia = nvidia_places(sources)
    assert nvidia == [PLACE]
    own = _driver(None, None)
    assert fits(own, "580.95.05-1", [sources[0]["uris"][0]], nvidia)
    assert not fits(own, "580.95.05-1", nvidia, nvidia)
    pins = _wanted(own, "release o=Debian", nvidia, _shared(sources))
    assert [pin["pin"] for pin in pins] == ["release o=Debian", pinned]


@pytest.mark.parametrize(
    ("packages", "counts"),
    [
        (["nvidia-driver"], True),
        (["nvidia-*"], True),
        (["src:nvidia-graphics-drivers"], True),
        (["/^nvidia/"], True),
        (["*"], False),
        (["libc6"], False),
    ],
)
def test_which_pins_may_be_of_a_package(packages: list[str], counts: bool) -> None:
    """By name, by source package, by a regular expression (apt_preferences(5))."""
    pin = Pin(file="/etc/apt/preferences.d/mine", packages=packages, pin="release *", priority="-1")
    assert bool(_pinned_by("nvidia-driver", [pin])) is counts
