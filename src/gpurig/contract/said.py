"""What a program's output says about why it failed: uv's, pip's, apt's, dpkg's and others'."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

NO_SOLUTION = "No solution found"  # uv: there is no such version, or none that fits the others

# What resolvers, sockets, TLS and HTTP say of a place that does not answer, in plain words.
_PLAIN = (
    (re.compile("name or service not known|name resolution|could not resolve|temporary failure"
                "|lookup address|resolving dns|no address associated|nodename nor servname", re.I),
     "the name does not resolve"),
    (re.compile("connection refused|could not connect to .* refused", re.I),
     "it refuses connections"),
    (re.compile("timed? ?out", re.I), "it does not answer in time"),
    (re.compile("no route to host|network is unreachable|host is unreachable", re.I),
     "the network has no way to it"),
    (re.compile("(unable|could not) (to )?connect", re.I), "nothing answers there"),
    (re.compile("certificate|UnknownIssuer|self.signed", re.I), "its certificate is not trusted"),
    (re.compile(r"\b407\b|proxy authentication", re.I), "the proxy wants a password"),
    (re.compile(r"\b40[13]\b|unauthorized|forbidden", re.I), "it refuses access"),
    (re.compile(r"\b404\b|not found", re.I), "it has nothing there"),
    (re.compile(r"\b4\d\d\b"), "it refuses this request"),
    (re.compile(r"\b5\d\d\b"), "it reports an error of its own"),
)  # fmt: skip

_CAUSE = re.compile(r"(\s+)(?:cause|Caused by): (.*)")
_FETCH = re.compile(r"Failed to (?:fetch|download)\S*:? `?(\S+?)`?$")
_APT_FETCH = re.compile(r"[WE]: Failed to fetch (\S+)\s+(.*)")
_APT_NOISE = re.compile("Failed to fetch|files? failed to download|Unable to fetch|Download Failed")
_PIP_FETCH = re.compile(r"WARNING: Retrying .* after connection broken by '(.*)': (\S+)")
_DPKG = re.compile(r"dpkg: error processing (?:package|archive) (\S+) ")
_ERROR = re.compile(r"E: |error|Error|ERROR")


def plain(reason: str) -> str:
    """Why a place does not answer, in words that a person knows; else the reason as it is."""
    return next((words for said, words in _PLAIN if said.search(reason)), reason.strip())


def said(lines: Iterable[str]) -> str:
    """
    The words that matter of a program that failed, in one line.

    + lines: all that it printed

    Those of uv, apt, dpkg and pip that say why; else the last line that is an error; else the last.
    """
    kept = [line.rstrip() for line in lines if line.strip()]
    for read in _READERS:
        if found := read(kept):
            return found
    errors = [line.strip() for line in kept if _ERROR.match(line.strip())]
    return (errors or [line.strip() for line in kept] or ["it printed nothing"])[-1]


def causes(lines: Sequence[str]) -> list[str]:
    """uv's last error and its causes, each in one line, however wide it printed them."""
    found: list[str] = []
    depth = 0
    for line in lines:
        if line.startswith("error: "):
            found, depth = [line.removeprefix("error: ").strip()], 0
        elif found and (cause := _CAUSE.fullmatch(line)):
            found.append(cause[2].strip())
            depth = len(cause[1])
        elif found and depth and len(line) - len(line.lstrip()) > depth:  # it goes on
            found[-1] = f"{found[-1]} {line.strip()}"
        elif depth:
            depth = 0
    return found


def _uv(lines: Sequence[str]) -> str:
    error, *why = causes(lines) or [""]
    if not why:
        return ""
    if NO_SOLUTION in error:
        return " ".join(why)
    for cause in (error, *why):
        if fetched := _FETCH.match(cause):
            return f"uv cannot fetch {fetched[1]} ({plain(why[-1])})"
    return f"{error} ({'; '.join(dict.fromkeys(why))})"


def _apt(lines: Sequence[str]) -> str:
    """Its own errors, and the first place that it cannot fetch from, which may be why."""
    unread = [fetched for line in lines if (fetched := _APT_FETCH.fullmatch(line))]
    own = [line.removeprefix("E: ") for line in lines if line.startswith("E: ")]
    own = [line.rstrip(".") for line in dict.fromkeys(own) if not _APT_NOISE.search(line)]
    if refused := [line for line in own if line.startswith("apt refuses ")]:
        return refused[0]  # in words of ours, at the end of apt's own
    if unread:
        many = len({fetched[1] for fetched in unread}) - 1
        more = f", and {many} more" if many else ""
        own.append(f"apt cannot fetch {unread[0][1]} ({plain(unread[0][2])}){more}")
    return "; ".join(own)


def _dpkg(lines: Sequence[str]) -> str:
    for line, following in pairwise(lines):
        if failed := _DPKG.match(line):
            return f"dpkg cannot install {failed[1]} ({following.strip()})"
    return ""


def _pip(lines: Sequence[str]) -> str:
    for line in lines:
        if broken := _PIP_FETCH.match(line.strip()):
            return f"pip cannot fetch {broken[2]} from its index ({plain(broken[1])})"
    return ""


_READERS: tuple[Callable[[Sequence[str]], str], ...] = (_uv, _dpkg, _pip, _apt)
