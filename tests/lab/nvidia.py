"""
A stand-in of NVIDIA's CUDA repository for Debian 13: real names, versions and relations, no driver.

The relations are as far as they are public: the names and versions from hosts that have NVIDIA's
packages, the rest after Debian's packages of the same driver. The kernel module is a few lines
that dkms really builds, with the real module's name, version and licence.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import services
from .commands import run
from .debs import make_deb
from .repository import publish_flat, signing_key

if TYPE_CHECKING:
    from .lab import Lab

VERSIONS = ("580.95.05", "595.71.05", "620.70.06")
CUDNN = ("9.10.2.21-1", "9.20.0.48-1")
KEY_FILE = "8793F200.pub"
MAINTAINER = "NVIDIA <cudatools@nvidia.com>"
LIBRARIES = "usr/lib/x86_64-linux-gnu"
LICENCES = {"open": "Dual MIT/GPL", "proprietary": "NVIDIA"}
MODULES = {"open": "nvidia-kernel-open-dkms", "proprietary": "nvidia-kernel-dkms"}

MODULE = """\
#include <linux/module.h>
static int __init nvidia_init(void) { return 0; }
static void __exit nvidia_exit(void) { }
module_init(nvidia_init);
module_exit(nvidia_exit);
MODULE_DESCRIPTION("gpurig lab: stands in for NVIDIA's module");
MODULE_VERSION("%s");
MODULE_LICENSE("%s");
"""
DKMS = """\
PACKAGE_NAME="nvidia"
PACKAGE_VERSION="%s"
BUILT_MODULE_NAME[0]="nvidia"
DEST_MODULE_LOCATION[0]="/updates/dkms"
MAKE[0]="make -C $kernel_source_dir M=$dkms_tree/nvidia/%s/build modules"
CLEAN="true"
AUTOINSTALL="yes"
"""
# What dh_dkms writes.
POSTINST = """\
#!/bin/sh
set -e
if [ "$1" = configure ]; then
    /usr/lib/dkms/common.postinst nvidia %s "" "" "$2"
fi
"""
PRERM = """\
#!/bin/sh
set -e
case $1 in remove|upgrade|deconfigure)
    [ "$(dkms status -m nvidia -v %s)" ] && dkms remove -m nvidia -v %s --all || :
esac
"""
UNIT = """\
[Unit]
Description=gpurig lab: stands in for NVIDIA's %s
[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
"""
PINS = """\
Package: nvidia* libnvidia* libcuda1 cuda-drivers* firmware-nvidia* xserver-xorg-video-nvidia*
Pin: version %s.*
Pin-Priority: 1001
"""


@dataclass(frozen=True)
class Nvidia:
    """
    Where it is: ``rig_repositories = {"nvidia": {"url": url, "fingerprint": fingerprint}}``.

    + url: what the distribution's name and the architecture follow
    """

    url: str
    fingerprint: str

    @property
    def uri(self) -> str:
        """The flat repository of Debian 13."""
        return f"{self.url}/debian13/x86_64"

    @property
    def key_url(self) -> str:
        """Where its key is."""
        return f"{self.uri}/{KEY_FILE}"


def nvidia(
    lab: Lab,
    name: str = "nvidia",
    versions: tuple[str, ...] = VERSIONS,
    keys: Path | None = None,
    fingerprint: str = "",
    broken: str = "",
) -> Nvidia:
    """
    Publish it, under a name of the test's own where it differs from the others'.

    + versions: of the driver
    + keys, fingerprint: a GnuPG home and the key in it that signs, in place of the lab's own
    + broken: the flavour whose module does not compile
    """
    keys = keys or lab.folder / "gnupg"
    fingerprint = fingerprint or signing_key(keys)
    place = lab.folder / "repositories" / name / "debian13/x86_64"
    with tempfile.TemporaryDirectory() as scratch:
        packages = Path(scratch)
        for version in versions:
            _driver(packages, version, broken)
        _others(packages)
        publish_flat(place, sorted(packages.glob("*.deb")), keys, fingerprint, "NVIDIA")
    key = run("gpg", "--homedir", keys, "--armor", "--export", fingerprint)
    (place / KEY_FILE).write_text(key)
    return Nvidia(f"{services.WEB}/repositories/{name}", fingerprint)


def _driver(folder: Path, version: str, broken: str = "") -> None:
    """One version of the driver, both flavours, and what pins its branch."""
    same, branch = f"(= {version}-1)", version.partition(".")[0]

    def package(name: str, **fields: str) -> None:
        _deb(folder, name, f"{version}-1", fields)

    for library, soname in (("libcuda", "libcuda.so.1"), ("libnvidia-ml", "libnvidia-ml.so.1")):
        depends = {"libcuda": f"libnvidia-ptxjitcompiler1 {same}"}.get(library, "")
        _deb(
            folder,
            f"{library}1",
            f"{version}-1",
            {"Depends": depends, "Conflicts": "nvidia-alternative", "Multi-Arch": "same"},
            {f"{LIBRARIES}/{library}.so.{version}": _library(soname)},
            links={f"{LIBRARIES}/{soname}": f"{library}.so.{version}"},
        )
    package("libnvidia-ptxjitcompiler1")
    package("libnvidia-cfg1")
    gsp = {f"lib/firmware/nvidia/{version}/gsp_ga10x.bin": "stand-in\n"}
    _deb(folder, "firmware-nvidia-gsp", f"{version}-1", {}, gsp)
    package("nvidia-modprobe")
    package("nvidia-kernel-support", Depends="nvidia-modprobe", Conflicts="nvidia-alternative")
    for flavour, name in MODULES.items():
        other = next(each for each in MODULES.values() if each != name)
        _deb(
            folder,
            name,
            f"{version}-1",
            {
                "Depends": f"dkms, nvidia-kernel-support {same}, firmware-nvidia-gsp {same}",
                "Conflicts": other,
                "Replaces": other,
                "Provides": f"nvidia-kernel-dkms-any (= {version}), nvidia-kernel-{version}",
            },
            {
                f"usr/src/nvidia-{version}/nvidia.c": MODULE % (version, LICENCES[flavour])
                + ("pci_resize_resource(dev);\n" if flavour == broken else ""),
                f"usr/src/nvidia-{version}/Makefile": "obj-m := nvidia.o\n",
                f"usr/src/nvidia-{version}/dkms.conf": DKMS % (version, version),
                "DEBIAN/postinst": POSTINST % version,
                "DEBIAN/prerm": PRERM % (version, version),
            },
        )
    _deb(
        folder,
        "nvidia-persistenced",
        f"{version}-1",
        {"Depends": f"libnvidia-cfg1 {same}"},
        _unit("nvidia-persistenced"),
    )
    _deb(
        folder,
        "nvidia-driver-cuda",
        f"{version}-1",
        {
            "Depends": f"libcuda1 {same}, libnvidia-ml1 {same}, nvidia-persistenced {same},"
            f" nvidia-kernel-dkms {same} | nvidia-kernel-open-dkms {same}",
            "Conflicts": "nvidia-smi", "Replaces": "nvidia-smi", "Provides": "nvidia-smi",
        },
        {"usr/bin/nvidia-smi": f"#!/bin/sh\necho 'Driver Version: {version}'\n"},
    )  # fmt: skip
    package("nvidia-open", Depends=f"nvidia-driver-cuda {same}, nvidia-kernel-open-dkms {same}")
    package("cuda-drivers", Depends=f"nvidia-driver-cuda {same}, nvidia-kernel-dkms {same}")
    _deb(
        folder,
        f"nvidia-driver-pinning-{branch}",
        f"{branch}-1",
        {
            "Provides": "nvidia-driver-pinning",
            "Conflicts": "nvidia-driver-pinning",
            "Replaces": "nvidia-driver-pinning",
        },
        {f"etc/apt/preferences.d/nvidia-driver-pinning-{branch}": PINS % branch},
    )
    fabric = "nvidia-fabricmanager" + ("" if int(branch) >= 590 else f"-{branch}")
    _deb(folder, fabric, f"{version}-1", {}, _unit("nvidia-fabricmanager"))


def _others(folder: Path) -> None:
    """What else is wanted of the repository: cuDNN, empty, and the toolkit with an nvcc."""
    home = "usr/local/cuda-13.0"
    nvcc = "#!/bin/sh\necho 'Cuda compilation tools, release 13.0, V13.0.88'\n"
    files = {f"{home}/bin/nvcc": nvcc, f"{home}/lib64/libcudart.so.13": _library("libcudart.so.13")}
    _deb(folder, "cuda-nvcc-13-0", "13.0.88-1", {}, files)
    link = f"#!/bin/sh\nupdate-alternatives --install /usr/local/cuda cuda /{home} 130\n"
    depends = {"Depends": "cuda-nvcc-13-0"}
    _deb(folder, "cuda-toolkit-13-0", "13.0.2-1", depends, {"DEBIAN/postinst": link})
    for version in CUDNN:
        _deb(folder, "libcudnn9-cuda-12", version, {})
        depends = {"Depends": f"libcudnn9-cuda-12 (= {version})"}
        _deb(folder, "libcudnn9-dev-cuda-12", version, depends)


def _unit(name: str) -> dict[str, str]:
    """A unit that its package enables and starts, as far as there is a systemd."""
    postinst = f'#!/bin/sh\n[ "$1" != configure ] || systemctl enable {name}.service || :\n'
    return {f"usr/lib/systemd/system/{name}.service": UNIT % name, "DEBIAN/postinst": postinst}


def _deb(
    folder: Path,
    name: str,
    version: str,
    fields: Mapping[str, str],
    files: Mapping[str, str | bytes] | None = None,
    links: Mapping[str, str] | None = None,
) -> None:
    """One package of NVIDIA's."""
    make_deb(folder, name, version, {"Maintainer": MAINTAINER, **fields}, files, links)


def _library(soname: str) -> bytes:
    """The smallest shared object that ldconfig lists under a soname."""
    strings = b"\0" + soname.encode() + b"\0"
    header, program = 64, 56
    dynamic = header + 2 * program
    entries = ((14, 1), (5, dynamic + 4 * 16), (10, len(strings)), (0, 0))  # SONAME STRTAB STRSZ
    table = b"".join(struct.pack("<QQ", *entry) for entry in entries)
    size = dynamic + len(table) + len(strings)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    elf = ident + struct.pack(
        "<HHIQQQIHHHHHH", 3, 62, 1, 0, header, 0, 0, header, program, 2, 0, 0, 0
    )
    load = struct.pack("<IIQQQQQQ", 1, 6, 0, 0, 0, size, size, 4096)
    place = struct.pack("<IIQQQQQQ", 2, 6, dynamic, dynamic, dynamic, len(table), len(table), 8)
    return elf + load + place + table + strings
