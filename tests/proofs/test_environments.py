"""Python environments: whole, of the wanted versions, seeing what the host has."""

from __future__ import annotations

import json
from typing import Any

import pytest
from testinfra.host import Host

from gpurig.proofs.plugin import Subject, not_applicable

DEVICES = """
import json, os
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import tensorflow as tf
print(json.dumps({
    "version": tf.__version__,
    "cuda": bool(tf.test.is_built_with_cuda()),
    "gpus": len(tf.config.list_physical_devices("GPU")),
}))
"""


def _environments(subject: Subject) -> list[dict[str, Any]]:
    if not subject.stack["environments"]:
        not_applicable("environments are left out on this host")
    return list(subject.stack["environments"])


def _python(subject: Subject, environment: dict[str, Any]) -> str:
    return f"{subject.settings.venv_root}/{environment['name']}/bin/python"


@pytest.mark.proof("environments.consistent")
def test_requirements_fit_each_other(host: Host, subject: Subject) -> None:
    """No package of an environment misses or contradicts another (pip check)."""
    for environment in _environments(subject):
        told = host.run("%s -m pip check", _python(subject, environment))
        assert told.rc == 0, f"{environment['name']}: {told.stdout.strip() or told.stderr.strip()}"


@pytest.mark.proof("environments.protected")
def test_only_root_may_change_an_environment(host: Host, subject: Subject) -> None:
    """Environments belong to root and nobody else may write to them."""
    for environment in _environments(subject):
        folder = f"{subject.settings.venv_root}/{environment['name']}"
        loose = host.run(
            "find %s '(' ! -user root -o -perm /022 ')' ! -type l -print -quit", folder
        )
        assert loose.rc == 0, loose.stderr.strip()
        assert not loose.stdout.strip(), f"{loose.stdout.strip()} can be changed by others"


def _answer(host: Host, subject: Subject, environment: dict[str, Any]) -> dict[str, Any]:
    """What TensorFlow says of itself, run as an unprivileged user."""
    told = host.run(
        "runuser -u %s -- %s -I -c %s", subject.user, _python(subject, environment), DEVICES
    )
    assert told.rc == 0, told.stderr.strip().splitlines()[-1]
    answer: dict[str, Any] = json.loads(told.stdout.strip().splitlines()[-1])
    subject.detail[environment["name"]] = answer
    return answer


@pytest.mark.proof("environments.framework")
def test_framework_has_the_resolved_version(host: Host, subject: Subject) -> None:
    """TensorFlow imports, in the resolved version and build."""
    for environment in _environments(subject):
        answer = _answer(host, subject, environment)
        assert answer["version"] == environment["version"], answer
        assert answer["cuda"] or environment["accelerator"] == "cpu", "a build without CUDA"


@pytest.mark.proof("environments.framework-sees-gpus")
def test_framework_sees_the_gpus(host: Host, subject: Subject) -> None:
    """TensorFlow sees as many GPUs as the host has."""
    subject.needs_computing_gpu()
    on_gpu = [e for e in _environments(subject) if e["accelerator"] == "cuda"]
    if not on_gpu:
        not_applicable("the environments compute on the CPU, as rig_accelerator wants it")
    for environment in on_gpu:
        seen = _answer(host, subject, environment)["gpus"]
        assert seen == len(subject.gpus), f"TensorFlow sees {seen} of {len(subject.gpus)} GPUs"
