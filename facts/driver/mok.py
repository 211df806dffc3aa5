"""The keys that Secure Boot takes modules from: dkms's own, and those that are enrolled."""

from __future__ import annotations

import re
from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, framed
from gpurig.contract.values import Unknown
from gpurig.facts.driver.kernel_modules import serial

# Where dkms keeps its certificate: what its configuration says, else shim's own place on Ubuntu
# and what is made of it.
# /proc/keys has those that the kernel was built with, or took over from the firmware.
_KEYS = r"""
file=$(for f in /etc/dkms/framework.conf /etc/dkms/framework.conf.d/*.conf; do
    [ ! -e "$f" ] || sed -n 's/^mok_certificate=//p' "$f"; done | tail -n 1 | tr -d "\"'")
if [ -z "$file" ]; then
    file=/var/lib/dkms/mok.pub
    [ -z "$([ ! -e /etc/os-release ] || sed -nE '/^ID(_LIKE)?=.*ubuntu/p' /etc/os-release)" ] ||
        file=/var/lib/shim-signed/mok/MOK.der
fi
printf 'certificate %s\n' "$file"
if [ -s "$file" ]; then
    printf 'own %s\n' "$(openssl x509 -inform DER -in "$file" -noout -serial 2>&1)"
fi
[ ! -r /proc/keys ] || sed -n 's/.* asymmetri \(.*\): [0-9a-f]*: .*/trusted \1/p' /proc/keys
tool mokutil mokutil || exit 0
echo mokutil
for list in enrolled new; do
    said=$(LC_ALL=C mokutil --list-$list 2>&1); status=$?
    # It ends with 1 where a list is empty, and says so.
    case $status:$said in 0:*|1:?*) ;; *) unread mokutil $status ;; esac
    case $status:$said in 1:*'Serial Number'*) unread mokutil 1 ;; esac
    printf '%s\n' "$said" |
        sed -n "/Serial Number:/{s/^ */$list /p;n;s/^ */$list /p}; /^Failed/s/^/$list /p"
done
exit 0
"""

_SHORT = re.compile(r"Serial Number: \d+ \(0x([0-9a-f]+)\)")
_LONG = re.compile(r"(?:[0-9a-f]{2}:)+[0-9a-f]{2}")


class Keys(TypedDict):
    """
    + certificate: the path of the one that dkms signs with
    + serial: its serial number, empty while there is none; as ``openssl x509 -serial`` has it
    + mokutil: whether it is installed; without it the next two are empty
    + enrolled, pending: serial numbers of the machine owner's keys, and of those that wait to be
      confirmed at the next boot
    + trusted: names of the keys in the kernel's own keyrings
    """

    certificate: str
    serial: str
    mokutil: bool
    enrolled: list[str]
    pending: list[str]
    trusted: list[str]


class Mok(Always[Keys]):
    """
    The machine owner's keys.

    ``{"certificate": "/var/lib/dkms/mok.pub", "serial": "21B3C101", "mokutil": True, "enrolled":
    ["21B3C101"], "pending": [], "trusted": ["Debian Secure Boot CA"]}``
    """

    def command(self) -> StringCommand:
        return framed(_KEYS)

    def parse(self, lines: list[str], code: int) -> Keys | Unknown:
        said: dict[str, list[str]] = {
            "certificate": [], "own": [], "trusted": [], "enrolled": [], "new": [],
        }  # fmt: skip
        for line in lines:
            word, _, rest = line.partition(" ")
            if line == "mokutil":
                continue
            said[word].append(rest)
        own = said["own"][0].strip() if said["own"] else ""
        if own and not own.startswith("serial="):
            return Unknown(f"{said['certificate'][0]} is not a certificate: {own[:80]}")
        failed = [text for text in said["enrolled"] + said["new"] if text.startswith("Failed")]
        if failed:
            return Unknown(f"mokutil printed: {failed[0]}")
        return Keys(
            certificate=said["certificate"][0],
            serial=serial(own.removeprefix("serial=")),
            mokutil="mokutil" in lines,
            enrolled=_serials(said["enrolled"]),
            pending=_serials(said["new"]),
            trusted=said["trusted"],
        )


def _serials(lines: list[str]) -> list[str]:
    """The serial numbers in what mokutil lists: short ones on the line, long ones on the next."""
    found = []
    for at, line in enumerate(lines):
        if short := _SHORT.fullmatch(line.strip()):
            found.append(serial(short[1]))
        elif line.strip() == "Serial Number:":
            found += [serial(one) for one in lines[at + 1 : at + 2] if _LONG.fullmatch(one.strip())]
    return found
