"""Machines that people have, as cases.toml lists them, and the stack or refusal that each gets."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from gpurig.stack.described import Given, described
from gpurig.stack.explain import readable
from gpurig.stack.model import Image, Refusal, Stack
from gpurig.stack.reading import saved
from gpurig.stack.versions import numbers
from stack.observations import answer

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CASES = tomllib.loads((Path(__file__).parent / "cases.toml").read_text())["case"]
GIVEN = {
    "os": "os",
    "arch": "arch",
    "kernel": "kernel",
    "gpus": "gpus",
    "place": "virtualization",
    "python": "python",
}


def _answer(case: dict[str, Any]) -> Stack | Refusal:
    host = described(Given(**{GIVEN[key]: case[key] for key in GIVEN if key in case}))
    facts = host.as_json() | case.get("facts", {})
    kept = tuple(case.get("kept", ()))
    return answer(saved(facts), kept, **case.get("wishes", {}))


@pytest.mark.parametrize("case", CASES, ids=[case["why"] for case in CASES])
def test_each_machine_gets_what_fits_it(case: dict[str, Any]) -> None:
    """Stack or refusal, as the case's sentence says."""
    found = _answer(case)
    text = "\n".join(readable(found))
    if "refused" in case:
        assert isinstance(found, Refusal), text
        for words in case["refused"]:
            assert words in "\n".join(found.conflict), text
        assert found.ways_out
        for words in case.get("out", []):
            assert any(words in way.change for way in found.ways_out), text
        return
    assert isinstance(found, Stack), text
    for words in case.get("says", []):
        assert words in text, text
    if "kernel_packages" in case:
        assert found.kernel is not None
        assert list(found.kernel.packages) == case["kernel_packages"]
    if "warnings" in case:
        assert len(found.warnings) == case["warnings"], found.warnings
    if "gpus_used" in case:
        assert [one.id for one in found.gpus] == case["gpus_used"]
    _check_driver(case, found)
    _check_docker(case, found)
    if "environments" in case:
        assert case["environments"] == [
            f"{it.framework} {it.version} {it.python} {it.accelerator}" for it in found.environments
        ]
    for key in ("lock", "index", "python_mirror", "python_package"):
        if key in case:
            assert getattr(found.environments[0], key) == case[key]
    if "images" in case:
        assert case["images"] == [_image(image) for image in found.images]
    if "archive" in case:
        assert f"{found.archive.origin} {found.archive.codename}" == case["archive"]
    if "cudnn_maximum" in case:
        assert found.cudnn is not None
        assert found.cudnn.maximum == case["cudnn_maximum"]
    if "cuda" in case:
        assert found.cuda is not None
        cuda = found.cuda
        assert f"{cuda.version} {cuda.origin} {cuda.gcc or 0}" == case["cuda"]
    if "cuda_origin" in case:
        assert found.cuda is not None
        assert found.cuda.origin == case["cuda_origin"]


def _check_docker(case: dict[str, Any], found: Stack) -> None:
    if "docker" not in case:
        return
    docker = found.docker
    words = [docker.packages[0], docker.source] if docker else []
    if docker and docker.repository:
        words += [docker.repository.uri, docker.repository.suite]
    assert " ".join(words) == case["docker"]


def _image(image: Image) -> str:
    it = image.environment
    inside = f"{it.version} {it.python} {it.accelerator} {image.base}" if it else image.file
    return f"{image.name} {inside}"


def _check_driver(case: dict[str, Any], found: Stack) -> None:
    driver = found.driver
    if "driver" in case:
        told = f"{driver.branch} {driver.flavour} {driver.source}" if driver else ""
        assert told == case["driver"]
    if "repository" in case:
        assert driver is not None
        assert driver.repository is not None
        assert driver.repository.uri == case["repository"]
    for key in ("pinning", "fabric_manager"):
        if key in case:
            assert driver is not None
            assert getattr(driver, key) == case[key]
    for key in ("source", "flavour"):
        if f"driver_{key}" in case:
            assert driver is not None
            assert getattr(driver, key) == case[f"driver_{key}"]
    for key in ("packages", "components"):
        if key in case:
            assert driver is not None
            assert list(getattr(driver, key)) == case[key]
    if "driver_oldest" in case:
        assert driver is not None
        assert (driver.oldest or "") == case["driver_oldest"]
    if "driver_at_most" in case:
        assert driver is not None
        assert numbers(driver.branch) <= (case["driver_at_most"],)


def test_there_are_enough_cases() -> None:
    """At least sixty, each with a sentence of its own."""
    assert len({case["why"] for case in CASES}) == len(CASES) >= 60
