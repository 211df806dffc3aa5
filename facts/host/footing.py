"""What a host's set-up stands on and others made: accounts, file systems, mirrors."""

from __future__ import annotations

import json
import shlex
from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, framed
from gpurig.contract.fstab import mount_points
from gpurig.contract.values import Unknown
from gpurig.facts.host.disk import DATA_ROOT

# A line each, its fields apart by tabs. Passwords in addresses and in fstab's options stay there.
_LOOK = r"""
t=$(printf '\t')
for u in @USERS@; do entry passwd "$u" >/dev/null || printf 'missing\t%s\n' "$u"; done
for p in / @PATHS@; do printf 'mount\t%s\t%s\n' "$p" "$(readlink -m -- "$p")"; done
table() { awk -v w="$1" '{ print w "\t" ($1 ~ /^#/ ? "#" : "-") " " $2 " " $3 \
    " " (("," $4 ",") ~ /,noauto,/ && $4 !~ /systemd[.]automount/ ? "noauto" : "") }' "$2"; }
table up /proc/self/mounts
[ ! -e /etc/fstab ] || table fstab /etc/fstab || exit 1
there() { [ -f "$1" ] && printf 'file\t%s\n' "$1"; }
named() { sed "s#^#$1$t$2$t#; s#//[^/@]*@#//#"; }
for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list \
    /etc/apt/sources.list.d/*.sources /etc/apt/mirrors/*; do
    case $f in */gpurig-*) continue ;; esac
    there "$f" && sed -n -e 's/^[[:space:]]*deb[[:space:]]\{1,\}//' \
        -e 's/^\[[^]]*\][[:space:]]*//' -e 's/^URIs:[[:space:]]*//' \
        -e 's#^\([a-z+]\{1,\}:/[^[:space:]]*\).*#\1#p' "$f" | named apt "$f"
done
for f in /etc/pip.conf /etc/xdg/pip/pip.conf /root/.pip/pip.conf /root/.config/pip/pip.conf \
    /etc/uv/uv.toml /root/.config/uv/uv.toml /etc/environment; do
    there "$f" && sed -n -e 's/^[[:space:]]*//' -e "s/[\"']//g" \
        -e 's/^\(url\|index[-_]url\|PIP_INDEX_URL\|UV_DEFAULT_INDEX\|UV_INDEX_URL\)[ =:]*//p' "$f" |
        sed -n '/:\/\//p' | named pip "$f"
done
f=/etc/docker/daemon.json
there $f && { tr -d '\n' < $f; echo; } |
    sed -n 's/.*"registry-mirrors"[^[]*\[\([^]]*\)\].*/\1/p' | tr ',' '\n' | tr -d '" \t' |
    sed -n '/:\/\//p' | named docker $f
for f in @ROOT@/*/.gpurig.json; do
    [ ! -f "$f" ] || { printf 'lock\t%s\t' "$f"; head -c 40000 "$f" | tr '\n\t' '  '; echo; }
done
[ ! -e /etc/modprobe.d/gpurig-nvidia.conf ] || printf 'driver\t/etc/modprobe.d/gpurig-nvidia.conf\n'
exit 0
"""


class Mirror(TypedDict):
    """
    One place that a file of the host names.

    + kind: who fetches from it: ``apt``, ``pip`` (or uv), ``docker``
    """

    kind: str
    file: str
    url: str


class Stands(TypedDict):
    """
    What there is.

    + missing: users among those asked about who have no account
    + unmounted: by path, the mount point of /etc/fstab that leads to it and is not mounted
    + mirrors: in files that gpurig did not write; files: those of them that are there
    + cuda: environments below the folder that gpurig made for CUDA, by name the key of their lock
    + driver: gpurig's own file for the driver's module, or empty
    """

    missing: list[str]
    unmounted: dict[str, str]
    mirrors: list[Mirror]
    files: list[str]
    cuda: dict[str, str]
    driver: str


class Footing(Always[Stands]):
    """
    What others gave the host that its set-up stands on, and what of gpurig's needs a GPU.

    + users: names of accounts; venv_root: the folder of environments

    ``{"missing": [], "unmounted": {"/srv/venvs": "/srv"}, "mirrors": [{"kind": "pip", "file":
    "/etc/pip.conf", "url": "https://pypi.example.com/simple/"}], "files":
    ["/etc/pip.conf"], "cuda": {}, "driver": ""}``
    """

    def command(
        self, users: tuple[str, ...] = (), venv_root: str = "/opt/gpurig/venvs"
    ) -> StringCommand:
        root = shlex.quote(venv_root)
        paths = f'/boot /var {root} "${{docker:-/var/lib/docker}}"'
        script = _LOOK.replace("@PATHS@", paths).replace("@ROOT@", root)
        names = " ".join(map(shlex.quote, users))
        return framed(f"docker=$({DATA_ROOT})\n" + script.replace("@USERS@", names))

    def parse(self, lines: list[str], code: int) -> Stands | Unknown:
        if code:
            return Unknown("/etc/fstab cannot be read")
        told: dict[str, list[list[str]]] = {}
        for line in lines:
            word, *rest = line.split("\t")
            told.setdefault(word, []).append(rest)
        fstab, up = ((row for (row,) in told.get(word, [])) for word in ("fstab", "up"))
        away = mount_points(fstab) - mount_points(up)
        locks = {file.split("/")[-2]: _lock(text) for file, text in told.get("lock", [])}
        return Stands(
            missing=[user for (user,) in told.get("missing", [])],
            unmounted={
                path: mount
                for path, real in told.get("mount", [])
                for mount in sorted(away)
                if f"{real}/".startswith(f"{mount}/")
            },
            mirrors=[
                Mirror(kind=kind, file=file, url=url)
                for kind in ("apt", "pip", "docker")
                for file, url in told.get(kind, [])
            ],
            files=[file for (file,) in told.get("file", [])],
            cuda={name: key for name, key in locks.items() if "-cuda" in key},
            driver=next((file for (file,) in told.get("driver", [])), ""),
        )


def _lock(text: str) -> str:
    try:
        return str(json.loads(text)["lock"])
    except (ValueError, LookupError, TypeError):
        return ""
