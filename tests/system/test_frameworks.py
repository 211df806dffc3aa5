"""Frameworks side by side on a bare Debian 13 without a GPU, and one of them taken away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.hosts import Host
from lab.lab import Lab
from lab.states import built_wheels
from system import laws
from system.person import Answer, Person, settings, state

pytestmark = pytest.mark.lab

# What each of them learns with. Where CI proves the others: TensorFlow in test_three_hosts.py,
# PyTorch in test_train.py, Horovod in test_horovod.py, XGBoost in test_proven.py.
LIGHT = {"jax": "jax", "xgboost": ""}  # XGBoost learns no MNIST
ALL = {"tensorflow": "tensorflow", "pytorch": "torch", "jax": "jax", "keras": "tensorflow",
       "horovod": "tensorflow"}  # fmt: skip
KERAS = {"jax": "jax", "keras[jax]": "jax"}
ROOT = "/opt/gpurig/venvs"


@pytest.fixture(scope="module", params=[
    LIGHT, *(pytest.param(more, marks=pytest.mark.long) for more in (ALL, KERAS))
], ids=["light", "all", "Keras on JAX"])  # fmt: skip
def frameworks(request: pytest.FixtureRequest) -> dict[str, str]:
    """Those side by side; all are 20 GB."""
    found: dict[str, str] = request.param
    return found


@pytest.fixture(scope="module")
def there(frameworks: dict[str, str]) -> list[str]:
    """The names of their environments."""
    return [wish.partition("[")[0] for wish in frameworks]


@pytest.fixture(scope="module")
def left(there: list[str]) -> list[str]:
    """Those that stay when JAX goes."""
    return [name for name in there if name != "jax"]


@pytest.fixture(scope="module")
def host(boot: Callable[..., Host], frameworks: dict[str, str]) -> Host:
    """The host; its user has an environment of her own beside those of gpurig."""
    made = boot("trixie", "frm13")
    made.ssh(
        f"useradd -m ann; mkdir -p {ROOT}/ann/bin; echo 'home = /usr/bin' > {ROOT}/ann/pyvenv.cfg"
    )
    return made


Wishes = Callable[..., Path]


@pytest.fixture(scope="module")
def wishes(host: Host, person: Person, lab: Lab, frameworks: dict[str, str]) -> Wishes:
    """The inventory of the host, with these settings."""

    def written(**changed: Any) -> Path:
        data = host.ssh_data() | {"rig_components": ["environments"], "rig_users": ["ann"]}
        return person.inventory(
            {host.name: data}, **settings(lab) | {"rig_frameworks": list(frameworks)} | changed
        )

    return written


@pytest.fixture(scope="module")
def first(wishes: Wishes, person: Person, lab: Lab) -> Answer:
    """The first `up`; Horovod's wheel is there once its own tests have compiled it."""
    cache = person.home / ".cache/gpurig/wheels"
    if not cache.exists():
        cache.parent.mkdir(parents=True)
        cache.symlink_to(built_wheels(lab))
    return person.gpurig("up", wishes(), "--json")


def test_each_framework_gets_an_environment_and_is_proven(
    first: Answer, host: Host, frameworks: dict[str, str], there: list[str]
) -> None:
    """One `up` from bare: what was planned is done, and every proof of every environment passes."""
    assert first.code == 0, first.problems
    laws.plan_told_the_truth(first, host.name)
    laws.everything_is_proven(first, host.name)
    for name, learns in zip(there, frameworks.values(), strict=True):
        assert not learns or laws.framework_is_proven(first, host.name, name) == learns


def test_pytorch_says_what_its_usual_wheels_cost(
    first: Answer, host: Host, wishes: Wishes, person: Person, there: list[str]
) -> None:
    """Its index of wheels for the CPU is out of reach here: one sentence says what that makes."""
    plan = person.gpurig("plan", wishes(rig_frameworks=["pytorch"]), "--json")
    (told,) = [w for w in plan.host(host.name)["warnings"] if w.startswith("pytorch: ")]
    assert "CPU wheels are not available from" in told
    assert "GB instead of" in told
    if "pytorch" in there:
        assert host.ssh(f"ls -d {ROOT}/pytorch/lib/python3.13/site-packages/nvidia").rc == 0


def test_again_changes_nothing(
    first: Answer, host: Host, wishes: Wishes, person: Person, there: list[str]
) -> None:
    """The second run: 0 changes, and the plan before it says 0."""
    before = _bytes(host, there)
    laws.again_changes_nothing(person, wishes(), host)
    assert _bytes(host, there) == before


def _bytes(host: Host, names: list[str]) -> str:
    """Every file of these environments: a change of one changes its inode or its change time."""
    listed = host.ssh(
        f"cd {ROOT} && find {' '.join(names)} ! -path '*/__pycache__*' ! -type d"
        " -printf '%p %i %s %C@ %m %u\\n' | sort"
    )
    assert listed.rc == 0, listed.stderr
    return listed.stdout


def test_what_is_wished_for_no_more_stays_until_it_is_pruned(
    first: Answer, host: Host, wishes: Wishes, person: Person, frameworks: dict[str, str],
    there: list[str], left: list[str],
) -> None:  # fmt: skip
    """It is named with its size; --prune deletes it and nothing else, least of all the user's."""
    before, others = _bytes(host, there), _bytes(host, [*left, "ann"])
    inventory = wishes(rig_frameworks=[wish for wish in frameworks if wish != "jax"])

    up = person.gpurig("up", inventory, "--json")
    assert up.code == 0, up.problems
    assert not up.changed(host.name)
    assert _bytes(host, there) == before
    (told,) = [f for f in up.host(host.name)["plan"] if f["id"] == "environments.leftovers"]
    assert told["verdict"] == "holds", told
    assert told["reason"].startswith("`up --prune` can delete jax ("), told
    assert "GB" in told["reason"]

    plan = person.gpurig("plan", inventory, "--prune", "--json")
    assert plan.drifted(host.name) == {"environments.leftovers"}, plan.problems
    assert _bytes(host, there) == before
    pruned = person.gpurig("up", inventory, "--prune", "--prove", "never", "--json")
    assert pruned.code == 4, pruned.problems  # right, and not proven
    assert pruned.changed(host.name) == {"environments.leftovers"}
    assert host.ssh(f"ls {ROOT}").stdout.split() == sorted([*left, "ann"])
    assert _bytes(host, [*left, "ann"]) == others


BAD = {
    "no wheels for this Python": (
        {"rig_frameworks": ["tensorflow==2.19.*"]},
        2,
        "no wheels for Python 3.13 on linux-x86_64 (it has wheels for Python 3.9,",
    ),
    "not enough room": ({"rig_venv_root": "/small"}, 1, "/small has 0.1 GB free and"),
}


@pytest.mark.parametrize(("changed", "code", "says"), BAD.values(), ids=BAD)
def test_what_cannot_be_is_one_sentence_and_changes_nothing(
    first: Answer, host: Host, wishes: Wishes, person: Person, changed: dict[str, Any],
    code: int, says: str,
) -> None:  # fmt: skip
    """Found before anything is started: what there is instead, and not a byte moved."""
    host.ssh("mkdir -p /small; mountpoint -q /small || mount -t tmpfs -o size=100M none /small")
    before = state(host)
    answer = person.gpurig("up", wishes(**changed))
    assert answer.code == code, answer.out + answer.err
    assert says in answer.out, answer.out + answer.err
    assert "Traceback" not in answer.out + answer.err
    assert state(host) == before
    assert host.ssh("ls -A /small").stdout == ""
