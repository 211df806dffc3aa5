"""The host's own name, which programs that run on several hosts look up."""

from __future__ import annotations

from gpurig.contract.known import known
from gpurig.contract.promise import Commands, drift, holds, keeps
from gpurig.facts.host.name import HOSTS, HostName
from gpurig.operations.shared.file import written

ADDRESS = "127.0.1.1"  # what Debian's installer gives a host's own name
MARK = "# gpurig"


@keeps("host.name")
def resolves() -> Commands:
    """
    The host finds an address for its own name.

    Without one Horovod's gloo ends with "Unable to find address for". A line of ours in /etc/hosts
    gives it one; all other lines stay.
    """
    there = known(HostName)
    name = there["name"]
    if there["addresses"]:
        return holds(f"{name} is {', '.join(there['addresses'])}")
    drift(
        actual=f"{name} has no address",
        wanted=f"{name} has an address",
        will=f"add it as {ADDRESS} to {HOSTS}",
        leaves="all other lines there",
    )
    others = [line for line in there["hosts"] if not line.rstrip().endswith(MARK)]
    lines = [*others, f"{ADDRESS}\t{name}\t{MARK}"]
    yield from written(HOSTS, "".join(f"{line}\n" for line in lines), mode=None)
