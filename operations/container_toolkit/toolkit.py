"""NVIDIA's container toolkit: its packages at one version, and its configuration."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pyinfra.api import QuoteString, StringCommand

from gpurig.contract.fact import read
from gpurig.contract.known import ends_unknown, known
from gpurig.contract.promise import Commands, Ended, drift, due, follows, holds, keeps
from gpurig.contract.values import ABSENT
from gpurig.facts.container_toolkit.toolkit import (
    CONFIG,
    ToolkitConfig,
    ToolkitConfigFile,
    ToolkitPackages,
    ToolkitVersion,
)
from gpurig.facts.packages.apt import Candidates
from gpurig.operations.shared.apt_get import UPDATED
from gpurig.operations.shared.file import written
from gpurig.operations.shared.packages import installed
from gpurig.operations.shared.words import few
from gpurig.stack.versions import numbers

# A transaction starts nvidia-cdi-refresh.service three times (seen: twice by the path unit, once by
# the package's own script). systemd refuses the sixth start within 10 s, and the path unit then
# fails for good: two transactions in a row would be enough.
_STARTS_FORGOTTEN = StringCommand(
    "systemctl reset-failed nvidia-cdi-refresh.service 2>/dev/null || :"
)


@keeps("container-toolkit.packages")
def packages(packages: Sequence[str], minimum: str = "", version: str | None = None) -> Commands:
    """
    The packages of the container toolkit are installed, all of them at one version.

    + packages: their names
    + minimum: the oldest version that will do, ``1.18.0``
    + version: the one to have, ``1.19.1``; only by this does anything go back

    Without it the highest version that is installed holds, and a partial upgrade is finished.
    Containers that run are not touched.
    """
    commands = list(_moved(packages, minimum, version))
    if commands:
        yield _STARTS_FORGOTTEN
    yield from commands


def _moved(packages: Sequence[str], minimum: str, version: str | None) -> Commands:
    found = known(ToolkitPackages)
    if version is not None:
        return (yield from _exactly(packages, version, found))
    newest = max(found.values(), key=numbers, default="")
    if newest and numbers(newest) < numbers(minimum):
        newest = _at_least(minimum, packages[0], newest)
    yield from _all_at(packages, newest)


def _exactly(packages: Sequence[str], version: str, found: dict[str, str]) -> Commands:
    """All of them at the version that is asked for, whatever is found."""
    if all(numbers(found.get(name, "")) == numbers(version) for name in packages):
        return holds(", ".join(f"{name} {found[name]}" for name in packages))
    # Not among apt's lists: they may be old, so it is asked for as a pattern and told if missing.
    exact = next((v for v in _offered(packages[0]) if numbers(v) == numbers(version)), "")
    commands = list(_all_at(packages, exact or f"{version}-*"))
    if commands and not exact:
        yield StringCommand(_REFRESHED, QuoteString(packages[0]), QuoteString(version))
    yield from commands


def _all_at(packages: Sequence[str], version: str) -> Commands:
    """All of them at one version; empty: the repository's."""
    versions = dict.fromkeys(packages, version) if version else {}
    yield from installed(packages, versions=versions, besides=_rewritten())


def _at_least(minimum: str, package: str, there: str) -> str:
    """The newest version that apt's lists have, or the end of the operation if that is too old."""
    offered = _offered(package)
    right = next(iter(offered), "")
    if numbers(right) < numbers(minimum):
        have = ", ".join(offered) or "none"
        ends_unknown(f"{there} is older than {minimum}; apt's lists have {have}")
    return right


def _rewritten() -> dict[str, str]:
    """What the base package's script does to the user's config.toml, as `installed` takes it."""
    file = read(ToolkitConfig)
    mine = comments(file["text"]) if isinstance(file, dict) else []
    if not mine:
        return {}
    told = f"NVIDIA's script then writes {CONFIG} again: your values stay, your comments do not"
    return {"nvidia-container-toolkit-base": f"{told}: {few(mine)}"}


# What the package's own config.toml has as comments: keys with what they are by default.
_DEFAULTS = re.compile(
    "#(accept-nvidia-visible-devices-(as-volume-mounts|envvar-when-unprivileged)|swarm-resource"
    "|debug|ldcache|no-cgroups|path|root|user) = "
)


_COMMENT = re.compile(r"""(?:[^"'#]|"[^"]*"|'[^']*')*(#.*)""")  # a # within a string is none


def comments(text: str) -> list[str]:
    """The comments in a config.toml that are not the package's own, also those after a value."""
    found = (match[1] for line in text.splitlines() if (match := _COMMENT.match(line)))
    return [comment for comment in found if not _DEFAULTS.match(comment)]


def _offered(package: str) -> list[str]:
    """The versions of a package that apt's lists have, the newest first."""
    candidates = known(Candidates, packages=package)
    versions = candidates[package]["versions"] if package in candidates else {}
    return sorted((v for v, places in versions.items() if places), key=numbers, reverse=True)


# PACKAGE VERSION: the lists are read anew; without that version, those that there are are named.
_REFRESHED = (
    f"{UPDATED} offers() {{ updated;"
    " has=$(apt-cache madison \"$1\" | sed 's/^[^|]*| *\\([^ |]*\\).*/\\1/; s/-[^-]*$//'"
    ' | sort -urV | tr "\\n" " "); case " $has" in *" $2 "*) ;; *)'
    ' echo "E: the repository has no $1 $2; it has ${has:-none}$unread" >&2; return 1 ;; esac; };'
    " offers"
)


@keeps("container-toolkit.config")
def config(mode: str) -> Commands:
    """
    The toolkit's config.toml names an ldconfig of this host and the mode that is wanted.

    + mode: how the NVIDIA runtime works: ``auto``, ``cdi``, ``legacy`` …
    """
    file, packages = known(ToolkitConfig), known(ToolkitPackages)
    if "nvidia-container-toolkit-base" not in packages:
        return follows("container-toolkit.packages")
    if file is ABSENT:
        return holds(f"{CONFIG} does not exist; the toolkit uses its own defaults")
    text, wrong, wanted = file["text"], [], []
    named, right = file["ldconfig"], f"@{file['ldconfig_found']}"
    if named and not _usable(file):
        text = with_key(text, "nvidia-container-cli", "ldconfig", right)
        wrong.append(f"ldconfig is {named}")
        wanted.append(f"ldconfig {right}")
    if file["faults"] and not wrong and file["mode"] == mode:
        return due(f"{CONFIG}: {'; '.join(file['faults'])}; correct it, or remove these lines")
    if file["mode"] != mode:
        text = with_key(text, "nvidia-container-runtime", "mode", mode)
        wrong.append(f"mode is {file['mode']}")
        wanted.append(f"mode {mode}")
    if not wrong:
        return holds(f"mode {mode}, ldconfig {named or 'by default'}")
    drift(
        actual=", ".join(wrong),
        wanted=", ".join(wanted),
        will=f"change {'these keys' if len(wrong) > 1 else 'this key'} in {CONFIG}",
        leaves="every other line",
    )
    # nvidia-ctk config --set would drop the user's comments.
    yield from written(CONFIG, text, mode=None)


def _usable(file: ToolkitConfigFile) -> bool:
    """Whether the ldconfig that is named works in containers, too."""
    named = file["ldconfig"]
    # On Ubuntu /sbin/ldconfig is a script of the package manager; in a container only .real works.
    script = f"@{file['ldconfig_found']}" == f"{named}.real"
    return named.startswith("@") and file["ldconfig_exists"] and not script


def installed_first() -> None:
    """End an operation on a host without the toolkit."""
    if read(ToolkitVersion) is ABSENT:
        follows("container-toolkit.packages")
        raise Ended


def with_key(text: str, table: str, key: str, value: str) -> str:
    """
    TOML text in which one key of one table is this string, and every other line is as it was.

    + table: its full name; it is added at the end where there is none
    """
    lines = text.splitlines()
    header = re.compile(rf"\s*\[\s*{re.escape(table)}\s*\]")
    begin = next((n for n, line in enumerate(lines) if header.match(line)), None)
    entry = f'{key} = "{value}"'
    if begin is None:
        return "\n".join([*lines, "", f"[{table}]", entry]) + "\n"
    rest = range(begin + 1, len(lines))
    end = next((n for n in rest if lines[n].lstrip().startswith("[")), len(lines))
    for n in range(begin + 1, end):
        if re.match(rf"\s*{re.escape(key)}\s*=", lines[n]):
            lines[n] = entry
            break
    else:
        lines.insert(begin + 1, entry)
    return "\n".join(lines) + "\n"
