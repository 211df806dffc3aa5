"""known_hosts as OpenSSH reads it (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT); pure, no I/O."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

PORT = 22
_MARKERS = ("@revoked", "@cert-authority")


@dataclass(frozen=True)
class Line:
    """
    One line of a known_hosts file.

    + where: ``FILE:NUMBER``; + marker: ``@revoked``, ``@cert-authority`` or empty
    + hosts: names and patterns as written, or one hashed name
    + kind, key: the key's type and its public bytes
    """

    where: str
    marker: str
    hosts: str
    kind: str
    key: bytes

    def names(self, host: str) -> bool:
        """Whether the line is about this host, written as `known_hosts_name` writes it."""
        if self.hosts.startswith("|1|"):
            return _hashed(self.hosts, host)
        matched = False
        for pattern in self.hosts.lower().split(","):
            if not _matches(pattern.removeprefix("!"), host):
                continue
            if pattern.startswith("!"):
                return False
            matched = True
        return matched


class Verdict(str, Enum):
    """What known_hosts says of a key that a host shows. Only ``known`` is let in."""

    KNOWN = "known"
    NEW = "new"
    CHANGED = "changed"  # the host is known by other keys
    REVOKED = "revoked"
    CERTIFIED = "certified"  # only an authority's certificates are trusted for it


@dataclass(frozen=True)
class Answer:
    """The verdict and the lines that it stands on."""

    verdict: Verdict
    lines: tuple[Line, ...] = ()


def known_hosts_name(host: str, port: int) -> str:
    """How known_hosts names a host: with its port unless that is 22."""
    return host if port == PORT else f"[{host}]:{port}"


def read_lines(text: str, file: str) -> list[Line]:
    """The lines of a known_hosts file that OpenSSH takes; it passes over all others."""
    found = []
    for number, raw in enumerate(text.split("\n"), 1):
        words = raw.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(words) < 3 or words[0].startswith("#") or (marker and marker not in _MARKERS):
            continue
        hosts, kind, data = words[:3]
        try:
            key = base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            continue
        if key[:4] == len(kind).to_bytes(4, "big") and key[4:].startswith(kind.encode()):
            found.append(Line(f"{file}:{number}", marker, hosts, kind, key))
    return found


def kinds(lines: Sequence[Line], name: str) -> list[str]:
    """The types of the keys that a host is known by and not revoked: what to ask it for first."""
    about = _of(lines, name)
    revoked = {one.key for one in about if one.marker == "@revoked"}
    good = (one.kind for one in about if not one.marker and one.key not in revoked)
    return list(dict.fromkeys(good))


def judge(lines: Sequence[Line], host: str, port: int, alias: str, key: bytes) -> Answer:
    """
    What the files say of this key, as ssh(1) decides it without asking (check_host_key).

    + alias: HostKeyAlias, which takes the place of host and port; else empty
    """
    answer = _judge(lines, alias.lower() or known_hosts_name(host.lower(), port), key)
    if answer.verdict in (Verdict.NEW, Verdict.CERTIFIED) and not alias and port != PORT:
        plain = _judge(lines, host.lower(), key)  # ssh looks without the port, too
        return plain if plain.verdict in (Verdict.KNOWN, Verdict.REVOKED) else answer
    return answer


def _judge(lines: Sequence[Line], name: str, key: bytes) -> Answer:
    about = _of(lines, name)
    same = [one for one in about if one.key == key]
    # What counts, before what comes after it.
    verdicts = (
        (Verdict.REVOKED, _marked(same, "@revoked")),
        (Verdict.KNOWN, _marked(same, "")),
        (Verdict.CHANGED, _marked(about, "")),
        (Verdict.CERTIFIED, _marked(about, "@cert-authority")),
    )
    return next((Answer(verdict, found) for verdict, found in verdicts if found), _NEW)


def _marked(lines: Sequence[Line], marker: str) -> tuple[Line, ...]:
    return tuple(one for one in lines if one.marker == marker)


_NEW = Answer(Verdict.NEW)


def _of(lines: Sequence[Line], name: str) -> list[Line]:
    return [one for one in lines if one.names(name)]


def _hashed(field: str, host: str) -> bool:
    try:
        salt = base64.b64decode(field.split("|")[2], validate=True)
    except (binascii.Error, ValueError, IndexError):
        return False
    digest = base64.b64encode(hmac.new(salt, host.encode(), hashlib.sha1).digest()).decode()
    return field == f"|1|{base64.b64encode(salt).decode()}|{digest}"


def _matches(pattern: str, host: str) -> bool:
    """``*`` and ``?`` and nothing else, unlike fnmatch, for which brackets are special."""
    parts = re.split(r"([*?])", pattern)
    regex = "".join({"*": ".*", "?": "."}.get(part, re.escape(part)) for part in parts)
    return re.fullmatch(regex, host, re.DOTALL) is not None
