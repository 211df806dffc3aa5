"""The answer as a person reads it."""

from __future__ import annotations

import re

from gpurig.stack.described import Given, described
from gpurig.stack.explain import readable, support
from gpurig.stack.model import End
from stack.observations import IDS, answer, debian, refusal, stack


def test_a_stack_shows_its_parts_reasons_sources_and_rejections():
    lines = readable(stack(debian("13", [IDS["hopper"]])))
    text = "\n".join(lines)
    assert "550.163.01 or newer, proprietary, from distribution" in text
    assert "    not 550.163.01 open: " in text
    number = next(line for line in lines if line.startswith("  distribution ")).rpartition("[")[2]
    assert f"  [{number} Debian 13, package index" in text


def test_assumed_gpus_are_called_so():
    lines = readable(stack(debian("13", place="container"), assume_gpu=[IDS["hopper"]]))
    assert any("80GB HBM3 (10de:2330) (assumed)" in line for line in lines)


def test_what_is_left_out_is_said_with_its_reason():
    assert any("left out: no NVIDIA GPU" in line for line in readable(stack(debian("13"))))


def test_a_refusal_shows_its_conflict_and_the_ways_out():
    lines = readable(refusal(debian("13", [IDS["kepler"]])))
    assert lines[0].startswith("no working combination")
    assert "  the GPU Tesla K80 (10de:102d)" in lines
    ways = lines[lines.index("you can:") + 1 :]
    assert ways[0].startswith('  set rig_driver_source = "none" and rig_accelerator = "cpu": ')


def test_what_ends_is_said_with_its_month():
    lines = readable(stack(debian("13", [IDS["pascal"]]), driver_source="nvidia"))
    assert "  driver branch 580: until 2028-06; then NVIDIA no longer fixes this branch" in lines


def test_a_named_version_of_the_toolkit_is_said():
    lines = readable(stack(debian("13", [IDS["hopper"]]), container_toolkit="1.19.1"))
    assert any(line.endswith("  1.19.1, mode auto") for line in lines)


def test_what_has_ended_since_the_tables_were_written_is_past():
    """By the month that the caller names; a month that nobody verified says so itself."""
    end = End("Ubuntu 22.04", "2027-04", "then no security updates", unverified=True)
    assert support(end, "2027-04") == "until 2027-04 (unverified); then no security updates"
    assert support(end, "2027-05") == "ended 2027-04 (unverified); no security updates"
    told = "NVIDIA no longer fixes this branch"
    assert support(End("550", "ended", told), "2027-05") == f"ended; {told}"


def test_many_that_would_do_as_well_are_one_line_of_few_words():
    """Seventeen drivers of Ubuntu 24.04, told by their branches."""
    host = described(Given(os="ubuntu:24.04", gpus=["10de:2684"]))
    also = [line for line in readable(answer(host)) if "would also work" in line]
    assert len(also) == 1
    assert re.fullmatch(r" +not \d+ others, of [\d, ]+: would also work; .*", also[0])


def test_a_release_s_reason_is_told_once_for_all_that_have_it():
    """Nine releases of PyTorch without code for Maxwell are one line."""
    host = described(Given(os="debian:13", gpus=["10de:17c2"]))
    text = "\n".join(readable(answer(host, frameworks=["pytorch"])))
    assert "not 2.8.0 to 2.14.1: GeForce GTX TITAN X (10de:17c2): pytorch has no code" in text
