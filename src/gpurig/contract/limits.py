"""How long gpurig waits and how much it reads before it says that something is wrong."""

from __future__ import annotations

from dataclasses import dataclass, fields

from gpurig.errors import HostError

LINE = 100  # bytes that one more line costs in memory, whatever is in it
MB = 1_000_000


@dataclass(frozen=True)
class Limits:
    """
    The keys of ``rig_limits``; all in seconds but `answer`.

    + connect: for a connection, each of its steps, and the first word of a shell
    + fact: for reading one fact
    + command: without a word from a command; dkms, uv and Horovod's build say nothing for long
    + training: without a line from any host of ``gpurig train``
    + download: for one file that the control machine downloads, and for resolving one lock
    + answer: megabytes that one command may print, each line counted with what it costs to keep
    """

    connect: int = 30
    fact: int = 60
    command: int = 7200
    training: int = 86400
    download: int = 7200
    answer: int = 16

    def silent(self, host: str, key: str, doing: str = "") -> HostError:
        """The sentence for a host that said nothing for as long as this limit allows."""
        told = f" while {doing}" if doing else ""
        return HostError(
            "host-silent",
            f"no answer for {getattr(self, key)} s{told}",
            host,
            self.raised(key),
            host=host,
        )

    def flooded(self, host: str) -> HostError:
        """The sentence for a host that said more than is read."""
        what = f"one command printed more than {self.answer} MB"
        return HostError("host-floods", what, host, self.raised("answer"), host=host)

    def raised(self, key: str) -> str:
        """How a person raises a limit."""
        return f'if that is normal there, raise rig_limits = {{"{key}": {2 * getattr(self, key)}}}'


KEYS = tuple(field.name for field in fields(Limits))
