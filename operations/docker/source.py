"""Docker from the distribution or from Docker itself: the move from one to the other."""

from __future__ import annotations

from collections.abc import Sequence

from gpurig.contract.fact import read
from gpurig.contract.known import known
from gpurig.contract.promise import Commands, drift, due, follows, holds, keeps
from gpurig.contract.values import ABSENT
from gpurig.facts.docker.engine import RunningContainers, StoppedContainers
from gpurig.facts.docker.source import ContainerShims
from gpurig.facts.packages.dpkg import Package, Packages
from gpurig.operations.shared.apt_get import APT, ENVIRONMENT, UPDATED
from gpurig.operations.shared.packages import held, movable, settled, shown
from gpurig.operations.shared.words import counted

# What the other packaging has under the same paths or declares as a conflict, so that it cannot
# stay (docker-ce-packaging, deb/common/control; containerd-packaging, debian/control; Debian's
# docker.io). Docker's plugins stay: Debian's command finds them, too.
IN_THE_WAY = {
    "docker": (
        "docker.io",
        "docker-cli",
        "docker-buildx",
        "docker-compose",
        "docker-compose-v2",
        "containerd",
        "runc",
    ),  # docker-compose-v2 is Ubuntu's, without a declared conflict (Launchpad 2151249)
    "distribution": ("docker-ce", "docker-ce-cli", "docker-ce-rootless-extras", "containerd.io"),
}

# `tells` is the stream on which apt says how far it is; without one apt says nothing there.
# Tried dry first: it may remove the other packaging and nothing else. All is downloaded before
# anything is removed. Nothing is purged: purging docker.io would take images and volumes with it.
_TRANSACTION = rf"""
set -f
{UPDATED}
failed() {{ echo "E: $1" >&2; exit 1; }}
apt() {{
    {ENVIRONMENT} {APT} ${{tells:+-o APT::Status-Fd=$tells}} --no-install-recommends "$@" @WORDS@
}}
simulated() {{ plan=$(apt --simulate install 2>&1); }}
simulated || {{ updated && simulated; }} ||
    failed "apt cannot do it: $(printf '%s\n' "$plan" | grep -E '^( .* :|E:)' | sed 's/^ *//' |
        head -n 2 | paste -s -d ' ')$unread"
foreign=
for p in $(printf '%s\n' "$plan" | sed -n 's/^Remv \([^ ]*\).*/\1/p'); do
    case ${{p%%:*}} in @FAMILY@) ;; *) foreign="$foreign${{foreign:+, }}$p" ;; esac
done
[ -z "$foreign" ] || failed "apt would remove $foreign, which is not Docker's"
apt --download-only install || {{ updated && simulated && apt --download-only install; }} ||
    failed "the packages cannot be downloaded$unread"
! cat /proc/[0-9]*/comm 2>/dev/null | grep -q '^containerd-shim' ||
    failed "a container was started meanwhile; stop it and run this again"
apt install || exit 1
[ -z "$(dpkg --audit)" ] || failed "$(dpkg --audit | head -n 1)"
"""


@keeps("docker.source")
def source(source: str, packages: Sequence[str]) -> Commands:
    """
    Docker is of the packaging that is asked for, and nothing of the other one is in its way.

    + source: ``distribution`` or ``docker``
    + packages: of that packaging

    The other packaging is removed and this one installed in one transaction; images, containers,
    volumes and daemon.json are in /var/lib/docker and /etc/docker, which both use. Never while a
    container is alive: two builds of containerd need not understand each other's shims.
    """
    found = known(Packages, packages=" ".join((*IN_THE_WAY[source], *packages)))
    other = [name for name in IN_THE_WAY[source] if _is_there(found.get(name))]
    if not other:
        there = _is_there(found.get(packages[0]))
        return holds(packages[0]) if there else follows("docker.packages")
    settled(found)
    movable(held(found))
    actual, wanted = _told(other), packages[0]
    if alive := _alive():
        return due(f"{actual} instead of {wanted}: {alive}")
    drift(
        actual=actual,
        wanted=wanted,
        will=f"replace {', '.join(other)} with {', '.join(packages)}{_afterwards()}",
        leaves="images, containers, volumes and daemon.json",
    )
    words = [*packages, *(f"{name}-" for name in other)]
    script = _TRANSACTION.replace("@WORDS@", " ".join(words))
    yield shown(f"({script.replace('@FAMILY@', '|'.join(IN_THE_WAY[source]))})")


def _alive() -> str:
    """The containers that a move would stop, and what to do; empty where there are none."""
    containers, shims = known(RunningContainers), known(ContainerShims)
    if names := [] if containers is ABSENT else [one["name"] for one in containers]:
        return (
            f"a move stops Docker; stop {_and(names)} when it suits you"
            f" (docker stop {' '.join(names)}) and run this again"
        )
    if shims:
        are = "is" if shims == 1 else "are"
        return (
            f"a move stops containerd, on which {counted(shims, 'container')} {are} alive that"
            f" Docker does not list; stop {'it' if shims == 1 else 'them'} and run this again"
        )
    return ""


def _afterwards() -> str:
    """What is left to do for containers that were stopped for the move, as a person is told."""
    stopped = read(StoppedContainers)
    if not isinstance(stopped, list) or not stopped:
        return ""
    return (
        f"; after that, {_and(stopped)} (restart=unless-stopped)"
        f" {'is' if len(stopped) == 1 else 'are'} still stopped, and docker start"
        f" {' '.join(stopped)} starts {'it' if len(stopped) == 1 else 'them'}"
    )


def _is_there(package: Package | None) -> bool:
    return package is not None and package["state"] not in ("config-files", "not-installed")


def _told(other: Sequence[str]) -> str:
    """The other packaging by the package that people know, else by what is left of it."""
    return next((name for name in ("docker.io", "docker-ce") if name in other), ", ".join(other))


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
