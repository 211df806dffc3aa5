"""Who is meant: hosts with their data and settings, from a file, a list of names or ``@local``."""

from __future__ import annotations

import difflib
import re
import shlex
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal

from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.inventory import Inventory
from pyinfra.api.state import State
from pyinfra.context import ctx_state
from pyinfra_cli.exceptions import UnexpectedExternalError  # type: ignore[import-untyped]
from pyinfra_cli.inventory import make_inventory_from_files  # type: ignore[import-untyped]
from pyinfra_cli.util import exec_file  # type: ignore[import-untyped]

from gpurig import store
from gpurig.errors import InputError
from gpurig.hosts.target import is_file
from gpurig.settings import programs
from gpurig.settings.checks import as_option, checked, in_inventory, nearest, validate
from gpurig.settings.defaults import NONE, Defaults
from gpurig.settings.table import PREFIX, TABLE, Settings

Transport = Literal["local", "ssh"]

THIS_MACHINE = "@local"
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\.?")


@dataclass(frozen=True)
class HostSpec:
    """
    One host to work on.

    + name: as written in the inventory, without the user; what screens and reports show
    + transport, address: ``ssh`` and what to connect to, or ``local``
    + data: the host's data merged with its groups' and the wishes of the command line
    + settings: the ``rig_`` part of the data, checked
    + groups: of which it is a member
    + source: the inventory that names it, as it was given; empty for a host given by its name
    """

    name: str
    transport: Transport
    address: str
    data: Mapping[str, Any]
    settings: Settings
    groups: tuple[str, ...] = ()
    source: str = ""

    @property
    def target(self) -> str:
        """The words that name this host alone on a command line."""
        name = shlex.quote(self.name)
        return f"{shlex.quote(self.source)} --limit {name}" if self.source else name

    @classmethod
    def of(
        cls,
        name: str,
        transport: Transport,
        address: str,
        data: Mapping[str, Any],
        groups: Iterable[str] = (),
        where: str = "",
    ) -> HostSpec:
        """The host with its settings checked; InputError names ``where`` and the host."""
        try:
            settings = validate(data, f"{where}, {name}" if where else name)
        except InputError as error:
            error.host = name
            raise
        return cls(name, transport, address, dict(data), settings, tuple(groups), where)


def load(
    source: str | None,
    limit: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    defaults: Defaults = NONE,
) -> list[HostSpec]:
    """
    The hosts that are meant, in the inventory's order, each one checked before any is contacted.

    + source: a pyinfra inventory (``inventories/lab.py``), host names with commas between them
      (``gpu01,ada@gpu02``), or ``@local`` or None for this machine
    + limit: host or group names with commas between them, ``*`` matches
    + overrides: data that replaces the inventory's; defaults: what the inventory's data replaces

    InputError, one sentence, for anything wrong.
    """
    overrides = dict(overrides or {})
    for key, value in overrides.items():
        # So that an error is told of the option, not of some host.
        checked(key, value, "--set", as_option)
    if source is None:
        source = THIS_MACHINE
    elif not source.strip():  # a variable of the caller's shell that is not set, not this machine
        raise InputError(
            "target-empty", "the target is empty", "TARGET",
            "name hosts or an inventory; without a target it is this machine",
        )  # fmt: skip
    if is_file(source):
        hosts = _from_file(Path(source), overrides, defaults)
    else:
        hosts = _from_names(source, overrides, defaults)
    _refuse_duplicates(hosts, source)
    return _limited(hosts, limit)


def _from_names(source: str, overrides: dict[str, Any], defaults: Defaults) -> list[HostSpec]:
    hosts = []
    for word in (word.strip() for word in source.split(",")):
        data, name = _user(word)
        transport, address = _target(name, "")
        hosts.append(HostSpec.of(name, transport, address, defaults.below({**data, **overrides})))
    return hosts


def _user(word: str) -> tuple[dict[str, str], str]:
    """The host data that the user in ``ada@gpu01`` is, and the host's name."""
    user, _, name = word.rpartition("@")
    # What begins with @ is a connector: the @ of @ssh/gpu01 and @gpurig/@local ends no user.
    return ({"ssh_user": user}, name) if user and not word.startswith("@") else ({}, word)


def _from_file(path: Path, overrides: dict[str, Any], defaults: Defaults) -> list[HostSpec]:
    file = str(path)
    if path.is_dir():
        within = sorted(path.glob("[!_]*.py"))
        do = f"name an inventory, such as {within[0]}" if within else "name an inventory or a host"
        raise InputError("inventory-missing", "it is a folder, not an inventory", file, do)
    if not path.is_file():
        raise InputError(
            "inventory-missing", "the inventory does not exist", file, "check the path"
        )
    group_data = path.parent / "group_data"
    for each in (path, group_data, *sorted(group_data.glob("*.py"))):
        store.refuse_foreign(each)
    found = _groups(path)
    names = list(_names(found, file))
    if not names:
        empty = f" ({', '.join(found)}: empty)" if found else ""
        raise InputError(
            "inventory-empty", f"the inventory names no host{empty}", file,
            'write hosts = ["gpu01"]',
        )  # fmt: skip
    targets = {written: _target(_user(written)[1], file) for written in names}
    # Not told the working folder: pyinfra would run the group_data/*.py that lie there.
    inventory = _run(path, lambda: make_inventory_from_files(file, overrides))
    assert isinstance(inventory, Inventory)
    folder = Path.cwd() if programs.KEY in overrides else path.parent
    hosts = []
    for written, (transport, address) in targets.items():
        host = inventory.hosts.get(written)
        if host is None:
            what = f"{written} is missing in the group all"
            raise InputError("inventory-host", what, file, "add it to the group")
        user, name = _user(written)
        data = defaults.below(programs.anchored({**host.data.dict(), **user}, folder))
        groups = sorted(g for g in {*host.groups} if g != "all" and not g.startswith("@"))
        hosts.append(HostSpec.of(name, transport, address, data, groups, where=file))
    return hosts


def _groups(path: Path) -> dict[str, Any]:
    """The file's groups; InputError where pyinfra would pass over one with a warning."""
    found = _run(path, lambda: exec_file(str(path), return_locals=True))
    assert isinstance(found, dict)
    for name in found:
        if name.startswith(PREFIX):
            raise _setting_outside(name, str(path))
    groups = {
        name: value
        for name, value in found.items()
        if not name.startswith("_") and isinstance(value, list | tuple)
    }
    if "hosts" in found and "hosts" not in groups:
        kind = type(found["hosts"]).__name__
        raise InputError(
            "inventory-group", f"hosts must be a list, and it is a {kind}", str(path),
            'write hosts = ["gpu01"], or hosts = [("gpu01", {"rig_users": ["ada"]})]',
        )  # fmt: skip
    for name, value in groups.items():
        if not _is_group(value):
            raise InputError(
                "inventory-group",
                f"{name} is neither a list of hosts nor a list of hosts with data",
                str(path),
                f"write {name} = ['gpu01'], or rename it to _{name} if it is no group",
            )
    return groups


def _setting_outside(name: str, file: str) -> InputError:
    """The error of a name that pyinfra takes for a group's, or passes over."""
    if name in TABLE:
        what = f"{name} is at the top level, but settings are data of hosts"
        example, do = name, "write"
    else:
        what = f"{name} is at the top level, but names with {PREFIX} are settings, data of hosts"
        example, do = (*nearest(name), "rig_users")[0], "rename it, or write"
    right = f'hosts = (["gpu01"], {in_inventory(TABLE[example])})'
    return InputError("inventory-group", what, file, f"{do} {right}")


def _is_group(value: list[Any] | tuple[Any, ...]) -> bool:
    """Hosts, or a pair of hosts and their data."""
    if isinstance(value, tuple) and not (len(value) == 2 and isinstance(value[1], dict)):
        return False
    hosts = value[0] if isinstance(value, tuple) else value
    return isinstance(hosts, list) and all(isinstance(host, str | tuple) for host in hosts)


def _names(groups: Mapping[str, Any], file: str) -> Iterator[str]:
    """Every host once; InputError if it is none, or if one group names it twice."""
    seen: set[str] = set()
    for group, members in groups.items():
        hosts = members[0] if isinstance(members, tuple) else members
        for number, host in enumerate(hosts, 1):
            if isinstance(host, tuple) and not _has_data(host):
                raise InputError(
                    "inventory-host",
                    f"host {number} of {group} is in parentheses, but it is not a name and a dict",
                    file,
                    'write "gpu01", or ("gpu01", {"rig_users": ["ada"]})',
                )
        names = [host[0] if isinstance(host, tuple) else host for host in hosts]
        for name in names:
            if names.count(name) > 1:
                raise InputError(
                    "inventory-duplicate", f"{group} has {name} twice", file, "remove one of them"
                )
            if name not in seen:
                seen.add(name)
                yield name


def _has_data(host: tuple[Any, ...]) -> bool:
    return len(host) == 2 and isinstance(host[0], str) and isinstance(host[1], dict)


def _run(path: Path, load: Any) -> Any:
    """What ``load`` gives; what goes wrong in the user's Python as one sentence with its line."""
    try:
        with ctx_state.use(State()):  # where pyinfra notes which file it runs
            return load()
    except SyntaxError as error:
        raise _python_error(error.filename or str(path), error.lineno, error.msg) from error
    except UnexpectedExternalError as error:
        cause = error.exception
        frames = traceback.extract_tb(cause.__traceback__)
        line = next((f.lineno for f in reversed(frames) if f.filename == error.filename), None)
        said = f"{type(cause).__name__}: {cause}".removesuffix(": ")
        raise _python_error(error.filename, line, said) from error
    except SystemExit as error:
        raise _python_error(str(path), None, f"it exits with {error.code}") from error
    except (PyinfraError, UnicodeDecodeError, OSError) as error:
        raise _python_error(str(path), None, str(error)) from error


def _python_error(file: str, line: int | None, said: str) -> InputError:
    where = f"{file}, line {line}" if line else file
    return InputError("inventory-python", f"the inventory cannot run ({said})", where)


def _target(name: str, where: str) -> tuple[Transport, str]:
    """How a name is reached; InputError where it is the name of no host."""
    if name in (THIS_MACHINE, f"@gpurig/{THIS_MACHINE}"):
        return "local", THIS_MACHINE
    connector, _, address = name.rpartition("/") if name.startswith("@") else ("@ssh", "", name)
    if connector not in ("@ssh", "@gpurig"):
        raise InputError(
            "inventory-connector",
            f"{name} has a connector that gpurig does not support",
            where,
            "use @local, @ssh/HOST or a plain host name",
        )
    if not _is_host(address):
        what = f"{name!r} is neither an inventory nor a host name"
        raise InputError("inventory-host", what, where, "name a file, a host, or @local")
    return "ssh", address


def _is_host(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return len(name) < 254 and bool(_HOST_NAME.fullmatch(name)) and ".." not in name
    return True


def _refuse_duplicates(hosts: list[HostSpec], source: str) -> None:
    seen: dict[tuple[str, str, str], str] = {}
    for host in hosts:
        address = str(host.data.get("ssh_hostname", host.address))
        place = (host.transport, address, str(host.data.get("ssh_port", "")))
        if place in seen:
            both = f"{seen[place]} and {host.name} name the same host"
            what = f"{host.name} is named twice" if seen[place] == host.name else both
            raise InputError("inventory-duplicate", what, source, "remove one of them")
        seen[place] = host.name


def _limited(hosts: list[HostSpec], limit: str | None) -> list[HostSpec]:
    if limit is None:
        return hosts
    chosen: set[str] = set()
    for word in (word.strip() for word in limit.split(",")):
        _, meant = _user(word)  # as the inventory may have it
        found = {
            host.name
            for host in hosts
            if any(fnmatchcase(name, meant) for name in (host.name, *host.groups))
        }
        if not found:
            raise _unmatched(word, hosts)
        chosen |= found
    return [host for host in hosts if host.name in chosen]


def _unmatched(word: str, hosts: list[HostSpec]) -> InputError:
    known = list(dict.fromkeys(name for host in hosts for name in (host.name, *host.groups)))
    near = difflib.get_close_matches(word, known, n=1)
    do = f"did you mean {near[0]}?" if near else f"the inventory has {', '.join(known[:8])}"
    what = f"{word!r} matches no host and no group"
    return InputError("limit-empty", what, "--limit", do)
