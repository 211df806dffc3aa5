"""The answer as a person reads it."""

from __future__ import annotations

from gpurig.stack.explain import readable
from stack.observations import IDS, debian, refusal, stack


def test_a_stack_shows_its_parts_reasons_sources_and_rejections():
    lines = readable(stack(debian("13", [IDS["hopper"]])))
    text = "\n".join(lines)
    assert "550.163.01 proprietary, from distribution" in text
    assert "    not 550.163.01 open: " in text
    assert any(line.endswith("[Debian 13, package index]") for line in lines)


def test_assumed_gpus_are_called_so():
    lines = readable(stack(debian("13", place="container"), assume_gpu=[IDS["hopper"]]))
    assert any("10de:2330 hopper" in line and "(assumed)" in line for line in lines)


def test_what_is_left_out_is_said_with_its_reason():
    assert any("left out: no NVIDIA GPU" in line for line in readable(stack(debian("13"))))


def test_a_refusal_shows_its_conflict_and_the_ways_out():
    lines = readable(refusal(debian("13", [IDS["blackwell"]])))
    assert lines[0].startswith("refused: the GPU 10de:2901 (blackwell) and Debian 13")
    assert sum(line.startswith("way out: ") for line in lines) == 3
