"""The NVIDIA driver: its module for the kernel that boots next, its libraries, its GPUs."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest
from testinfra.host import Host

from gpurig.proofs.nvml import LACKING, NVML, SILENT
from gpurig.proofs.plugin import Subject, due, not_applicable, not_run

PYNVML = "nvidia-ml-py"  # the distribution of the module pynvml
FIRST_GSP = 7.5  # Turing: the first compute capability of GPUs that load GSP firmware

LICENSES = {"open": "Dual MIT/GPL", "proprietary": "NVIDIA"}  # of nvidia.ko, by flavour


def _needs_driver(subject: Subject) -> None:
    subject.needs_gpu()
    if not subject.stack["driver"]:
        not_applicable("gpurig does not manage the driver of this host")


def _newest_kernel(host: Host) -> str:
    newest = host.run("ls /boot | sed -n 's/^vmlinuz-//p' | sort -V | tail -n 1").stdout.strip()
    assert newest, "/boot has no kernel"
    return str(newest)


def _next_kernel(host: Host) -> str:
    """The kernel of GRUB's default where that is an entry that has a name, else the newest."""
    config = host.run("cat /boot/grub/grub.cfg /boot/grub2/grub.cfg 2>/dev/null").stdout
    told = re.findall(r'set default="([^"]*)"', config) or [""]
    saved = re.findall(r"^saved_entry=(.+)$", host.run("grub-editenv list").stdout, re.MULTILINE)
    name = (saved or [""])[0] if "saved_entry" in told[-1] else told[-1]
    at = config.find(f"'{name.rsplit('>', 1)[-1]}'") if name and not name.isdigit() else -1
    entry = re.search(r"\n\s*linux\S*\s+\S*/vmlinuz-(\S+)", config[at:]) if at >= 0 else None
    return entry[1] if entry else _newest_kernel(host)


def _may_boot(host: Host, subject: Subject) -> list[str]:
    """The kernels that must have the module: the default, and the newest unless it is passed by."""
    default, newest = _next_kernel(host), _newest_kernel(host)
    boot = (subject.stack["kernel"] or {}).get("boot", "newest")
    subject.detail["kernels"] = sorted({default} if boot == "with-driver" else {default, newest})
    return list(subject.detail["kernels"])


def _libcuda(host: Host) -> str:
    """The version of the library that programs load."""
    found = host.check_output("ldconfig -p | sed -n 's/.*libcuda[.]so[.]1 .*=> //p' | head -n 1")
    assert found, "the loader does not find libcuda.so.1"
    return str(host.check_output("readlink -f %s", found).rsplit(".so.", 1)[-1])


@pytest.mark.proof("driver.module-for-next-boot")
def test_next_kernel_finds_the_module(host: Host, subject: Subject) -> None:
    """Each kernel that may boot next finds the NVIDIA module, in the right flavour."""
    _needs_driver(subject)
    flavour = subject.stack["driver"]["flavour"]
    for kernel in _may_boot(host, subject):
        wanted = host.run("modprobe --dry-run --show-depends --set-version %s nvidia", kernel)
        assert wanted.rc == 0, f"modprobe nvidia for kernel {kernel}: {wanted.stderr.strip()}"
        # "insmod FILE", or where the name is mapped: "install modprobe -i NAME OPTIONS".
        last = wanted.stdout.strip().splitlines()[-1].split()
        name = last[last.index("-i") + 1] if "-i" in last else last[1]
        license_ = host.run("modinfo -k %s -F license %s", kernel, name)
        assert license_.rc == 0, f"modprobe nvidia for kernel {kernel}: {license_.stderr.strip()}"
        told = license_.stdout.strip()
        assert told == LICENSES[flavour], f"{name} for kernel {kernel} is not {flavour}"
        subject.detail["module"] = name


@pytest.mark.proof("driver.one-version")
def test_module_and_libraries_have_one_version(host: Host, subject: Subject) -> None:
    """libcuda, NVML, firmware and the module of each next kernel have the same version."""
    _needs_driver(subject)
    module, library = subject.stack["driver"]["module"], _libcuda(host)
    for kernel in _may_boot(host, subject):
        on_disk = host.check_output("modinfo -k %s -F version %s", kernel, module)
        assert on_disk == library, (
            f"the module for kernel {kernel} is {on_disk}, libcuda is {library}"
        )
    found = host.run("ldconfig -p | sed -n 's/.*libnvidia-ml[.]so[.]1 .*=> //p' | head -n 1")
    if file := found.stdout.strip():
        nvml = host.check_output("readlink -f %s", file).rsplit(".so.", 1)[-1]
        assert nvml == library, f"libnvidia-ml is {nvml}, libcuda is {library}"
    capable = [float(gpu["compute_capability"] or 99) >= FIRST_GSP for gpu in subject.gpus]
    if subject.stack["driver"]["flavour"] == "open" or any(capable):
        there = host.run("ls /lib/firmware/nvidia/%s/", library).stdout
        assert "gsp_" in there, f"/lib/firmware/nvidia/{library} has no GSP firmware"
    subject.detail["version"] = library


@pytest.mark.proof("driver.fabric-manager")
def test_fabric_manager_has_the_drivers_version(host: Host, subject: Subject) -> None:
    """On hosts with NVSwitches the fabric manager has the driver's version and is enabled."""
    _needs_driver(subject)
    package = subject.stack["driver"].get("fabric_manager")
    if not package:
        not_applicable("this host has no NVSwitches")
    form = "-f '${Version}'" if host.exists("dpkg-query") else "--qf '%%{VERSION}-'"
    tool = "dpkg-query -W" if host.exists("dpkg-query") else "rpm -q"
    told = host.run(f"{tool} {form} %s", package)
    assert told.rc == 0, f"{package} is not installed"
    version, library = told.stdout.strip().rpartition(":")[2].split("-")[0], _libcuda(host)
    assert version == library, f"{package} is {version}, libcuda is {library}"
    service = host.service("nvidia-fabricmanager")
    assert service.is_enabled, "nvidia-fabricmanager is not enabled"
    if not subject.stack["assumed"]:
        assert service.is_running, "nvidia-fabricmanager is not running"


@pytest.mark.proof("driver.module-signature")
def test_secure_boot_takes_the_module(host: Host, subject: Subject) -> None:
    """Where Secure Boot is on, the module is signed with an enrolled key."""
    _needs_driver(subject)
    if not host.exists("mokutil") or "enabled" not in host.run("mokutil --sb-state").stdout:
        not_applicable("Secure Boot is not on")
    module = subject.stack["driver"]["module"]
    for kernel in _may_boot(host, subject):
        key = host.run("modinfo -k %s -F sig_key %s", kernel, module).stdout.strip().lower()
        assert key, f"{module} for kernel {kernel} is not signed"
        if key in host.run("mokutil --list-new").stdout:
            due("reboot, and choose Enroll MOK at the console to confirm the key")
        signer = host.check_output("modinfo -k %s -F signer %s", kernel, module)
        enrolled = key in host.run("mokutil --list-enrolled").stdout
        builtin = "DKMS" not in signer and signer in host.run("cat /proc/keys").stdout
        if not (enrolled or builtin):
            due(f"run mokutil --import for the key {signer}, reboot, and choose Enroll MOK")


@pytest.mark.proof("driver.loaded")
def test_loaded_module_is_that_on_disk(host: Host, subject: Subject) -> None:
    """The loaded NVIDIA module is the one on disk."""
    _needs_driver(subject)
    subject.needs_computing_gpu()
    loaded = host.file("/sys/module/nvidia/version")
    if not loaded.exists:
        if _next_kernel(host) != host.check_output("uname -r"):
            due("reboot: the module is for the kernel that boots next")
        raise AssertionError("no NVIDIA module is loaded")
    module = subject.stack["driver"]["module"]
    on_disk = host.check_output("modinfo -F version %s", module)
    version = loaded.content_string.strip()
    if version != on_disk:
        due(f"reboot: {version} is loaded, {on_disk} is on disk")


@pytest.mark.proof("driver.nouveau")
def test_nouveau_has_no_gpu(host: Host, subject: Subject) -> None:
    """nouveau drives no NVIDIA GPU."""
    subject.needs_computing_gpu()
    for gpu in subject.gpus:
        link = f"/sys/bus/pci/devices/{gpu['address']}/driver"
        bound = host.run("readlink %s", link).stdout.strip().rsplit("/", 1)[-1]
        assert bound not in ("nouveau", "nova_core"), f"{bound} drives {gpu['address']}"


@pytest.mark.proof("driver.nvml")
def test_nvml_agrees_with_pci_and_disk(host: Host, subject: Subject) -> None:
    """NVML (asked by pynvml) lists the GPUs on the PCI bus and the installed driver."""
    subject.needs_gpu()
    with_nvml = [
        one for one in subject.stack["environments"] if PYNVML in subject.locks[one["name"]]
    ]
    for environment in with_nvml or subject.stack["environments"]:
        python = f"{subject.settings.venv_root}/{environment['name']}/bin/python"
        told = host.run("runuser -u %s -- %s -I -c %s", subject.user, python, NVML)
        if told.rc != LACKING:
            break
    else:
        if with_nvml:
            raise AssertionError(f"{with_nvml[0]['name']} lacks {PYNVML}, which its lock has")
        not_applicable("no environment has pynvml")
    if told.rc == SILENT and subject.stack["assumed"]:
        not_run(f"assumed hardware ({told.stderr.strip()})")
    assert told.rc == 0, (
        told.stderr.strip().splitlines()[-1] if told.stderr.strip() else "no answer"
    )
    answer = json.loads(told.stdout)
    subject.detail |= answer
    wanted = sorted(gpu["id"] for gpu in subject.gpus)
    lacking, more = Counter(wanted) - Counter(answer["gpus"]), Counter(answer["gpus"])
    more = more - Counter(wanted) - Counter(subject.other_gpus)
    assert not lacking, f"NVML lists {answer['gpus']}, PCI {wanted}"
    assert not more, f"NVML lists {answer['gpus']}, PCI {wanted}"
    if subject.stack["driver"]:
        library = _libcuda(host)
        assert answer["driver"] == library, f"NVML reports {answer['driver']}, libcuda is {library}"
