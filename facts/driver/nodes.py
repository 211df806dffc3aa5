"""NVIDIA's device nodes, and who may open them."""

from __future__ import annotations

from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, framed, words
from gpurig.contract.values import Unknown

# Those without which nothing computes; /dev/nvidia-caps belong to root by design.
_NODES = "/dev/nvidia[0-9]* /dev/nvidiactl /dev/nvidia-uvm /dev/nvidia-uvm-tools"

# Whether a user may open them is tried as that user, by number: a name may have any form.
_LOOK = r"""
set --
for node in $NODES; do [ ! -e "$node" ] || set -- "$@" "$node"; done
command -v nvidia-modprobe >/dev/null && echo 'maker yes'
[ $# = 0 ] || stat -c 'node %n %a %u %g %F' "$@"
for rule in /etc/udev/rules.d/*.rules /run/udev/rules.d/*.rules; do
    [ ! -e "$rule" ] || rule=$rule awk '
        /^[^#]*nvidia/ && /(^|[ ,])(MODE|GROUP|OWNER)[ :]*=|chmod|chown/ {
            print "rule " ENVIRON["rule"]; exit
        }' "$rule"
done
seen=
for file in /etc/udev/rules.d/*.rules /run/udev/rules.d/*.rules /usr/lib/udev/rules.d/*.rules \
    /lib/udev/rules.d/*.rules /etc/systemd/system/*.wants/*.service; do
    [ -e "$file" ] || continue
    case $file in *.rules)
        case "$seen/" in *"/${file##*/}/"*) continue ;; esac
        seen=$seen/${file##*/} ;;
    esac
    file=$file awk '
        /^[^#]*nvidia-modprobe[^,]* (-[a-z]*u|--unified-memory)/ {
            print "boot " ENVIRON["file"]; exit
        }' "$file"
done
for user in $users; do
    found=$(entry passwd "$user") || continue
    uid=$(printf '%s\n' "$found" | cut -d: -f3)
    groups=$(id -G -- "$uid" | tr ' ' ,)
    must setpriv --reuid="$uid" --regid="${groups%%,*}" --groups="$groups" sh -c '
        user=$1; shift; for n; do [ -r "$n" ] && [ -w "$n" ] || echo "closed $n $user"; done; :
        ' sh "$user" "$@"
done
exit 0
"""


class Node(TypedDict):
    """
    One device node.

    + mode: octal, ``"666"``; uid, gid: whose it is; device: whether it is a device at all
    + closed: the users who cannot open it
    """

    mode: str
    uid: str
    gid: str
    device: bool
    closed: list[str]


class Nodes(TypedDict):
    """
    + nodes: by path; rule: a udev rule of this host that says who may open them, empty without
    + maker: whether the host has nvidia-modprobe, which makes them
    + boot: the udev rule, or the unit, by which it makes /dev/nvidia-uvm at each boot; empty
      without. A rule hides others of its name, as udev reads them
    """

    nodes: dict[str, Node]
    rule: str
    maker: bool
    boot: str


class DeviceNodes(Always[Nodes]):
    """
    The nodes by which programs reach the GPUs; none as long as no driver has made them.

    + users: names, separated by blanks; a name without an account is left out

    ``{"nodes": {"/dev/nvidia0": {"mode": "666", "uid": "0", "gid": "0", "device": True,
    "closed": []}}, "rule": "", "maker": True, "boot": ""}``
    """

    def command(self, users: str) -> StringCommand:
        look = _LOOK.replace("$NODES", _NODES)
        # a name as one word, whatever it holds
        return framed(look.replace("in $users", f"in {words(users)}" if users else "in"))

    def parse(self, lines: list[str], code: int) -> Nodes | Unknown:
        found: dict[str, Node] = {}
        rule = boot = ""
        for line in lines:
            word, path, *rest = line.split(" ", 5)
            if word == "node":
                mode, uid, gid, kind = rest
                found[path] = Node(mode=mode, uid=uid, gid=gid, device="special" in kind, closed=[])
            elif word == "closed":
                found[path]["closed"].append(" ".join(rest))
            elif word == "rule":
                rule = rule or path
            elif word == "boot":
                boot = boot or path
        return Nodes(nodes=found, rule=rule, maker="maker yes" in lines, boot=boot)
