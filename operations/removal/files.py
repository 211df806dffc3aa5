"""gpurig's files in folders of the system: sources of packages, drop-ins, lines of /etc/hosts."""

from __future__ import annotations

from collections.abc import Sequence

from pyinfra.api import QuoteString, StringCommand

from gpurig.contract.known import known
from gpurig.contract.promise import Commands, due, follows, holds, keeps, left_out
from gpurig.facts.cuda import PROFILE
from gpurig.facts.driver.initramfs import DRACUT
from gpurig.facts.host.name import HOSTS, HostName
from gpurig.facts.kernel.grub import DROP_IN as GRUB
from gpurig.facts.removal.files import REPOSITORIES, SOURCES, MarkedFiles, RepositoryKeys
from gpurig.facts.removal.packages import LAYERS, InstalledLike
from gpurig.facts.removal.users import UsersOfUnit
from gpurig.facts.rootless import UNIT
from gpurig.operations.container_toolkit.device_links import RULE
from gpurig.operations.cuda import LOADER_FILE
from gpurig.operations.driver.modprobe import FILE as BLACKLIST
from gpurig.operations.driver.nodes import RULE as NODES
from gpurig.operations.host import MARK
from gpurig.operations.removal.said import goes
from gpurig.operations.rootless.unit import FOLDER_FILE
from gpurig.operations.shared.apt_get import ENVIRONMENT
from gpurig.operations.shared.file import written

_PACKAGES = (f"{SOURCES}*.sources", "/etc/apt/preferences.d/gpurig-*", f"{REPOSITORIES}*.repo")

# What follows when one of these files has gone.
_THEN = {
    PROFILE: ":",
    LOADER_FILE: "ldconfig",
    RULE: "udevadm control --reload 2>/dev/null || :",
    NODES: "udevadm control --reload 2>/dev/null || :",
    FOLDER_FILE: ":",
    DRACUT: ":",
    GRUB: f"{ENVIRONMENT} update-grub",
}
# What a file is called between its going and what follows that: no program reads the name.
_GONE = ".gpurig-gone"


@keeps("removal.package-sources")
def package_sources() -> Commands:
    """gpurig's sources, keys and preferences of the package manager are gone."""
    found, keys = known(MarkedFiles, globs=_PACKAGES), known(RepositoryKeys)
    ours = [path for path, is_ours in found.items() if is_ours]
    stays = [path for path, is_ours in found.items() if not is_ours]
    # A key before the source that shows whose it is.
    if goes(
        "removal.package-sources", [*keys, *ours], stays, f"delete {', '.join([*keys, *ours])}"
    ):
        for path in (*keys, *ours):
            yield StringCommand("rm -f", QuoteString(path), QuoteString(f"{path}.gpurig-new"))


@keeps("removal.system-files")
def system_files() -> Commands:
    """gpurig's files for login shells, loader, udev, tmpfiles, GRUB and systemd are gone."""
    found = known(MarkedFiles, globs=tuple(name for path in _THEN for name in (path, path + _GONE)))
    ours = list(
        dict.fromkeys(path.removesuffix(_GONE) for path, is_ours in found.items() if is_ours)
    )
    stays = [path for path, is_ours in found.items() if not is_ours]
    if goes("removal.system-files", ours, stays, f"delete {', '.join(ours)}"):
        for path in ours:
            yield _taken_away(path, _THEN[path])


def _taken_away(path: str, then: str) -> StringCommand:
    """A file goes, and what follows that is done; cut off anywhere, the next run goes on."""
    gone = QuoteString(path + _GONE)
    return StringCommand(
        "{ [ ! -e", QuoteString(path), "] || mv -f", QuoteString(path), gone, "; } &&", then,
        "&& rm -f", gone, QuoteString(f"{path}.gpurig-new"),
    )  # fmt: skip


@keeps("removal.rootless-unit")
def rootless_unit(users: Sequence[str]) -> Commands:
    """
    gpurig's unit for the Docker of a user's own is gone, where no user's systemd starts it.

    + users: those whose Docker is stopped in this run
    """
    ours = [path for path, is_ours in known(MarkedFiles, globs=(UNIT,)).items() if is_ours]
    started = known(UsersOfUnit) if ours else []
    if others := [name for name in started if name not in users]:
        return due(
            f"the systemd of {', '.join(others)} starts it; name them in rig_users, with"
            " rig_docker_rootless, and gpurig stops their Docker"
        )
    if started:
        return follows(f"removal.rootless.{started[0]}")
    if goes("removal.rootless-unit", ours, [], f"delete {UNIT}"):
        yield StringCommand("rm -f", QuoteString(UNIT), QuoteString(f"{UNIT}.gpurig-new"))


@keeps("removal.nouveau-blacklist")
def blacklist(driver: bool) -> Commands:
    """
    gpurig's blacklist of nouveau is gone, where no driver of NVIDIA's needs it.

    + driver: whether the driver's packages are removed in this run
    """
    both = (BLACKLIST, BLACKLIST + _GONE)
    ours = [path for path, ours in known(MarkedFiles, globs=both).items() if ours]
    there = known(InstalledLike, globs=LAYERS["driver"])["packages"]
    if ours and there and driver:
        return follows("removal.packages.driver")
    if ours and there:
        return left_out(
            "removal.nouveau-blacklist",
            f"{BLACKLIST} stays as long as NVIDIA's driver is installed, which would lose its GPUs"
            " to nouveau; --packages driver removes both",
        )
    if not ours:
        return holds("none")
    goes("removal.nouveau-blacklist", ours, [], f"delete {BLACKLIST} and make the initramfs again")
    yield _taken_away(
        BLACKLIST,
        f"if command -v update-initramfs >/dev/null; then {ENVIRONMENT} update-initramfs -u -k all;"
        " elif command -v dracut >/dev/null; then dracut --force --regenerate-all; fi",
    )


@keeps("removal.host-name")
def host_name() -> Commands:
    """gpurig's line in /etc/hosts is gone; all other lines stay."""
    lines = known(HostName)["hosts"]
    ours = [line for line in lines if line.rstrip().endswith(MARK)]
    if goes("removal.host-name", ours, [], f"remove gpurig's line from {HOSTS}"):
        rest = "".join(f"{line}\n" for line in lines if line not in ours)
        yield from written(HOSTS, rest, mode=None)
