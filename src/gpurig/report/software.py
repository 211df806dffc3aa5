"""What a host has of the stack, part by part, in versions: by the facts that were read last."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gpurig.contract.frameworks import COMPUTES_ON, folder
from gpurig.contract.frameworks import frameworks as frameworks_known
from gpurig.engine.result import HostResult
from gpurig.report.machine import observed
from gpurig.stack.model import Cuda, Cudnn, Environment, Stack
from gpurig.stack.observed import Observed

_SOURCES = {"distribution": "the distribution", "nvidia": "NVIDIA", "docker": "Docker"}


@dataclass(frozen=True)
class Part:
    """
    One part of the stack.

    + version: what is installed; where it is not `there`, what was chosen
    + more: what else there is to know, perhaps nothing
    """

    name: str
    version: str
    more: str = ""
    there: bool = True

    def __str__(self) -> str:
        return ", ".join(filter(None, [self.version, self.more]))


def software(result: HostResult) -> list[Part]:
    """Driver, CUDA, cuDNN, Docker, container toolkit and frameworks, in this order."""
    answer, told = result.answer, observed(result)
    if not isinstance(answer, Stack):
        return list(_driver(None, told))
    return [
        *_driver(answer, told),
        *_libraries(answer, told, result),
        *_containers(answer, told),
        *(_environment(one, told) for one in answer.environments),
    ]


def driver(result: HostResult) -> str:
    """The version of the NVIDIA driver, empty without one."""
    found = next((part for part in software(result) if part.name == "Driver"), None)
    return found.version if found and found.there else ""


def frameworks(result: HostResult) -> list[str]:
    """The frameworks that are installed: ``TensorFlow 2.21.0``."""
    told = observed(result)
    environments = result.answer.environments if isinstance(result.answer, Stack) else ()
    parts = [_environment(one, told) for one in environments]
    return [f"{part.name} {part.version}" for part in parts if part.there]


def label(framework: str) -> str:
    """As its makers write it."""
    known = frameworks_known().get(framework)
    return known.title if known else framework


def _driver(answer: Stack | None, told: Observed) -> Iterator[Part]:
    there, wanted = told.driver_installed, answer.driver if answer else None
    if isinstance(there, dict):
        flavour = f"{there['flavour']} kernel module" if there["flavour"] else ""
        yield Part("Driver", there["version"], flavour)
    elif wanted:
        version = f"branch {wanted.branch}"
        yield Part("Driver", version, f"{wanted.flavour} kernel module", there=False)


def _libraries(answer: Stack, told: Observed, result: HostResult) -> Iterator[Part]:
    if answer.cuda:
        yield _cuda(answer.cuda, told)
    if answer.cudnn:
        yield _cudnn(answer.cudnn, told, result)


def _cuda(cuda: Cuda, told: Observed) -> Part:
    if cuda.origin == "wheels":
        return _in_wheels("CUDA", cuda.version, "nvidia_cuda_runtime", told)
    kits = told.cuda_toolkits if isinstance(told.cuda_toolkits, list) else []
    versions = [kit["version"] for kit in kits if kit["version"]]
    version = ", ".join(versions) or cuda.version
    return Part("CUDA", version, f"from {_source(cuda.origin)}", bool(versions))


def _cudnn(cudnn: Cudnn, told: Observed, result: HostResult) -> Part:
    if cudnn.origin == "wheels":
        return _in_wheels("cuDNN", cudnn.version, "nvidia_cudnn", told)
    proven = [proof.detail.get("version") for proof in result.proofs
              if proof.id == "cudnn.version"]  # fmt: skip
    version = str(proven[0]) if proven and proven[0] else ""
    more = f"from {_source(cudnn.origin)}"
    return Part("cuDNN", version or cudnn.version, more, bool(version))


def _in_wheels(name: str, bounds: str, wheel: str, told: Observed) -> Part:
    environments = told.frameworks if isinstance(told.frameworks, dict) else {}
    versions = {
        version
        for wheels in environments.values()
        for installed, version in wheels.items()
        if installed.startswith(wheel)
    }
    told_as = ", ".join(sorted(versions)) or bounds
    return Part(name, told_as, "in the Python environments", bool(versions))


def _containers(answer: Stack, told: Observed) -> Iterator[Part]:
    if isinstance(docker := told.docker_installed, dict):
        yield Part("Docker", _upstream(docker["version"]), f"from {_source(docker['source'])}")
    elif answer.docker:
        package = answer.docker.packages[0]
        yield Part("Docker", package, f"from {_source(answer.docker.source)}", there=False)
    toolkit: Any = told.container_toolkit if isinstance(told.container_toolkit, dict) else {}
    if version := toolkit.get("nvidia-container-toolkit"):
        yield Part("Container toolkit", _upstream(version))
    elif answer.container_toolkit:
        least = answer.container_toolkit.minimum_version
        yield Part("Container toolkit", f"{least} or newer", there=False)


def _environment(wanted: Environment, told: Observed) -> Part:
    environments = told.frameworks if isinstance(told.frameworks, dict) else {}
    wheels = environments.get(wanted.name, {})
    version = _release(wanted.framework, wheels)
    base = f"on {label(wanted.base)} {_release(wanted.base, wheels)}" if wanted.base else ""
    accelerator = f"for {COMPUTES_ON[wanted.accelerator]}"
    more = ", ".join(filter(None, [base.rstrip(), f"Python {wanted.python}", accelerator]))
    return Part(label(wanted.framework), version or wanted.version, more, bool(version))


def _release(framework: str, wheels: Mapping[str, str]) -> str:
    """The release of a framework that is among these wheels, or nothing."""
    known = frameworks_known().get(framework)
    names = [folder(wheel) for wheel in known.wheels] if known else [framework]
    return next((_upstream(wheels[name]) for name in names if name in wheels), "")


def _upstream(version: str) -> str:
    """A version without what packagers add to it: ``26.1.5`` of ``5:26.1.5+dfsg1-9``."""
    found = re.match(r"(?:\d+:)?(\d[\w.]*)", version)
    return found[1] if found else version


def _source(source: str) -> str:
    return _SOURCES.get(source, source)
