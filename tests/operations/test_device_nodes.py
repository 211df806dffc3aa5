"""What mode and owner NVIDIA's driver gives its device nodes, as the kernel reads its options."""

from __future__ import annotations

import pytest

from gpurig.operations.driver.nodes import _wanted

OPTIONS: dict[str, tuple[dict[str, str], tuple[str, str, str] | None]] = {
    "none": ({}, ("666", "0", "0")),
    "octal": ({"Mode": "0660", "GID": "44"}, ("660", "0", "44")),
    "decimal": ({"Mode": "432"}, ("660", "0", "0")),
    "hexadecimal": ({"Mode": "0x1b0"}, ("660", "0", "0")),
    "no number": ({"Mode": "rw"}, None),
    "the driver is to leave them alone": ({"ModifyDeviceFiles": "0", "Mode": "0660"}, None),
    "it may change them": ({"ModifyDeviceFiles": "1"}, ("666", "0", "0")),
}


@pytest.mark.parametrize(("options", "wanted"), OPTIONS.values(), ids=OPTIONS)
def test_options_are_read_as_the_kernel_reads_them(
    options: dict[str, str], wanted: tuple[str, str, str] | None
) -> None:
    """None where a person has to say which modes are right."""
    assert _wanted(options) == wanted
