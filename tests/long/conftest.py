"""The same fixtures as those of the system tests."""

from __future__ import annotations

from system.conftest import person, somebody

__all__ = ["person", "somebody"]
