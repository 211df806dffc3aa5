"""What the driver's operations decide by: signatures, firmware, versions, working kernels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gpurig.contract.values import ABSENT
from gpurig.facts.driver.dkms import Failure, failed_for
from gpurig.facts.driver.libraries import Found, Loads
from gpurig.facts.driver.versions import upstream
from gpurig.operations.driver import libraries
from gpurig.operations.driver.boot_kernel import with_module
from gpurig.operations.driver.firmware import needs_gsp
from gpurig.operations.driver.module_signature import judged
from gpurig.stack.model import Flavour

DATA = Path(__file__).parent.parent / "data/facts"


def _read(fact: str, machine: str) -> Any:
    return json.loads((DATA / fact / f"{machine}.json").read_text())


def _module(**other: str) -> Any:
    return _read("KernelModules", "debian-13-older-kernel-has-it")[0] | other


@pytest.mark.parametrize(
    ("machine", "state"),
    [
        ("debian-13-enrolled", "trusted"),
        ("debian-13-pending", "pending"),
        ("debian-13-not-enrolled", "not-enrolled"),
    ],
)
def test_a_module_signed_by_dkms_is_judged_by_the_number_of_its_key(
    machine: str, state: str
) -> None:
    """What mokutil lists decides: enrolled, waiting for the console, or neither."""
    keys = _read("Mok", machine)

    assert judged(_module(), keys) == state
    assert judged(_module(signer="", key=""), keys) == "unsigned"
    assert judged(_module(key="ABCD"), keys) == "foreign"


def test_a_key_of_the_kernel_is_known_by_its_name_and_dkms_has_none_there() -> None:
    """The distribution's key counts as enrolled; one that is only named as dkms's does not."""
    ours, theirs = "DKMS module signing key", "Canonical Ltd. Kernel Module Signing"
    keys = _read("Mok", "debian-13-not-enrolled") | {"trusted": [ours, theirs]}

    assert judged(_module(signer=theirs, key="12"), keys) == "trusted"
    assert judged(_module(signer=ours, key="12"), keys) == "foreign"


def test_a_kernel_works_with_a_module_of_the_libraries_version_only() -> None:
    """A module of another version than the libraries is as good as none."""
    modules = _read("KernelModules", "debian-13-older-kernel-has-it")

    assert with_module(modules, "550.163.01") == ["6.12.100+deb13-amd64"]
    assert with_module(modules, "550.90.07") == []


@pytest.mark.parametrize(
    ("flavour", "architectures", "needed"),
    [
        ("open", ["ada"], True),
        ("proprietary", ["pascal"], False),
        ("proprietary", ["pascal", "hopper"], True),
        ("proprietary", [None], True),
    ],
)
def test_only_gpus_before_turing_do_without_firmware(
    flavour: Flavour, architectures: list[str | None], needed: bool
) -> None:
    """The open module always loads firmware, the other where a GPU has a GSP or is not known."""
    assert needs_gsp(flavour, architectures) is needed


@pytest.mark.parametrize("version", ["550.163.01-1", "550.163.01", "1:550.163.01-0ubuntu1"])
def test_a_packages_version_holds_the_drivers(version: str) -> None:
    """Epoch and revision are the packager's."""
    assert upstream(version) == "550.163.01"


def test_a_build_that_failed_is_told_by_kernel() -> None:
    """Of this module; of one version where it is named. Without dkms none has failed."""
    failures = [
        Failure(module=module, version=version, kernel=kernel, error=f"{module} {version}")
        for module, version, kernel in [("nvidia", "1", "a"), ("nvidia", "2", "b"), ("x", "1", "c")]
    ]

    assert failed_for(failures, "nvidia") == {"a": "nvidia 1", "b": "nvidia 2"}
    assert failed_for(failures, "nvidia", "2") == {"b": "nvidia 2"}
    assert failed_for(ABSENT, "nvidia") == {}


def _listed(**files: tuple[str, ...]) -> Loads:
    """What the loader's cache has, by a library's name without its end."""
    listed = {
        f"{name}.so.1": [Found(place="", path=path, file=path) for path in paths]
        for name, paths in files.items()
    }
    return Loads(cache=True, listed=listed, there={}, before=[], preload=[])


OWN = "/usr/lib/x86_64-linux-gnu/libcuda.so.550.163.01"
NVML = "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.550.163.01"


@pytest.mark.parametrize(
    ("cuda", "nvml", "said"),
    [
        ((OWN,), (NVML,), ""),
        (("/usr/local/cuda/compat/libcuda.so.570.1", OWN), (NVML,), ""),  # meant to come first
        (("/usr/lib/wsl/lib/libcuda.so.1.1",), ("/usr/lib/wsl/lib/libnvidia-ml.so.1",), ""),
        (("/usr/local/lib/libcuda.so.1", OWN), (NVML,), f"libcuda.so.1 and not {OWN}"),
        ((OWN,), (NVML.replace("163.01", "90.07"),), "of two versions"),
    ],
)
def test_libraries_of_two_places_are_named(
    cuda: tuple[str, ...], nvml: tuple[str, ...], said: str
) -> None:
    """Not NVIDIA's own newer ones, and not those whose names tell no version."""
    told = list(libraries._mixed(_listed(libcuda=cuda, **{"libnvidia-ml": nvml})))
    assert bool(told) == bool(said)
    assert said in "".join(told)
