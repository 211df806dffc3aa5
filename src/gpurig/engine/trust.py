"""`gpurig trust`: show the SSH host key of a host seen for the first time, and write it down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gpurig.engine.runner import Link
from gpurig.errors import GpurigError, HostError, InputError
from gpurig.hosts.hostkeys import UntrustedHostKey, fingerprint, known_hosts_line
from gpurig.hosts.inventory import HostSpec


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
    link, outcome = Link(spec), Trusted(spec.name, "known")
    written: set[str] = set()
    while True:  # each hop on the way has a key of its own
        try:
            link.open()
        except HostError as error:
            cause = error.__cause__
            if error.code == "ssh-refused":  # the key was accepted before the login was refused
                return outcome
            if not isinstance(cause, UntrustedHostKey) or error.code != "host-key-unknown":
                raise
            line = known_hosts_line(cause.name, cause.key)
            if line in written:  # the file keeps nothing, as /dev/null
                raise
            seen = fingerprint(cause.key)
            who = spec.name if cause.name == spec.name else f"{spec.name} ({cause.name})"
            if not confirm(who, cause.key.get_name(), seen):
                return Trusted(spec.name, "declined", seen)
            _append(cause.file, line)
            written.add(line)
            outcome = Trusted(spec.name, "added", seen, cause.file)
        else:
            return outcome
        finally:
            link.close()


def ssh_config(spec: HostSpec) -> Path:
    """The file that says how this host is reached: it may name programs, which ssh then runs."""
    given = spec.data.get("ssh_config_file")
    return Path(given or "~/.ssh/config").expanduser()


def _append(path: str, line: str) -> None:
    if not path:
        what = "ssh_config names no known_hosts file to write to"
        raise GpurigError("known-hosts", what, do="set UserKnownHostsFile")
    file = Path(path)
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.touch(mode=0o600)
        old = file.read_bytes()
        with file.open("a") as known:
            known.write(("" if not old or old.endswith(b"\n") else "\n") + line + "\n")
    except OSError as error:
        raise GpurigError(
            "known-hosts", f"cannot be written ({error.strerror})", str(file), "check its owner"
        ) from error
