"""Each environment trains: a product as NumPy's, a network that learns, the user's programs."""

from __future__ import annotations

from typing import Any

import pytest
from testinfra.host import Host

from gpurig.contract.frameworks import Framework, frameworks, keras_backend, proofs
from gpurig.proofs.plots import plots
from gpurig.proofs.plugin import Subject, not_applicable, not_run
from gpurig.proofs.probing import Environment
from gpurig.proofs.training import DATA, MATMUL, MNIST, mirror_for, result, run, speed, substitute
from gpurig.settings.programs import OwnProgram, chosen

WORKLOADS = "/opt/gpurig/workloads"


def _train(
    host: Host, subject: Subject, scratch: str, environment: Environment, *words: str
) -> dict[str, Any]:
    """What a program answers in an environment; its path is the first word."""
    folder = f"{subject.settings.venv_root}/{environment['name']}/bin"
    variables = {"PATH": f"{folder}:/usr/bin:/bin"}
    if backend := keras_backend(_computing(environment).name):
        variables["KERAS_BACKEND"] = backend
    ended = run(host, subject.user, scratch, [f"{folder}/python", *words], variables)
    return result(words[0].rpartition("/")[2], ended.rc, ended.stdout, ended.stderr)


def _computing(environment: Environment) -> Framework:
    """The framework that computes."""
    return frameworks()[environment["base"] or environment["framework"]]


def _first(subject: Subject, environment: Environment, *programs: str) -> str:
    """The first of these that shows this environment's framework and that rig_workloads leaves."""
    framework: str = environment["framework"]
    own = [one for one in proofs(framework, environment["base"]) if one in programs]
    if not own:
        not_applicable(f"{framework} is shown by another program")
    left = [one for one in own if one in chosen(subject.settings)]
    if not left:
        not_run("rig_workloads does not name this program")
    return left[0]


@pytest.mark.proof("workloads.matmul")
def test_matrix_product(
    host: Host, subject: Subject, environment: Environment, training: None, scratch: str
) -> None:
    """On each device a matrix product equals NumPy's within the tolerance."""
    program, module = _first(subject, environment, MATMUL), _computing(environment).module
    words = [f"{WORKLOADS}/{program}.py", "--framework", module]
    answer = _train(host, subject, scratch, environment, *words)
    subject.detail |= answer
    assert answer["passed"], f"errors {[d['max_relative_error'] for d in answer['devices']]}"


@pytest.mark.proof("workloads.mnist")
def test_a_network_learns(
    host: Host, subject: Subject, environment: Environment, training: None, scratch: str
) -> None:
    """A network learns handwritten digits, and predicts the same after saving and loading."""
    program = _first(subject, environment, *MNIST)
    options = ["--data-dir", DATA, "--out", f"{scratch}/out"]
    if program == "mnist_keras" and environment["framework"] == "horovod":
        options += ["--strategy", "horovod"]
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


@pytest.mark.proof("workloads.program")
def test_a_program_of_one_framework_passes(
    host: Host, subject: Subject, special: tuple[Environment, str], scratch: str
) -> None:
    """The framework learns with the stated accuracy, on the GPU where it computes on one."""
    environment, name = special
    program = _first(subject, environment, name)
    computes = environment["accelerator"] == "cuda" and not subject.stack["assumed"]
    wanted = "cuda" if computes else "cpu"
    words = [f"{WORKLOADS}/{program}.py", "--device", wanted]
    answer = _train(host, subject, scratch, environment, *words)
    subject.detail |= answer
    accuracy, threshold, device = (answer[key] for key in ("accuracy", "threshold", "device"))
    subject.remark = f"{accuracy:.4f} on {device}"
    assert device.startswith(wanted), f"it computed on {device} instead of {wanted}"
    assert accuracy >= threshold, f"accuracy {accuracy:.4f} is below {threshold}"
    assert answer["passed"], f"{program}.py reports that it did not pass"


@pytest.mark.proof("workloads.own")
def test_a_program_of_the_users_passes(
    host: Host, subject: Subject, program: OwnProgram, training: None, scratch: str
) -> None:
    """The program of rig_workloads reports that it passed."""
    found = {one["name"]: one for one in subject.stack["environments"]}
    name = program.environment or next(iter(found), "")
    if name not in found:
        not_applicable(f"this host has no environment {name}".rstrip())
    environment = found[name]
    answer = _train(host, subject, scratch, environment, f"{WORKLOADS}/own/{program.file}")
    drawn = plots(host, subject.user, scratch, _paths(answer.get("plots")))
    subject.detail |= answer | {"plots": {f"{program.label} {k}": v for k, v in drawn.items()}}
    assert answer["passed"], f"{program.file} reports that it did not pass"


def _paths(plots: Any) -> list[str]:
    """The pictures that a program names, whatever else it may have put there."""
    given = plots if isinstance(plots, list) else []
    return [path for path in given if isinstance(path, str)]
