"""The answer as a person reads it."""

from __future__ import annotations

from gpurig.stack.explain import readable
from stack.observations import IDS, debian, refusal, stack


def test_a_stack_shows_its_parts_reasons_sources_and_rejections():
    lines = readable(stack(debian("13", [IDS["hopper"]])))
    text = "\n".join(lines)
    assert "550.163.01 proprietary, from distribution" in text
    assert "    not 550.163.01 open: " in text
    number = next(line for line in lines if line.startswith("  distribution ")).rpartition("[")[2]
    assert f"  [{number} Debian 13, package index" in text


def test_assumed_gpus_are_called_so():
    lines = readable(stack(debian("13", place="container"), assume_gpu=[IDS["hopper"]]))
    assert any("10de:2330 hopper" in line and "(assumed)" in line for line in lines)


def test_what_is_left_out_is_said_with_its_reason():
    assert any("left out: no NVIDIA GPU" in line for line in readable(stack(debian("13"))))


def test_a_refusal_shows_its_conflict_and_the_ways_out():
    lines = readable(refusal(debian("13", [IDS["kepler"]])))
    assert lines[0].startswith("no working combination")
    assert "  the GPU 10de:102d (kepler)" in lines
    ways = lines[lines.index("you can:") + 1 :]
    assert ways[0].startswith('  set rig_driver_source = "none" and rig_accelerator = "cpu": ')


def test_what_ends_is_said_with_its_month():
    lines = readable(stack(debian("13", [IDS["pascal"]]), driver_source="nvidia"))
    assert "  driver branch 580: until 2028-06; then NVIDIA no longer fixes this branch" in lines


def test_a_named_version_of_the_toolkit_is_said():
    lines = readable(stack(debian("13", [IDS["hopper"]]), container_toolkit="1.19.1"))
    assert any(line.endswith("  1.19.1, mode auto") for line in lines)
