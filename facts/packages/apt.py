"""apt: its sources, deb822 and one-line, its keyrings by fingerprint, its choice of packages."""

from __future__ import annotations

import base64
import re
from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, Fact, framed, words
from gpurig.contract.openpgp import fingerprints
from gpurig.contract.values import ABSENT, Absent, Unknown

_FILES = (
    "[ -d /etc/apt ] || exit 3;"
    " for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list"
    ' /etc/apt/sources.list.d/*.sources; do [ -e "$f" ] || continue;'
    # apt passes over files of other names (sources.list(5))
    " case ${f##*/} in *[!A-Za-z0-9_.-]*) continue ;; esac;"
    ' echo "### $f"; cat "$f" || exit 4; echo; done'
)


_URI = re.compile(r"([a-z][a-z0-9+.-]*):(?://(?=[^/])([^/]*))?(.*)")


def place(uri: str) -> str:
    """
    Where a URI of apt's leads: its host; the whole URI as apt prints it where it has none.

    ``mirror.example.org``; ``file:/srv/debs``, ``mirror+file:/etc/apt/mirrors/debian.list``,
    ``cdrom:[Debian 13]/``; empty where it is no URI.
    """
    if not (parts := _URI.fullmatch(uri)):
        return ""
    scheme, site, path = parts[1], parts[2] or "", re.sub("^/+", "/", parts[3])
    if not site or site.startswith("["):  # a disc's name, or nothing
        return f"{scheme}:{site}{path}".rstrip("/")
    return site.rpartition("@")[2].partition(":")[0].lower()


def address(uri: str) -> str:
    """A URI as apt prints it, without a user's name: ``file:///srv/`` is ``file:/srv``."""
    scheme, site, path = parts.groups("") if (parts := _URI.fullmatch(uri)) else ("", "", uri)
    start = f"{scheme}:" if scheme else ""
    if site and not site.startswith("["):
        return f"{start}//{site.rpartition('@')[2].lower()}{path}".rstrip("/")
    return f"{start}{site}{re.sub('^/+', '/', path)}".rstrip("/")


class Source(TypedDict):
    """
    One source of packages, as apt reads it.

    + file: where it stands; uris, suites, components: as written
    + signed_by: path of a keyring, fingerprints, an embedded key, or empty
    + architectures: those it is limited to
    + options: all others, ``{"trusted": "yes"}``, by their names in deb822
    """

    file: str
    types: list[str]
    uris: list[str]
    suites: list[str]
    components: list[str]
    signed_by: str
    architectures: list[str]
    options: dict[str, str]


class Sources(Always[list[Source]]):
    """
    All enabled sources of /etc/apt, one-line and deb822, in apt's order.

    ``[{"file": "/etc/apt/sources.list.d/debian.sources", "types": ["deb"], "uris": ["http://…"],
    "suites": ["trixie"], "components": ["main"], "signed_by": "/usr/share/…",
    "architectures": [], "options": {}}]``
    """

    def command(self) -> StringCommand:
        return framed(_FILES)

    def parse(self, lines: list[str], code: int) -> list[Source] | Unknown:
        if code == 3:
            return Unknown("this distribution has no apt")
        if code:
            return Unknown("a file of apt's sources cannot be read")
        files: list[tuple[str, list[str]]] = []
        for line in lines:
            if line.startswith("### /etc/apt/"):
                files.append((line.removeprefix("### "), []))
            elif files:
                files[-1][1].append(line)
        found: list[Source] = []
        for file, text in files:
            found += _deb822(file, text) if file.endswith(".sources") else _one_line(file, text)
        return found


_OFF = ("no", "false", "without", "off", "disable", "0")
_FIELDS = ("types", "uris", "suites", "components", "signed-by", "architectures", "enabled")
# Options of a line that deb822 calls otherwise (sources.list(5)).
_CALLED = {"arch": "architectures", "lang": "languages", "target": "targets"}
_LISTS = ("architectures", "languages", "targets", "include", "exclude")


def _deb822(file: str, lines: list[str]) -> list[Source]:
    found = []
    for stanza in _stanzas(lines):
        if stanza.get("enabled", "yes").lower() in _OFF:
            continue
        found.append(
            Source(
                file=file,
                types=stanza.get("types", "").split(),
                uris=stanza.get("uris", "").split(),
                suites=stanza.get("suites", "").split(),
                components=stanza.get("components", "").split(),
                signed_by=stanza.get("signed-by", "").strip(),
                architectures=stanza.get("architectures", "").split(),
                options={
                    name: value
                    for name, value in stanza.items()
                    if name not in (*_FIELDS, "description") and not name.startswith("x-")
                },
            )
        )
    return [source for source in found if source["types"] and source["uris"]]


def _stanzas(lines: list[str]) -> list[dict[str, str]]:
    stanzas: list[dict[str, str]] = [{}]
    field = ""
    for line in lines:
        if not line.rstrip("\r"):  # a line of blanks ends none, to apt
            stanzas.append({})
        elif line.startswith("#"):
            continue
        elif line[0] in " \t":
            if field and line.strip():
                stanzas[-1][field] += "\n" + line.strip()
        elif ":" in line:
            name, _, value = line.partition(":")
            field = name.strip().lower()
            stanzas[-1][field] = value.strip()
    return [stanza for stanza in stanzas if stanza]


_LINE = re.compile(r"\s*(deb|deb-src)\s+(?:\[([^]]*)\]\s*)?([^[].*)")
_WORD = re.compile(r'(?:"[^"]*"|\[[^]]*\]|[^\s"[])+')  # quotes and brackets keep blanks together


def _one_line(file: str, lines: list[str]) -> list[Source]:
    found = []
    for line in lines:
        if not (entry := _LINE.match(line.split("#", 1)[0])):
            continue
        kind, inside, rest = entry.groups()
        options = dict(word.split("=", 1) for word in (inside or "").split() if "=" in word)
        uri, suite, *components = [word.replace('"', "") for word in _WORD.findall(rest)] + [""] * 2
        if not suite:
            continue
        found.append(
            Source(
                file=file,
                types=[kind],
                uris=[uri],
                suites=[suite],
                components=[name for name in components if name],
                signed_by=options.get("signed-by", ""),
                architectures=options.get("arch", "").replace(",", " ").split(),
                options=dict(
                    _option(*one) for one in options.items() if one[0] not in ("signed-by", "arch")
                ),
            )
        )
    return found


def _option(name: str, value: str) -> tuple[str, str]:
    """An option of a line as a field of deb822: ``lang+=de,en`` is ``languages-add: de en``."""
    name, ends = name.rstrip("+-"), {"+": "-add", "-": "-remove"}.get(name[-1], "")
    name = _CALLED.get(name, name)
    return name + ends, value.replace(",", " ") if name in _LISTS else value


class SourcesShown(Sources):
    """The same for people: user names and passwords in addresses are cut away on the host."""

    def command(self) -> StringCommand:
        strip = "sed 's#://[^/@ ]*@#://#g'"
        return framed(f"out=$({_FILES}) || exit $?; printf '%s\\n' \"$out\" | {strip}")


class Origins(Fact[dict[str, str]]):
    """
    What the Release files that apt has fetched say of whose their repositories are, by its URI.

    ``{"http://mirror.example.org/debian": "Debian"}``; a repository whose lists were never fetched
    is not in it. ABSENT without apt.
    """

    def command(self) -> StringCommand:
        return framed(
            "tool apt-get apt || exit 3; LC_ALL=C apt-get indextargets"
            " --format '$(REPO_URI) $(ORIGIN)' 'Created-By: Packages' 2>&1"
        )

    def parse(self, lines: list[str], code: int) -> dict[str, str] | Absent | Unknown:
        if code == 3:
            return ABSENT
        if code:
            return Unknown(f"apt cannot read its sources: {lines[0] if lines else 'no output'}")
        said = (line.partition(" ") for line in lines)
        return {uri.rstrip("/"): origin for uri, _, origin in said if origin}


class Keyrings(Fact[dict[str, list[str]]]):
    """
    The keys that apt can be told to trust, by keyring file.

    ``{"/usr/share/keyrings/docker.gpg": ["9DC858229FC7DD38854AE2D88D81803C0EBFCD88"]}``; a file
    that is no keyring has none.
    """

    def command(self) -> StringCommand:
        return framed(
            "[ -d /etc/apt ] || exit 3; for f in /usr/share/keyrings/* /etc/apt/keyrings/*"
            " /etc/apt/trusted.gpg /etc/apt/trusted.gpg.d/*; do"
            ' [ -f "$f" ] && echo "$f" && base64 -w0 "$f" && echo; done; :'
        )

    def parse(self, lines: list[str], code: int) -> dict[str, list[str]] | Absent | Unknown:
        if code == 3:
            return ABSENT
        found: dict[str, list[str]] = {}
        for path, data in zip(lines[::2], lines[1::2], strict=True):
            try:
                found[path] = fingerprints(base64.b64decode(data, validate=True))
            except ValueError:
                found[path] = []
        return found


class Candidate(TypedDict):
    """
    What apt would install of a package.

    + candidate: the version under all pins, empty where there is none
    + versions: where each version that it knows is had (`address`); none: only dpkg has it
    """

    candidate: str
    versions: dict[str, list[str]]


class Candidates(Always[dict[str, Candidate]]):
    """
    apt's choice for each of these packages that it knows, by name.

    + packages: names, separated by blanks

    ``{"libcuda1": {"candidate": "580.95.05-1", "versions": {"580.95.05-1":
    ["https://developer.download.nvidia.com/compute/cuda/repos/debian13/x86_64"],
    "550.163.01-2": ["http://mirror.example.org/debian"]}}}``
    """

    def command(self, packages: str) -> StringCommand:
        return framed(
            "command -v apt-cache >/dev/null || exit 3;"
            f" LC_ALL=C apt-cache policy {words(packages)} 2>/dev/null"
        )

    def parse(self, lines: list[str], code: int) -> dict[str, Candidate] | Unknown:
        if code == 3:
            return Unknown("this distribution has no apt")
        if code:
            return Unknown("apt-cache policy did not answer")
        found: dict[str, Candidate] = {}
        versions: dict[str, list[str]] = {}
        for line in lines:
            words = line.replace("***", "   ").split()
            if not line.startswith(" "):
                versions = {}
                found[line.rstrip(":")] = Candidate(candidate="", versions=versions)
            elif words[0] == "Candidate:" and words[1] != "(none)":
                found[list(found)[-1]]["candidate"] = words[1]
            elif not line[:5].strip(" *") and line[5:6].strip():  # its places stand deeper
                versions[words[0]] = []
            elif words[-1] == "Packages" and (where := address(_uri(line))):
                newest = list(versions)[-1]
                versions[newest] = list(dict.fromkeys([*versions[newest], where]))
        return found


def _uri(line: str) -> str:
    """
    Of a line of apt-cache policy: ``500 URI trixie/main amd64 Packages``, ``500 URI  Packages``.

    A disc's URI has blanks in it; a repository without components names no architecture.
    """
    words = line.strip().split(" ")[1:-1]
    return " ".join(words[:-1] if words[-1].rstrip("/") in ("", ".") else words[:-2])


class Pin(TypedDict):
    """One pin of a preferences file: the packages it is of, as globs, and what it says."""

    file: str
    packages: list[str]
    pin: str
    priority: str


class Pins(Always[list[Pin]]):
    """
    The pins in apt's preferences files, in the order in which the first one counts.

    ``[{"file": "/etc/apt/preferences.d/mine", "packages": ["libcuda*"], "pin": "version 550.*",
    "priority": "1001"}]``
    """

    def command(self) -> StringCommand:
        return framed(
            "[ -d /etc/apt ] || exit 3;"
            " for f in /etc/apt/preferences /etc/apt/preferences.d/*; do"
            ' [ -f "$f" ] || continue;'
            # apt passes over files of other names (apt_preferences(5))
            " case ${f##*/} in *[!A-Za-z0-9_.-]*) continue ;; *.pref) ;; *.*) continue ;; esac;"
            ' echo "### $f"; cat "$f" || exit 4; echo; done'
        )

    def parse(self, lines: list[str], code: int) -> list[Pin] | Unknown:
        if code == 3:
            return Unknown("this distribution has no apt")
        if code:
            return Unknown("a file of apt's preferences cannot be read")
        found: list[Pin] = []
        file = ""
        text: list[str] = []
        for line in [*lines, "### /etc/apt/"]:
            if not line.startswith("### /etc/apt/"):
                text.append(line)
                continue
            for stanza in _stanzas(text):
                found.append(
                    Pin(
                        file=file,
                        packages=stanza.get("package", "").split(),
                        pin=stanza.get("pin", ""),
                        priority=stanza.get("pin-priority", ""),
                    )
                )
            file, text = line.removeprefix("### "), []
        return found
