"""modprobe: which modules are kept from loading, and what its configuration says of GPUs."""

from __future__ import annotations

import re
from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown

# kmod brings modprobe, and modinfo: where one of them is gone, what they know is not known.
MODPROBE = "{ tool modprobe kmod && tool modinfo kmod; }"


class Configuration(TypedDict):
    """
    What modprobe's files say together, whoever wrote them.

    + blacklisted: modules that are not loaded for hardware
    + checksum: of all lines about NVIDIA's modules and those that compete with them
    + against: lines that keep NVIDIA's modules from loading, each with its place,
      ``blacklist nvidia (/etc/modprobe.d/mine.conf:1)``
    + nodes: what the options say of the device nodes, ``{"Mode": "0660", "GID": "44"}``; place: of
      the last such option
    """

    blacklisted: list[str]
    checksum: str
    against: list[str]
    nodes: dict[str, str]
    place: str


class ModprobeConfig(Fact[Configuration]):
    """
    modprobe's effective configuration of GPU drivers; ABSENT where there is no modprobe.

    ``{"blacklisted": ["nouveau"], "checksum": "9f86d0…", "against": [], "nodes": {}, "place": ""}``
    """

    def command(self) -> StringCommand:
        return framed(
            f"{MODPROBE} || exit 3;"
            " c=$(must modprobe --showconfig | sed -nE '/nvidia|nouveau|nova/p' |"
            " LC_ALL=C sort -u);"
            ' printf "%s\\n" "$c" | sha256sum; printf "%s\\n" "$c" | sed -n "s/^blacklist //p";'
            f" echo; must modprobe --showconfig | sed -nE '/^{_ABOUT}/p'; echo;"
            f" for f in {' '.join(f'{place}/*.conf' for place in _PLACES)}; do"
            f' [ ! -e "$f" ] || f=$f awk \'/^[[:space:]]*{_ABOUT}/'
            ' {print ENVIRON["f"] ":" FNR ":" $0}\' "$f"; done'
        )

    def parse(self, lines: list[str], code: int) -> Configuration | Absent | Unknown:
        if code == 3:
            return ABSENT
        first, effective, written = _parts(lines)
        against = [line for line in _effective(effective) if _stops(line)]
        options = [line for line in effective if line.startswith("options ")]
        nodes = dict(pair for line in options for pair in _NODE.findall(line))
        named = [line for line in written if _NODE.search(line)]
        return Configuration(
            blacklisted=sorted(first[1:]),
            checksum=first[0].split()[0],
            against=[f"{line} ({_place(line, written)})" for line in against],
            nodes=nodes,
            place=_split(named[-1])[0] if named else "",
        )


# modprobe's first install line of a module counts; the kernel's command line is in --showconfig.
_ABOUT = r"(blacklist|install|options|alias)[[:space:]]+nvidia"
_PLACES = ("/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d", "/usr/lib/modprobe.d",
           "/lib/modprobe.d")  # fmt: skip
_NEEDED = re.compile(r"nvidia([-_]current(-open)?)?([-_]uvm)?")  # without these nothing computes
_NODE = re.compile(r"NVreg_(?:DeviceFile)?(Mode|UID|GID|ModifyDeviceFiles)=(\w+)")


def _parts(lines: list[str]) -> tuple[list[str], list[str], list[str]]:
    """What blank lines part: checksum and blacklists, what counts, and where it is written."""
    parts: list[list[str]] = [[]]
    for line in lines:
        if line:
            parts[-1].append(" ".join(line.split()))
        else:
            parts.append([])
    first, effective, written = (*parts, [], [])[:3]
    return first, effective, written


def _effective(lines: list[str]) -> list[str]:
    """Those that modprobe goes by: of several install lines of a module the first."""
    seen: set[str] = set()
    found = []
    for line in lines:
        what = " ".join(line.split()[:2])
        if line.startswith("install ") and what in seen:
            continue
        seen.add(what)
        found.append(line)
    return found


def _stops(line: str) -> bool:
    """Whether a line keeps a module from loading that CUDA needs."""
    word, name, *rest = line.split()
    if not _NEEDED.fullmatch(name):
        return False
    if word == "install":
        return rest[:1] in (["/bin/false"], ["/usr/bin/false"], ["/bin/true"], ["/usr/bin/true"],
                            ["false"], ["true"], [":"])  # fmt: skip
    # uvm is loaded by its name alone, which a blacklist does not stop
    return (word == "blacklist" and not name.endswith("uvm")) or (
        word == "alias" and rest[:1] == ["off"]
    )


def _split(line: str) -> tuple[str, str]:
    """``FILE:LINE`` and what stands there."""
    file, number, text = line.split(":", 2)
    return f"{file}:{number}", text.strip()


def _place(line: str, written: list[str]) -> str:
    """Where it is written; names are the same with - and with _."""
    for place, text in map(_split, written):
        if text.split("#")[0].strip().replace("-", "_") == line.replace("-", "_"):
            return place
    return "the kernel's command line"
