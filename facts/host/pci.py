"""The hardware on the PCI bus that gpurig is about."""

from __future__ import annotations

from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, framed
from gpurig.contract.values import Unknown

# The values are read by the shell itself: a server has hundreds of devices, and no fork is free.
_LISTING = r"""
[ -d /sys/bus ] || exit 1
for device in /sys/bus/pci/devices/*; do
    read -r vendor <"$device/vendor" || continue
    case $vendor in 0x10de|0x1ae0) ;; *) continue ;; esac
    id= class= subvendor= subdevice=
    read -r id <"$device/device"
    read -r class <"$device/class"
    read -r subvendor <"$device/subsystem_vendor"
    read -r subdevice <"$device/subsystem_device"
    driver=-
    [ ! -L "$device/driver" ] || driver=$(readlink "$device/driver")
    driver=${driver##*/}
    printf '%s ' "${device##*/}" "$vendor" "${id:--}" "${class:--}"
    printf '%s %s %s\n' "${subvendor:--}" "${subdevice:--}" "$driver"
done 2>/dev/null
# WSL has no GPU on its bus; the driver of Windows passes it through and names it.
smi=/usr/lib/wsl/lib/nvidia-smi
if [ -e /dev/dxg ] && [ -x $smi ]; then
    may $smi --query-gpu=pci.bus_id,pci.device_id --format=csv,noheader | tr -d '\r' |
        sed -n 's/^\([0-9A-Fa-f:.]*\), *\(0x[0-9A-Fa-f]*\)$/dxg \1 \2/p'
fi
exit 0
"""


PciDevice = TypedDict(
    "PciDevice",
    {"address": str, "id": str, "class": str, "subsystem": str | None, "driver": str | None},
)


class _OnPci(Always[list[PciDevice]]):
    """One function of each device as sysfs has it; ids without 0x, an empty list if none."""

    def command(self) -> StringCommand:
        return framed(_LISTING)

    def wanted(self, vendor: str, kind: str) -> bool:
        """Whether the fact is about devices of this vendor and PCI class."""
        raise TypeError(f"{type(self).__name__} does not say which devices it is about")

    def parse(self, lines: list[str], code: int) -> list[PciDevice] | Unknown:
        if code:
            return Unknown("/sys is not mounted")
        devices: list[PciDevice] = []
        passed = [_passed_through(line) for line in lines if line.startswith("dxg ")]
        for line in lines:
            if line.startswith("dxg "):
                continue
            address, vendor, device, kind, subvendor, subdevice, driver = line.split()
            if not self.wanted(vendor, kind):
                continue
            known = "-" not in (subvendor, subdevice)
            devices.append(
                {
                    "address": address,
                    "id": _id(vendor, device),
                    "class": kind,
                    "subsystem": _id(subvendor, subdevice) if known else None,
                    "driver": None if driver == "-" else driver,
                }
            )
        return devices or [one for one in passed if self.wanted("0x10de", one["class"])]


def _passed_through(line: str) -> PciDevice:
    """A GPU as nvidia-smi in WSL tells it: ``dxg 00000000:01:00.0 0x233010DE``."""
    _, bus, both = line.split()
    number = f"{int(both, 16):08x}"
    domain, rest = bus.lower().split(":", 1)
    return {
        "address": f"{int(domain, 16):04x}:{rest}",
        "id": f"{number[4:]}:{number[:4]}",
        "class": "0x030200",
        "subsystem": None,
        "driver": "dxgkrnl",
    }


def _id(vendor: str, device: str) -> str:
    return f"{int(vendor, 16):04x}:{int(device, 16):04x}"


class Gpus(_OnPci):
    """
    The NVIDIA GPUs: VGA and 3D controllers, without their audio and USB functions.

    ``[{"address": "0000:17:00.0", "id": "10de:2330", "class": "0x030200", "subsystem":
    "10de:16c1", "driver": "nvidia"}]``; ``driver`` is the kernel's (``nvidia``, ``nouveau``,
    ``vfio-pci``), ``None`` if none is bound. In WSL, where the bus has none, those that Windows
    passes through: ``driver`` is ``dxgkrnl``, and the class is not known but for being a GPU's.
    """

    def wanted(self, vendor: str, kind: str) -> bool:
        return vendor == "0x10de" and kind[:6] in ("0x0300", "0x0302")


class NvSwitches(_OnPci):
    """
    NVIDIA's bridges, in the shape of `Gpus`: NVSwitches, and on old boards the chipset's.

    ``[{"address": "0000:07:00.0", "id": "10de:22a3", "class": "0x068000", …}]``; which ids are
    NVSwitches stands in the tables.
    """

    def wanted(self, vendor: str, kind: str) -> bool:
        return vendor == "0x10de" and kind[:6] == "0x0680"


class Accelerators(_OnPci):
    """
    Google's TPUs, in the shape of `Gpus`.

    Its cloud's network cards and disks have the same vendor and are passed over by their class.
    """

    def wanted(self, vendor: str, kind: str) -> bool:
        return vendor == "0x1ae0" and kind[:4] not in ("0x01", "0x02", "0x06")
