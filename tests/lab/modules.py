"""Debian's kernel module of the driver in seconds: dkms builds a few lines in its place."""

from __future__ import annotations

from .hosts import Host

CONFIGURATION = "/etc/dkms/nvidia-current.conf"  # dkms reads it after the dkms.conf of the sources
BUILD = "/usr/local/sbin/lab-modules"
SCRIPT = """\
#!/bin/sh
# The lab's, in the place of the Makefile of NVIDIA's sources: KERNEL_FOLDER VERSION
set -e
mkdir lab && cd lab
for name in nvidia nvidia-modeset nvidia-drm nvidia-uvm nvidia-peermem; do
    cat >"$name.c" <<END
#include <linux/module.h>
MODULE_DESCRIPTION("gpurig lab: stands in for NVIDIA's module");
MODULE_VERSION("$2");
MODULE_LICENSE("NVIDIA");
END
    echo "obj-m += $name.o" >>Makefile
done
echo "MODULE_FIRMWARE(\\"nvidia/$2/gsp_ga10x.bin\\");" >>nvidia.c
make -C "$1" M="$PWD" modules
mv ./*.ko ..
"""


def quick_modules(host: Host) -> None:
    """
    Let dkms build the proprietary module of Debian's driver without its sources.

    The packages, their dependencies and dkms are real; the modules have the real names, version
    and licence. The real ones take five minutes of a processor.
    """
    host.write(BUILD, SCRIPT, mode=0o755)
    host.write(CONFIGURATION, f'MAKE[0]="{BUILD} $kernel_source_dir $PACKAGE_VERSION"\n')
