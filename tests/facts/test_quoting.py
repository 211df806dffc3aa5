"""What facts are asked about is one word of a shell's, whatever stands in it."""

from __future__ import annotations

import inspect
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api import StringCommand

from fact_classes import CLASSES
from gpurig.contract.fact import Fact
from shell_check import BLANK, HOSTILE, complaints, not_read


def _script(fact: type[Fact[Any]], value: str) -> str:
    """The fact's command, with this in the place of each of its arguments."""
    arguments = {
        parameter.name: (value, value) if "tuple" in str(parameter.annotation) else value
        for parameter in list(inspect.signature(fact.command).parameters.values())[1:]
    }
    return StringCommand(fact().command(**arguments)).get_raw_value()


ASKED = [
    name for name, fact in CLASSES.items() if len(inspect.signature(fact.command).parameters) > 1
]


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("fact", ASKED)
def test_no_argument_of_a_fact_is_run(fact: str, value: str, tmp_path: Path) -> None:
    """The script can be read, answers as ever, and runs nothing that stands in the argument."""
    script = _script(CLASSES[fact], value)
    assert not not_read(script)
    ran = subprocess.run(
        ["dash", "-c", script], cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, errors="replace", timeout=60, check=False,
    )  # fmt: skip
    assert ran.stdout.splitlines()[-1].startswith("gpurig-exit:")
    assert not list(tmp_path.iterdir())


@pytest.mark.lab
@pytest.mark.parametrize("fact", CLASSES)
def test_nothing_in_a_fact_is_left_unquoted(fact: str) -> None:
    """By the distribution's shellcheck, with a blank in each argument."""
    assert not list(complaints(_script(CLASSES[fact], BLANK)))
