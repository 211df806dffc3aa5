"""The initramfs: it starts the next boot with today's configuration of GPU drivers."""

from __future__ import annotations

from pyinfra.api import StringCommand

from gpurig.contract.known import known
from gpurig.contract.promise import Commands, drift, follows, holds, keeps, unknown
from gpurig.contract.values import ABSENT
from gpurig.facts.driver.initramfs import DRACUT, FILE, IMAGE, NEXT, RECORD, Image, Initramfs
from gpurig.facts.driver.modprobe import ModprobeConfig
from gpurig.operations.driver.modprobe import COMPETING
from gpurig.operations.shared.apt_get import ENVIRONMENT
from gpurig.operations.shared.file import written

_DRACUT_TEXT = """\
# Written by gpurig: images have modprobe's configuration, also those that are for any host.
install_optional_items+=" /etc/modprobe.d/*.conf "
"""

_COMPETING = "|".join(COMPETING)
# Makes the image $i of kernel $k, and looks into it: each file that keeps a competing driver from
# the GPU is there. What is told of a failure is its first error; what follows is of no help.
_MADE = rf"""
failed() {{ echo "E: the initramfs of $k $1" >&2; exit 1; }}
made() {{
 if command -v update-initramfs >/dev/null; then {ENVIRONMENT} update-initramfs -u -k "$k"
 else LC_ALL=C dracut --force "$i" "$k"; fi 2>&1
}}
said=$(made) || {{
 first=$(printf '%s\n' "$said" | grep -m 1 -iE '^E:|error|fatal|cannot|failed|no space')
 failed "was not made: ${{first:-$(printf '%s\n' "$said" | tail -n 1)}}"
}}
if command -v lsinitramfs >/dev/null; then listed=$(lsinitramfs "$i")
else listed=$(LC_ALL=C lsinitrd "$i"); fi || failed 'cannot be listed'
for f in /etc/modprobe.d/*.conf /usr/local/lib/modprobe.d/*.conf /usr/lib/modprobe.d/*.conf; do
 [ -z "$(sed -nE '/^[[:space:]]*blacklist[[:space:]]+({_COMPETING})/p' "$f" 2>/dev/null)" ] ||
 case $listed in *"modprobe.d/${{f##*/}}"*) ;; *) failed "was made without $f" ;; esac
done
mkdir -p /var/lib/gpurig
"""


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
    carries = image["carries"] or image["maker"] != "dracut"
    if image["made_for"] == config["checksum"] and carries:
        return holds(f"the initramfs of {image['release']} has modprobe's current configuration")
    if not image["maker"]:
        return unknown(
            "the host has neither update-initramfs nor dracut to make"
            f" the initramfs of {image['release']}"
        )
    write = "" if carries else f"write {DRACUT} and "
    drift(
        actual=_wrong(image),
        wanted="modprobe's current configuration",
        will=f"{write}make the initramfs of {image['release']} again",
    )
    if not carries:
        yield from written(DRACUT, _DRACUT_TEXT)
    record = f"{RECORD}.new"
    yield StringCommand(
        f'{NEXT}; {FILE}{_MADE}echo "$k $({IMAGE}) {config["checksum"]}" > {record} &&'
        f" mv -f {record} {RECORD}"
    )


def _wrong(image: Image) -> str:
    """What is known of an image that may have another configuration than modprobe has now."""
    release = image["release"]
    if image["maker"] == "dracut" and not image["carries"]:
        return "dracut copies no file of /etc/modprobe.d into its images"
    if image["remade"]:
        return f"the initramfs of {release} has another size or time than when gpurig made it"
    if not image["made_for"]:
        return f"gpurig did not make the initramfs of {release}"
    return f"the initramfs of {release} has an older configuration of modprobe"
