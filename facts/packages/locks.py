"""Who works on the host's packages now: the locks of apt and dpkg."""

from __future__ import annotations

from pyinfra.api import StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown

# holders: who has one of the locks, ``apt-get (process 4711)``, a line each; nothing where nobody
# has. Those two are taken for each change, the others for each download.
HOLDERS = r"""
holders() {
    for lock in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock \
        /var/lib/apt/lists/lock /var/cache/apt/archives/lock; do
        [ -e "$lock" ] || continue
        inode=$(stat -c %i "$lock")
        for pid in $(awk -v i=":$inode" 'index($6 "|", i "|") { print $5 }' /proc/locks); do
            { read -r name <"/proc/$pid/comm"; } 2>/dev/null || continue
            printf '%s (process %s)\n' "$name" "$pid"
        done
    done | sort -u
}
"""


class AptAtWork(Fact[list[str]]):
    """Programs that have a lock of apt's or dpkg's, ``["apt-get (process 4711)"]``; else ABSENT."""

    def command(self) -> StringCommand:
        return framed(f"{HOLDERS}[ -e /proc/locks ] || exit 0; holders")

    def parse(self, lines: list[str], code: int) -> list[str] | Absent | Unknown:
        if code:
            return Unknown("gpurig cannot tell whether another apt is at work")
        return [line for line in lines if line] or ABSENT
