"""Real Debian hosts, booted with systemd on this machine, for the tests and for people."""

from __future__ import annotations

from .debs import make_deb
from .errors import LabError, LabMissing
from .hosts import Host, Result
from .lab import Lab
from .repository import Repository

__all__ = ["Host", "Lab", "LabError", "LabMissing", "Repository", "Result", "make_deb"]
