"""Which packages a kept driver has: those that are installed, of any of its packagings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from gpurig.stack.model import Driver

# Canonical's modules, built and signed for the kernels of a line, or of one kernel.
_SIGNED = re.compile(r"linux-modules-nvidia-\d+(?P<line>-server)?(?P<open>-open)?-[a-z0-9].*")
_MODULE = re.compile(r".*(-dkms|-dkms-.*|-headless-.*)")
# What a kept driver has beside a module that Canonical built.
_BESIDE = re.compile(r"nvidia-(utils|compute-utils|headless-no-dkms|driver)-\d+.*")


# Lines of kernels for which Canonical builds them; OEM kernels have some, on some releases only.
_LINES = ("generic", "aws", "azure", "gcp", "nvidia", "oracle")


def signed_for(driver: Driver, line: str) -> Driver | None:
    """
    The same driver by the modules that Canonical built for a line of kernels and signed.

    + line: ``generic-hwe-24.04``; None for one of which nobody is known to build them
    """
    headless, *beside = driver.packages
    if line.partition("-")[0] not in _LINES or "64k" in line:
        return None
    suffix = headless.removeprefix("nvidia-headless-")
    modules = (f"linux-modules-nvidia-{suffix}-{line}", f"nvidia-headless-no-dkms-{suffix}")
    return replace(driver, packages=(*modules, *beside), dkms="")


def kept(packaged: Sequence[Driver], there: Sequence[str]) -> tuple[int, Driver]:
    """
    Which of the drivers the installed packages are of, and that driver with what is there of it.

    + packaged: drivers of one source, branch and flavour, packaged in different ways
    + there: the installed packages of the driver's family
    """
    for number, driver in enumerate(packaged):
        if any(_carrier(name) in there or name in there for name in _modules(driver)):
            return number, replace(driver, packages=_own(driver, there))
    for number, driver in enumerate(packaged):
        if signed := _signed(driver, there):
            return number, replace(driver, packages=signed, dkms="")
    return 0, packaged[0]


def _modules(driver: Driver) -> list[str]:
    """Those of its packages that bring the kernel module."""
    return [name for name in driver.packages if _MODULE.fullmatch(name)]


def _carrier(name: str) -> str:
    """The package that has the module's source, of one that only depends on it."""
    return name.replace("nvidia-headless-", "nvidia-dkms-")


def _own(driver: Driver, there: Sequence[str]) -> tuple[str, ...]:
    """Its packages, where another one depends on the module in place of ours that one's module."""
    return tuple(
        name if name in there or _carrier(name) not in there else _carrier(name)
        for name in driver.packages
    )


def _signed(driver: Driver, there: Sequence[str]) -> tuple[str, ...]:
    """Canonical's modules of this line and flavour that are there, and what stands beside them."""
    server = any("-server" in name for name in driver.packages)
    modules = [
        name
        for name in there
        if (found := _SIGNED.fullmatch(name))
        and bool(found["line"]) == server
        and bool(found["open"]) == (driver.flavour == "open")
    ]
    lines = [name for name in modules if not re.search(r"-\d+\.\d+\.\d+-\d+-", name)]
    beside = [name for name in there if _BESIDE.fullmatch(name) and ("-server" in name) == server]
    return tuple(sorted([*(lines or modules), *beside])) if modules else ()
