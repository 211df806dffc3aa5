"""GRUB: which kernel its own configuration boots by default, and how its menu names kernels."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown

DROP_IN = "/etc/default/grub.d/gpurig.cfg"

# Only grub.cfg and grubenv decide the next boot; /etc/default/grub counts once update-grub ran.
GRUB = r"""
for cfg in /boot/grub/grub.cfg /boot/grub2/grub.cfg; do
    [ -r "$cfg" ] || continue
    echo 'grub found'
    sed -n 's/^[[:space:]]*//
        /^menuentry /s/^/grub /p; /^submenu /s/^/grub /p; /^}/s/.*/grub }/p
        /^linux[a-z]*[[:space:]]/s/^/grub /p; /^set default=/s/^/grub /p
        /^blscfg/s/^/grub /p' "$cfg"
    env=${cfg%/*}/grubenv
    [ ! -e "$env" ] || sed -n 's/^\(saved_entry\|next_entry\)=/grub env &/p' "$env"
    break
done
"""

_ENTRY = re.compile(r"(menuentry|submenu) (?:'((?:[^']|'\\'')*)'|\"([^\"]*)\")(.*)")
_ID = re.compile(r"(?:\$menuentry_id_option|--id[ =])\s*'?([^'\s{]+)'?")


@dataclass
class _Node:
    """One entry of the menu, or a submenu with entries of its own."""

    title: str
    id: str
    kernel: str = ""
    inside: list[_Node] = field(default_factory=list)


class Boot(TypedDict):
    """
    What GRUB is told.

    + default: the release that boots next by grub.cfg and grubenv; ``None`` where they name none
    + entries: how GRUB_DEFAULT names each kernel's entry, by release
    + ours: the GRUB_DEFAULT that gpurig wrote, empty without it
    + update: whether update-grub is there
    """

    default: str | None
    entries: dict[str, str]
    ours: str
    update: bool


class Grub(Fact[Boot]):
    """
    GRUB's menu and its default; ABSENT where GRUB has no configuration.

    ``{"default": "6.12.117+deb13-amd64", "entries": {"6.12.117+deb13-amd64":
    "gnulinux-advanced-UUID>gnulinux-6.12.117+deb13-amd64-advanced-UUID"}, "ours": "",
    "update": True}``
    """

    def command(self) -> StringCommand:
        return framed(
            f"{GRUB}! tool update-grub grub2-common || echo update; [ ! -e {DROP_IN} ] ||"
            f" sed -n 's/^GRUB_DEFAULT=//p' {DROP_IN} | tail -n 1 | sed 's/^/ours /'"
        )

    def parse(self, lines: list[str], code: int) -> Boot | Absent | Unknown:
        if "grub found" not in lines:
            return ABSENT
        menu = _menu(lines)
        ours = [line[5:].strip("\"'") for line in lines if line.startswith("ours ")]
        return Boot(
            default=default(lines),
            entries=_names(menu, ""),
            ours=ours[0] if ours else "",
            update="update" in lines,
        )


def default(lines: list[str]) -> str | None:
    """
    The release that GRUB boots by default, from the output of `GRUB`; ``None`` if it names none.

    A one-shot next_entry comes first, as grub.cfg itself has it; what names no entry boots the
    first, as GRUB does. Where entries lie in files of their own (BLS), the name ends in the
    release.
    """
    wanted = _wanted(lines)
    if "grub blscfg" in lines:
        named = re.fullmatch(r"[0-9a-f]{32}-(.+)", wanted)
        return named[1] if named else None
    return _booted(_menu(lines), wanted or "0")


def _wanted(lines: list[str]) -> str:
    """The name of the entry that is to boot, empty where none is named."""
    env = dict(line[9:].partition("=")[::2] for line in lines if line.startswith("grub env "))
    told = [line[18:].strip("\"'") for line in lines if line.startswith("grub set default=")]
    fixed = [word for word in told if "next_entry" not in word]
    once = env.get("next_entry", "") if len(fixed) < len(told) else ""
    if once or not fixed:
        return once
    return env.get("saved_entry", "") if "saved_entry" in fixed[-1] else fixed[-1]


def _booted(menu: list[_Node], name: str) -> str | None:
    """The release of the entry of this name, ``SUBMENU>ENTRY``; of a submenu its first."""
    at: _Node | None = None
    for word in name.split(">"):
        at = _one(at.inside if at else menu, word) or (None if at else _one(menu, "0"))
        if at is None:
            return None
    while at and at.inside:
        at = at.inside[0]
    return (at.kernel or None) if at else None


def _one(menu: list[_Node], word: str) -> _Node | None:
    """The entry that GRUB takes for this word: an id or a title, else its number."""
    for node in menu:
        if word in (node.id, node.title):
            return node
    if word.isascii() and word.isdigit() and len(word) < 6 and int(word) < len(menu):
        return menu[int(word)]
    return None


def _menu(lines: list[str]) -> list[_Node]:
    """The menu as a tree, from the output of `GRUB`."""
    top: list[_Node] = []
    open_: list[_Node] = []
    for line in (line[5:] for line in lines if line.startswith("grub ")):
        if entry := _ENTRY.match(line):
            node = _node(entry)
            (open_[-1].inside if open_ else top).append(node)
            open_.append(node)
        elif line == "}" and open_:
            open_.pop()
        elif line.startswith("linux") and open_:
            file = [*line.split(), ""][1].rpartition("/")[2]
            open_[-1].kernel = open_[-1].kernel or file.removeprefix("vmlinuz-")
    return top


def _node(entry: re.Match[str]) -> _Node:
    title = (entry[2] if entry[2] is not None else entry[3]).replace("'\\''", "'")
    named = _ID.search(entry[4])
    return _Node(title, named[1] if named else title)


def _names(menu: list[_Node], path: str) -> dict[str, str]:
    """GRUB_DEFAULT's name of each kernel: its own entry, before one that is renamed at updates."""
    found: dict[str, str] = {}
    for node in menu:
        inner = {node.kernel: path + node.id} if node.kernel else {}
        inner |= _names(node.inside, f"{path}{node.id}>")
        for release, name in inner.items():
            if release not in found or (release in name and release not in found[release]):
                found[release] = name
    return found
