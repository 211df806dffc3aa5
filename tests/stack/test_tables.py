"""The tables: figures with their source, and ids that name one GPU each."""

from __future__ import annotations

import pytest

from gpurig.stack.gpus import gpu, row_of
from gpurig.stack.tables import tables

# Names as pci.ids gives them (2025.06.09), where ranges of the tables touch each other.
NAMED = {
    "10de:0ffe": ("kepler", "3.0"),  # Quadro K2000M
    "10de:1024": ("kepler", "3.5"),  # Tesla K40c
    "10de:102d": ("kepler", "3.7"),  # Tesla K80
    "10de:13bd": ("maxwell", "5.0"),  # Tesla M10
    "10de:13ad": ("maxwell", "5.2"),  # GM204, inside GM107's range
    "10de:15f8": ("pascal", "6.0"),  # Tesla P100
    "10de:1b38": ("pascal", "6.1"),  # Tesla P40
    "10de:1db6": ("volta", "7.0"),  # Tesla V100
    "10de:1eb8": ("turing", "7.5"),  # T4
    "10de:20b5": ("ampere", "8.0"),  # A100
    "10de:2235": ("ampere", "8.6"),  # A40
    "10de:26b9": ("ada", "8.9"),  # L40S
    "10de:2330": ("hopper", "9.0"),  # H100
    "10de:22a3": ("hopper", "9.0"),  # H100 behind NVSwitch, far from the others
    "10de:22ce": ("blackwell", "12.1"),  # GB20B, between the ids of Hopper
    "10de:2901": ("blackwell", "10.0"),  # B200
    "10de:3182": ("blackwell", "10.3"),  # B300
    "10de:2b85": ("blackwell", "12.0"),  # RTX 5090
    "10de:3010": ("rubin", "10.7"),
}


@pytest.mark.parametrize("row", tables().rows(), ids=lambda row: type(row).__name__)
def test_every_row_names_its_source_and_date(row):
    assert row.source.strip()
    assert row.date.year >= 2025


@pytest.mark.parametrize(("pci_id", "named"), NAMED.items(), ids=NAMED)
def test_an_id_is_the_gpu_that_pci_ids_says(pci_id, named):
    found = gpu(pci_id)
    assert (found.architecture, found.compute_capability) == named


@pytest.mark.parametrize(
    "pci_id",
    ["10de:1060", "10de:1140", "10de:1200", "10de:22bc", "10de:ffff", "10de:0000", "1002:744c"],
    ids=["Fermi", "Fermi mobile", "Fermi GF114", "audio", "future", "zero", "another vendor"],
)
def test_an_id_of_no_row_stays_unknown(pci_id):
    assert row_of(pci_id) is None
    assert gpu(pci_id).architecture is None


def test_no_two_rows_claim_an_id_equally():
    """Of several ranges that hold an id one is the narrowest, so that order does not decide."""
    claims: dict[tuple[int, int], str] = {}
    for row in tables().gpus:
        for ids in row.ids:
            first, _, last = ids.partition("-")
            span = (int(first, 16), int(last or first, 16))
            assert span[0] <= span[1], ids
            assert span not in claims, f"{ids}: {row.chips} and {claims[span]}"
            claims[span] = row.chips
    for one in claims:
        for other in claims:
            crosses = one[0] < other[0] <= one[1] < other[1]
            assert not crosses, f"{claims[one]} and {claims[other]} cross at {other[0]:04x}"


@pytest.mark.parametrize("row", tables().gpus, ids=lambda row: row.chips)
def test_flavours_follow_the_architecture(row):
    """Open modules begin with Turing, proprietary ones end before Blackwell."""
    if row.architecture in ("kepler", "maxwell", "pascal", "volta"):
        assert row.flavours == ["proprietary"]
    if row.architecture in ("blackwell", "rubin"):
        assert row.flavours == ["open"]


def test_every_driver_is_of_a_known_branch():
    known = {row.number for row in tables().branches}
    assert {row.branch for row in tables().drivers} <= known


def test_every_driver_maps_its_module_and_answers_nvml():
    """Without libcuda1 Debian makes no alternative, and modprobe does not find nvidia."""
    for row in tables().drivers:
        assert {"libcuda1", "nvidia-smi", "nvidia-persistenced"} <= set(row.packages)
        assert row.module.startswith("nvidia-current")
