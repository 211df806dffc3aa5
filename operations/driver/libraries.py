"""The driver's libraries: programs find those of the driver that is installed, and no others."""

from __future__ import annotations

from collections.abc import Iterator

from pyinfra.api import StringCommand

from gpurig.contract.known import known
from gpurig.contract.promise import Commands, Ended, drift, due, follows, holds, keeps
from gpurig.contract.values import ABSENT
from gpurig.facts.driver.libraries import DriverLoads, Loads
from gpurig.facts.driver.module import DriverUserSpace

DRIVERS = ("libcuda.so", "libnvidia-ml.so")


@keeps("driver.libraries")
def libraries() -> Commands:
    """
    A program gets libcuda and NVML of one version, from the loader's cache and nowhere else.

    A cache that is old or gone is made again. A file that a person put before them is named.
    """
    found = known(DriverLoads)
    if not found["there"] and not any(found["listed"].values()):
        return follows("driver.packages")
    if stale := _unlisted(found):
        drift(
            actual=f"the loader's cache has no {', '.join(stale)}",
            wanted="the loader finds the driver's libraries",
            will="run ldconfig",
        )
        yield StringCommand("ldconfig")
        return
    if wrong := [*_mixed(found), *_before(found), *_preloads(found)]:
        return due("; ".join(wrong))
    if known(DriverUserSpace) is ABSENT:
        return follows("driver.packages")
    holds("programs find libcuda and NVML of the driver, and no others")


def own_first() -> None:
    """End an operation that goes by the version of libraries which are not the driver's own."""
    found = known(DriverLoads)
    if _unlisted(found) or any(_mixed(found)):
        follows("driver.libraries")
        raise Ended


def _unlisted(found: Loads) -> list[str]:
    """What lies in a usual folder and is not in the loader's cache."""
    return [name for name in found["there"] if not found["listed"].get(name)]


def _mixed(found: Loads) -> Iterator[str]:
    """What the loader's cache has of two versions or in two places, in sentences."""
    versions = {}
    for name, all_of_it in found["listed"].items():
        entries = [one for one in all_of_it if not _is_compat(one["path"])]
        if not entries:
            continue
        first, *others = entries
        version = first["file"].partition(".so.")[2]
        if "." in version:  # else nobody tells which it is, as in WSL
            versions[name] = version
        if own := next((one for one in others if one["file"] != first["file"]), None):
            yield (
                f"programs load {first['path']} and not {own['file']}; remove the wrong one, and"
                " run ldconfig"
            )
            return
    if len(set(versions.values())) > 1:
        told = " and ".join(found["listed"][name][0]["file"] for name in versions)
        yield f"programs load {told}, of two versions; remove the wrong one, and run ldconfig"


def _is_compat(path: str) -> bool:
    """Whether it is NVIDIA's own newer libcuda, which is meant to come first."""
    return "compat" in path.split("/")


def _before(found: Loads) -> Iterator[str]:
    """What variables that are set for everybody put before the cache, in sentences."""
    files = {entries[0]["file"] for entries in found["listed"].values()}
    for one in found["before"]:
        name = one["path"].rpartition("/")[2]
        if one["file"] not in files and name.startswith(DRIVERS) and not _is_compat(one["path"]):
            yield f"programs load {one['path']} before the driver's; remove {one['place']}"


def _preloads(found: Loads) -> Iterator[str]:
    for path in found["preload"]:
        yield f"/etc/ld.so.preload names {path}, which does not exist; remove that line"
