"""A machine that is only described: what its words become, and what wrong ones are told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
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


FAILED = {
    "code": "host-unresolved",
    "host": "gpu01",
    "what": "the name gpu01 does not resolve",
    "where": "gpu01",
    "do": "check its spelling, or set ssh_hostname",
}


def test_hosts_whose_facts_could_not_be_read_have_their_errors(tmp_path: Path) -> None:
    """As without a file: nothing is resolved of no fact, and nobody is told to reinstall a host."""
    file = tmp_path / "facts.json"
    file.write_text(json.dumps({"hosts": {"gpu01": {"facts": {}, "errors": [FAILED]}}}))
    done = _resolve("--facts", str(file))
    said = f"gpu01:\n  error: {FAILED['what']}; {FAILED['do']}\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, said, "")

    told = json.loads(_resolve("--facts", str(file), "--json").stdout)
    assert told["errors"] == told["hosts"]["gpu01"]["errors"] == [FAILED]
    assert told["hosts"]["gpu01"]["refusal"] is None


def test_the_other_hosts_of_saved_facts_are_resolved(tmp_path: Path) -> None:
    """Also one that had an error after its facts were read; the exit code is 1 then."""
    kept = json.loads(_resolve("--os", "debian:13", "--json").stdout)["hosts"]["given"]["facts"]
    hosts = {
        "gpu01": {"facts": {}, "errors": [FAILED]},
        "cpu01": {"facts": kept, "errors": [FAILED]},
    }
    file = tmp_path / "facts.json"
    file.write_text(json.dumps({"hosts": hosts}))
    done = _resolve("--facts", str(file), "--json")
    told = json.loads(done.stdout)["hosts"]
    assert done.returncode == 1
    assert told["gpu01"]["stack"] is None
    assert told["cpu01"]["stack"]
    assert not told["cpu01"]["errors"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"hosts": {}}', "has no host; write it again with `gpurig facts TARGET --json`"),
        ('{"hosts": {"gpu01": {"facts": {}, "errors": [5]}}}', "is not output of"),
        ('{"hosts": {"gpu01": {"facts": {}, "errors": [{}]}}}', "is not output of"),
    ],
)
def test_saved_facts_of_no_host_or_with_a_wrong_error_end_with_2(
    text: str, said: str, tmp_path: Path
) -> None:
    """One sentence with the file."""
    file = tmp_path / "facts.json"
    file.write_text(text)
    done = _resolve("--facts", str(file))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"gpurig: {file}: {said}")
    assert done.stderr.count("\n") == 1


def test_tables_are_listed_with_their_age() -> None:
    """Every table, its rows and its oldest date."""
    command = [sys.executable, "-m", "gpurig.cli.main", "tables", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    listed = {table["table"]: table for table in json.loads(done.stdout)["tables"]}
    assert listed["gpu"]["rows"] > 15
    assert all(table["age_days"] >= 0 for table in listed.values())
