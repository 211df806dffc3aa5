"""The proxy that dockerd is given: by our drop-in, by the user, and the one that it runs with."""

from __future__ import annotations

from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown

DROP_IN = "/etc/systemd/system/docker.service.d/gpurig-proxy.conf"
SECRET = "/etc/gpurig/docker-proxy.env"  # its path; a proxy may hold a password
MARK = "GPURIG_PROXY"  # stands in our file only, so that a daemon shows whose proxy it has


class Proxy(TypedDict):
    """
    Proxies by digest, so that no password leaves the host.

    + drop_in: the text of our drop-in, empty without one
    + secret: the SHA-256 of our file with the address, empty without one
    + access: its mode and owner, ``600 root:root``
    + theirs: the user's own files that give dockerd a proxy
    + running: the SHA-256 of the lines ``HTTPS_PROXY=…`` and ``HTTP_PROXY=…`` that the daemon was
      started with, sorted; empty where it has none
    + marked: whether the daemon was started with our file; pid: 0 where it does not run
    """

    drop_in: str
    secret: str
    access: str
    theirs: list[str]
    running: str
    marked: bool
    pid: int


_LOOK = rf"""
sum() {{ sha256sum | cut -d ' ' -f 1; }}
[ -d /run/systemd/system ] && unit=$(may systemctl cat docker.service) || exit 3
[ ! -f {DROP_IN} ] || sed 's/^/drop-in /' {DROP_IN}
if [ -f {SECRET} ]; then
    echo "secret $(sum < {SECRET})"
    echo "access $(stat -c '%a %U:%G' {SECRET})"
fi
printf '%s\n' "$unit" | awk '
    /^# \// {{ file = substr($0, 3) }}
    /^ *Environment *=/ && toupper($0) ~ /HTTPS?_PROXY=["'\'']?[^"'\'' ]/ {{
        print "theirs " file
    }}'
must systemctl show docker.service --value --property=EnvironmentFiles | sed 's/ (.*//' |
    while read -r file; do
        [ "$file" != {SECRET} ] && [ -f "$file" ] || continue
        [ -z "$(sed -nE '/^ *https?_proxy=./Ip' "$file")" ] || echo "theirs $file"
    done
f=/etc/docker/daemon.json
[ ! -f $f ] || [ -z "$(sed -nE '/"https?-proxy"/p' $f)" ] || echo "theirs $f"
pid=$(must systemctl show docker.service --value --property=MainPID)
echo "pid $pid"
[ "$pid" != 0 ] && [ -e "/proc/$pid" ] || exit 0
own=$(tr '\0' '\n' < "/proc/$pid/environ") || exit 4
lines=$(printf '%s\n' "$own" | sed -nE '/^HTTPS?_PROXY=./p' | LC_ALL=C sort)
[ -z "$lines" ] || echo "running $(printf '%s\n' "$lines" | sum)"
[ -z "$(printf '%s\n' "$own" | sed -n '/^{MARK}=/p')" ] || echo marked
exit 0
"""


class DockerProxy(Fact[Proxy]):
    """
    How dockerd gets its proxy; for operations only. ABSENT without systemd or docker.service.

    ``{"drop_in": "", "secret": "", "access": "", "theirs": ["/etc/docker/daemon.json"],
    "running": "", "marked": False, "pid": 812}``
    """

    def command(self) -> StringCommand:
        return framed(_LOOK)

    def parse(self, lines: list[str], code: int) -> Proxy | Absent | Unknown:
        if code == 3:
            return ABSENT
        if code:
            return Unknown("the environment of dockerd cannot be read")
        said: dict[str, list[str]] = {}
        for line in lines:
            word, _, rest = line.partition(" ")
            said.setdefault(word, []).append(rest)
        one = {word: values[0] for word, values in said.items()}
        return Proxy(
            drop_in="".join(f"{line}\n" for line in said.get("drop-in", [])),
            secret=one.get("secret", ""),
            access=one.get("access", ""),
            theirs=list(dict.fromkeys(said.get("theirs", []))),
            running=one.get("running", ""),
            marked="marked" in one,
            pid=int(one["pid"]),
        )
