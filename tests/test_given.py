"""A machine that is only described: what its words become, and what wrong ones are told."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from gpurig.errors import InputError
from gpurig.stack.described import Given, described


def _resolve(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gpurig.cli.main", "resolve", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_words_become_the_facts_of_a_bare_host() -> None:
    """Release or code name, upper or lower case; nothing is installed there."""
    host = described(
        Given("debian:trixie", kernel="6.12.117+deb13-amd64", gpus=["10DE:2B85", "1ae0:0062"])
    )
    facts = host.as_json()
    assert facts["os"]["version"] == "13"
    assert [gpu["id"] for gpu in facts["gpus"]] == ["10de:2b85"]
    assert [tpu["id"] for tpu in facts["accelerators"]] == ["1ae0:0062"]
    assert facts["kernel"]["next"] == "6.12.117+deb13-amd64"
    assert facts["driver_installed"] is None


@pytest.mark.parametrize(
    ("words", "where"),
    [
        ({"os": "debian"}, "--os"),
        ({"os": "plan9:4"}, "--os"),
        ({"os": ""}, "--os"),
        ({"os": "debian:13", "gpus": ["2330"]}, "--gpu"),
        ({"os": "debian:13", "gpus": ["8086:2330"]}, "--gpu"),
        ({"os": "debian:13", "kernel": "the newest"}, "--kernel"),
        ({"os": "debian:13", "python": "2.7"}, "--python"),
    ],
    ids=str,
)
def test_a_wrong_word_is_one_sentence_with_the_option(words: dict[str, Any], where: str) -> None:
    """What is wrong, where, and how it is written."""
    with pytest.raises(InputError, match=where) as caught:
        described(Given(**words))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [("--gpu", "10de:2330"), ("--os", "debian:13", "gpu01"), ("--os", "debian:13", "--facts", "f")],
    ids=" ".join,
)
def test_options_that_do_not_go_together_end_with_2(words: tuple[str, ...]) -> None:
    """A description is whole, and the only thing to resolve."""
    done = _resolve(*words)
    assert done.returncode == 2
    assert done.stderr.startswith("gpurig: resolve: ")
    assert not done.stdout


def test_the_json_is_as_documented() -> None:
    """The host is called given; reasons stand beside the stack, which says from where CUDA is."""
    done = _resolve("--os", "debian:13", "--gpu", "10de:2b85", "--set", "rig_cuda=13.0", "--json")
    host = json.loads(done.stdout)["hosts"]["given"]
    assert done.returncode == 0
    assert host["refusal"] is None
    assert host["stack"]["cuda"]["from"] == "nvidia"
    assert {"choice", "reason", "source", "rejected"} == set(host["because"][0])
    refused = _resolve("--os", "debian:13", "--gpu", "10de:102d", "--json")
    assert refused.returncode == 2
    host = json.loads(refused.stdout)["hosts"]["given"]
    assert host["stack"] is None
    assert set(host["refusal"]) == {"conflict", "ways_out"}


def test_tables_are_listed_with_their_age() -> None:
    """Every table, its rows and its oldest date."""
    command = [sys.executable, "-m", "gpurig.cli.main", "tables", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    listed = {table["table"]: table for table in json.loads(done.stdout)["tables"]}
    assert listed["gpu"]["rows"] > 15
    assert all(table["age_days"] >= 0 for table in listed.values())
