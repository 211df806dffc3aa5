"""The initramfs: it starts the next boot with today's configuration of GPU drivers."""

from __future__ import annotations

from pyinfra.api import StringCommand

from gpurig.contract.known import known
from gpurig.contract.promise import Commands, drift, follows, holds, keeps, unknown
from gpurig.contract.values import ABSENT
from gpurig.facts.driver.initramfs import FILE, IMAGE, NEXT, RECORD, Initramfs
from gpurig.facts.driver.modprobe import ModprobeConfig
from gpurig.operations.driver.modprobe import COMPETING
from gpurig.operations.shared.packages import ENVIRONMENT


@keeps("driver.initramfs")
def initramfs() -> Commands:
    """The image of the next kernel was made with modprobe's present configuration of GPUs."""
    image, config = known(Initramfs), known(ModprobeConfig)
    if config is ABSENT:
        return follows("driver.packages")
    if not set(COMPETING) <= set(config["blacklisted"]):
        return follows("driver.nouveau-blacklist")
    if image is ABSENT:
        return holds("the kernel that boots next has no initramfs")
    if image["made_for"] == config["checksum"]:
        return holds(f"the initramfs of {image['release']} has modprobe's current configuration")
    if not image["updatable"]:
        return unknown(
            "the host has neither update-initramfs nor dracut to make"
            f" the initramfs of {image['release']}"
        )
    drift(
        actual=f"the initramfs of {image['release']} has an older configuration of modprobe",
        wanted="modprobe's current configuration",
        will=f"make the initramfs of {image['release']} again",
    )
    record = f"{RECORD}.new"
    yield StringCommand(
        f"{NEXT}; {FILE}; if command -v update-initramfs >/dev/null; then"
        f' {ENVIRONMENT} update-initramfs -u -k "$k"; else dracut --force "$i" "$k"; fi &&'
        " mkdir -p /var/lib/gpurig &&"
        f' echo "$k $({IMAGE}) {config["checksum"]}" > {record} && mv -f {record} {RECORD}'
    )
