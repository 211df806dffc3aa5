"""Horovod: built for the framework beside it, and two processes of it agree on a sum."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from gpurig.contract.frameworks import frameworks
from gpurig.proofs.plugin import Subject, not_applicable

NAMES = {"tensorflow": "TensorFlow", "pytorch": "PyTorch"}
PROCESSES = 2

VERSIONS = """
import importlib.metadata, importlib.util, json, pathlib
folder = pathlib.Path(importlib.util.find_spec("horovod").origin).parent
built = json.loads((folder / "metadata.json").read_text())
built = {{"torch": built.get("pytorch"), **built}}
print(built["{0}"], importlib.metadata.version("{0}"))
"""

SUM = """
import json
import numpy
import horovod.{module} as hvd
hvd.init()
mine = numpy.arange(4, dtype="float32") + hvd.rank()
{convert}
total = hvd.allreduce(mine, op=hvd.Sum)
print(json.dumps({{"rank": hvd.rank(), "size": hvd.size(), "total": total.numpy().tolist()}}))
"""
CONVERT = {"tensorflow": "", "pytorch": "import torch; mine = torch.from_numpy(mine)"}


@pytest.fixture
def with_horovod(subject: Subject) -> dict[str, Any]:
    """The environment that has Horovod."""
    found = [e for e in subject.stack["environments"] if e["framework"] == "horovod"]
    if not found:
        not_applicable("rig_frameworks does not name horovod")
    return dict(found[0])


def _horovodrun(
    host: Host, subject: Subject, environment: dict[str, Any], scratch: str, *words: str
) -> CommandResult:
    folder = f"{subject.settings.venv_root}/{environment['name']}/bin"
    line = [
        "env", "-i", f"HOME={scratch}", "LC_ALL=C.UTF-8", f"PATH={folder}:/usr/bin:/bin",
        "TF_CPP_MIN_LOG_LEVEL=3", "horovodrun", *words,
    ]  # fmt: skip
    return host.run(
        "runuser -u %s -- sh -c %s", subject.user, f"cd {scratch} && {shlex.join(line)}"
    )


def _sentence(told: CommandResult) -> str:
    """The last words of a process, which horovodrun marks with its rank, else its own."""
    lines: list[str] = told.stderr.strip().splitlines() or ["no output"]
    return next((line for line in reversed(lines) if "]<stderr>:" in line), lines[-1])


@pytest.mark.proof("horovod.built")
def test_horovod_is_built_for_its_framework(
    host: Host, subject: Subject, with_horovod: dict[str, Any], scratch: str
) -> None:
    """Horovod has gloo, and was compiled for the framework version that is installed."""
    told = _horovodrun(host, subject, with_horovod, scratch, "--check-build")
    assert told.rc == 0, _sentence(told)
    there = [line.split("]", 1)[1].strip() for line in told.stdout.splitlines() if "[X]" in line]
    subject.detail["built"] = there
    for wanted in (NAMES[with_horovod["base"]], "Gloo"):
        assert wanted in there, f"Horovod lacks {wanted}; it has {', '.join(there)}"
    # Horovod 0.28.1 names PyTorch whether or not it was built for it; its own record does not.
    folder = f"{subject.settings.venv_root}/{with_horovod['name']}/bin"
    asked = host.run(
        "runuser -u %s -- %s/python -I -c %s",
        subject.user, folder, VERSIONS.format(frameworks()[with_horovod["base"]].module),
    )  # fmt: skip
    assert asked.rc == 0, asked.stderr.strip().splitlines()[-1]
    built, installed = asked.stdout.split()
    assert built == installed, f"Horovod was compiled for {built}, not for {installed}"


@pytest.mark.proof("horovod.sum")
def test_processes_agree_on_a_sum(
    host: Host, subject: Subject, with_horovod: dict[str, Any], training: None, scratch: str
) -> None:
    """Two processes started by horovodrun add their numbers over gloo and get the right sum."""
    base = with_horovod["base"]
    program = SUM.format(module=frameworks()[base].module, convert=CONVERT[base])
    told = _horovodrun(
        host, subject, with_horovod, scratch,
        "-np", str(PROCESSES), "--gloo", "python", "-c", program,
    )  # fmt: skip
    assert told.rc == 0, _sentence(told)
    lines = [line[line.index("{") :] for line in told.stdout.splitlines() if '"rank"' in line]
    answers = sorted((json.loads(line) for line in lines), key=lambda answer: answer["rank"])
    subject.detail["answers"] = answers
    total = [float(PROCESSES * n + sum(range(PROCESSES))) for n in range(4)]
    wanted = [{"rank": n, "size": PROCESSES, "total": total} for n in range(PROCESSES)]
    assert answers == wanted, f"the processes answer {answers} instead of {wanted}"
