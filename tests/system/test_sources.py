"""A host that does not reach what its plan needs: one sentence for each, and nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab.hosts import Host
from lab.lab import Lab
from system.person import Person, settings, state

pytestmark = pytest.mark.lab

DEAD = "http://10.77.0.1:9"  # the lab's own address, where nothing listens
NAMELESS = "http://mirror.invalid"
OFF = "/etc/apt/apt.conf.d/99dead"


@pytest.fixture(scope="module")
def there(boot: Callable[..., Host]) -> Host:
    """A bare Debian 13."""
    return boot("trixie", "cut13")


@pytest.fixture(autouse=True)
def _as_it_was(there: Host) -> Iterator[None]:
    """What a test takes from the host's apt comes back."""
    there.run("cp -a /etc/apt /root/apt")
    yield
    there.run("rm -rf /etc/apt && mv /root/apt /etc/apt")


INDEX = "set rig_pypi_index to an index that this host reaches, or rig_proxy"
CASES: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "an index that refuses": (
        "", {"rig_pypi_index": f"{DEAD}/simple/"},
        [f"{DEAD}/simple/six/ (it refuses connections); nothing was changed; {INDEX}"]),
    "an index without a name": (
        "", {"rig_pypi_index": f"{NAMELESS}/simple"},
        [f"{NAMELESS}/simple/six/ (the name does not resolve); nothing was changed; {INDEX}"]),
    "an index without an answer": (
        "", {"rig_pypi_index": "http://10.77.0.250/simple/"},
        ["http://10.77.0.250/simple/six/ ("]),
    "apt's proxy": (
        f"echo 'Acquire::http::Proxy \"{DEAD}\";' > {OFF}", {},
        ["/dists/trixie/InRelease through 10.77.0.1:9 (it refuses connections); nothing was"
         " changed; check the host's network, its apt sources and its proxy for apt"]),
    "another path of the mirror": (
        "find /etc/apt -name '*.list' -o -name '*.sources' | xargs sed -i 's#/debian#/nothing#'",
        {}, ["/nothing/dists/trixie/InRelease (it refuses this request)"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_cut_off_is_told_before_the_first_change(
    there: Host, somebody: Person, lab: Lab, case: str
) -> None:
    """Address, reason, remedy; each once on the screen, and every file stays as it was."""
    how, given, said = CASES[case]
    there.run(how or "true")
    before = state(there)
    given = settings(lab) | given
    answer = somebody.gpurig("up", somebody.inventory({there.name: there.ssh_data()}, **given))
    assert answer.code == 1, answer.out + answer.err
    errors = [line for line in answer.out.splitlines() if line.startswith("  error: ")]
    for words in said:
        assert any(words in line for line in errors), answer.out
    assert all(line.startswith("  error: this host cannot fetch ") for line in errors)
    assert len(errors) == len(set(errors))
    assert state(there) == before
