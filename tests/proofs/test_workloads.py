"""Each environment trains: a product as NumPy's, a network that learns, the user's programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from testinfra.host import Host

from gpurig.proofs.plots import plots
from gpurig.proofs.plugin import Subject, not_applicable, not_run
from gpurig.proofs.probing import Environment
from gpurig.proofs.training import DATA, mirror_for, result, run, speed, substitute
from gpurig.settings.programs import OwnProgram, chosen

WORKLOADS = "/opt/gpurig/workloads"
BACKENDS = {"pytorch": "torch"}  # as Keras calls them, where that is not the framework's name


@pytest.fixture
def scratch(host: Host, subject: Subject, training: None) -> Iterator[str]:
    """A private folder of the user whom workloads are run as; it is removed afterwards."""
    folder = host.check_output("runuser -u %s -- mktemp -d /tmp/gpurig-XXXXXXXX", subject.user)
    yield folder
    host.run("rm -rf %s", folder)


def _train(
    host: Host, subject: Subject, scratch: str, environment: Environment, *words: str
) -> dict[str, Any]:
    """What a program answers in an environment; its path is the first word."""
    folder = f"{subject.settings.venv_root}/{environment['name']}/bin"
    over: str = environment["base"] or environment["framework"]
    variables = {"PATH": f"{folder}:/usr/bin:/bin", "KERAS_BACKEND": BACKENDS.get(over, over)}
    ended = run(host, subject.user, scratch, [f"{folder}/python", *words], variables)
    return result(words[0].rpartition("/")[2], ended.rc, ended.stdout, ended.stderr)


def _chosen(subject: Subject, program: str) -> None:
    if program not in chosen(subject.settings):
        not_run("rig_workloads does not name this program")


@pytest.mark.proof("workloads.matmul")
def test_matrix_product(
    host: Host, subject: Subject, environment: Environment, scratch: str
) -> None:
    """On each device a matrix product equals NumPy's within the tolerance."""
    _chosen(subject, "matmul")
    answer = _train(host, subject, scratch, environment, f"{WORKLOADS}/matmul.py")
    subject.detail |= answer
    assert answer["passed"], f"errors {[d['max_relative_error'] for d in answer['devices']]}"


def _mnist(subject: Subject, environment: Environment) -> list[str]:
    """The program by which an environment shows that it learns, and its own options."""
    over = environment["base"] or environment["framework"]
    plain = over == "pytorch" and environment["framework"] != "keras"
    if plain and "mnist_pytorch" in chosen(subject.settings):
        return ["mnist_pytorch"]
    _chosen(subject, "mnist_keras")
    return ["mnist_keras", *(["--strategy", "horovod"] * (environment["framework"] == "horovod"))]


@pytest.mark.proof("workloads.mnist")
def test_a_network_learns(
    host: Host, subject: Subject, environment: Environment, scratch: str
) -> None:
    """A network learns handwritten digits, and predicts the same after saving and loading."""
    program, *options = _mnist(subject, environment)
    options += ["--data-dir", DATA, "--out", f"{scratch}/out"]
    if mirror := mirror_for(host, subject):
        options += ["--data-mirror", mirror]
    answer = _train(host, subject, scratch, environment, f"{WORKLOADS}/{program}.py", *options)
    drawn = plots(host, subject.user, scratch, answer.get("plots", []))
    subject.detail |= answer | {
        "plots": {f"{environment['name']} {k}": v for k, v in drawn.items()}
    }
    subject.remark = ", ".join(filter(None, [substitute(answer), speed(answer)]))
    accuracy, threshold = answer["accuracy"], answer["threshold"]
    assert accuracy >= threshold, (
        f"accuracy {accuracy:.4f} is below {threshold}; curve {answer.get('curve')}"
    )
    difference = answer["reload_max_difference"]
    assert answer["passed"], f"predictions differ by {difference} after saving and loading"


@pytest.mark.proof("workloads.own")
def test_a_program_of_the_users_passes(
    host: Host, subject: Subject, program: OwnProgram, scratch: str
) -> None:
    """The program of rig_workloads reports that it passed."""
    found = {one["name"]: one for one in subject.stack["environments"]}
    if program.environment not in found:
        not_applicable(f"this host has no environment {program.environment}")
    environment = found[program.environment]
    answer = _train(host, subject, scratch, environment, f"{WORKLOADS}/own/{program.file}")
    drawn = plots(host, subject.user, scratch, _paths(answer.get("plots")))
    subject.detail |= answer | {"plots": {f"{program.label} {k}": v for k, v in drawn.items()}}
    assert answer["passed"], f"{program.file} reports that it did not pass"


def _paths(plots: Any) -> list[str]:
    """The pictures that a program names, whatever else it may have put there."""
    given = plots if isinstance(plots, list) else []
    return [path for path in given if isinstance(path, str)]
