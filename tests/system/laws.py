"""What holds of every run on every host, as design.md says it."""

from __future__ import annotations

from lab.hosts import Host
from system.person import Answer, Person, state

GREEN = {"passed", "not-applicable", "not-run"}
OF_A_FRAMEWORK = (
    "environments.consistent", "environments.as-locked", "environments.protected",
    "environments.framework", "environments.libraries", "environments.login-shell",
    "workloads.matmul", "workloads.mnist",
)  # fmt: skip


def plan_told_the_truth(up: Answer, name: str) -> None:
    """drifted(plan) is changed, and nothing changed but what was drifted or follows."""
    changed, drifted, follows = up.changed(name), up.drifted(name), up.follows(name)
    assert drifted <= changed, f"planned and not done: {drifted - changed}"
    assert changed <= drifted | follows, f"done and not planned: {changed - drifted - follows}"
    left = set(up.verdicts(name, "final").values()) - {"holds", "due", "left-out"}
    assert not left, up.verdicts(name, "final")


def everything_is_proven(up: Answer, name: str) -> None:
    """No proof failed or is unknown."""
    proofs = {proof["id"]: proof for proof in up.host(name)["proofs"]}
    assert proofs, "nothing was proven"
    bad = {
        k: f"{p['verdict']}: {p['reason']}" for k, p in proofs.items() if p["verdict"] not in GREEN
    }
    assert not bad, bad


def framework_is_proven(up: Answer, name: str, framework: str) -> str:
    """Every proof of an environment passed, and MNIST was learnt there: by what, is the answer."""
    proofs = {proof["id"]: proof for proof in up.host(name)["proofs"]}
    shown = {proof: proofs[f"{proof}.{framework}"] for proof in OF_A_FRAMEWORK}
    assert {proof["verdict"] for proof in shown.values()} == {"passed"}, shown
    learnt = shown["workloads.mnist"]["detail"]
    assert learnt["accuracy"] >= 0.97, learnt
    return str(learnt["framework"])


def nothing_to_do(again: Answer, name: str) -> None:
    """A run whose plan is empty and that changed nothing."""
    assert not again.drifted(name), again.problems
    assert not again.changed(name), again.problems


def again_changes_nothing(person: Person, inventory: object, host: Host) -> Answer:
    """A second run has an empty plan, and leaves every byte of /etc and every package."""
    before = state(host)
    again = person.gpurig("up", str(inventory), "--json", "--prove", "never")
    assert again.code in (0, 4), again.problems
    nothing_to_do(again, host.name)
    assert state(host) == before
    return again
