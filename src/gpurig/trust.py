"""`gpurig trust`: show the SSH host key of a host seen for the first time, and write it down."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gpurig.errors import GpurigError, HostError, InputError
from gpurig.hostkeys import NewHostKey, fingerprint, known_hosts_line
from gpurig.inventory import HostSpec
from gpurig.runner import Link


@dataclass(frozen=True)
class Trusted:
    """What came of one host: ``known`` already, ``added``, or ``declined``."""

    host: str
    outcome: str
    fingerprint: str = ""
    file: str = ""


def trust(spec: HostSpec, confirm: Callable[[str, str, str], bool]) -> Trusted:
    """
    Trust a host's key after a yes.

    + confirm: is given host, key type and fingerprint, and answers whether to trust it

    A key that has changed is never written over: HostError says how to remove the old one.
    """
    if spec.transport == "local":
        raise InputError("trust-local", "this machine has no SSH host key to trust", spec.name)
    link = Link(spec)
    try:
        link.open()
    except HostError as error:
        cause = error.__cause__
        if not isinstance(cause, NewHostKey):
            if error.code == "ssh-refused":  # the key was accepted before the login was refused
                return Trusted(spec.name, "known")
            raise
        seen = fingerprint(cause.key)
        if not confirm(spec.name, cause.key.get_name(), seen):
            return Trusted(spec.name, "declined", seen)
        file = known_hosts(spec)
        _append(file, known_hosts_line(cause.name, cause.key))
        return Trusted(spec.name, "added", seen, str(file))
    finally:
        link.close()
    return Trusted(spec.name, "known")


def known_hosts(spec: HostSpec) -> Path:
    """The file in which this host's key is looked for."""
    given = spec.data.get("ssh_known_hosts_file")
    return Path(os.path.expanduser(str(given or "~/.ssh/known_hosts")))


def _append(file: Path, line: str) -> None:
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        old = file.read_text() if file.exists() else ""
        with file.open("a") as known:
            known.write(("" if not old or old.endswith("\n") else "\n") + line + "\n")
    except OSError as error:
        raise GpurigError(
            "known-hosts", f"could not be written ({error.strerror})", str(file), "check its owner"
        ) from error
