"""Laws that hold for every host and every wish."""

from __future__ import annotations

import json
import random
from typing import Any

from hypothesis import given
from hypothesis import settings as running
from hypothesis import strategies as st

from gpurig.observed import Observed
from gpurig.settings import Settings, validate
from gpurig.stack.explain import readable
from gpurig.stack.gpus import row_of
from gpurig.stack.model import Refusal, Stack
from gpurig.stack.resolver import resolve
from stack.observations import IDS, KERNELS, debian

IDS_MET = st.sampled_from([*IDS.values(), "10de:2342", "10de:13bd", "10de:ffff"])
UNKNOWN = {"unknown": "it could not be read"}
DRIVERS = st.fixed_dictionaries(
    {
        "version": st.sampled_from(["470.256.02", "535.309.01", "550.163.01", "580.95.05"]),
        "flavour": st.sampled_from(["open", "proprietary"]),
        "source": st.sampled_from(["distribution", "nvidia"]),
    }
)
DOCKERS = st.sampled_from(
    [
        {"package": "docker.io", "version": "26.1.5+dfsg1-9", "source": "distribution"},
        {"package": "docker-ce", "version": "5:29.0.1-1~debian", "source": "docker"},
    ]
)


@st.composite
def hosts(draw: st.DrawFn) -> Observed:
    """Any host that can be met, with facts missing or unread."""
    release = draw(st.sampled_from(["12", "13"]))
    machine = draw(st.sampled_from(["x86_64", "aarch64", "riscv64"]))
    kernels = [KERNELS[release], "6.12.57+deb13-amd64", "6.1.0-44-cloud-arm64", "6.18.5", None]
    more: dict[str, Any] = {
        "architecture": machine,
        "secure_boot": draw(st.sampled_from(["enabled", "disabled", "unsupported", UNKNOWN])),
        "service_manager": draw(st.sampled_from(["systemd", None, UNKNOWN])),
        "driver_installed": draw(st.none() | st.just(UNKNOWN) | DRIVERS),
        "docker_installed": draw(st.none() | st.just(UNKNOWN) | DOCKERS),
    }
    for key in ("os", "gpus", "kernel", "virtualization"):
        if draw(st.integers(0, 15)) == 0:
            more[key] = draw(st.sampled_from([UNKNOWN, None]))
    place = draw(st.sampled_from(["none", "vm", "container", "wsl"]))
    gpus = draw(st.lists(IDS_MET, max_size=3))
    return debian(release, gpus, place, draw(st.sampled_from(kernels)), more)


@st.composite
def wishes(draw: st.DrawFn) -> Settings:
    """Any settings that this version takes."""
    source = draw(st.sampled_from(["auto", "distribution", "none"]))
    names = ["docker", "environments"] + (["driver"] if source != "none" else [])
    data: dict[str, Any] = {
        "rig_driver_source": source,
        "rig_accelerator": draw(st.sampled_from(["auto", "cpu", "cuda"])),
        "rig_python": draw(st.sampled_from(["auto", "3.11", "3.13"])),
        "rig_assume_gpu": draw(st.lists(IDS_MET, max_size=2)),
        "rig_frameworks": draw(st.sampled_from([[], ["tensorflow"], ["tensorflow==2.99"]])),
    }
    if source != "none":
        data["rig_driver_branch"] = draw(st.sampled_from(["auto", "535", "550", "580"]))
        data["rig_driver_flavour"] = draw(st.sampled_from(["auto", "open", "proprietary"]))
    if draw(st.booleans()):
        data["rig_components"] = draw(st.lists(st.sampled_from(names), min_size=1))
    return validate(data, "test")


@running(deadline=None)
@given(hosts(), wishes())
def test_every_host_gets_an_answer_that_can_be_read(host, settings):
    found = resolve(settings, host)
    assert isinstance(found, Stack | Refusal)
    assert all(line.strip() for line in readable(found))
    json.dumps(found.as_json())


@running(deadline=None)
@given(hosts(), wishes())
def test_a_refusal_names_a_conflict_and_a_way_out(host, settings):
    found = resolve(settings, host)
    if isinstance(found, Refusal):
        assert found.conflict
        assert found.ways_out


@running(deadline=None)
@given(hosts(), wishes())
def test_the_same_question_gets_the_same_answer(host, settings):
    first, again = resolve(settings, host), resolve(settings, host)
    assert json.dumps(first.as_json()) == json.dumps(again.as_json())


@running(deadline=None)
@given(hosts(), wishes(), st.randoms(use_true_random=False))
def test_the_order_in_which_gpus_are_listed_does_not_matter(host, settings, chance: random.Random):
    facts = host.as_json()
    if not isinstance(facts["gpus"], list):
        return
    chance.shuffle(facts["gpus"])
    assert resolve(settings, Observed.from_facts(facts)) == resolve(settings, host)


@running(deadline=None)
@given(hosts(), wishes())
def test_the_driver_drives_every_known_gpu(host, settings):
    """Open never before Turing, proprietary never from Blackwell on, no branch out of bounds."""
    found = resolve(settings, host)
    if not isinstance(found, Stack) or found.driver is None:
        return
    branch = int(found.driver.branch)
    for gpu in found.gpus:
        row = row_of(gpu.id)
        if row is None:
            continue
        assert found.driver.flavour in row.flavours
        assert (row.first_branch or 0) <= branch <= (row.last_branch or 9999)


@running(deadline=None)
@given(hosts(), wishes())
def test_a_wish_is_met_or_refused(host, settings):
    found = resolve(settings, host)
    if not isinstance(found, Stack):
        return
    if found.driver:
        assert settings.driver_branch in ("auto", found.driver.branch)
        assert settings.driver_flavour in ("auto", found.driver.flavour)
    for environment in found.environments:
        assert settings.accelerator in ("auto", environment.accelerator)
        assert settings.python in ("auto", environment.python)
    left = {item.component for item in found.left_out}
    assert not left & set(settings.components)


@running(deadline=None)
@given(hosts(), wishes())
def test_every_part_of_a_stack_has_its_reason(host, settings):
    found = resolve(settings, host)
    if not isinstance(found, Stack):
        return
    parts = {
        "driver ": found.driver,
        "kernel ": found.kernel,
        "Docker ": found.docker,
        "container toolkit": found.container_toolkit,
        "CUDA ": found.cuda,
        "cuDNN ": found.cudnn,
        "tensorflow ": found.environments,
        "GPU ": found.gpus,
        "distribution ": found.distribution,
    }
    for name, part in parts.items():
        chosen = any(because.choice.startswith(name) for because in found.because)
        assert chosen == bool(part), name
    assert all(because.reason and because.source for because in found.because)
    assert all(item.reason for item in found.left_out)


@running(deadline=None)
@given(hosts(), wishes())
def test_cudnn_is_bounded_exactly_where_a_gpu_needs_it(host, settings):
    found = resolve(settings, host)
    if not isinstance(found, Stack) or found.cudnn is None:
        return
    old = {"kepler", "maxwell", "pascal", "volta"}
    bounded = any(gpu.architecture in old for gpu in found.gpus)
    assert (found.cudnn.maximum is not None) == bounded


@running(deadline=None)
@given(hosts(), wishes())
def test_nothing_is_set_up_for_a_gpu_that_is_not_there(host, settings):
    found = resolve(settings, host)
    if isinstance(found, Stack) and not found.gpus:
        assert (found.driver, found.container_toolkit, found.cuda) == (None, None, None)
