"""The NVIDIA driver by dnf: its module stream, its lock to a branch, its packages."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pyinfra.api import QuoteString, StringCommand

from gpurig.contract.fact import read
from gpurig.contract.known import ends_unknown, known
from gpurig.contract.promise import Commands, drift, holds, keeps, unknown
from gpurig.contract.values import ABSENT, Absent, Unknown
from gpurig.facts.packages.dnf import DnfLocks, DnfModules, DnfTransaction
from gpurig.facts.packages.package_manager import InstalledPackages
from gpurig.operations.driver.locks_dnf import BRANCH, entries, locked, parts
from gpurig.operations.shared.file import written
from gpurig.operations.shared.packages import DNF, DNF_SAID, install_by_dnf
from gpurig.stack.versions import numbers

LOCK_PLUGIN = "python3-dnf-plugin-versionlock"

NVIDIA = re.compile(r"(?!.*container).*nvidia|cuda-drivers|cuda-compat|libXNVCtrl")


@keeps("driver.stream")
def module_stream(stream: str) -> Commands:
    """
    dnf takes the driver from this module stream, and only from it.

    + stream: ``580-open``, or with its module, ``nvidia-driver:580-open``

    A stream that was enabled before is reset first: dnf does not switch one in place. Packages
    that are installed are driver.packages' to move.
    """
    modules = known(DnfModules)
    if modules is ABSENT:
        return unknown("this dnf has no module streams")
    module, _, wanted = stream.rpartition(":")
    module = module or "nvidia-driver"
    enabled = modules.get(module)
    if enabled == wanted:
        return holds(f"{module}:{wanted} is enabled")
    drift(
        actual=f"{module}:{enabled} is enabled" if enabled else "no stream is enabled",
        wanted=f"{module}:{wanted}",
        will=f"enable {module}:{wanted}" + (f" instead of {enabled}" if enabled else ""),
        leaves="the streams of other modules",
    )
    reset = [f"{DNF} module reset", QuoteString(module), "&&"] if enabled else []
    # Asked before the reset: a stream that is not there must not cost the host the one it has.
    yield StringCommand(
        "LC_ALL=C dnf -q module list", QuoteString(f"{module}:{wanted}"), ">/dev/null &&",
        *reset, f"{DNF} module enable", QuoteString(f"{module}:{wanted}"),
    )  # fmt: skip


@keeps("driver.versionlock")
def versionlock(branch: str) -> Commands:
    """
    dnf sees the driver's packages of this branch only.

    + branch: ``580``

    Entries of ours that name another branch go; the user's own stay.
    """
    locks = known(DnfLocks)
    if locks is ABSENT:
        yield from _with_plugin(branch)
        return
    file, text = locks["file"], locks["text"]
    ours, wanted = set(parts(text, locks["dnf"])[1]), set(entries(locks["dnf"], branch))
    if ours == wanted:
        return holds(f"{file} locks it to {branch}")
    branches = sorted({found for entry in ours for found in BRANCH.findall(entry)})
    drift(
        actual=f"locked to {', '.join(branches)}" if ours else "not locked",
        wanted=f"locked to {branch}, {len(wanted)} names",
        will=f"write the driver's entries into {file}",
        leaves="every other entry",
    )
    yield from written(file, locked(text, locks["dnf"], branch), mode=None)


def _with_plugin(branch: str) -> Commands:
    drift(
        actual="dnf has no versionlock",
        wanted=f"the driver locked to {branch}",
        will=f"install {LOCK_PLUGIN} and lock the driver",
    )
    yield install_by_dnf([LOCK_PLUGIN])
    now = read(DnfLocks)
    if isinstance(now, Unknown | Absent):
        yield StringCommand(f"echo 'E: {LOCK_PLUGIN} brought no versionlock' >&2; exit 1")
        return
    yield from written(now["file"], locked(now["text"], now["dnf"], branch), mode=None)


@keeps("driver.packages")
def driver_packages_dnf(
    packages: Sequence[str], branch: str, oldest: str | None = None
) -> Commands:
    """
    The driver's packages are installed, of this branch, moved in one transaction.

    + packages: names; branch: ``580``
    + oldest: the first version of the branch that knows the host's GPUs, or None

    What dnf would have to remove for it may be NVIDIA's only: that is named in the transaction.
    Anything else is told by its name, and nothing is done.
    """
    found = known(InstalledPackages, packages=" ".join(packages))["packages"]
    lacking = [name for name in packages if name not in found]
    other = [n for n in packages if n in found and not _of(found[n]["version"], branch, oldest)]
    if not lacking and not other:
        return holds(", ".join(f"{name} {found[name]['version']}" for name in packages))
    specs = [*lacking, *(f"{name}-{branch}.*" for name in other)]
    removes = _removed(specs)
    wrong = [f"{', '.join(lacking)} not installed"] * bool(lacking)
    wrong += [f"{name} is {found[name]['version']}" for name in other]
    drift(
        actual=", ".join(wrong),
        wanted=f"installed, of branch {branch}" + f", {oldest} or newer" * bool(oldest),
        will=f"install {', '.join(specs)}" + f" in place of {', '.join(removes)}" * bool(removes),
    )
    yield _swapped(specs, packages, removes) if removes else install_by_dnf(specs)


def _removed(specs: Sequence[str]) -> list[str]:
    """What goes when these come; the operation ends where anything of it is not NVIDIA's."""
    removes = known(DnfTransaction, specs=" ".join(specs))["removes"]
    if foreign := [name for name in removes if not NVIDIA.match(name)]:
        ends_unknown(
            f"installing {', '.join(specs)} would remove"
            f" {', '.join(foreign)}; remove it yourself if you do not"
            " need it"
        )
    return removes


def _of(version: str, branch: str, oldest: str | None) -> bool:
    own = version.rpartition(":")[2]
    return own.startswith(f"{branch}.") and numbers(own) >= numbers(oldest or "")


def _swapped(
    specs: Sequence[str], packages: Sequence[str], removes: Sequence[str]
) -> StringCommand:
    """One transaction that names what goes; dnf's shell ends with 0 always, so rpm is asked."""
    install, remove = map(
        QuoteString, (f"install {' '.join(specs)}", f"remove {' '.join(removes)}")
    )
    return StringCommand(
        'said=$(case $(readlink -f "$(command -v dnf)") in (*dnf5)',
        f"{DNF} do --action=remove", *map(QuoteString, removes),
        "--action=install", *map(QuoteString, specs),
        ";; (*) printf '%s\\n'", install, remove, f"run | {DNF} shell ;; esac 2>&1);",
        "rpm -q --whatprovides", *map(QuoteString, packages),
        f">/dev/null || {DNF_SAID}", 'printf "%s\\n" "$said"',
    )  # fmt: skip
