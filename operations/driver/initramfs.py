"""The initramfs: it starts the next boot with today's configuration of GPU drivers."""

from __future__ import annotations

from pyinfra.api import StringCommand

from gpurig.contract.known import known
from gpurig.contract.promise import Commands, drift, follows, holds, keeps, unknown
from gpurig.contract.values import ABSENT
from gpurig.facts.driver.initramfs import FILE, IMAGE, NEXT, RECORD, Image, Initramfs
from gpurig.facts.driver.modprobe import ModprobeConfig
from gpurig.operations.driver.modprobe import COMPETING
from gpurig.operations.shared.apt_get import ENVIRONMENT


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
        actual=_wrong(image),
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


def _wrong(image: Image) -> str:
    """What is known of an image that may have another configuration than modprobe has now."""
    release = image["release"]
    if image["remade"]:
        return f"the initramfs of {release} has another size or time than when gpurig made it"
    if not image["made_for"]:
        return f"gpurig did not make the initramfs of {release}"
    return f"the initramfs of {release} has an older configuration of modprobe"
