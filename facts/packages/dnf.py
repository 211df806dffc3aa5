"""dnf: its repositories, module streams and version locks, and what a transaction would do."""

from __future__ import annotations

import re
import shlex
from configparser import ConfigParser, Error
from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown

NO_DNF = "this distribution has no dnf"
_HAS_DNF = "command -v dnf >/dev/null || command -v dnf5 >/dev/null || exit 3;"
_FILES = (
    "[ -d /etc/yum.repos.d ] || [ -d /etc/dnf ] || exit 3;"
    ' for f in /etc/dnf/dnf.conf /etc/yum.repos.d/*.repo; do [ -e "$f" ] || continue;'
    ' echo "### $f"; cat "$f" || exit 4; echo; done'
)


class DnfRepository(TypedDict):
    """
    One repository, as dnf reads it.

    + file, id: where it stands; baseurl, gpgkey: as written, in one line, empty where it has none
    + gpgcheck, repo_gpgcheck: whether signatures of its packages, of its metadata are checked
    """

    file: str
    id: str
    baseurl: str
    gpgkey: str
    gpgcheck: bool
    repo_gpgcheck: bool
    enabled: bool


class DnfRepositories(Always[list[DnfRepository]]):
    """
    The repositories in /etc/yum.repos.d, in the order of their files.

    ``[{"file": "/etc/yum.repos.d/cuda-rhel9.repo", "id": "cuda-rhel9-x86_64", "baseurl":
    "https://…/rhel9/x86_64", "gpgkey": "https://…/D42D0685.pub", "gpgcheck": True,
    "repo_gpgcheck": False, "enabled": True}]``; what a file does not say stands in dnf.conf.
    """

    def command(self) -> StringCommand:
        return framed(_FILES)

    def parse(self, lines: list[str], code: int) -> list[DnfRepository] | Unknown:
        if code == 3:
            return Unknown(NO_DNF)
        if code:
            return Unknown("a file of dnf's repositories cannot be read")
        files: dict[str, list[str]] = {}
        for line in lines:
            if line.startswith("### /etc/"):
                files[file := line.removeprefix("### ")] = []
            elif files:
                files[file].append(line)
        main: dict[str, str] = {}
        found: list[DnfRepository] = []
        for file, text in files.items():
            parser = ConfigParser(interpolation=None, strict=False)
            try:
                parser.read_string("\n".join(text))
            except Error as error:
                return Unknown(f"{file}: {str(error).splitlines()[0]}")
            if file.endswith("/dnf.conf"):
                main = dict(parser["main"]) if "main" in parser else {}
                continue
            found += [_repository(file, id, main | dict(parser[id])) for id in parser.sections()]
        return found


def _repository(file: str, id: str, keys: dict[str, str]) -> DnfRepository:
    def says(key: str, default: str) -> bool:
        return keys.get(key, default).strip().lower() in ("1", "yes", "true", "on")

    return DnfRepository(
        file=file,
        id=id,
        baseurl=" ".join(keys.get("baseurl", "").replace(",", " ").split()),
        gpgkey=" ".join(keys.get("gpgkey", "").replace(",", " ").split()),
        gpgcheck=says("gpgcheck", "0"),
        repo_gpgcheck=says("repo_gpgcheck", "0"),
        enabled=says("enabled", "1"),
    )


class DnfRepositoriesShown(DnfRepositories):
    """The same for people: user names and passwords are cut away on the host."""

    def command(self) -> StringCommand:
        strip = "sed -e 's#://[^/@ ]*@#://#g' -e '/^ *[a-z_]*\\(password\\|username\\) *[=:]/d'"
        return framed(f"out=$({_FILES}) || exit $?; printf '%s\\n' \"$out\" | {strip}")


class DnfModules(Fact[dict[str, str]]):
    """The enabled module streams, ``{"nvidia-driver": "580-open"}``; ABSENT without modules."""

    def command(self) -> StringCommand:
        return framed(
            "[ -d /etc/dnf/modules.d ] || exit 3; for f in /etc/dnf/modules.d/*.module;"
            ' do [ ! -e "$f" ] || cat "$f" || exit 4; done'
        )

    def parse(self, lines: list[str], code: int) -> dict[str, str] | Absent | Unknown:
        if code:
            return ABSENT if code == 3 else Unknown("dnf's modules cannot be read")
        parser = ConfigParser(interpolation=None, strict=False)
        try:
            parser.read_string("\n".join(lines))
        except Error as error:
            return Unknown(f"/etc/dnf/modules.d: {str(error).splitlines()[0]}")
        return {
            name: parser[name]["stream"]
            for name in parser.sections()
            if parser[name].get("state") == "enabled" and parser[name].get("stream")
        }


class LockFile(TypedDict):
    """dnf's version (4 or 5), the file of its locks, and the text of it."""

    dnf: int
    file: str
    text: str


class DnfLocks(Fact[LockFile]):
    """
    The version locks, ``{"dnf": 4, "file": "/etc/dnf/plugins/versionlock.list", "text": "…"}``.

    ABSENT where dnf 4 lacks its plugin; dnf 5 has it built in.
    """

    def command(self) -> StringCommand:
        return framed(
            f"{_HAS_DNF} c=/etc/dnf/plugins/versionlock.conf;"
            ' case $(readlink -f "$(command -v dnf || command -v dnf5)") in'
            " *dnf5) echo 5; f=/etc/dnf/versionlock.toml ;;"
            " *) [ -e $c ] || exit 4; echo 4; f=$(sed -n 's/^locklist *= *//p' $c) ;; esac;"
            ' echo "$f"; [ ! -e "$f" ] || cat "$f"'
        )

    def parse(self, lines: list[str], code: int) -> LockFile | Absent | Unknown:
        if code == 4:
            return ABSENT
        if code:
            return Unknown(NO_DNF if code == 3 else "dnf's locks cannot be read")
        version, file, *text = lines
        if not file.startswith("/"):
            return Unknown("dnf's versionlock names no file")
        return LockFile(dnf=int(version), file=file, text="".join(f"{line}\n" for line in text))


class Transaction(TypedDict):
    """What dnf would remove, replaced and unused packages included; why it cannot, else empty."""

    removes: list[str]
    error: str


class DnfTransaction(Always[Transaction]):
    """
    What the installation of these packages would remove, were dnf allowed to; nothing is changed.

    + specs: ``nvidia-driver``, ``nvidia-driver-580.*`` …, separated by blanks

    ``{"removes": ["kmod-nvidia-latest-dkms"], "error": ""}``
    """

    def command(self, specs: str) -> StringCommand:
        words = " ".join(shlex.quote(spec) for spec in specs.split())
        return framed(
            f"{_HAS_DNF} LC_ALL=C dnf --assumeno --allowerasing"
            f" --setopt=install_weak_deps=False install {words} 2>&1"
        )

    def parse(self, lines: list[str], code: int) -> Transaction | Unknown:
        if code == 3:
            return Unknown(NO_DNF)
        if any(line.startswith(("Transaction Summary", "Nothing to do")) for line in lines):
            return Transaction(removes=_removed(lines), error="")
        problem = " ".join(line.strip(" -") for line in lines if "roblem" in line or "rror" in line)
        if not problem:
            return Unknown(f"dnf ended with {code} and gave no reason")
        return Transaction(removes=[], error=problem)


def _removed(lines: list[str]) -> list[str]:
    """What goes by dnf's table: what is replaced, and what stands below a heading "Removing"."""
    removes, removing = [], False
    for line in lines:
        if re.match(r"[A-Z].*:$", line):
            removing = line.startswith("Removing")
        replaced = re.match(r" +replacing +(\S+)", line)
        own = re.match(r" (\S+)", line) if removing else None
        if replaced:  # dnf 4 adds the architecture
            removes.append(re.sub(r"\.(noarch|x86_64|aarch64|i686)$", "", replaced[1]))
        elif own:
            removes.append(own[1])
    return removes
