"""The initramfs: it starts the next boot with today's configuration of GPU drivers."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra.api import StringCommand

from gpurig.contract.fact import read
from gpurig.contract.promise import drift, follows, holds, keeps, unknown
from gpurig.contract.values import ABSENT, Absent, Unknown
from gpurig.facts.driver.initramfs import FILE, IMAGE, NEXT, RECORD, Initramfs
from gpurig.facts.driver.modprobe import ModprobeConfig
from gpurig.operations.driver.modprobe import COMPETING
from gpurig.operations.shared.packages import ENVIRONMENT


@keeps("driver.initramfs")
def initramfs() -> Generator[StringCommand, None, None]:
    """The image of the next kernel was made with modprobe's present configuration of GPUs."""
    image, config = read(Initramfs), read(ModprobeConfig)
    for fact in (image, config):
        if isinstance(fact, Unknown):
            return unknown(fact.reason)
    if isinstance(config, Absent):
        return follows("driver.packages")
    assert isinstance(config, dict)
    if not set(COMPETING) <= set(config["blacklisted"]):
        return follows("driver.nouveau-blacklist")
    if image is ABSENT:
        return holds("the kernel that boots next has no initramfs")
    assert isinstance(image, dict)
    if image["made_for"] == config["checksum"]:
        return holds(f"that of {image['release']} was made with it")
    if not image["updatable"]:
        return unknown(f"that of {image['release']} has no update-initramfs or dracut to make it")
    drift(
        actual=f"that of {image['release']} was made with another configuration",
        wanted="modprobe's present configuration",
        will=f"make that of {image['release']} anew",
    )
    record = f"{RECORD}.new"
    yield StringCommand(
        f"{NEXT}; {FILE}; if command -v update-initramfs >/dev/null; then"
        f' {ENVIRONMENT} update-initramfs -u -k "$k"; else dracut --force "$i" "$k"; fi &&'
        " mkdir -p /var/lib/gpurig &&"
        f' echo "$k $({IMAGE}) {config["checksum"]}" > {record} && mv -f {record} {RECORD}'
    )
