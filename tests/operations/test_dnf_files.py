"""What is written into dnf's lock files, and which repository is the same place as ours."""

from __future__ import annotations

import sys
from fnmatch import fnmatchcase

import pytest

from gpurig.facts.packages.dnf import DnfRepository
from gpurig.operations.driver.locks_dnf import LOCKED, entries, locked, parts
from gpurig.operations.driver.packages_dnf import NVIDIA
from gpurig.operations.shared.dnf import _theirs
from gpurig.stack.model import Repository

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# As dnf's own commands leave them: dnf 4's list, and dnf 5's TOML after its manual's example.
THEIRS = {
    4: "# mine\nfoo-0:1.0-1.*\n!nvidia-driver-3:590.44.01-1.el9.*\nnvidia-driver-3:580.1-1.*\n",
    5: 'version = "1.0"\n\n[[packages]]\nname = "acpi"\n[[packages.conditions]]\nkey = "evr"\n'
    'comparator = "<"\nvalue = "4"\n',
}


@pytest.mark.parametrize("dnf", THEIRS)
@pytest.mark.parametrize("empty", [False, True])
def test_locks_are_ours_once_and_theirs_as_they_stand(dnf: int, empty: bool) -> None:
    """A branch replaces the one before; every entry of the user's is there before and after."""
    theirs = "" if empty else THEIRS[dnf]

    first = locked(theirs, dnf, "580")
    second = locked(first, dnf, "590")

    assert sorted(parts(first, dnf)[1]) == sorted(entries(dnf, "580"))
    assert sorted(parts(second, dnf)[1]) == sorted(entries(dnf, "590"))
    assert locked(second, dnf, "590") == second
    assert second.startswith(theirs)


def test_the_toml_of_dnf_5_is_toml() -> None:
    """Each of our names has its two bounds, and the user's entry is still one."""
    packages = tomllib.loads(locked(THEIRS[5], 5, "580"))["packages"]

    assert [package["name"] for package in packages] == ["acpi", *LOCKED]
    assert [one["value"] for one in packages[1]["conditions"]] == ["3:580", "3:581"]


@pytest.mark.parametrize(
    ("name", "driver", "nvidias"),
    [
        ("nvidia-driver-cuda", True, True),
        ("kmod-nvidia-open-dkms", True, True),
        ("libnvidia-ml", True, True),
        ("libnvidia-cfg", True, True),
        ("cuda-drivers", True, True),
        ("nvidia-container-toolkit", False, False),
        ("libnvidia-container1", False, False),
        ("cuda-toolkit-13-0", False, False),
        ("kernel-core", False, False),
    ],
)
def test_the_driver_is_told_from_the_rest_of_nvidias(
    name: str, driver: bool, nvidias: bool
) -> None:
    """Only what has the driver's version is locked; only the driver may be moved out of its way."""
    assert any(fnmatchcase(name, pattern) for pattern in LOCKED) is driver
    assert bool(NVIDIA.match(name)) is nvidias


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("https://example.org/rpm/x86_64/", True),
        ("https://example.org/rpm/$basearch", True),
        ("https://example.org/${kind}/$basearch", True),
        ("https://example.org/rpm", False),
        ("https://example.org/other/$basearch", False),
        ("https://example.org/$basearch", False),
    ],
)
def test_an_address_with_dnfs_variables_is_the_same_place(url: str, same: bool) -> None:
    """A variable stands for one part of the address."""
    ours = Repository("lab", "https://example.org/rpm/x86_64", "", (), "", "")
    theirs = DnfRepository(
        file="/etc/yum.repos.d/theirs.repo", id="theirs", baseurl=url, gpgkey="",
        gpgcheck=True, repo_gpgcheck=False, enabled=True,
    )  # fmt: skip

    assert (_theirs([theirs], ours) is not None) is same
    assert _theirs([{**theirs, "enabled": False}], ours) is None
