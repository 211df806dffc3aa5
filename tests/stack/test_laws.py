"""Laws that hold for every host and every wish, over the whole product of the tables."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, assume, given
from hypothesis import settings as running
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from gpurig.contract.frameworks import DEFAULTS, frameworks
from gpurig.contract.values import as_json
from gpurig.facts.driver.versions import branch
from gpurig.settings.checks import validate
from gpurig.settings.table import Settings
from gpurig.stack.described import Given, described
from gpurig.stack.explain import readable
from gpurig.stack.gpus import row_of, runs_code
from gpurig.stack.model import Environment, Refusal, Stack
from gpurig.stack.observed import Observed
from gpurig.stack.reading import saved
from gpurig.stack.resolver import resolve
from gpurig.stack.rows import BuildRow
from gpurig.stack.tables import tables
from gpurig.stack.versions import numbers
from stack.observations import IDS

UNKNOWN_IDS = ("10de:ffff",)
IDS_MET = st.sampled_from([*IDS.values(), "10de:2342", "10de:13bd", "10de:2b85", "10de:22ce"])
UNKNOWN = {"unknown": "it cannot be read"}
SYSTEMS = [row.word if row.version else f"{row.word}:15" for row in tables().distribution]
KERNELS = [
    "6.12.117+deb13-amd64", "6.12.57+deb13-amd64", "6.1.0-44-cloud-arm64", "6.8.0-45-generic",
    "5.14.0-570.el9_6.x86_64", "6.18.5", None,
]  # fmt: skip
INSTALLED = st.fixed_dictionaries(
    {
        "version": st.sampled_from(
            ["470.256.02", "535.309.01", "550.163.01", "580.95.05", "595.71.05"]
        ),
        "flavour": st.sampled_from(["open", "proprietary"]),
        "source": st.sampled_from(["distribution", "nvidia", "runfile", "other"]),
        "packages": st.just(["nvidia-kernel-dkms"]),
        "held": st.sampled_from([[], [], ["nvidia-kernel-dkms"]]),
    }
)
DOCKERS = st.sampled_from(
    [
        {"package": "docker.io", "version": "26.1.5+dfsg1-9", "source": "distribution"},
        {"package": "docker-ce", "version": "5:29.0.1-1~debian", "source": "docker"},
    ]
)
FAILURES = st.lists(
    st.fixed_dictionaries(
        {
            "module": st.sampled_from(["nvidia-current", "nvidia-current-open", "nvidia"]),
            "version": st.sampled_from(["550.163.01", "580.95.05"]),
            "kernel": st.sampled_from([kernel for kernel in KERNELS if kernel]),
            "error": st.just("error: too few arguments"),
        }
    ),
    max_size=2,
)
FRAMEWORKS = sorted(frameworks())
FRAMEWORKS_THERE = st.sampled_from(
    [
        {"tensorflow": {"tensorflow": "2.20.0", "keras": "3.12.0"}},
        {"pytorch": {"torch": "2.10.0+cpu"}, "jax": {"jax": "0.4.30"}},
        {"keras": {"keras": "3.12.0", "torch": "2.14.1"}, "horovod": {"horovod": "0.1"}},
    ]
)
WISHES: dict[str, st.SearchStrategy[Any]] = {
    "driver_branch": st.sampled_from(["550", "580", "595", "620"]),
    "driver_flavour": st.sampled_from(["open", "proprietary"]),
    "driver_source": st.sampled_from(["distribution", "nvidia"]),
    "accelerator": st.sampled_from(["cpu", "cuda"]),
    "python": st.sampled_from(["3.9", "3.11", "3.13"]),
    "cuda": st.sampled_from(["system", "12.4", "12.8", "13.0"]),
    "cudnn": st.sampled_from(["system", "9.20.0.48"]),
    "frameworks": st.lists(
        st.sampled_from([*FRAMEWORKS, "pytorch==2.15.0", "tensorflow<2.19"]),
        max_size=3,
        unique_by=lambda wish: wish.split("=")[0].split("<")[0],
    ),
    "boot_kernel": st.just("with-driver"),
    "docker_source": st.sampled_from(["distribution", "docker"]),
}


@st.composite
def hosts(draw: st.DrawFn, unknown: bool = True) -> Observed:
    """Any host that can be met, with facts missing or unread."""
    ids = [*IDS.values(), "10de:2342", "10de:2b85", "10de:22ce", *(UNKNOWN_IDS if unknown else ())]
    host = described(
        Given(
            os=draw(st.sampled_from(SYSTEMS)),
            kernel=draw(st.sampled_from(KERNELS)),
            gpus=draw(st.lists(st.sampled_from(ids), max_size=3)),
            python=draw(st.sampled_from([None, "3.9", "3.11", "3.14"])),
            secure_boot=draw(st.booleans()),
            virtualization=draw(st.sampled_from(["none", "none", "vm", "container", "wsl"])),
        )
    )
    facts = host.as_json() | {
        "architecture": draw(st.sampled_from(["x86_64", "x86_64", "aarch64", "riscv64"])),
        "driver_installed": draw(st.none() | INSTALLED),
        "docker_installed": draw(st.none() | st.just(UNKNOWN) | DOCKERS),
        "dkms_failures": draw(FAILURES),
        "nvswitches": draw(st.sampled_from([[], [], [_switch()]])),
        "frameworks": draw(st.none() | FRAMEWORKS_THERE),
    }
    if unknown and draw(st.integers(0, 5)) == 0:
        key = draw(st.sampled_from(sorted(facts)))
        facts[key] = draw(st.sampled_from([UNKNOWN, None]))
    return saved(facts)


def _switch() -> dict[str, Any]:
    return {"address": "0000:c0:00.0", "id": "10de:22a3", "class": "0x068000", "subsystem": None,
            "driver": None}  # fmt: skip


@st.composite
def wishes(draw: st.DrawFn) -> dict[str, Any]:
    """Some settings, by their names without ``rig_``."""
    names = draw(st.lists(st.sampled_from(sorted(WISHES)), max_size=3, unique=True))
    data = {name: draw(WISHES[name]) for name in names}
    if draw(st.integers(0, 3)) == 0:
        data["assume_gpu"] = draw(st.lists(IDS_MET, max_size=2))
    if draw(st.integers(0, 3)) == 0:
        some = st.sampled_from(["docker", "environments", "driver"])
        data["components"] = draw(st.lists(some, min_size=1, max_size=3))
    return data


def settled(data: dict[str, Any]) -> Settings:
    """The settings of these wishes."""
    return validate({f"rig_{name}": value for name, value in data.items()}, "test")


@running(deadline=None)
@given(hosts(), wishes())
def test_every_host_gets_an_answer_that_can_be_read(host: Observed, data: dict[str, Any]) -> None:
    """The resolver never throws; what it says is text without gaps, and JSON."""
    found = resolve(settled(data), host)
    assert isinstance(found, Stack | Refusal)
    assert all("None" not in line for line in readable(found))
    json.dumps(found.as_json())


@running(deadline=None)
@given(hosts(), wishes())
def test_a_refusal_names_a_conflict_and_a_way_out(host: Observed, data: dict[str, Any]) -> None:
    """Nobody is left without a way on."""
    found = resolve(settled(data), host)
    if isinstance(found, Refusal):
        assert found.conflict
        assert found.ways_out
        assert all(way.change and way.costs for way in found.ways_out)


@running(deadline=None)
@given(hosts(), wishes(), st.randoms(use_true_random=False))
def test_order_does_not_matter_and_answers_are_the_same_bytes(
    host: Observed, data: dict[str, Any], chance: random.Random
) -> None:
    """The order in which GPUs are listed and wishes are given changes no byte."""
    first = json.dumps(_whole(resolve(settled(data), host)))
    assert json.dumps(_whole(resolve(settled(data), host))) == first
    facts = host.as_json()
    if isinstance(facts["gpus"], list):
        chance.shuffle(facts["gpus"])
    turned = {name: data[name] for name in chance.sample(sorted(data), len(data))}
    for name in ("frameworks", "components", "assume_gpu"):
        if name in turned:
            turned[name] = chance.sample(turned[name], len(turned[name]))
    again = resolve(settled(turned), saved(facts))
    assert json.dumps(_whole(again)) == first


def _whole(answer: Stack | Refusal) -> dict[str, Any]:
    because = [vars(because) for because in answer.because]
    return answer.as_json() | {"because": because, "warnings": answer.warnings}


@running(deadline=None)
@given(hosts(), wishes())
def test_the_driver_drives_every_known_gpu(host: Observed, data: dict[str, Any]) -> None:
    """Open never before Turing, proprietary never from Blackwell on, no branch out of bounds."""
    found = resolve(settled(data), host)
    if not isinstance(found, Stack) or found.driver is None:
        return
    branch = int(found.driver.branch)
    for gpu in found.gpus:
        row = row_of(gpu.id)
        if row is None:
            continue
        assert found.driver.flavour in row.flavours
        assert (row.first_branch or 0) <= branch <= (row.last_branch or 9999)
        if numbers(row.compute_capability) < (7, 5):
            assert found.driver.flavour == "proprietary"
        if row.architecture in ("blackwell", "rubin"):
            assert found.driver.flavour == "open"


@running(deadline=None)
@given(hosts(), wishes())
def test_no_framework_needs_a_newer_driver_or_another_gpu(
    host: Observed, data: dict[str, Any]
) -> None:
    """What computes by CUDA has code for a GPU of the host, and runs under its driver."""
    found = resolve(settled(data), host)
    if not isinstance(found, Stack):
        return
    floors = {row.major: row.driver for row in tables().cuda_major}
    for it in found.environments:
        if it.accelerator != "cuda":
            continue
        name = it.base or it.framework
        builds = [
            build
            for row in tables().release
            if row.name == name and (it.base or row.version == it.version)
            for build in row.builds
            if set(build.pins) <= set(it.pins) and build.index == it.index
        ]
        assert builds, it
        (build,) = builds[:1]
        major = numbers((build.cuda or "").lstrip("><="))[0]
        if found.driver:
            assert numbers(found.driver.minimum_version) >= numbers(floors[major])
        known = [gpu.compute_capability for gpu in found.gpus if gpu.compute_capability]
        if known and len(known) == len(found.gpus):
            assert any(_has_code(capability, build) for capability in known)


def _has_code(capability: str, build: BuildRow) -> bool:
    """Whether the wheels, their compiler and some cuDNN in their bounds have code for it."""
    if not runs_code(capability, build):
        return False
    if build.compiler and numbers(build.compiler)[0] < numbers(capability)[0]:
        return False
    return not build.cudnn or any(
        numbers(row.capability) <= numbers(capability)
        and numbers(capability)[0] <= numbers(row.capability_last or "99")[0]
        and SpecifierSet(build.cudnn).contains(version)
        for row in tables().cudnn
        for version in (row.first, row.last or f"{row.first}.999", build.cudnn.split(",")[0][2:])
        if numbers(row.first) <= numbers(version) <= numbers(row.last or "99")
    )


@running(deadline=None)
@given(hosts(), wishes())
def test_the_default_computes_where_any_default_does(host: Observed, data: dict[str, Any]) -> None:
    """Unset frameworks leave no GPU idle that TensorFlow, PyTorch or JAX could use."""
    data = {name: value for name, value in data.items() if name != "frameworks"}
    found = resolve(settled(data), host)
    if not isinstance(found, Stack) or not found.environments or data.get("accelerator") == "cpu":
        return
    (default,) = found.environments
    if default.accelerator != "cpu":
        return
    for name in DEFAULTS:
        other = resolve(settled(data | {"frameworks": [name]}), host)
        same = isinstance(other, Stack) and other.driver == found.driver
        assert not (same and other.environments[0].accelerator == "cuda"), name


@running(deadline=None)
@given(hosts(), wishes())
def test_cudnn_is_bounded_where_a_gpu_needs_it(host: Observed, data: dict[str, Any]) -> None:
    """Never above 9.10.2 before Turing, and no bound where nothing asks for one."""
    found = resolve(settled(data), host)
    if not isinstance(found, Stack) or found.cudnn is None or found.cudnn.origin != "wheels":
        return
    capabilities = [numbers(g.compute_capability) for g in found.gpus if g.compute_capability]
    old = [(5, 0) <= capability < (7, 5) for capability in capabilities]
    maximum = found.cudnn.maximum
    if maximum is None:
        assert not all(old) or len(old) < len(found.gpus)
    else:
        assert any(old)
        assert numbers(maximum) <= (9, 10, 2, 21)


@running(deadline=None)
@given(hosts(), wishes())
def test_one_source_for_each_family_of_packages(host: Observed, data: dict[str, Any]) -> None:
    """A driver comes whole from one place, which is the one that its packages are called after."""
    found = resolve(settled(data), host)
    if not isinstance(found, Stack) or found.driver is None:
        return
    driver = found.driver
    assert (driver.repository is not None) == (driver.source == "nvidia" and bool(driver.packages))
    assert not (driver.components and driver.repository)
    if found.cuda and found.cuda.origin == "nvidia":
        assert found.cuda.repository is not None
        assert driver.repository in (None, found.cuda.repository)


@running(deadline=None)
@given(hosts(), wishes())
def test_a_wish_is_met_or_refused(host: Observed, data: dict[str, Any]) -> None:
    """A wish outranks a default: no stack passes one over."""
    settings, found = settled(data), resolve(settled(data), host)
    if not isinstance(found, Stack):
        return
    if found.driver:
        assert settings.driver_branch in ("auto", found.driver.branch)
        assert settings.driver_flavour in ("auto", found.driver.flavour)
        assert settings.driver_source in ("auto", found.driver.source)
    if found.docker:
        assert settings.docker_source in ("auto", found.docker.source)
        assert (found.docker.repository is not None) == (settings.docker_source == "docker")
    for environment in found.environments:
        if settings.accelerator != "auto":
            assert settings.accelerator == environment.accelerator
        assert settings.python in ("auto", environment.python)
    left = {item.component for item in found.left_out}
    assert not left & set(settings.components)
    if settings.frameworks and "environments" not in left:
        assert len(found.environments) == len(settings.frameworks)


# Most random wishes cannot be met together, and this law is about those that can.
@running(deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(hosts(unknown=False), wishes())
def test_a_more_modest_wish_never_makes_a_case_unsolvable(
    host: Observed, data: dict[str, Any]
) -> None:
    """
    Whatever wish is dropped from one that can be met, it still can be.

    Assumed GPUs are hardware and no wish; without lists of components and frameworks the default
    ones are wished for, so that these become more modest by a bound or an item less.
    """
    assume(isinstance(resolve(settled(data), host), Stack))
    for fewer in _more_modest(data):
        assert isinstance(resolve(settled(fewer), host), Stack), fewer


def _more_modest(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name in sorted(set(data) - {"assume_gpu", "components", "frameworks"}):
        if (name, data[name]) != ("accelerator", "cpu"):  # which is more modest than auto
            yield {key: value for key, value in data.items() if key != name}
    wanted = data.get("frameworks", [])
    yield data | {"frameworks": [re.split("[<=]", wish)[0] for wish in wanted]} if wanted else data
    for item in wanted if len(wanted) > 1 else []:
        yield data | {"frameworks": [wish for wish in wanted if wish != item]}


@running(deadline=None)
@given(hosts(), wishes())
def test_every_part_of_a_stack_has_its_reason(host: Observed, data: dict[str, Any]) -> None:
    """Nothing is in a stack without a line that says why, and from where that is known."""
    found = resolve(settled(data), host)
    if not isinstance(found, Stack):
        return
    choices = [because.choice for because in found.because]
    for start, part in _parts(found):
        assert any(choice.startswith(start) for choice in choices), start
        assert part
    assert all(because.reason and because.source for because in found.because)
    assert all(item.reason for item in found.left_out)


def _parts(found: Stack) -> Iterator[tuple[str, Any]]:
    yield "distribution ", found.distribution
    for name, part in (
        ("driver ", found.driver), ("kernel ", found.kernel), ("Docker ", found.docker),
        ("container toolkit", found.container_toolkit), ("CUDA ", found.cuda),
        ("cuDNN ", found.cudnn), ("GPU ", found.gpus),
    ):  # fmt: skip
        if part:
            yield name, part
    for environment in found.environments:
        yield f"{environment.framework} {environment.version}", environment
        yield f"{environment.framework} computes on {environment.accelerator}", environment
        yield f"Python {environment.python}", environment


@running(deadline=None)
@given(hosts(), wishes())
def test_nothing_is_set_up_for_a_gpu_that_is_not_there(
    host: Observed, data: dict[str, Any]
) -> None:
    """No GPU, no driver, no toolkit for containers, no CUDA in wheels."""
    found = resolve(settled(data), host)
    if isinstance(found, Stack) and not found.gpus:
        assert (found.driver, found.container_toolkit) == (None, None)
        assert found.cuda is None or found.cuda.origin != "wheels"


# Most wishes are refused, and a refusal is no host that converged.
@running(deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(hosts(unknown=False), wishes())
def test_a_host_that_converged_gets_the_same_stack(host: Observed, data: dict[str, Any]) -> None:
    """With driver, toolkit, headers and frameworks on the host, nothing is chosen anew."""
    settings = settled(data)
    first = resolve(settings, host)
    assume(isinstance(first, Stack))
    assert isinstance(first, Stack)
    facts = host.as_json()
    if first.driver and first.driver.packages:
        # As the repository has it: at least the version of the row, of the branch.
        facts["driver_installed"] = {
            "version": first.driver.minimum_version,
            "flavour": first.driver.flavour,
            "source": first.driver.source,
            "packages": sorted(first.driver.packages),
            "held": [],
        }
    if first.cuda and first.cuda.origin != "wheels":
        facts["cuda_toolkits"] = [
            {"version": first.cuda.version, "origin": first.cuda.origin,
             "home": first.cuda.home or "", "nvcc": "/usr/bin/nvcc"}
        ]  # fmt: skip
    if first.kernel and isinstance(facts["kernel"], dict) and facts["kernel"]["next"]:
        facts["kernel"]["headers"] = [facts["kernel"]["next"]]
    facts["frameworks"] = {it.name: _installed(it) for it in first.environments}
    again = resolve(settings, saved(facts))
    assert isinstance(again, Stack), as_json(facts["driver_installed"])
    assert _without_words(again) == _without_words(first)


def _installed(environment: Environment) -> dict[str, str]:
    """The wheels of its frameworks, as they lie in the environment."""
    pinned = [pin.partition("==") for pin in environment.pins if "==" in pin]
    folders = [(name.partition("[")[0].replace("-", "_"), version) for name, _, version in pinned]
    wheels = dict(folders)
    return wheels | ({environment.framework: environment.version} if environment.base else {})


def _without_words(stack: Stack) -> Stack:
    return replace(stack, because=(), warnings=(), ends=())


def test_every_release_can_be_run_by_some_driver() -> None:
    """A build whose CUDA no branch runs could never be chosen."""
    newest = max(row.number for row in tables().branch)
    floors = {row.major: branch(row.driver) for row in tables().cuda_major}
    for row in tables().release:
        for build in row.builds:
            if build.cuda:
                assert floors[numbers(build.cuda.lstrip("><="))[0]] <= newest, row.version
