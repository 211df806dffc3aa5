"""What a move of Docker from one packaging to another would have to respect."""

from __future__ import annotations

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, framed
from gpurig.contract.values import Unknown


class ContainerShims(Always[int]):
    """
    How many containers of containerd are alive, whoever started them: Docker, Kubernetes, nerdctl.

    Each has a shim, which outlives its daemon; 0 where none is alive. A number, never ABSENT.
    """

    def command(self) -> StringCommand:
        # The kernel cuts a process's name to 15 characters, of which these are the first.
        return framed(
            'n=0; for p in /proc/[0-9]*; do { read -r c <"$p/comm"; } 2>/dev/null || continue;'
            " case $c in containerd-shim*) n=$((n + 1)) ;; esac; done; echo $n"
        )

    def parse(self, lines: list[str], code: int) -> int | Unknown:
        if code or not (lines[-1].isascii() and lines[-1].isdigit()):
            return Unknown("gpurig cannot count the processes of containers")
        return int(lines[-1])
