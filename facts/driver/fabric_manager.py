"""The fabric manager of NVSwitch machines: what holds it at the driver's version."""

from __future__ import annotations

from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, framed, words
from gpurig.contract.values import Unknown

PIN = "/etc/apt/preferences.d/gpurig-fabricmanager"


class Candidates(TypedDict):
    """
    + pin: the text of our pin, empty without one
    + versions: those that apt can install, newest first
    """

    pin: str
    versions: list[str]


class FabricManagerCandidates(Always[Candidates]):
    """
    The versions of the fabric manager's package in the repositories at hand, and our pin.

    + package: its name, ``nvidia-fabricmanager-550``

    ``{"pin": "Package: …", "versions": ["550.163.01-1", "550.127.05-1"]}``
    """

    def command(self, package: str) -> StringCommand:
        return framed(
            f"[ ! -e {PIN} ] || sed 's/^/pin /' {PIN};"
            " command -v apt-cache >/dev/null || exit 3;"
            f" LC_ALL=C must apt-cache madison {words(package)} 2>/dev/null |"
            " sed -n 's/^[^|]*| *\\([^ |]*\\) *|.*/version \\1/p'"
        )

    def parse(self, lines: list[str], code: int) -> Candidates | Unknown:
        if code == 3:
            return Unknown("this distribution has no apt")
        pin = [line[4:] for line in lines if line.startswith("pin ")]
        versions = [line[8:] for line in lines if line.startswith("version ")]
        return Candidates(
            pin="".join(f"{line}\n" for line in pin), versions=list(dict.fromkeys(versions))
        )
