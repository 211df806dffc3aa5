"""Whether a host is proven as it is now: what is remembered of its proofs, and what that means."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from gpurig.contract.values import Absent, Unknown
from gpurig.engine.result import Proof, ProofVerdict, Standing
from gpurig.facts.host.proven import RECORD, Last, Proven, There
from gpurig.settings.programs import own_programs
from gpurig.settings.table import Settings
from gpurig.stack.gpus import name_of
from gpurig.stack.model import Cuda, Cudnn, Stack

Record = Proven | Absent | Unknown

_BAD = {ProofVerdict.FAILED.value, ProofVerdict.UNKNOWN.value}


def unproven(record: Proven) -> str:
    """The command that writes one without proofs; where it cannot, none is left that has some."""
    return f"{{ {remember(record)}; }} || rm -f {RECORD}"


def remember(record: Proven) -> str:
    """The command that writes a record; a reader sees the old one or this one."""
    text = json.dumps(record, indent=1)
    folder = RECORD.rpartition("/")[0]
    return (
        f"mkdir -p {folder} && printf '%s\\n' {shlex.quote(text)} > {RECORD}.gpurig-new"
        f" && chmod 644 {RECORD}.gpurig-new && mv -f {RECORD}.gpurig-new {RECORD}"
    )


def state(stack: Stack, settings: Settings, facts: Mapping[str, Any]) -> dict[str, str]:
    """
    What a proof holds for, in words by part; it is no longer proven when one of them is another.

    + facts: those of `Observed`, as JSON by their keys
    """
    driver, docker, kernel = (
        facts.get(key) or {} for key in ("driver_installed", "docker_installed", "kernel")
    )
    where = [f"{gpu.id} at {gpu.address}" if gpu.address else gpu.id for gpu in stack.gpus]
    own = [f"{program.label} {_sum(Path(program.path))}" for program in own_programs(settings)]
    found = {
        "kernel": str(kernel.get("running", "")),
        "GPUs": ", ".join(where),
        "driver": _words(driver),
        "CUDA": _of_the_system(stack.cuda),
        "cuDNN": _of_the_system(stack.cudnn),
        "Docker": _words(docker),
        "environments": ", ".join(one.lock for one in stack.environments),
        "images": ", ".join(image.name for image in stack.images),
        "programs": ", ".join([*settings.workloads, *own]),
    }
    return {part: text for part, text in found.items() if text}


def _of_the_system(part: Cuda | Cudnn | None) -> str:
    """The version of what does not come with wheels, which stand in the lock."""
    return part.version if part and part.origin != "wheels" else ""


def _words(value: Mapping[str, Any]) -> str:
    return " ".join(str(part) for part in value.values() if isinstance(part, str) and part)


def _sum(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    except OSError:
        return "gone"  # the promise workloads.own has the sentence for it


def standing(record: Record, now: Mapping[str, str]) -> Standing:
    """What a record says of a host that is in this state now."""
    if isinstance(record, Unknown):
        return Standing(missing=f"the record of its proofs cannot be read ({record.reason})")
    if isinstance(record, Absent) or not record["proofs"]:
        return Standing(missing="its proofs have not run to the end since the last change")
    if moved := _moved(record["state"], now):
        return Standing(missing=f"its proofs ran for another state: {moved}")
    failed = tuple(
        f"{last['title']}: {last['reason']}"
        for last in record["proofs"].values()
        if last["verdict"] in _BAD
    )
    return Standing(failed, since=min(last["at"] for last in record["proofs"].values()))


def _moved(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """The parts that differ, as ``kernel 6.12.117 -> 6.12.118``."""
    parts = [
        part
        for part in {**before, **now}
        if before.get(part) != now.get(part) and not _fewer(part, before, now)
    ]
    return "; ".join(
        f"{part} {before.get(part) or 'none'} -> {now.get(part) or 'none'}" for part in parts
    )


def _fewer(part: str, before: Mapping[str, str], now: Mapping[str, str]) -> bool:
    """Whether only environments or images have gone: what was shown of the others holds."""
    there, left = (set(filter(None, one.get(part, "").split(", "))) for one in (before, now))
    return part in ("environments", "images") and left <= there


def gone(record: Record, gpus: object) -> list[str]:
    """
    The GPUs that were there when the host was proven and that its PCI bus does not list now.

    + gpus: the fact's value; what cannot be read is not gone

    ``["NVIDIA H100 80GB HBM3 (10de:2330) at 0000:41:00.0"]``. One that is in another slot is there.
    """
    if not isinstance(record, dict) or not isinstance(gpus, (list, Absent)):
        return []
    now = [(gpu["id"], gpu["address"]) for gpu in gpus or ()]
    lost = off_bus(record["state"].get("GPUs", "").split(", "), now)
    return [f"{name_of(id)} ({id}) at {address}" for id, address in lost]


def off_bus(was: Iterable[str], now: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Ids and slots of what is no longer on the bus; was: each ``10de:2330 at 0000:41:00.0``."""
    known = [(id, slot) for id, _, slot in (one.partition(" at ") for one in was) if slot]
    here, lost = list(now), []
    for id in dict.fromkeys(id for id, _ in known):
        there = [slot for one, slot in here if one == id]
        away = [slot for one, slot in known if one == id and slot not in there]
        missing = sum(one == id for one, _ in known) - len(there)
        lost += [(id, slot) for slot in away[: max(missing, 0)]]
    return lost


def joined(
    record: Record, now: Mapping[str, str], proofs: Iterable[Proof], there: There | None = None
) -> Proven:
    """
    The record after these proofs; of one that was deferred, what is known of it stays.

    + there: what the set-up stands on
    """
    known = record["proofs"] if isinstance(record, dict) else {}
    at = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%MZ")
    found = {}
    for proof in proofs:
        last = Last(title=proof.title, verdict=proof.verdict.value, reason=proof.reason, at=at)
        if proof.deferred:
            never = Last(title=proof.title, verdict="unknown", reason="it has never run", at=at)
            last = known.get(proof.id, never)
        found[proof.id] = last
    joined = Proven(state=dict(now), proofs=found)
    return joined if there is None else Proven(**joined, there=there)


def differs(record: Record, new: Proven) -> bool:
    """Whether a record says more than that proofs which passed before have passed again."""
    return not isinstance(record, dict) or _verdicts(record) != _verdicts(new)


def _verdicts(record: Proven) -> tuple[dict[str, str], There | None, dict[str, str]]:
    verdicts = {name: last["verdict"] for name, last in record["proofs"].items()}
    return record["state"], record.get("there"), verdicts
