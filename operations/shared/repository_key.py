"""The key of a repository: fetched by the host, read once, and written from what was read."""

from __future__ import annotations

import base64
from typing import NamedTuple

from pyinfra.api import QuoteString, StringCommand

from gpurig.contract.fact import Always, read
from gpurig.contract.openpgp import certificate
from gpurig.contract.promise import Commands, drift, holds, unknown
from gpurig.contract.staged import private
from gpurig.contract.values import Unknown
from gpurig.facts.packages.repository_key import AptFinds, Found, Keys, RpmFinds
from gpurig.operations.shared.file import written
from gpurig.stack.model import Repository

ARMOUR = "armour"  # what rpm imports
BINARY = "binary"  # what apt reads under every name


class State(NamedTuple):
    """
    How a key file stands, and what there is.

    + verdict: ``holds``, ``drifted``, ``closed`` (the right key, with another mode or owner) or
      ``unknown``
    """

    verdict: str
    told: str


def held(
    state: State, download: StringCommand, path: str, repository: Repository, form: str
) -> Commands:
    """
    State how the repository's key file stands, and fetch it where it is not right.

    + state: as `stands` has it; download, path, form: as `fetched` takes them

    For use inside an operation that `keeps` a promise.
    """
    if state.verdict == "unknown":
        return unknown(state.told)
    if state.verdict == "holds":
        return holds(state.told)
    if state.verdict == "closed":
        drift(
            actual=state.told,
            wanted="owner root, mode 644",
            will=f"set owner and mode of {path}",
            leaves="the key",
        )
        file = QuoteString(path)
        yield StringCommand("chown root:root", file, "&& chmod 644", file)
        return
    drift(
        actual=state.told,
        wanted=f"the key {repository.fingerprint}",
        will=f"fetch the key from {repository.key_url} and compare its fingerprint",
    )
    yield from fetched(download, path, repository, form)


def stands(path: str, repository: Repository, form: str) -> State:
    """
    Whether a file holds the repository's key and nothing else, for us and for who reads it.

    + form: `BINARY`, which apt reads, or `ARMOUR`, which rpm does
    """
    keys = read(Keys, path=path)
    if isinstance(keys, Unknown):
        return State("unknown", f"{path}: {keys.reason}")
    if not isinstance(keys, dict):
        return State("drifted", "no keyring")
    if keys["refused"]:
        return State("drifted", f"gpurig refuses {path}: {keys['refused']}")
    if keys["fingerprints"] != [repository.fingerprint]:
        return State("drifted", f"a keyring with {keys['fingerprints'][0]}")
    if keys["form"] != form:
        return State("drifted", f"{path} has the key in another form")
    mode = int(keys["mode"], 8)
    if keys["owner"] != "root" or mode & 0o444 != 0o444 or mode & 0o022:
        return State("closed", f"{path} has owner {keys['owner']}, mode {keys['mode']}")
    return _found(path, repository.fingerprint, form)


def _found(path: str, fingerprint: str, form: str) -> State:
    """Whether apt's verifier, or rpm, finds the key in a file that is as it should be."""
    fact: type[Always[Found]] = AptFinds if form == BINARY else RpmFinds
    asked = {"path": path} | ({"fingerprint": fingerprint} if form == BINARY else {})
    found = read(fact, **asked)
    if isinstance(found, Unknown):
        return State("unknown", f"{path}: {found.reason}")
    if found["fingerprints"] != [fingerprint]:
        reader = "apt's verifier" if form == BINARY else "rpm"
        return State("unknown", f"{reader} does not find the key in {path}: {found['said']}")
    return State("holds", f"{path} holds {fingerprint}")


def fetched(download: StringCommand, path: str, repository: Repository, form: str) -> Commands:
    """
    Put the accepted key in its place: exactly the bytes whose fingerprint was compared.

    + download: writes what `key_url` has to the file that `staged` names

    What was fetched is read once, by the control machine, which writes the keyring from the
    packets that it understood; the host decodes nothing.
    """
    source = staged(repository)
    yield StringCommand("rm -f", QuoteString(source), "&&", download)
    keys = read(Keys, path=source)
    yield StringCommand("rm -f", QuoteString(source))
    if isinstance(keys, dict) and not keys["refused"]:
        key = certificate(base64.b64decode(keys["certificate"]))
        if key.fingerprint == repository.fingerprint:
            yield from written(path, key.binary if form == BINARY else key.armoured)
            return
    yield StringCommand("echo", QuoteString(f"E: {_refusal(keys, repository)}"), ">&2; exit 1")


def staged(repository: Repository) -> str:
    """Where a key is downloaded to, in a folder that only root writes to."""
    return private(f"{repository.name}.key")


def _refusal(keys: object, repository: Repository) -> str:
    if isinstance(keys, Unknown):
        return f"gpurig refuses the key at {repository.key_url}: {keys.reason}"
    if not isinstance(keys, dict):
        return f"{repository.key_url} gave no file"
    if keys["fingerprints"] and repository.fingerprint not in keys["fingerprints"]:
        told = ", ".join(keys["fingerprints"])
        return f"{repository.key_url} has {told} instead of {repository.fingerprint}"
    return f"gpurig refuses the key at {repository.key_url}: {keys['refused']}"
