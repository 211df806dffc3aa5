"""The NVIDIA driver: its module for the kernel that boots next, its libraries, its GPUs."""

from __future__ import annotations

import json

import pytest
from testinfra.host import Host

from gpurig.proofs.nvml import NVML
from gpurig.proofs.plugin import Subject, due, not_applicable, not_run

LICENSES = {"open": "Dual MIT/GPL", "proprietary": "NVIDIA"}  # of nvidia.ko, by flavour


def _needs_driver(subject: Subject) -> None:
    subject.needs_gpu()
    if not subject.stack["driver"]:
        not_applicable("the driver is not this host's to have")


def _next_kernel(host: Host) -> str:
    newest = host.run("ls /boot | sed -n 's/^vmlinuz-//p' | sort -V | tail -n 1").stdout.strip()
    assert newest, "there is no kernel in /boot"
    return str(newest)


@pytest.mark.proof("driver.module-for-next-boot")
def test_next_kernel_finds_the_module(host: Host, subject: Subject) -> None:
    """The kernel that boots next finds the NVIDIA module by its name, in the right flavour."""
    _needs_driver(subject)
    kernel = _next_kernel(host)
    wanted = host.run("modprobe --dry-run --show-depends --set-version %s nvidia", kernel)
    assert wanted.rc == 0, f"modprobe nvidia on {kernel}: {wanted.stderr.strip()}"
    # "insmod FILE", or where the distribution maps the name: "install modprobe -i NAME OPTIONS".
    last = wanted.stdout.strip().splitlines()[-1].split()
    name = last[last.index("-i") + 1] if "-i" in last else last[1]
    license_ = host.run("modinfo -k %s -F license %s", kernel, name)
    assert license_.rc == 0, f"modprobe nvidia on {kernel}: {license_.stderr.strip()}"
    flavour = subject.stack["driver"]["flavour"]
    assert license_.stdout.strip() == LICENSES[flavour], f"{name} is not the {flavour} module"
    subject.detail["module"] = name


@pytest.mark.proof("driver.one-version")
def test_module_and_libraries_have_one_version(host: Host, subject: Subject) -> None:
    """The module for the next kernel and libcuda are of one version."""
    _needs_driver(subject)
    kernel, module = _next_kernel(host), subject.stack["driver"]["module"]
    on_disk = host.check_output("modinfo -k %s -F version %s", kernel, module)
    found = host.check_output("ldconfig -p | sed -n 's/.*libcuda[.]so[.]1 .*=> //p' | head -n 1")
    assert found, "libcuda.so.1 is not found by the loader"
    library = host.check_output("readlink -f %s", found).rsplit(".so.", 1)[-1]
    assert on_disk == library, f"module {on_disk}, libcuda {library}"
    subject.detail["version"] = on_disk


@pytest.mark.proof("driver.loaded")
def test_loaded_module_is_that_on_disk(host: Host, subject: Subject) -> None:
    """The module that is loaded is the one on disk."""
    _needs_driver(subject)
    subject.needs_computing_gpu()
    loaded = host.file("/sys/module/nvidia/version")
    if not loaded.exists:
        if _next_kernel(host) != host.check_output("uname -r"):
            due("reboot: the module is built for the next kernel")
        raise AssertionError("no NVIDIA module is loaded")
    module = subject.stack["driver"]["module"]
    on_disk = host.check_output("modinfo -F version %s", module)
    version = loaded.content_string.strip()
    if version != on_disk:
        due(f"reboot: {version} is loaded, {on_disk} is on disk")


@pytest.mark.proof("driver.nouveau")
def test_nouveau_has_no_gpu(host: Host, subject: Subject) -> None:
    """No NVIDIA GPU is driven by nouveau."""
    subject.needs_computing_gpu()
    for gpu in subject.gpus:
        link = f"/sys/bus/pci/devices/{gpu['address']}/driver"
        bound = host.run("readlink %s", link).stdout.strip().rsplit("/", 1)[-1]
        assert bound not in ("nouveau", "nova_core"), f"{gpu['address']} is driven by {bound}"


@pytest.mark.proof("driver.nvml")
def test_nvml_agrees_with_pci_and_disk(host: Host, subject: Subject) -> None:
    """NVML, asked through pynvml, names the GPUs of the PCI bus and the driver on disk."""
    subject.needs_gpu()
    if not subject.stack["environments"]:
        not_applicable("no environment with pynvml")
    environment = subject.stack["environments"][0]["name"]
    python = f"{subject.settings.venv_root}/{environment}/bin/python"
    told = host.run("%s -I -c %s", python, NVML)
    if told.rc == 3 and subject.stack["assumed"]:
        not_run(f"assumed hardware ({told.stderr.strip()})")
    assert told.rc == 0, (
        told.stderr.strip().splitlines()[-1] if told.stderr.strip() else "no answer"
    )
    answer = json.loads(told.stdout)
    subject.detail |= answer
    wanted = sorted(gpu["id"] for gpu in subject.gpus)
    assert sorted(answer["gpus"]) == wanted, f"NVML lists {answer['gpus']}, wanted {wanted}"
    if subject.stack["driver"]:
        found = host.check_output("ldconfig -p | sed -n 's/.*libcuda[.]so[.]1 .*=> //p' | head -1")
        library = host.check_output("readlink -f %s", found).rsplit(".so.", 1)[-1]
        assert answer["driver"] == library, f"NVML says {answer['driver']}, on disk is {library}"
