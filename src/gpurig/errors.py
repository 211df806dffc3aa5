"""The errors a user can meet: one sentence each, that says what, where and what to do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class GpurigError(Exception):
    """
    Anything gpurig stops for, as one sentence.

    + code: a stable name for machines, such as ``setting-unknown``
    + what: what is wrong
    + where: the file, host or key it is about; empty when the sentence says it
    + do: what the reader can do about it; empty when that is plain
    + host: the host it belongs to, if it belongs to one
    """

    code: str
    what: str
    where: str = ""
    do: str = ""
    host: str | None = None

    exit_code = 1

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        hint = f"; {self.do}" if self.do else ""
        return f"{place}{self.what}{hint}"

    def told(self, host: str) -> str:
        """The sentence where the host's name stands already."""
        return str(self).removeprefix(f"{host}: ")

    def as_json(self) -> dict[str, str | None]:
        """The error as design's JSON frame lists it."""
        return {
            "code": self.code,
            "host": self.host,
            "what": self.what,
            "where": self.where,
            "do": self.do,
        }


class InputError(GpurigError):
    """What the user gave is wrong; found before any host was contacted (exit 2)."""

    exit_code = 2


class HostError(GpurigError):
    """One host cannot be reached or used; the others go on."""


class InternalError(GpurigError):
    """A contract of our own code was broken; always a bug of gpurig."""
