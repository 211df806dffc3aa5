"""Links in /dev/char, so that containers keep their GPUs over `systemctl daemon-reload`."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra.api import FileUploadCommand, StringCommand

from gpurig.contract.fact import read
from gpurig.contract.promise import drift, due, follows, holds, keeps, unknown
from gpurig.contract.values import ABSENT, Unknown
from gpurig.facts.container_toolkit.device_links import DeviceLinks, Links
from gpurig.facts.container_toolkit.toolkit import ToolkitVersion
from gpurig.facts.host.systemd import Units
from gpurig.operations.shared.file import written
from gpurig.operations.shared.systemd import masked
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
def device_links() -> Generator[StringCommand | FileUploadCommand, None, None]:
    """
    Containers that get GPUs keep them over ``systemctl daemon-reload``.

    No container is restarted: one that was started without the links is `due`.
    """
    if read(ToolkitVersion) is ABSENT:
        return follows("container-toolkit.packages")
    links = read(DeviceLinks)
    if isinstance(links, Unknown):
        return unknown(links.reason)
    if links is ABSENT:
        return follows("docker.packages", "known after docker.packages, which brings runc")
    assert isinstance(links, dict)
    if not links["cgroup_driver"]:
        units = read(Units, units="docker.service")
        if isinstance(units, dict) and masked(units):
            return holds("Docker is masked, so that no container of its runs")
        return follows("docker.service")
    if not needed(links):
        if links["cgroup_driver"] != "systemd":
            return holds(f"systemd does not manage control groups ({links['cgroup_driver']} does)")
        return holds(f"runc {links['runc']} needs no links in /dev/char")
    wrong = [f"no link in /dev/char for {', '.join(links['missing'])}"] if links["missing"] else []
    wrong += [] if links["rule"] else ["no udev rule makes links in /dev/char"]
    if not wrong:
        if links["unruled"]:
            return due(
                f"{', '.join(links['unruled'])} started before there were links in /dev/char and"
                " keeps no GPU over systemctl daemon-reload; run docker restart when it may stop"
            )
        return holds(f"each device node has its link in /dev/char; at boot by {links['rule']}")
    drift(
        actual=f"{'; '.join(wrong)}, and runc {links['runc']} needs them",
        wanted="a link in /dev/char for each NVIDIA device node, now and after a boot",
        will=" and ".join(
            [
                *(["make the links"] if links["missing"] else []),
                *([] if links["rule"] else [f"write {RULE}"]),
            ]
        ),
        leaves="all containers running",
    )
    if not links["rule"]:
        yield from written(RULE, _RULE_TEXT)
    if links["missing"]:
        yield StringCommand(MAKE)
