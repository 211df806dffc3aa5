"""What the lab says when it cannot do something: one sentence."""

from __future__ import annotations


class LabError(Exception):
    """The lab could not do what was asked; the message is one sentence."""


class LabMissing(LabError):
    """Something the lab is made of is not on this machine."""
