"""The version of a toolkit whose nvcc is not started, or does not live to tell it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from gpurig.contract.values import Unknown
from gpurig.facts.cuda import CudaToolkits

GUARDED = '[ -n "$(guarded "$n")" ]'  # pytest's folder may be one that others can change


def _found(folder: Path, guarded: str = GUARDED) -> Any:
    script = CudaToolkits().command().get_raw_value()
    assert GUARDED in script
    script = script.replace("/usr/local/cuda-", f"{folder}/cuda-").replace(GUARDED, guarded)
    ran = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    return CudaToolkits().process(ran.stdout.removesuffix("\n").split("\n"))


@pytest.fixture
def nvcc(tmp_path: Path) -> Path:
    """Of a toolkit that is called 12.8; it says that it is another one."""
    file = tmp_path / "cuda-12.8/bin/nvcc"
    file.parent.mkdir(parents=True)
    file.write_text("#!/bin/sh\necho 'Cuda compilation tools, release 9.9, V9.9.1'\n")
    file.chmod(0o755)
    return file


def test_one_that_others_can_change_is_told_by_its_folder(nvcc: Path, tmp_path: Path) -> None:
    """It is not started: as where /usr/local belongs to the group staff, on older Debians."""
    nvcc.parent.chmod(0o777)
    assert [one["version"] for one in _found(tmp_path)] == ["12.8"]


def test_one_that_is_killed_is_unknown(nvcc: Path, tmp_path: Path) -> None:
    """As by a kernel without memory: the toolkit is there all the same."""
    nvcc.write_text("#!/bin/sh\nkill -9 $$\n")
    assert isinstance(_found(tmp_path, "false"), Unknown)
