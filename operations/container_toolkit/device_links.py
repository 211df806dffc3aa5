"""Links in /dev/char, so that containers keep their GPUs over `systemctl daemon-reload`."""

from __future__ import annotations

from pyinfra.api import StringCommand

from gpurig.contract.known import known
from gpurig.contract.promise import Commands, drift, due, follows, holds, keeps
from gpurig.contract.values import ABSENT
from gpurig.facts.container_toolkit.device_links import DeviceLinks, Links
from gpurig.operations.container_toolkit.toolkit import installed_first
from gpurig.operations.shared.file import written
from gpurig.operations.shared.systemd import masked_by_hand
from gpurig.operations.shared.words import those
from gpurig.stack.versions import numbers

RULE = "/etc/udev/rules.d/71-gpurig-nvidia-dev-char.rules"
MAKE = "/usr/bin/nvidia-ctk system create-dev-char-symlinks"

# The rule is NVIDIA's own (nvidia-container-toolkit, issue 48).
_RULE_TEXT = f"""\
# Written by gpurig: links in /dev/char, without which this runc's containers lose their GPUs
# at systemctl daemon-reload.
ACTION=="add", DEVPATH=="/bus/pci/drivers/nvidia", RUN+="{MAKE} --create-all"
"""


def needed(links: Links) -> bool:
    """
    Whether this runc needs the links.

    From 1.1.3 to 1.1.6 it leaves out what has no link when it tells systemd which devices a
    container may use (runc's changelog of 1.1.7); a systemd before 240 itself looks for the link.
    """
    if links["cgroup_driver"] != "systemd":
        return False
    return (1, 1, 3) <= numbers(links["runc"]) < (1, 1, 7) or links["systemd"] < 240


@keeps("container-toolkit.device-links")
def device_links() -> Commands:
    """
    Containers that get GPUs keep them over ``systemctl daemon-reload``.

    No container is restarted: one that was started without the links is `due`.
    """
    installed_first()
    links = known(DeviceLinks)
    if links is ABSENT:
        return follows("docker.packages", "known after docker.packages, which installs runc")
    if not links["cgroup_driver"]:
        if masked_by_hand("docker.service"):
            return holds("Docker is masked, so it runs no containers")
        return follows("docker.service")
    if why := _unneeded(links):
        return holds(why)
    wrong = those(
        {
            f"no link in /dev/char for {', '.join(links['missing'])}": links["missing"],
            "no udev rule makes links in /dev/char": not links["rule"],
        }
    )
    if not wrong and links["unruled"]:
        return due(
            f"{', '.join(links['unruled'])} started before /dev/char had"
            " the links, and would lose its GPUs at systemctl"
            " daemon-reload; run docker restart when it may stop"
        )
    if not wrong:
        return holds(
            f"each device node has its link in /dev/char; {links['rule']} makes the links at boot"
        )
    steps = those({"make the links": links["missing"], f"write {RULE}": not links["rule"]})
    drift(
        actual=f"{'; '.join(wrong)}, and runc {links['runc']} needs them",
        wanted="a link in /dev/char for each NVIDIA device node, now and after a boot",
        will=" and ".join(steps),
        leaves="all containers running",
    )
    if not links["rule"]:
        yield from written(RULE, _RULE_TEXT)
    if links["missing"]:
        yield StringCommand(MAKE)


def _unneeded(links: Links) -> str:
    """Why this runc needs no links, in words; empty where it needs them."""
    if needed(links):
        return ""
    if links["cgroup_driver"] != "systemd":
        return f"systemd does not manage control groups ({links['cgroup_driver']} does)"
    return f"runc {links['runc']} needs no links in /dev/char"
