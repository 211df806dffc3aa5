"""NVIDIA's container toolkit: its packages at one version, and its configuration."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from functools import partial

from pyinfra.api import FileUploadCommand, QuoteString, StringCommand

from gpurig.contract.fact import read
from gpurig.contract.promise import drift, follows, holds, keeps, unknown
from gpurig.contract.values import ABSENT, Unknown
from gpurig.facts.container_toolkit.toolkit import CONFIG, ToolkitConfig, ToolkitPackages
from gpurig.facts.packages.apt import Candidates
from gpurig.operations.environments.environment import few
from gpurig.operations.shared.file import written
from gpurig.operations.shared.packages import ENVIRONMENT, LOCK_SECONDS, installed
from gpurig.stack.versions import numbers

# A transaction starts nvidia-cdi-refresh.service three times (seen: twice by the path unit, once by
# the package's own script). systemd refuses the sixth start within 10 s, and the path unit then
# fails for good: two transactions in a row would be enough.
_STARTS_FORGOTTEN = StringCommand(
    "systemctl reset-failed nvidia-cdi-refresh.service 2>/dev/null || :"
)


@keeps("container-toolkit.packages")
def packages(
    packages: Sequence[str], minimum: str = "", version: str | None = None
) -> Generator[StringCommand, None, None]:
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


def _moved(
    packages: Sequence[str], minimum: str, version: str | None
) -> Generator[StringCommand, None, None]:
    found = read(ToolkitPackages)
    if isinstance(found, Unknown):
        return unknown(found.reason)
    assert isinstance(found, dict)
    install = partial(installed, packages, besides=_rewritten())
    newest = max(found.values(), key=numbers, default="")
    if version is None and (not newest or numbers(newest) >= numbers(minimum)):
        return (yield from install(versions=dict.fromkeys(packages, newest)))
    if version and all(numbers(found.get(name, "")) == numbers(version) for name in packages):
        return holds(", ".join(f"{name} {found[name]}" for name in packages))
    offered = _offered(packages[0])
    if isinstance(offered, Unknown):
        return unknown(offered.reason)
    if version is None:
        right = next(iter(offered), "")
        if numbers(right) < numbers(minimum):
            have = ", ".join(offered) or "none"
            return unknown(f"{newest} is older than {minimum}, and apt's lists have {have}")
        return (yield from install(versions=dict.fromkeys(packages, right)))
    # Not among apt's lists: they may be old, so it is asked for as a pattern and told if missing.
    exact = next((v for v in offered if numbers(v) == numbers(version)), "")
    commands = list(install(versions=dict.fromkeys(packages, exact or f"{version}-*")))
    if commands and not exact:
        yield StringCommand(_REFRESHED, QuoteString(packages[0]), QuoteString(version))
    yield from commands


def _rewritten() -> dict[str, str]:
    """What the base package's script does to the user's config.toml, as `installed` takes it."""
    file = read(ToolkitConfig)
    mine = comments(file["text"]) if isinstance(file, dict) else []
    if not mine:
        return {}
    told = f"NVIDIA's script then writes {CONFIG} again, with its values and without your comments"
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


def _offered(package: str) -> list[str] | Unknown:
    """The versions of a package that apt's lists have, the newest first."""
    candidates = read(Candidates, packages=package)
    if isinstance(candidates, Unknown):
        return candidates
    assert isinstance(candidates, dict)
    versions = candidates[package]["versions"] if package in candidates else {}
    return sorted((v for v, places in versions.items() if places), key=numbers, reverse=True)


# PACKAGE VERSION: the lists are read anew; without that version, those that there are are named.
_REFRESHED = (
    f"offers() {{ {ENVIRONMENT} apt-get -q -o DPkg::Lock::Timeout={LOCK_SECONDS} update;"
    " has=$(apt-cache madison \"$1\" | sed 's/^[^|]*| *\\([^ |]*\\).*/\\1/; s/-[^-]*$//'"
    ' | sort -urV | tr "\\n" " "); case " $has" in *" $2 "*) ;; *)'
    ' echo "E: the repository has no $1 $2; it has ${has:-none}" >&2; return 1 ;; esac; }; offers'
)


@keeps("container-toolkit.config")
def config(mode: str) -> Generator[StringCommand | FileUploadCommand, None, None]:
    """
    The toolkit's config.toml names an ldconfig of this host and the mode that is wanted.

    + mode: how the NVIDIA runtime works: ``auto``, ``cdi``, ``legacy`` …
    """
    file, packages = read(ToolkitConfig), read(ToolkitPackages)
    for fact in (file, packages):
        if isinstance(fact, Unknown):
            return unknown(fact.reason)
    assert isinstance(packages, dict)
    if "nvidia-container-toolkit-base" not in packages:
        return follows("container-toolkit.packages")
    if file is ABSENT:
        return holds(f"there is no {CONFIG}: the toolkit's own defaults count")
    assert isinstance(file, dict)
    named, right = file["ldconfig"], f"@{file['ldconfig_found']}"
    # On Ubuntu /sbin/ldconfig is a script of the package manager; in a container only .real works.
    script = right == f"{named}.real"
    usable = named.startswith("@") and file["ldconfig_exists"] and not script
    text, wrong, wanted = file["text"], [], []
    if named and not usable:
        text = with_key(text, "nvidia-container-cli", "ldconfig", right)
        wrong.append(f"ldconfig is {named}")
        wanted.append(f"ldconfig {right}")
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
