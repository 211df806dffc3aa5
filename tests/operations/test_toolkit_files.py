"""Which CDI spec stays, why one is wrong, and how one key of a TOML file changes."""

from __future__ import annotations

from typing import Any

import pytest

from gpurig.facts.cdi import DriverOnHost, Spec
from gpurig.operations.cdi import KEPT, REFRESHED, faults, kept
from gpurig.operations.container_toolkit import with_key
from gpurig.operations.systemd import lacking

DRIVER = DriverOnHost(
    version="550.163.01", libraries=["libnvidia-ml.so.550.163.01"], nodes=["/dev/nvidia0"]
)


def _spec(path: str = KEPT, **differs: Any) -> Spec:
    right = Spec(
        path=path,
        version="0.5.0",
        kind="nvidia.com/gpu",
        devices=["0", "all"],
        nodes=["/dev/nvidia0"],
        libraries=["libnvidia-ml.so.550.163.01"],
        missing=[],
    )
    return Spec(**{**right, **differs})  # type: ignore[typeddict-item]


def test_a_right_spec_has_no_fault() -> None:
    """Device, libraries and the device all: that is what containers need."""
    assert faults(_spec(), DRIVER, 1) == []


@pytest.mark.parametrize(
    "differs",
    [
        {"version": ""},
        {"missing": ["/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.525.1"]},
        {"libraries": []},
        {"nodes": ["/dev/nvidia0", "/dev/nvidia1"]},
        {"devices": ["0"]},
    ],
)
def test_each_fault_of_a_spec_is_told(differs: dict[str, Any]) -> None:
    """One thing wrong gives one sentence."""
    assert len(faults(_spec(**differs), DRIVER, 1)) == 1


def test_gpus_are_counted_only_when_there_is_doubt() -> None:
    """A spec is not called wrong for a number nobody asked the driver for."""
    assert faults(_spec(nodes=["/dev/nvidia0", "/dev/nvidia1"]), DRIVER, None) == []


PLACES = {
    "none, no refresh": ([], False, KEPT),
    "none, refreshed": ([], True, REFRESHED),
    "in /etc": ([KEPT], False, KEPT),
    "in /etc under another name": (["/etc/cdi/gpus.yaml"], False, "/etc/cdi/gpus.yaml"),
    "in /run only": ([REFRESHED], False, KEPT),
    "in /run, refreshed": ([REFRESHED], True, REFRESHED),
    "in /etc, refresh would work": ([KEPT], True, KEPT),
    "both": ([KEPT, REFRESHED], False, KEPT),
    "both, refreshed": ([KEPT, REFRESHED], True, REFRESHED),
}


@pytest.mark.parametrize(("paths", "refreshes", "stays"), PLACES.values(), ids=PLACES)
def test_the_spec_that_lasts_is_the_one_that_stays(
    paths: list[str], refreshes: bool, stays: str
) -> None:
    """What a boot would take away or bring back decides which of two specs is kept."""
    specs = [_spec(path) for path in paths]

    assert kept(specs, specs, refreshes) == stays


TOML = """# top
[a]
key = 1

[b] # mine
#mode = "x"
mode = "legacy"
other = 2
[b.c]
mode = 3
"""


def test_one_key_changes_and_every_other_line_stays() -> None:
    """Comments, other tables and keys of the same name are left."""
    assert with_key(TOML, "b", "mode", "auto") == TOML.replace('mode = "legacy"', 'mode = "auto"')


def test_a_key_that_is_missing_is_put_into_its_table() -> None:
    """A commented key is no key."""
    assert '[a]\nnew = "1"\nkey = 1' in with_key(TOML, "a", "new", "1")


def test_a_table_that_is_missing_is_added() -> None:
    """The new table comes last, so that it swallows no key."""
    assert with_key(TOML, "z", "k", "v") == TOML + '\n[z]\nk = "v"\n'


def test_a_mask_hides_nothing_else() -> None:
    """A masked unit is called masked, and not stopped as well."""
    unit = {"load": "masked", "active": "inactive", "enabled": "masked", "invocation": ""}

    assert lacking({"docker.service": unit}) == ["docker.service is masked"]  # type: ignore[dict-item]
