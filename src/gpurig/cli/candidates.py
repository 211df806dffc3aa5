"""
What a Tab offers: targets, hosts of an inventory, settings; nothing is run and no host is asked.

An inventory is a program, so it is read and not run: hosts and groups that are written out are
offered, and those that it computes are not.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import click

# What a shell takes as it is: a name with anything else is not offered.
_PLAIN = re.compile(r"[A-Za-z0-9@._/+-]+")
_PREFIX = "rig_"
_DECLARED = Path(__file__).parents[1] / "settings" / "table.py"
_LARGEST = 1_000_000  # bytes of a file that a Tab reads


def settings(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """``rig_users=``, and after it true and false where those are all there is."""
    key, equals, value = incomplete.partition("=")
    kinds = _kinds()
    if not equals:
        return [f"{name}=" for name in kinds if name.startswith(key)]
    if kinds.get(key) != "boolean":
        return []
    return [f"{key}={word}" for word in ("true", "false") if word.startswith(value)]


def setting_names(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Names of settings, with ``rig_`` or without it, as it is begun."""
    short = "" if _PREFIX.startswith(incomplete) or incomplete.startswith(_PREFIX) else _PREFIX
    return [name.removeprefix(short) for name in _kinds() if name.startswith(short + incomplete)]


def _kinds() -> dict[str, str]:
    """
    Each setting's type by its name, of the text of their declarations.

    What their checks import takes longer than all else that a Tab does.
    """
    declared = ast.parse(_text(_DECLARED)).body
    (table,) = (one for one in declared if isinstance(one, ast.ClassDef) and one.name == "Settings")
    return {
        _PREFIX + ast.unparse(field.target): ast.literal_eval(field.value.args[1])
        for field in table.body
        if isinstance(field, ast.AnnAssign) and isinstance(field.value, ast.Call)
    }


def verbs(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The commands of gpurig."""
    group = context.find_root().command
    names = group.commands if isinstance(group, click.Group) else ()
    return [name for name in names if name.startswith(incomplete)]


def runs(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """The runs that there are."""
    from gpurig.report.runs import found

    return _offered(["latest", *(run.name for run in found())], incomplete)


def targets(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """This machine, hosts of ``~/.ssh/config``, inventories and the folders on the way to one."""
    before, comma, word = incomplete.rpartition(",")
    found = ["@local", *_ssh_hosts(Path("~/.ssh/config").expanduser())]
    if not comma:
        found += _inventories(word)
    return [before + comma + name for name in _offered(found, word)]


def limits(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Hosts and groups of the inventory that the line names before."""
    before, comma, word = incomplete.rpartition(",")
    # click leaves a line that ends with an option as words that it has not looked at.
    target = context.params.get("target") or next(iter(context.args), None)
    found = _written(Path(target)) if target else ()
    return [before + comma + name for name in _offered(found, word)]


def _offered(names: Iterable[str], begun: str) -> list[str]:
    plain = (name for name in dict.fromkeys(names) if _PLAIN.fullmatch(name))
    return [name for name in plain if name.startswith(begun)]


def _inventories(begun: str) -> Iterator[str]:
    folder = begun[: begun.rfind("/") + 1]
    with suppress(OSError):
        for entry in sorted(Path(folder or ".").iterdir()):
            if entry.name.startswith((".", "_")):
                continue
            if entry.is_dir():
                yield f"{folder}{entry.name}/"
            elif entry.suffix == ".py":
                yield folder + entry.name


def _ssh_hosts(file: Path) -> Iterator[str]:
    """The names after Host that are no patterns; what the file includes is not read."""
    for line in _text(file).splitlines():
        keyword, *names = line.replace("=", " ").split() or [""]
        if keyword.lower() == "host":
            yield from (name for name in names if not set(name) & set("*?!"))


def _written(inventory: Path) -> Iterator[str]:
    """The groups and hosts that an inventory's text names."""
    try:
        body = ast.parse(_text(inventory)).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in body:
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            continue
        members = node.value
        if isinstance(members, ast.Tuple) and members.elts:
            members = members.elts[0]
        if isinstance(members, ast.List) and not node.targets[0].id.startswith("_"):
            yield node.targets[0].id
            yield from _texts(members.elts)


def _texts(members: Iterable[ast.expr]) -> Iterator[str]:
    for member in members:
        if isinstance(member, ast.Tuple) and member.elts:
            member = member.elts[0]
        if isinstance(member, ast.Constant) and isinstance(member.value, str):
            yield member.value


def _text(file: Path) -> str:
    try:
        if file.is_file() and file.stat().st_size <= _LARGEST:
            return file.read_text(errors="replace")
    except OSError:
        pass
    return ""
