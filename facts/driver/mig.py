"""MIG: which GPUs are divided into instances. It is told and left as it is."""

from __future__ import annotations

from pyinfra.api import StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown

# Its packages are called otherwise in Debian, in Ubuntu and in NVIDIA's repositories.
NVIDIA_SMI = "tool nvidia-smi nvidia-smi 'nvidia-utils-*' nvidia-driver-cuda"


class Mig(Fact[dict[str, str]]):
    """
    The MIG mode of each GPU by its index; ABSENT without nvidia-smi or a driver that answers it.

    ``{"0": "Enabled", "1": "Disabled"}``; ``"[N/A]"`` for a GPU that cannot be divided.
    """

    def command(self) -> StringCommand:
        return framed(
            f"{NVIDIA_SMI} || exit 3;"
            " nvidia-smi --query-gpu=index,mig.mode.current --format=csv,noheader 2>&1"
        )

    def parse(self, lines: list[str], code: int) -> dict[str, str] | Absent | Unknown:
        # 9 is nvidia-smi's for "the driver is not loaded": then nothing is divided now.
        if code in (3, 9):
            return ABSENT
        if code:
            return Unknown(f"nvidia-smi printed: {' '.join(lines)[:120] or f'exit status {code}'}")
        modes: dict[str, str] = {}
        for line in filter(str.strip, lines):
            index, _, mode = line.partition(",")
            if not (index.isascii() and index.isdigit()) or not mode.strip():
                return Unknown(f"nvidia-smi printed: {line}")
            modes[index] = mode.strip()
        return modes
