"""NVIDIA's device nodes: they are there after each boot, and the users may open them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyinfra.api import QuoteString, StringCommand

from gpurig.contract.fact import read
from gpurig.contract.known import known
from gpurig.contract.promise import Commands, drift, due, follows, holds, keeps, left_out
from gpurig.contract.values import ABSENT
from gpurig.facts.driver.modprobe import ModprobeConfig
from gpurig.facts.driver.module import DriverLoaded
from gpurig.facts.driver.nodes import DeviceNodes, Node
from gpurig.operations.shared.file import written
from gpurig.operations.shared.words import few

CONTROL, MEMORY = "/dev/nvidiactl", "/dev/nvidia-uvm"
MAKE = "nvidia-modprobe -c 0 -u"
RULE = "/etc/udev/rules.d/71-gpurig-nvidia-uvm.rules"

# No package of Debian does this: there the node comes with the first program that computes, and a
# CDI spec that is made before it gives containers no memory. NVIDIA's own packages have a rule.
_RULE_TEXT = f"""\
# Written by gpurig: /dev/nvidia-uvm is there after each boot, before a program computes.
ACTION=="add", DEVPATH=="/bus/pci/drivers/nvidia", RUN+="/usr/bin/{MAKE}"
"""


@keeps("driver.nodes-at-boot")
def nodes_at_boot(users: Sequence[str]) -> Commands:
    """
    A udev rule makes the device node of unified memory when the driver is loaded.

    + users: as `device_nodes` has them, so that one reading serves both

    A rule of NVIDIA's or of a person that does this is enough.
    """
    if place := known(DeviceNodes, users=" ".join(users))["boot"]:
        return holds(f"{place} makes {MEMORY}")
    drift(
        actual=f"nothing makes {MEMORY} at boot",
        wanted="a udev rule that makes it",
        will=f"write {RULE}",
    )
    yield from written(RULE, _RULE_TEXT)


@keeps("driver.device-nodes")
def device_nodes(users: Sequence[str], assumed: bool) -> Commands:
    """
    Each user of the GPUs may open their device nodes, and those are devices.

    + users: who they are; a name without an account is left out
    + assumed: whether the GPUs are, so that the nodes may be missing

    The driver's options say what mode and owner a node gets (default: 666, root); what differs from
    them is set so, as nvidia-modprobe does. Options and udev rules of a person stay.
    """
    found = known(DeviceNodes, users=" ".join(users))
    nodes, options = found["nodes"], known(ModprobeConfig)
    if missing := [path for path in (CONTROL, MEMORY) if path not in nodes]:
        yield from _made(missing, found["maker"], assumed)
        return
    if strange := [path for path, node in nodes.items() if not node["device"]]:
        return due(f"{strange[0]} is no device: remove it, and run {MAKE}")
    closed = {path: node for path, node in nodes.items() if node["closed"]}
    if not closed:
        return holds(f"{few(users) or 'every user'} can open {', '.join(nodes)}")
    wanted = _wanted({} if options is ABSENT else options["nodes"])
    if not wanted:
        return due(_told(closed, "" if options is ABSENT else options["place"]))
    wrong = {path: node for path, node in closed.items() if _has(node) != wanted}
    if found["rule"] or not wrong:
        place = found["rule"] or ("" if options is ABSENT else options["place"])
        return due(_told(closed, place))
    mode, uid, gid = wanted
    drift(
        actual=_told(wrong),
        wanted=f"mode {mode}, owner {uid}:{gid}, as the driver's options say",
        will="set mode and owner of these nodes",
    )
    paths = [QuoteString(path) for path in wrong]
    yield StringCommand("chown", f"{uid}:{gid}", *paths, "&& chmod", mode, *paths)


def _made(missing: Sequence[str], maker: bool, assumed: bool) -> Commands:
    """Nodes that a driver which is loaded has not got yet."""
    if not _is_loaded():
        if assumed:
            return left_out("driver.device-nodes", "assumed hardware")
        return follows("driver.loaded")
    told = f"no {' and no '.join(missing)}"
    if not maker:
        return due(f"{told}: install nvidia-modprobe, and run {MAKE}")
    drift(told, wanted="the driver's device nodes", will=f"run {MAKE}")
    yield StringCommand(MAKE)


def _is_loaded() -> bool:
    loaded = read(DriverLoaded)
    return isinstance(loaded, dict) and bool(loaded["version"])


def _wanted(options: Mapping[str, str]) -> tuple[str, str, str] | None:
    """Mode, user and group that the driver gives its nodes; None where it leaves them alone."""
    if options.get("ModifyDeviceFiles") == "0":
        return None
    words = [options.get(*one) for one in (("Mode", "0666"), ("UID", "0"), ("GID", "0"))]
    try:
        mode, uid, gid = (_number(word) for word in words)
    except ValueError:
        return None
    return f"{mode:o}", str(uid), str(gid)


def _number(word: str) -> int:
    """As the kernel reads it: 0666 is octal, 438 decimal, 0x1b6 hexadecimal."""
    octal = word.startswith("0") and not word.lower().startswith("0x")
    return int(word, 8 if octal else 0)


def _has(node: Node) -> tuple[str, str, str]:
    return node["mode"], node["uid"], node["gid"]


def _told(closed: Mapping[str, Node], place: str = "") -> str:
    """Who cannot open what, and, where a person wants that, what is left to do."""
    users = sorted({user for node in closed.values() for user in node["closed"]})
    path, node = next(iter(closed.items()))
    more = f" and {len(closed) - 1} more" * (len(closed) > 1)
    told = f"{few(users)} cannot open {path} (mode {node['mode']}, group {node['gid']}){more}"
    if not place:
        return told
    return f"{told}, because of {place}: add them to that group, or remove that line"
