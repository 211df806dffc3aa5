"""The machine trains: a matrix product against NumPy, and an MNIST network that learns."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from testinfra.host import Host

from gpurig.proofs.plots import plots
from gpurig.proofs.plugin import Subject, not_applicable, not_run

WORKLOADS = "/opt/gpurig/workloads"
DATA = "/var/lib/gpurig/datasets"


@pytest.fixture
def scratch(host: Host, subject: Subject) -> Iterator[str]:
    """A private folder of the user whom workloads are run as; it is removed afterwards."""
    if not subject.workloads:
        not_run("nothing changed; `gpurig verify` runs it")
    if not subject.stack["environments"]:
        not_applicable("environments are left out on this host")
    folder = host.check_output("runuser -u %s -- mktemp -d /tmp/gpurig-XXXXXXXX", subject.user)
    yield folder
    host.run("rm -rf %s", folder)


def _train(
    host: Host, subject: Subject, scratch: str, program: str, *options: str
) -> dict[str, Any]:
    environment = subject.stack["environments"][0]["name"]
    python = f"{subject.settings.venv_root}/{environment}/bin/python"
    words = [
        "env",
        "-i",
        f"HOME={scratch}",
        f"MPLCONFIGDIR={scratch}",
        "PATH=/usr/bin:/bin",
        python,
        f"{WORKLOADS}/{program}",
        *options,
    ]
    line = f"cd {scratch} && {shlex.join(words)}"
    told = host.run("runuser -u %s -- sh -c %s", subject.user, line)
    lines = told.stdout.strip().splitlines()
    assert told.rc in (0, 1), (told.stderr.strip().splitlines() or ["no output"])[-1]
    assert lines, "the workload printed no JSON line"
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer


@pytest.mark.proof("workloads.matmul")
def test_matrix_product(host: Host, subject: Subject, scratch: str) -> None:
    """A matrix product on each device equals NumPy's within the stated tolerance."""
    answer = _train(host, subject, scratch, "matmul.py")
    subject.detail |= answer
    assert answer["passed"], f"off by {[d['max_relative_error'] for d in answer['devices']]}"


@pytest.mark.proof("workloads.mnist")
def test_a_network_learns(host: Host, subject: Subject, scratch: str) -> None:
    """A convolutional network learns MNIST, and predicts the same after saving and loading."""
    options = ["--data-dir", DATA, "--out", f"{scratch}/out"]
    if subject.settings.data_mirror:
        options += ["--data-mirror", subject.settings.data_mirror]
    answer = _train(host, subject, scratch, "mnist_keras.py", *options)
    subject.detail |= answer | {"plots": plots(host, answer.get("plots", []))}
    if answer["data"]["source"].startswith("fallback"):
        subject.remark = answer["data"]["source"]  # said loudly: it is not MNIST that was learnt
    curve = answer.get("curve")
    assert answer["passed"], (
        f"accuracy {answer['accuracy']:.4f} is below {answer['threshold']}; curve {curve}"
    )
