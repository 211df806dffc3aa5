"""What stands in dnf's lock files: the driver's names, of one branch, beside the user's own."""

from __future__ import annotations

import re

# What carries the driver's version. Not *nvidia*, which NVIDIA's guide and dnf's manual lock: dnf
# hides every other version of each package so named, and nvidia-container-toolkit with it.
LOCKED = (
    "nvidia-driver*", "nvidia-open*", "nvidia-kmod*", "kmod-nvidia*", "cuda-drivers*",
    "libnvidia-[!c]*", "libnvidia-cfg*", "nvidia-libXNVCtrl*", "nvidia-modprobe*",
    "nvidia-persistenced*", "nvidia-settings*", "nvidia-xconfig*", "nvidia-fabric*",
    "nvidia-imex*",
)  # fmt: skip
EPOCH = 3  # of NVIDIA's packages, and of RPM Fusion's after them

_LINE = re.compile(rf"(?:{'|'.join(map(re.escape, LOCKED))})-\d+\.\*")  # ours, and nobody's else
_COMMENT = "gpurig: branch "
BRANCH = re.compile(rf"(?:{_COMMENT}|-)(\d+)(?:\.\*|\"\n)")


def parts(text: str, dnf: int) -> tuple[list[str], list[str]]:
    """The entries of dnf's locks: everybody else's as they stand, and ours."""
    theirs: list[str] = []
    ours: list[str] = []
    if dnf == 4:
        for line in text.splitlines():
            (ours if _LINE.fullmatch(line) else theirs).append(line)
    else:
        for block in re.split(r"(?m)^(?=\[\[packages\]\])", text or 'version = "1.0"\n'):
            (ours if f'"{_COMMENT}' in block else theirs).append(block.strip("\n") + "\n")
    return theirs, ours


def entries(dnf: int, branch: str) -> list[str]:
    if dnf == 4:
        return [f"{name}-{branch}.*" for name in LOCKED]
    return [_block(name, int(branch)) for name in LOCKED]


def locked(text: str, dnf: int, branch: str) -> str:
    """The text of dnf's locks with ours for this branch, and nobody else's changed."""
    return "\n".join([*parts(text, dnf)[0], *entries(dnf, branch)]) + "\n" * (dnf == 4)


def _block(name: str, branch: int) -> str:
    lines = [f'[[packages]]\nname = "{name}"\ncomment = "{_COMMENT}{branch}"\n']
    for comparator, value in ((">=", branch), ("<", branch + 1)):
        lines.append(
            f'[[packages.conditions]]\nkey = "evr"\ncomparator = "{comparator}"\n'
            f'value = "{EPOCH}:{value}"\n'
        )
    return "".join(lines)
