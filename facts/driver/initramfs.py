"""The initramfs of the kernel that boots next, and what it was made with."""

from __future__ import annotations

from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown

RECORD = (
    "/var/lib/gpurig/initramfs"  # release, size and time of the image, checksum it was made for
)

DRACUT = "/etc/dracut.conf.d/gpurig-nvidia.conf"

# The image as it is now: another size or time means that somebody made it anew since.
FILE = 'i=/boot/initrd.img-$k; [ -e "$i" ] || i=/boot/initramfs-$k.img'  # Debian's name, Red Hat's
IMAGE = "stat -c '%s %Y' \"$i\""
NEXT = "k=$([ ! -d /boot ] || ls /boot | sed -n 's/^vmlinuz-//p' | LC_ALL=C sort -V | tail -n 1)"


class Image(TypedDict):
    """
    + release: of the kernel it belongs to
    + made_for: checksum of the modprobe configuration in it, empty where that is not known
    + remade: whether gpurig made it once, and it has had another size or time since
    + maker: what makes it here, ``update-initramfs`` or ``dracut``; empty where neither is there
    + carries: whether the maker copies /etc/modprobe.d into each image: dracut does for an image
      of this host alone, or where its configuration says so
    """

    release: str
    made_for: str
    remade: bool
    maker: str
    carries: bool


class Initramfs(Fact[Image]):
    """
    The image of the kernel that boots next; ABSENT where that kernel has none.

    What is inside is not read at each run (unpacking takes seconds): it was looked into when it was
    made, and its size and time are kept with the checksum of the configuration it was made from.

    ``{"release": "6.12.117+deb13-amd64", "made_for": "9f86d0…", "remade": False,
    "maker": "update-initramfs", "carries": True}``
    """

    def command(self) -> StringCommand:
        return framed(
            f'{NEXT}; {FILE}; [ -n "$k" ] && [ -e "$i" ] || exit 3; echo "$k";'
            " if tool update-initramfs initramfs-tools; then echo update-initramfs carries;"
            " elif tool dracut dracut; then for f in /etc/dracut.conf /etc/dracut.conf.d/*.conf; do"
            ' [ ! -e "$f" ] || sed -n '
            "'s|^[^#]*_items+*=.*/etc/modprobe.d/.*|carries|p' \"$f\"; done | tail -n 1 |"
            ' { read -r told || :; echo "dracut $told"; }; else echo; fi;'
            f" set -- $([ ! -e {RECORD} ] || cat {RECORD});"
            # an older gpurig kept fractions of a second, which not every stat tells
            f' if [ "$1 $2 ${{3%.*}}" = "$k $({IMAGE})" ]; then echo "$4";'
            ' elif [ "$1" = "$k" ]; then echo remade; else echo; fi'
        )

    def parse(self, lines: list[str], code: int) -> Image | Absent | Unknown:
        if code == 3:
            return ABSENT
        made_for = lines[2] if len(lines) > 2 else ""
        remade = made_for == "remade"
        maker, _, carries = lines[1].partition(" ")
        return Image(
            release=lines[0], made_for="" if remade else made_for, remade=remade,
            maker=maker, carries=carries == "carries",
        )  # fmt: skip
