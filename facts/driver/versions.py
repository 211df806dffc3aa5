"""Versions of the NVIDIA driver, as packages, files and dkms write them."""

from __future__ import annotations

import re

_DRIVER = re.compile(r"(?:\d+:)?(\d{3}\.\d+(?:\.\d+)*)")


def upstream(version: str) -> str:
    """The driver's version in a package's: ``550.163.01`` of ``1:550.163.01-2``; else empty."""
    found = _DRIVER.match(version)
    return found[1] if found else ""


def branch(version: str) -> int:
    """The branch of a driver's version: 550 of ``550.163.01-2``; 0 where it is none."""
    return int(upstream(version).partition(".")[0] or 0)
