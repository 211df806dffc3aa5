"""
NVIDIA's module for the next boot on a booted Debian 13, where the open one really does not build.

That takes minutes, and is a long test. A few lines of C stand in for the source: they have the
same fault against the same kernel, or none.
The second kernel is a copy of the first under an older name; GRUB is real, but for a stand-in
grub-probe, which finds no disk here; mokutil keeps its EFI variables in a folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from gpurig.contract.finding import Finding, Verdict
from gpurig.contract.values import as_json
from gpurig.errors import HostError
from gpurig.facts.driver.dkms import DkmsFailures
from gpurig.operations.driver import (
    boot_kernel,
    fabric_manager,
    firmware,
    modprobe,
    module,
    module_signature,
    nodes,
)
from lab.plugin import Boot

from .passes import Passes, all_hold

pytestmark = pytest.mark.lab

DKMS, VERSION = "nvidia-current-open", "550.163.01"
OLD = "6.12.100+deb13-cloud-amd64"
DROP_IN = "/etc/default/grub.d/gpurig.cfg"
MOK = "605dab50-e046-4300-abb6-3dd810dd8b23"

BARE = """
export DEBIAN_FRONTEND=noninteractive INITRD=No
sed -i 's/^Components: main$/Components: main contrib non-free non-free-firmware/' \
    /etc/apt/sources.list.d/debian.sources
apt-get -qq update
install() { apt-get -qq -y install --no-install-recommends "$@" >/dev/null 2>&1; }
install nvidia-open-kernel-dkms nvidia-persistenced libcuda1 libnvidia-ml1 grub2-common mokutil
chmod -x /etc/kernel/*/dkms  # one build, and that is ours: it takes minutes
install linux-image-cloud-amd64 linux-headers-cloud-amd64
ln -s /etc/nvidia/current-open/nvidia-modprobe.conf /etc/modprobe.d/nvidia.conf
cat >/usr/sbin/grub-probe <<'END'
#!/bin/sh
case "$*" in
*fs_uuid*) echo 6d1f1a7e-0b52-4a5c-9a8e-2f1f6f0a1b11 ;;
*target=device*) echo /dev/vda1 ;;
*partmap*) echo gpt ;;
*compat*) echo ;;
*) echo ext2 ;;
esac
END
chmod +x /usr/sbin/grub-probe
mkdir -p /boot/grub && update-grub 2>/dev/null
ls /boot | sed -n 's/^vmlinuz-//p'
"""

TINY = f"""
[ -e /root/real ] || cp -a /usr/src/{DKMS}-{VERSION} /root/real
cd /usr/src/{DKMS}-{VERSION} && rm -rf ./*
cat >{DKMS}.c <<'END'
#include <linux/module.h>
#include <linux/pci.h>
MODULE_LICENSE("Dual MIT/GPL");
MODULE_VERSION("{VERSION}");
MODULE_FIRMWARE("nvidia/{VERSION}/gsp_ga10x.bin");
END
echo 'obj-m := {DKMS}.o' >Makefile
cat >dkms.conf <<'END'
PACKAGE_NAME="{DKMS}"
PACKAGE_VERSION="{VERSION}"
BUILT_MODULE_NAME[0]="{DKMS}"
DEST_MODULE_LOCATION[0]="/updates/dkms"
MAKE[0]="make -C /lib/modules/$kernelver/build M=$dkms_tree/{DKMS}/{VERSION}/build modules"
AUTOINSTALL=yes
END
"""

FAULT = f"""
cat >>{DKMS}.c <<'END'
int fault(struct pci_dev *device);
int fault(struct pci_dev *device) {{ return pci_resize_resource(device, 0, 0); }}
END
"""

MANAGER = "nvidia-fabricmanager-550"
FABRIC = f"""
mkdir -p /srv/r && cd /srv/r
for v in 550.127.05-1 550.163.01-1 550.200.01-1; do
    d=p-$v && mkdir -p $d/DEBIAN $d/usr/lib/systemd/system
    printf '[Service]\\nExecStart=/bin/sleep infinity\\n[Install]\\nWantedBy=multi-user.target\\n' \
        >$d/usr/lib/systemd/system/nvidia-fabricmanager.service
    {{
        echo "Package: {MANAGER}"
        echo "Version: $v"
        echo "Architecture: amd64"
        echo "Maintainer: lab <lab@example.org>"
        echo "Description: stand-in"
    }} >$d/DEBIAN/control
    dpkg-deb --build $d $v.deb >/dev/null
    cat $d/DEBIAN/control >>Packages
    printf 'Filename: ./%s\\nSize: %s\\nSHA256: %s\\n\\n' $v.deb "$(stat -c %s $v.deb)" \
        "$(sha256sum $v.deb | cut -c1-64)" >>Packages
done
echo 'deb [trusted=yes] file:/srv/r ./' >/etc/apt/sources.list.d/fm.list
apt-get -qq update && apt-get -qq -y install {MANAGER}=550.127.05-1
"""

passes: Passes
newest: str
wish: str = "newest"  # rig_boot_kernel


def modules() -> None:
    """What a deploy asks for, in its order."""
    boot_kernel.boot_kernel(dkms=DKMS, boot=wish)
    module.module_for_next_boot(dkms=DKMS, flavour="open", boot=wish)
    module_signature.module_signature(dkms=DKMS)
    firmware.firmware(needed=True)
    module.persistenced(starts=False)


@pytest.fixture(scope="module", autouse=True)
def _host(boot: Boot) -> Iterator[None]:
    """A host with the open driver, a kernel and its headers, and no module built for it."""
    global passes, newest
    passes = Passes.over(boot("trixie", "drvmod", list_gpu=["10de:2330"]))
    newest = passes.shell(BARE).split()[-1]
    yield
    passes.link.close()


# What a person wrote for modprobe, and what is said of it.
AGAINST = {
    "install nvidia /bin/false": "install nvidia /bin/false (/etc/modprobe.d/aa.conf:2)",
    "blacklist nvidia": "blacklist nvidia (/etc/modprobe.d/aa.conf:2)",
    "install nvidia-uvm /bin/true": "install nvidia_uvm /bin/true (/etc/modprobe.d/aa.conf:2)",
    "blacklist nvidia-uvm": "",  # it is loaded by its name alone
    "alias nvidia off": "alias nvidia off (/etc/modprobe.d/aa.conf:2)",
    "blacklist nvidiafb": "",
    "options nvidia-current-open NVreg_RestrictProfilingToAdminUsers=0": "",
}


@pytest.mark.parametrize(("line", "said"), AGAINST.items(), ids=AGAINST)
def test_a_line_that_keeps_the_module_from_loading_is_named(line: str, said: str) -> None:
    """Nothing is built for it, since no build would help; it is the person's, and stays."""

    def chain() -> None:
        modprobe.nvidia_loads()
        module.module_for_next_boot(dkms=DKMS, flavour="open")

    passes.shell(f"printf '# mine\\n{line}\\n' > /etc/modprobe.d/aa.conf")
    found = passes.plan(chain)
    passes.shell("rm /etc/modprobe.d/aa.conf")
    loads, built = found["driver.modprobe"], found["driver.module-for-next-boot"]
    if not said:
        assert (loads.verdict, built.verdict) == (Verdict.HOLDS, Verdict.DRIFTED)
        return
    assert (loads.verdict, built.verdict) == (Verdict.DUE, Verdict.DUE)
    assert said in loads.reason


# The /sys of a booted host is a small file system of its own, without modules.
LOADED = (
    "mount -o remount,rw /sys; mkdir -p /sys/module/nvidia;"
    " echo 550.163.01 > /sys/module/nvidia/version"
)
MAKER = """#!/bin/sh
[ "$*" = '-c 0 -u' ] || exit 1
for node in nvidiactl nvidia-uvm; do mknod -m 666 /dev/$node c 1 3; done
"""


def test_nodes_of_a_driver_that_is_loaded_are_made() -> None:
    """By nvidia-modprobe, for which the test's own stands in; without a driver there are none."""

    def chain() -> None:
        nodes.device_nodes(users=("nobody",), assumed=False)

    assert "driver.loaded" in passes.plan(chain)["driver.device-nodes"].reason
    passes.host.write("/usr/local/bin/nvidia-modprobe", MAKER, mode=0o755)
    passes.shell(LOADED)
    assert all_hold(passes.up(chain, {"driver.device-nodes"}))
    passes.shell("rm /dev/nvidiactl; : > /dev/nvidiactl")
    found = passes.plan(chain)["driver.device-nodes"]
    assert (found.verdict, "is no device" in found.reason) == (Verdict.DUE, True)
    passes.shell("rm -r /sys/module; mount -o remount,ro /sys; rm /dev/nvidiactl /dev/nvidia-uvm"
                 " /usr/local/bin/nvidia-modprobe")  # fmt: skip


# What makes the node at boot, as packages and people write it.
RULE = 'KERNEL=="nvidia_uvm", RUN+="/usr/bin/nvidia-modprobe -c0 -u"'
MAKERS = {
    "/usr/lib/udev/rules.d/60-nvidia.rules": f"# first\n{RULE}\n",
    "/etc/systemd/system/multi-user.target.wants/uvm.service":
        "[Service]\nExecStart=/usr/bin/nvidia-modprobe --unified-memory\n",
}  # fmt: skip


def test_the_node_of_unified_memory_is_there_after_a_boot() -> None:
    """A rule makes it, ours where there is no other; one that udev does not read counts as none."""

    def chain() -> None:
        nodes.nodes_at_boot(users=("nobody",))

    assert all_hold(passes.up(chain, {"driver.nodes-at-boot"}))
    passes.repaired(chain, f"sed -i 's/^ACTION/#&/' {nodes.RULE}", {"driver.nodes-at-boot"})
    passes.shell(f"rm {nodes.RULE}")
    for path, text in MAKERS.items():
        passes.host.write(path, text)
        assert path in passes.plan(chain)["driver.nodes-at-boot"].reason
        passes.shell(f"rm {path}")
    rule, hides = "/usr/lib/udev/rules.d/60-nvidia.rules", "/etc/udev/rules.d/60-nvidia.rules"
    passes.host.write(rule, MAKERS[rule])
    passes.shell(f"ln -s /dev/null {hides}")
    assert all_hold(passes.up(chain, {"driver.nodes-at-boot"}))
    passes.shell(f"rm {rule} {hides}")


def _failures() -> list[dict[str, str]]:
    output = passes.shell(DkmsFailures().command().get_raw_value())
    found = as_json(DkmsFailures().process(output.removesuffix("\n").split("\n")))
    assert isinstance(found, list)
    return found


def _fails() -> None:
    """The build fails, the apply says where, and dkms's log is read as what it is."""
    with pytest.raises(HostError, match=f"{re.escape(newest)}: .*pci_resize_resource"):
        passes.link.apply(modules)
    (failure,) = _failures()
    assert "error: too few arguments to function" in failure.pop("error")
    assert failure == {"module": DKMS, "version": VERSION, "kernel": newest}


def _all_hold(found: dict[str, Finding]) -> bool:
    """All but the signature, as long as the host does not see its machine's firmware."""
    assert found["driver.module-signature"].verdict is Verdict.LEFT_OUT
    return all_hold({id: one for id, one in found.items() if id != "driver.module-signature"})


def _with(wanted: str) -> dict[str, Finding]:
    """How the promises stand with this rig_boot_kernel."""
    global wish
    wish = wanted
    return passes.plan(modules)


def test_a_module_that_does_not_build_is_an_error_with_the_compilers_words() -> None:
    """The build fails, and its first error is told; a kernel that has no failure is none's."""
    assert _failures() == []
    passes.shell(TINY + FAULT)
    found = passes.plan(modules)
    assert found["driver.module-for-next-boot"].verdict is Verdict.DRIFTED
    assert found["driver.boot-kernel"].verdict is Verdict.FOLLOWS

    _fails()


def test_an_older_kernel_with_the_module_is_kept_only_when_that_is_wanted() -> None:
    """newest: it is said which kernel has the module; with-driver: GRUB boots that one."""
    passes.shell(
        f"cp /boot/vmlinuz-{newest} /boot/vmlinuz-{OLD}; update-grub 2>/dev/null;"
        f" mkdir -p /lib/modules/{OLD}/updates/dkms;"
        f" {TINY} make -s -C /lib/modules/{newest}/build M=$PWD modules 2>&1;"
        f" cp {DKMS}.ko /lib/modules/{OLD}/updates/dkms/; rm -f *.o *.ko *.mod*;"
        f" cp /lib/modules/{newest}/modules.* /lib/modules/{OLD}/; depmod {OLD}"
    )
    told = _with("newest")["driver.boot-kernel"]
    assert told.verdict is Verdict.DUE
    assert all(word in told.reason for word in (OLD, "with-driver", "pci_resize"))

    found = _with("with-driver")
    assert found["driver.boot-kernel"].verdict is Verdict.DRIFTED
    assert found["driver.module-for-next-boot"].verdict is Verdict.FOLLOWS
    after = passes.up(modules)
    assert after["driver.boot-kernel"].verdict is Verdict.HOLDS
    due = after["driver.module-for-next-boot"]
    assert due.verdict is Verdict.DUE
    assert all(word in due.reason for word in (newest, OLD, "pci_resize"))
    assert f"gnulinux-{OLD}-advanced" in passes.shell("grep 'set default=' /boot/grub/grub.cfg")


def test_a_module_that_builds_is_there_for_each_kernel_and_grub_is_as_before() -> None:
    """Once the newest kernel's module builds, it is built, and the boot default is given back."""
    passes.shell(f"dkms install --force -m {DKMS} -v {VERSION} -k {newest} >/dev/null 2>&1")
    assert _failures() == []
    found = passes.plan(modules)
    assert found["driver.boot-kernel"].verdict is Verdict.DRIFTED

    assert _all_hold(passes.up(modules))
    passes.shell(f"! test -e {DROP_IN} && ! grep -q gnulinux-{OLD} /boot/grub/grubenv 2>/dev/null")

    passes.shell(f"rm /lib/modules/{newest}/updates/dkms/*; depmod {newest}")
    assert _all_hold(passes.up(modules, {"driver.module-for-next-boot"}))


def test_lost_firmware_and_a_lost_account_come_back() -> None:
    """The module's firmware, and the account of the persistence daemon, are their packages'."""
    passes.shell(f"rm /lib/firmware/nvidia/{VERSION}/gsp_ga10x.bin; userdel nvpd")
    assert _all_hold(passes.up(modules, {"driver.firmware", "driver.persistenced"}))
    passes.shell(f"getent passwd nvpd && test -s /lib/firmware/nvidia/{VERSION}/gsp_ga10x.bin")


def test_a_mask_stays_unless_the_driver_is_asked_for() -> None:
    """Somebody masked the daemon on purpose."""

    def left() -> None:
        module.persistenced(starts=False, unmask=False)

    def asked_for() -> None:
        module.persistenced(starts=False)

    passes.shell("systemctl mask --now nvidia-persistenced")
    found = passes.up(left)["driver.persistenced"]
    assert (found.verdict, "systemctl unmask nvidia-persi" in found.reason) == (Verdict.DUE, True)
    planned = passes.plan(asked_for)["driver.persistenced"]
    assert "unmask it and enable it" in planned.will
    assert all_hold(passes.up(asked_for, {"driver.persistenced"}))


def test_a_fabric_manager_of_another_version_is_brought_to_the_drivers() -> None:
    """It is installed, enabled, running and held at exactly the version of the libraries."""
    passes.shell(FABRIC)

    def managed() -> None:
        fabric_manager.fabric_manager(package=MANAGER, starts=True)

    told = passes.plan(managed)["driver.fabric-manager"]
    assert told.verdict is Verdict.DRIFTED
    assert "550.127.05" in told.actual
    assert all_hold(passes.up(managed))
    assert "550.163.01-1" in passes.shell(
        f"apt-get -qq -y upgrade; dpkg-query -W {MANAGER}; systemctl is-active nvidia-fabricmanager"
    )
    passes.repaired(
        managed, "systemctl disable --now nvidia-fabricmanager", {"driver.fabric-manager"}
    )
    passes.shell("systemctl mask --now nvidia-fabricmanager")
    left = passes.up(
        lambda: fabric_manager.fabric_manager(package=MANAGER, starts=True, unmask=False)
    )["driver.fabric-manager"]
    assert left.verdict is Verdict.DUE
    assert all_hold(passes.up(managed, {"driver.fabric-manager"}))


def test_secure_boot_wants_an_enrolled_key_and_never_gets_switched_off() -> None:
    """dkms's key is asked to be enrolled, then confirmed, and once it is, the promise holds."""
    efi = "/root/efi"
    passes.shell(
        "mount --make-rprivate / && mkdir -p /run/sys && mount --rbind /sys /run/sys &&"
        " mount -t tmpfs none /sys && for d in /run/sys/*; do mkdir -p /sys/${d##*/};"
        " mount --rbind $d /sys/${d##*/}; done; mkdir -p /sys/firmware/efi/efivars;"
        r" printf '\006\000\000\000\001' >"
        "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c;"
        f" mkdir {efi}; cp /sys/firmware/efi/efivars/* {efi};"
        f" printf '#!/bin/sh\\nEFIVARFS_PATH={efi}/ exec /usr/bin/mokutil \"$@\"\\n'"
        " >/usr/local/bin/mokutil; chmod +x /usr/local/bin/mokutil"
    )

    def stands() -> Finding:
        return passes.plan(modules)["driver.module-signature"]

    asked = stands()
    assert asked.verdict is Verdict.DUE
    assert "mokutil --import /var/lib/dkms/mok.pub" in asked.reason
    assert "Enroll MOK" in asked.reason

    passes.shell("printf 'one-time\\none-time\\n' | mokutil --import /var/lib/dkms/mok.pub")
    assert "confirm the key" in stands().reason

    passes.shell(f"mv {efi}/MokNew-{MOK} {efi}/MokListRT-{MOK}; rm {efi}/MokAuth-{MOK}")
    assert stands().verdict is Verdict.HOLDS

    passes.shell("rm /var/lib/dkms/mok.*")
    assert "enrolled key DKMS module signing key" in stands().reason
    json.dumps(stands().as_json())


@pytest.mark.long
def test_the_real_open_module_does_not_build() -> None:
    """NVIDIA's open 550.163.01 fails against Debian 13's kernel, and is caught."""
    passes.shell(
        f"rm -f {DROP_IN}; dkms unbuild -m {DKMS} -v {VERSION} --all >/dev/null 2>&1;"
        f" rm -f /lib/modules/*/updates/dkms/*; depmod {newest}; [ ! -e /root/real ] ||"
        f" {{ cd /usr/src/{DKMS}-{VERSION} && rm -rf ./* && cp -a /root/real/. .; }}"
    )
    _fails()
