"""A described machine is like the real one: classes of its GPUs, its CPU, its kernel."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gpurig.errors import InputError
from gpurig.stack.described import Given, described
from gpurig.stack.gpu_words import gpus
from gpurig.stack.gpus import row_of
from gpurig.stack.model import Refusal, Stack
from gpurig.stack.tables import tables
from stack.observations import answer

GT710, RTX4090, K80 = "10de:128b", "10de:2684", "10de:102d"
VGA = "01:00.0 VGA compatible controller [0300]: NVIDIA Corporation GK208B [10de:128b] (rev a1)"
COMPUTING = VGA.replace("VGA compatible", "3D").replace("0300", "0302")
CARD = "41:00.0 VGA compatible controller [0300]: NVIDIA Corporation AD102 [10de:2684] (rev a1)"
NAMED = """\
01:00.0 {}: NVIDIA Corporation GK208B [GeForce GT 710] (rev a1)
41:00.0 VGA compatible controller: NVIDIA Corporation AD102 [GeForce RTX 4090] (rev a1)
"""


def _facts(**words: Any) -> dict[str, Any]:
    return described(Given(**{"os": "debian:13", **words})).as_json()


def _classes(*words: str) -> list[str]:
    return [gpu["class"] for gpu in _facts(gpus=words)["gpus"]]


def _report(kind: str) -> str:
    device = {"address": "0000:01:00.0", "id": GT710, "class": kind}
    return json.dumps({"hosts": {"a": {"facts": {"gpus": [device], "nvswitches": []}}}})


@pytest.mark.parametrize(
    ("words", "kinds"),
    [
        ([f"{VGA}\n{CARD}"], ["0x030000", "0x030000"]),
        ([COMPUTING], ["0x030200"]),
        (["01:00.0 0302: 10de:128b (rev a1)"], ["0x030200"]),
        ([NAMED.format("VGA compatible controller")], ["0x030000", "0x030000"]),
        ([NAMED.format("3D controller")], ["0x030200", "0x030000"]),
        ([_report("0x030200")], ["0x030200"]),
        ([_report("0x030000")], ["0x030000"]),
        ([GT710, "GT 710", RTX4090, K80, "Tesla K40m"],
         ["0x030000", "0x030000", "0x030200", "0x030200", "0x030200"]),
    ],
)  # fmt: skip
def test_a_gpu_has_the_class_that_its_listing_shows(words: list[str], kinds: list[str]) -> None:
    """Else that of a display card, where it is an old one of no server's."""
    assert _classes(*words) == kinds
    found = [pci_id for word in words for pci_id in gpus(word).ids]
    assert _classes(*found) == kinds, "an id that was found keeps its class"
    assert all(type(gpu["id"]) is str for gpu in _facts(gpus=words)["gpus"])


@pytest.mark.parametrize(
    "words",
    [
        [f"{VGA}\n{CARD}"],
        [NAMED.format("VGA compatible controller")],
        [GT710, RTX4090],
        ["GeForce GT 710", "RTX 4090"],
    ],
    ids=["lspci -nn", "lspci", "ids", "names"],
)
def test_a_display_card_of_a_legacy_driver_is_left_out(words: list[str]) -> None:
    """However the GPUs were written, the answer is that of the real host."""
    found = answer(described(Given("debian:13", gpus=words)))
    assert isinstance(found, Stack), found
    assert [gpu.id for gpu in found.gpus] == [RTX4090]
    assert found.driver is not None
    assert found.driver.branch == "550"


@pytest.mark.parametrize("words", [[f"{COMPUTING}\n{CARD}"], [K80, RTX4090]], ids=["listed", "id"])
def test_an_old_gpu_without_a_screen_is_left_to_its_owner(words: list[str]) -> None:
    """Nobody else knows whether it is meant to compute."""
    assert isinstance(answer(described(Given("debian:13", gpus=words))), Refusal)


ARM = [f"10de:{device}" for row in tables().gpu for device in row.arm]


@pytest.mark.parametrize(
    "word", ["GB10", "GH200", "GB200", "GB300", "AGX Thor", "10de:2345", "10de:2e06", *ARM]
)
def test_a_gpu_that_exists_only_beside_arm_makes_the_machine_one(word: str) -> None:
    """Unless it was said; a machine that cannot be is one sentence."""
    assert _facts(gpus=[word])["architecture"] == "aarch64"
    assert _facts(gpus=[word, "RTX 4090"], arch="aarch64")["architecture"] == "aarch64"
    assert _facts(gpus=[word], arch="arm64")["architecture"] == "arm64"
    with pytest.raises(
        InputError, match=r"^--arch: .*only beside Arm CPUs, not x86_64; "
    ) as caught:
        _facts(gpus=[word], arch="x86_64")
    assert "\n" not in str(caught.value)


def test_other_gpus_leave_the_architecture_as_it_was() -> None:
    """x86_64 without a word; a card is beside either."""
    assert _facts()["architecture"] == "x86_64"
    for word in ("H100 PCIe", "B200", "10de:3182", "10de:ffff", "1ae0:0062"):
        assert _facts(gpus=[word])["architecture"] == "x86_64"
        assert _facts(gpus=[word], arch="aarch64")["architecture"] == "aarch64"


def test_an_id_beside_arm_is_of_the_row_that_says_so() -> None:
    """It is written as ids are, and no narrower row has it."""
    for row in tables().gpu:
        assert all(row_of(f"10de:{device}") is row for device in row.arm), row.chips
        assert row.arm or not row.jetson


def test_a_gpu_of_a_jetson_makes_the_machine_one() -> None:
    """Its stack is its own; a kernel that was named is the one that boots."""
    found = answer(described(Given("ubuntu:24.04", gpus=["AGX Thor"])))
    assert isinstance(found, Stack), found
    assert found.driver is None
    (reason,) = (item.reason for item in found.left_out if item.component == "driver")
    assert reason.startswith("a Jetson has its own stack, JetPack")
    named = _facts(gpus=["AGX Thor"], kernel="6.8.0-90-generic")["kernel"]
    assert named["running"] == "6.8.0-90-generic"
