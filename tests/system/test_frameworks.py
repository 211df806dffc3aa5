"""All frameworks side by side on a bare Debian 13 without a GPU, and one of them taken away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpurig.contract.frameworks import frameworks, proofs
from gpurig.proofs.training import MATMUL, MNIST
from lab.hosts import Host
from lab.lab import Lab
from lab.states import built_wheels
from system import laws
from system.person import Answer, Person, settings, state

pytestmark = pytest.mark.lab

FRAMEWORKS = list(frameworks())
LEFT = [name for name in FRAMEWORKS if name != "jax"]
ROOT = "/opt/gpurig/venvs"
PROOFS = ("environments.consistent", "environments.as-locked", "environments.protected",
          "environments.framework", "environments.libraries",
          "environments.login-shell")  # fmt: skip


def _shown(framework: str) -> list[str]:
    """The proofs that pass in its environment, the programs of its row among them."""
    usual = next(iter(frameworks()[framework].bases), None)
    names = proofs(framework, usual)
    own = [f"workloads.program.{framework}:{n}.py" for n in names if n not in (MATMUL, *MNIST)]
    learns = ["workloads.mnist"] * bool(set(names) & set(MNIST))
    multiplies = ["workloads.matmul"] * (MATMUL in names)
    return [*(f"{proof}.{framework}" for proof in (*PROOFS, *multiplies, *learns)), *own]


@pytest.fixture(scope="module")
def host(boot: Callable[..., Host]) -> Host:
    """The host; its user has an environment of her own beside those of gpurig."""
    made = boot("trixie", "frm13")
    made.ssh(
        f"useradd -m ann; mkdir -p {ROOT}/ann/bin; echo 'home = /usr/bin' > {ROOT}/ann/pyvenv.cfg"
    )
    return made


Wishes = Callable[..., Path]


@pytest.fixture(scope="module")
def wishes(host: Host, person: Person, lab: Lab) -> Wishes:
    """The inventory of the host, with these settings."""

    def written(**changed: Any) -> Path:
        data = host.ssh_data() | {"rig_components": ["environments"], "rig_users": ["ann"]}
        return person.inventory(
            {host.name: data}, **settings(lab) | {"rig_frameworks": FRAMEWORKS} | changed
        )

    return written


@pytest.fixture(scope="module")
def first(wishes: Wishes, person: Person, lab: Lab) -> Answer:
    """The first `up`; Horovod's wheel is there once its own tests have compiled it."""
    cache = person.home / ".cache/gpurig/wheels"
    cache.parent.mkdir(parents=True)
    cache.symlink_to(built_wheels(lab))
    return person.gpurig("up", wishes(), "--json")


def test_each_framework_gets_an_environment_and_is_proven(first: Answer, host: Host) -> None:
    """One `up` from bare: what was planned is done, and every proof of every environment passes."""
    assert first.code == 0, first.problems
    laws.plan_told_the_truth(first, host.name)
    laws.everything_is_proven(first, host.name)
    verdicts = first.proofs(host.name)
    for framework in FRAMEWORKS:
        shown = {proof: verdicts[proof] for proof in _shown(framework)}
        assert set(shown.values()) == {"passed"}, (framework, shown)
    learnt = [
        proof["detail"]
        for proof in first.host(host.name)["proofs"]
        if proof["id"].startswith("workloads.mnist.")
    ]
    assert {told["framework"] for told in learnt} == {"tensorflow", "torch", "jax"}
    assert all(told["accuracy"] >= 0.97 for told in learnt)


def test_pytorch_says_what_its_usual_wheels_cost(first: Answer, host: Host) -> None:
    """Its index of wheels for the CPU is out of reach here: one sentence says what that makes."""
    (told,) = [w for w in first.host(host.name)["warnings"] if w.startswith("pytorch: ")]
    assert "CPU wheels are not available from" in told
    assert "GB instead of" in told
    assert host.ssh(f"ls -d {ROOT}/pytorch/lib/python3.13/site-packages/nvidia").rc == 0


def test_again_changes_nothing(first: Answer, host: Host, wishes: Wishes, person: Person) -> None:
    """The second run: 0 changes, and the plan before it says 0."""
    before = _bytes(host, FRAMEWORKS)
    laws.again_changes_nothing(person, wishes(), host)
    assert _bytes(host, FRAMEWORKS) == before


def _bytes(host: Host, names: list[str]) -> str:
    """Every file of these environments: a change of one changes its inode or its change time."""
    listed = host.ssh(
        f"cd {ROOT} && find {' '.join(names)} ! -path '*/__pycache__*' ! -type d"
        " -printf '%p %i %s %C@ %m %u\\n' | sort"
    )
    assert listed.rc == 0, listed.stderr
    return listed.stdout


def test_what_is_wished_for_no_more_stays_until_it_is_pruned(
    first: Answer, host: Host, wishes: Wishes, person: Person
) -> None:
    """It is named with its size; --prune deletes it and nothing else, least of all the user's."""
    before, others = _bytes(host, FRAMEWORKS), _bytes(host, [*LEFT, "ann"])

    up = person.gpurig("up", wishes(rig_frameworks=LEFT), "--json")
    assert up.code == 0, up.problems
    assert not up.changed(host.name)
    assert _bytes(host, FRAMEWORKS) == before
    (told,) = [f for f in up.host(host.name)["plan"] if f["id"] == "environments.leftovers"]
    assert told["verdict"] == "holds", told
    assert told["reason"].startswith("`up --prune` can delete jax ("), told
    assert "GB" in told["reason"]

    plan = person.gpurig("plan", wishes(rig_frameworks=LEFT), "--prune", "--json")
    assert plan.drifted(host.name) == {"environments.leftovers"}, plan.problems
    assert _bytes(host, FRAMEWORKS) == before
    pruned = person.gpurig(
        "up", wishes(rig_frameworks=LEFT), "--prune", "--prove", "never", "--json"
    )
    assert pruned.code == 0, pruned.problems
    assert pruned.changed(host.name) == {"environments.leftovers"}
    assert host.ssh(f"ls {ROOT}").stdout.split() == sorted([*LEFT, "ann"])
    assert _bytes(host, [*LEFT, "ann"]) == others


BAD = {
    "no wheels for this Python": (
        {"rig_frameworks": ["tensorflow==2.19.*"]},
        2,
        "no wheels (it has wheels for Python 3.9, 3.10, 3.11, 3.12)",
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
