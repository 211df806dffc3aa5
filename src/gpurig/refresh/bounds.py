"""What wheels ask for, as bounds of the tables: on CUDA, cuDNN and NCCL."""

from __future__ import annotations

from collections.abc import Iterable

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from gpurig.refresh.reading import UnreadError
from gpurig.stack.serving import lowest

# What a wheel asks for, by the column that bounds it; of several the one with the highest version.
BRINGS = {
    "cuda": ("cuda-toolkit", "nvidia-cuda-runtime", "nvidia-cuda-nvcc"),
    "cudnn": ("nvidia-cudnn",),
    "nccl": ("nvidia-nccl",),
}
_COUNT = frozenset(name for names in BRINGS.values() for name in names)
_MACHINES = {"linux": ("linux", "Linux"), "macos": ("darwin", "Darwin")}


def active(asked: Iterable[Requirement], extras: Iterable[str], platform: str) -> list[Requirement]:
    """What is asked for with these extras, on a platform of the tables."""
    system, machine = platform.split("-")
    here = {
        "sys_platform": _MACHINES[system][0],
        "platform_system": _MACHINES[system][1],
        "platform_machine": machine,
    }
    words = ("", *extras)

    def holds(one: Requirement) -> bool:
        return one.marker is None or any(
            one.marker.evaluate({**here, "extra": word}) for word in words
        )

    try:
        return [one for one in asked if holds(one)]
    except (UndefinedComparison, UndefinedEnvironmentName) as error:
        raise UnreadError(f"its metadata has a wrong marker ({error})") from error


def brought(asked: Iterable[Requirement]) -> dict[str, str]:
    """What requirements bound, as the tables write it: ``{"cuda": ">=12.8.90,<12.9", …}``."""
    found: dict[str, str] = {}
    by_name: dict[str, list[str]] = {}
    for one in asked:
        name, _, major = one.name.partition("-cu1")
        if one.specifier and name in _COUNT:
            by_name.setdefault(name, []).append(_bounds(one.specifier))
        if major.isdecimal() and name == "nvidia-nccl":
            by_name.setdefault("major", []).append(f">=1{major},<{int(f'1{major}') + 1}")
    for column, names in BRINGS.items():
        several = [bound for name in names for bound in by_name.get(name, ())]
        if several:
            found[column] = max(several, key=lowest)
    if "cuda" not in found and "major" in by_name:
        found = {"cuda": by_name["major"][0], **found}
    return found


def _bounds(asked: SpecifierSet) -> str:
    """
    As the tables write them: ``==12.8.90`` becomes ``>=12.8.90,<12.9``.

    Without an upper bound the next major is one. UnreadError for what the tables cannot say.
    """
    parts = {one.operator: one.version for one in asked if one.operator != "!="}
    if strange := parts.keys() - {"==", "~=", ">=", "<"}:
        raise UnreadError(f"its metadata asks for {min(strange)}{parts[min(strange)]}")
    if exact := parts.get("=="):
        version = exact.removesuffix(".*")
        open_ = exact.endswith(".*") and len(Version(version).release) == 1
        return f">={version},<{_after(version, 1 if open_ else 2)}"
    if compatible := parts.get("~="):
        return f">={compatible},<{_after(compatible, len(Version(compatible).release) - 1)}"
    low = parts.get(">=", "0")
    high = parts.get("<") or _after(low, 1)
    return f">={low},<{high.removesuffix('.0')}"


def _after(version: str, parts: int) -> str:
    """The first version after all that begin with these parts of it."""
    *first, last = (*Version(version).release, 0)[:parts]
    return ".".join(map(str, (*first, last + 1)))
