"""What was proven on a host, and for which state of it: gpurig's own record."""

from __future__ import annotations

import json
from typing import Any, TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown
from gpurig.facts.host.footing import Mirror

RECORD = "/var/lib/gpurig/proven.json"


class Last(TypedDict):
    """How a proof ended when it last ran; at: when, in UTC, as ``2026-11-29T14:02Z``."""

    title: str
    verdict: str
    reason: str
    at: str


class There(TypedDict):
    """
    What the set-up stood on beside its GPUs, which `Proven` has among its state.

    + switches: NVSwitches, each ``10de:22a3 at 0000:07:00.0``; accounts: users of rig_users
    + mounts: by path, where its file system was mounted
    + mirrors: of others' files, as `facts.host.footing` reads them
    """

    switches: list[str]
    accounts: list[str]
    mounts: dict[str, str]
    mirrors: list[Mirror]


class _Proven(TypedDict):
    state: dict[str, str]
    proofs: dict[str, Last]


class Proven(_Proven, total=False):
    """
    What was proven, and what was there for it; written before a change as well, without proofs.

    + state: what was on the host then, in words by its part (``{"kernel": "6.12.117"}``)
    + proofs: by id, the last verdict of each; there: not in records of earlier releases
    """

    there: There


class ProvenRecord(Fact[Proven]):
    """The record; ABSENT where no proof has run to its end since the last change."""

    def command(self) -> StringCommand:
        return framed(f"[ -e {RECORD} ] || exit 3; cat {RECORD}")

    def parse(self, lines: list[str], code: int) -> Proven | Absent | Unknown:
        if code == 3:
            return ABSENT
        if code:
            return Unknown(f"{RECORD} cannot be read")
        told = json.loads("\n".join(lines))
        proofs = {
            str(name): Last(
                title=str(last["title"]),
                verdict=str(last["verdict"]),
                reason=str(last["reason"]),
                at=str(last["at"]),
            )
            for name, last in told["proofs"].items()
        }
        state = {str(part): str(text) for part, text in told["state"].items()}
        if "there" not in told:
            return Proven(state=state, proofs=proofs)
        return Proven(state=state, proofs=proofs, there=_there(told["there"]))


def _there(told: dict[str, Any]) -> There:
    return There(
        switches=[str(one) for one in told["switches"]],
        accounts=[str(one) for one in told["accounts"]],
        mounts={str(path): str(mount) for path, mount in told["mounts"].items()},
        mirrors=[
            Mirror(kind=str(one["kind"]), file=str(one["file"]), url=str(one["url"]))
            for one in told["mirrors"]
        ],
    )
