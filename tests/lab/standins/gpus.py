"""The kinds of GPU that the lab has, as NVML describes them."""

from __future__ import annotations

from dataclasses import dataclass

MOST = 8  # GPUs of a host, as many as NVML's stand-in has place for


@dataclass(frozen=True)
class Kind:
    """
    One kind of GPU; ids as ``vendor:device``, memory in bytes, power in milliwatts.

    + uuid, serial: of the first one; the last digit counts up
    + buses: of the PCI bus ids of GPU 0 to 7, in hexadecimal
    + brand, architecture: nvmlBrandType_t and nvmlDeviceArchitecture_t
    + mig_devices: into how many MIG devices one can be divided
    """

    name: str
    uuid: str
    serial: str
    pci: str
    subsystem: str
    buses: str
    memory: int
    memory_free: int
    capability: str
    architecture: int
    mig_devices: int
    power: int
    power_limit: int
    temperature: int
    vbios: str
    part: str
    brand: int = 14


# As recorded (tests/data/recorded/pynvml), but for buses of more GPUs than were recorded.
KINDS = {
    "t4": Kind(
        name="NVIDIA T4", uuid="GPU-00000074-0000-0000-0000-000000000000", serial="0421819085400",
        pci="10de:1eb8", subsystem="10de:12a2", buses="3b 3c 5e 5f 86 87 af b0",
        memory=17179869184, memory_free=16865296384, capability="7.5", architecture=6,
        mig_devices=0, power=12000, power_limit=70000, temperature=30,
        vbios="90.04.84.00.06", part="900-2G183-0000-000",
    ),
    "a100": Kind(
        name="NVIDIA A100-SXM4-40GB", uuid="GPU-12345678-1234-1234-1234-123456780000",
        serial="1324821083800", pci="10de:20b0", subsystem="10de:1347",
        buses="07 0f 47 4e 87 90 b7 bd",
        memory=42949672960, memory_free=42338353152, capability="8.0", architecture=7,
        mig_devices=7, power=72000, power_limit=400000, temperature=33,
        vbios="92.00.45.00.03", part="692-2G506-0200-002",
    ),
    "l40s": Kind(
        name="NVIDIA L40S", uuid="GPU-14050000-0000-0000-0000-000000000000",
        serial="1562830094500", pci="10de:26b5", subsystem="10de:1697",
        buses="17 31 4b 65 98 b1 ca e3",
        memory=51539607552, memory_free=51002736640, capability="8.9", architecture=8,
        mig_devices=0, power=45000, power_limit=350000, temperature=32,
        vbios="95.02.5C.00.03", part="900-2G133-0020-000",
    ),
    "h100": Kind(
        name="NVIDIA H100 80GB HBM3", uuid="GPU-01000100-0000-0000-0000-000000000000",
        serial="1562821083900", pci="10de:2330", subsystem="10de:1658",
        buses="1a 1b 4a 4b 8a 8b ca cb",
        memory=85899345920, memory_free=84825604096, capability="9.0", architecture=9,
        mig_devices=7, power=95000, power_limit=700000, temperature=34,
        vbios="96.00.74.00.09", part="699-21010-0200-000",
    ),
    "b200": Kind(
        name="NVIDIA B200", uuid="GPU-b2000000-0000-0000-0000-000000000000",
        serial="1562849203700", pci="10de:2340", subsystem="10de:1818",
        buses="1a 1b 4a 4b 8a 8b ca cb",
        memory=206158430208, memory_free=205084688384, capability="10.0", architecture=10,
        mig_devices=7, power=130000, power_limit=1000000, temperature=35,
        vbios="96.00.A0.00.01", part="699-2G540-0200-000",
    ),
}  # fmt: skip
