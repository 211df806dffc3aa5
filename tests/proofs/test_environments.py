"""Python environments: whole, as locked, computing on what the host has, by libraries of theirs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from packaging.version import Version
from testinfra.host import Host

from gpurig.proofs.plugin import Subject, not_applicable
from gpurig.proofs.probing import Environment, Probing
from gpurig.proofs.shadows import has_kernel, shadowed, without_its_own

INSTALLED = (
    "import importlib.metadata as m, json;"
    " print(json.dumps({d.metadata['Name']: d.version for d in m.distributions()}))"
)
NONE_OF_ITS_OWN = "the framework loads no library of its own from the environment"
SEEDS = {"pip", "setuptools", "wheel"}  # what makes an environment puts into it


@pytest.mark.proof("environments.consistent")
def test_requirements_fit_each_other(environment: Environment, probing: Probing) -> None:
    """Every package has the packages it requires, in versions that fit (pip check)."""
    told = probing.run(environment, "-m", "pip", "check")
    lines = (told.stdout.strip() or told.stderr.strip() or "no output").splitlines()
    more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    assert told.rc == 0, f"{lines[0]}{more}"


@pytest.mark.proof("environments.as-locked")
def test_what_is_installed_is_what_was_locked(
    subject: Subject, environment: Environment, probing: Probing
) -> None:
    """Every package of the lock is installed in its locked version."""
    told = probing.run(environment, "-c", INSTALLED)
    assert told.rc == 0, (told.stderr.strip().splitlines() or ["no output"])[-1]
    there = {_name(name): version for name, version in json.loads(told.stdout).items()}
    locked = subject.locks[environment["name"]]
    assert locked, "the lock is empty"
    wrong = [
        f"{name} is {there.get(name, 'missing')}, the lock has {version}"
        for name, version in locked.items()
        if name not in there or Version(there[name]) != Version(version)
    ]
    more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    assert not wrong, wrong[0] + more
    extras = sorted(set(there) - set(locked) - SEEDS - {environment["framework"]})
    subject.detail |= {"packages": len(locked), "added": {name: there[name] for name in extras}}
    if extras:
        subject.remark = f"added by hand: {', '.join(extras)}"


def _name(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


@pytest.mark.proof("environments.protected")
def test_only_root_may_change_it(
    host: Host, subject: Subject, environment: Environment
) -> None:  # fmt: skip
    """The environment belongs to root, and only root can change it."""
    folder = f"{subject.settings.venv_root}/{environment['name']}"
    loose = host.run("find %s '(' ! -user root -o -perm /022 ')' ! -type l -print -quit", folder)
    assert loose.rc == 0, loose.stderr.strip()
    assert not loose.stdout.strip(), f"users can change {loose.stdout.strip()}"


def _answer(subject: Subject, environment: Environment, probing: Probing) -> dict[str, Any]:
    """What the framework says of itself to an unprivileged user."""
    answer = probing.clean(environment)
    keys = ("version", "cuda", "architectures", "gpus", "computed")
    subject.detail |= {key: answer[key] for key in keys if key in answer}
    return answer


@pytest.mark.proof("environments.framework")
def test_framework_has_the_resolved_version(
    subject: Subject, environment: Environment, probing: Probing
) -> None:
    """The framework imports in the chosen version and build, and computes on each device."""
    answer = _answer(subject, environment, probing)
    assert not answer["error"], answer["error"]
    version = answer["version"].partition("+")[0]  # behind it is the build, such as +cpu
    assert version == environment["version"].partition("+")[0], (
        f"the framework is {answer['version']}"
    )
    assert answer["cuda"] or environment["accelerator"] != "cuda", "the build has no CUDA"
    computed, wanted = answer["computed"], answer["wanted"]
    wrong = {device: total for device, total in computed.items() if total != wanted}
    assert computed, "the framework computes on no device"
    assert not wrong, f"the framework computed {wrong} instead of {wanted}"


@pytest.mark.proof("environments.framework-sees-gpus")
def test_framework_sees_the_gpus(
    subject: Subject, environment: Environment, probing: Probing
) -> None:
    """The framework sees the host's GPUs, and its build has code for each."""
    subject.needs_computing_gpu()
    if environment["accelerator"] != "cuda":
        not_applicable("the environment computes on the CPU")
    answer = _answer(subject, environment, probing)
    assert not answer["error"], answer["error"]
    seen, wanted = answer["gpus"], len(subject.gpus)
    more = len(seen) - wanted
    assert 0 <= more <= len(subject.other_gpus), f"the framework sees {len(seen)} of {wanted} GPUs"
    if answer["architectures"] is None:  # what it computed on each is proof enough
        return
    told = ", ".join(answer["architectures"])
    without = [
        f"{gpu['name']} (compute capability {gpu['capability'][0]}.{gpu['capability'][1]})"
        for gpu in seen
        if not has_kernel(answer["architectures"], (gpu["capability"][0], gpu["capability"][1]))
    ]  # one that gpurig leaves alone may be among those that are seen
    assert len(without) <= more, f"the build has no code for {without[0]}; it has code for {told}"


def _system_cuda(subject: Subject) -> bool:
    cuda = subject.stack["cuda"]
    return bool(cuda) and cuda["from"] != "wheels"


@pytest.mark.proof("environments.libraries")
def test_it_loads_its_own_libraries(
    subject: Subject, environment: Environment, probing: Probing
) -> None:
    """In a clean shell the framework loads the environment's libraries and the driver's libcuda."""
    answer = _answer(subject, environment, probing)
    strange = shadowed(answer, {}, _system_cuda(subject))
    subject.detail |= {"libraries": len(answer["libraries"]), "foreign": strange}
    assert not strange, strange[0]
    assert not answer["error"], answer["error"]
    computing = environment["base"] or environment["framework"]
    assert not without_its_own(answer, computing), NONE_OF_ITS_OWN


@pytest.mark.proof("environments.login-shell")
def test_nothing_shadows_it_in_a_login_shell(
    subject: Subject, environment: Environment, probing: Probing
) -> None:
    """In each user's login shell the framework loads the environment's libraries and modules."""
    for user in subject.settings.users or (subject.user,):
        variables = probing.variables(user)
        subject.detail[user] = variables
        if not variables:
            continue  # nothing there that the loader or Python would follow
        answer = probing.login(environment, user)
        strange = shadowed(answer, variables, _system_cuda(subject))
        told = ", ".join(f"{name}={value}" for name, value in variables.items())
        assert not strange, f"{user}: {strange[0]}"
        assert not answer["error"], f"{user}: {answer['error']} (with {told})"
