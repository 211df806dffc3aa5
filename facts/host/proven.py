"""What was proven on a host, and for which state of it: gpurig's own record."""

from __future__ import annotations

import json
from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown

RECORD = "/var/lib/gpurig/proven.json"


class Last(TypedDict):
    """How a proof ended when it last ran; at: when, in UTC, as ``2026-11-29T14:02Z``."""

    title: str
    verdict: str
    reason: str
    at: str


class Proven(TypedDict):
    """
    What was proven.

    + state: what was on the host then, in words by its part (``{"kernel": "6.12.117"}``)
    + proofs: by id, the last verdict of each
    """

    state: dict[str, str]
    proofs: dict[str, Last]


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
        return Proven(state=state, proofs=proofs)
