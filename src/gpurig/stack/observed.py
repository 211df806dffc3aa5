"""What is on a host: all facts by their key, and those that the resolver reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

from gpurig.contract.fact import Fact, read
from gpurig.contract.shape import fits
from gpurig.contract.values import Absent, Unknown, as_json, from_json
from gpurig.errors import InputError
from gpurig.facts.container_toolkit.cdi import CdiSpecs, NvmlGpus
from gpurig.facts.container_toolkit.toolkit import ToolkitConfig, ToolkitPackages
from gpurig.facts.cuda import CudaToolkits, Toolkit
from gpurig.facts.cudnn import CudnnLibraries
from gpurig.facts.docker.daemon_json import DaemonConfigShown
from gpurig.facts.docker.engine import DockerInfo, DockerInstalled, RunningContainers
from gpurig.facts.docker.engine import Installed as DockerPackages
from gpurig.facts.driver.dkms import DkmsFailures, DkmsStatus, Failure
from gpurig.facts.driver.initramfs import Initramfs
from gpurig.facts.driver.mig import Mig
from gpurig.facts.driver.modprobe import ModprobeConfig
from gpurig.facts.driver.module import DriverLoaded, DriverUserSpace, ModuleForNextBoot
from gpurig.facts.driver.mok import Mok
from gpurig.facts.driver.packages import DriverInstalled
from gpurig.facts.driver.packages import Installed as DriverPackages
from gpurig.facts.driver.secure_boot import SecureBoot, State
from gpurig.facts.environments.environment import Environments
from gpurig.facts.environments.frameworks import Frameworks
from gpurig.facts.environments.pythons import Interpreter, Pythons
from gpurig.facts.host.account import Account, Login
from gpurig.facts.host.disk import Disk, Room
from gpurig.facts.host.distribution import Distribution, OsRelease
from gpurig.facts.host.machine import Hardware, Machine
from gpurig.facts.host.memory import Bytes, Memory
from gpurig.facts.host.pci import Accelerators, Gpus, NvSwitches, PciDevice
from gpurig.facts.host.proxies import Proxies
from gpurig.facts.host.reboot import Asked, BootId, RebootRequired
from gpurig.facts.host.service_manager import ServiceManager
from gpurig.facts.host.virtualization import Kind, Virtualization
from gpurig.facts.kernel.grub import Grub
from gpurig.facts.kernel.kernels import Architecture, Kernel, Kernels
from gpurig.facts.packages.apt import Keyrings, SourcesShown
from gpurig.facts.packages.dnf import DnfModules, DnfRepositoriesShown
from gpurig.facts.packages.dpkg import HalfDone, Holds, Unmet
from gpurig.facts.packages.package_manager import PackageManager
from gpurig.facts.packages.rpm import RpmKeys

# In the order in which they are shown.
FACTS: dict[str, type[Fact[Any]]] = {
    "machine": Machine,
    "os": Distribution,
    "architecture": Architecture,
    "kernel": Kernel,
    "virtualization": Virtualization,
    "grub": Grub,
    "secure_boot": SecureBoot,
    "mok": Mok,
    "service_manager": ServiceManager,
    "gpus": Gpus,
    "nvswitches": NvSwitches,
    "accelerators": Accelerators,
    "pythons": Pythons,
    "user": Account,
    "memory": Memory,
    "disk": Disk,
    "proxies": Proxies,
    "reboot_required": RebootRequired,
    "boot_id": BootId,
    "package_manager": PackageManager,
    "half_configured": HalfDone,
    "unmet_dependencies": Unmet,
    "holds": Holds,
    "apt_sources": SourcesShown,
    "keyrings": Keyrings,
    "dnf_repositories": DnfRepositoriesShown,
    "dnf_modules": DnfModules,
    "rpm_keys": RpmKeys,
    "dkms": DkmsStatus,
    "dkms_failures": DkmsFailures,
    "modprobe": ModprobeConfig,
    "initramfs": Initramfs,
    "environments": Environments,
    "frameworks": Frameworks,
    "driver_installed": DriverInstalled,
    "driver_next_boot": ModuleForNextBoot,
    "driver_loaded": DriverLoaded,
    "driver_libraries": DriverUserSpace,
    "nvml_gpus": NvmlGpus,
    "mig": Mig,
    "cuda_toolkits": CudaToolkits,
    "cudnn_libraries": CudnnLibraries,
    "docker_installed": DockerInstalled,
    "docker": DockerInfo,
    "docker_config": DaemonConfigShown,
    "containers": RunningContainers,
    "container_toolkit": ToolkitPackages,
    "toolkit_config": ToolkitConfig,
    "cdi_specs": CdiSpecs,
}


@dataclass(frozen=True)
class Observed:
    """
    What the resolver reads of a host, and the report tells of it.

    Each field is the value of the fact of its name in `FACTS`.

    The shapes are those of the facts' own docstrings. A field is ABSENT or Unknown like the fact.
    """

    machine: Hardware | Absent | Unknown
    os: OsRelease | Absent | Unknown
    architecture: str | Absent | Unknown
    kernel: Kernels | Absent | Unknown
    virtualization: Kind | Absent | Unknown
    secure_boot: State | Absent | Unknown
    service_manager: str | Absent | Unknown
    gpus: list[PciDevice] | Absent | Unknown
    accelerators: list[PciDevice] | Absent | Unknown
    pythons: list[Interpreter] | Absent | Unknown
    user: Login | Absent | Unknown
    memory: Bytes | Absent | Unknown
    disk: list[Room] | Absent | Unknown
    proxies: dict[str, dict[str, str]] | Absent | Unknown
    reboot_required: Asked | Absent | Unknown
    nvswitches: list[PciDevice] | Absent | Unknown
    dkms_failures: list[Failure] | Absent | Unknown
    driver_installed: DriverPackages | Absent | Unknown
    cuda_toolkits: list[Toolkit] | Absent | Unknown
    docker_installed: DockerPackages | Absent | Unknown
    container_toolkit: dict[str, str] | Absent | Unknown
    frameworks: dict[str, dict[str, str]] | Absent | Unknown

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Observed:
        """
        The same from JSON, as `as_json` or ``gpurig facts --json`` gives it.

        Facts that the resolver does not read are passed over, one that is not there is Unknown;
        InputError where a value has another shape than its fact's.
        """
        values: dict[str, Any] = {}
        for key, shape in get_type_hints(cls).items():
            value = from_json(facts[key]) if key in facts else Unknown("it is not among the facts")
            if not fits(value, shape):
                raise InputError(
                    "facts-invalid",
                    f"the fact {key} is not as `gpurig facts --json` writes it",
                    do="write the facts anew",
                )
            values[key] = value
        return cls(**values)

    def as_json(self) -> dict[str, Any]:
        """The fields as JSON: ABSENT as ``null``, Unknown as ``{"unknown": reason}``."""
        return {field.name: as_json(getattr(self, field.name)) for field in fields(self)}


def observe(venv_root: str) -> Observed:
    """
    What the resolver needs, read on the current host.

    + venv_root: the folder that holds its environments
    """
    about = {"frameworks": {"root": venv_root}, "disk": {"venv_root": venv_root}}
    return Observed(
        **{
            field.name: read(FACTS[field.name], **about.get(field.name, {}))
            for field in fields(Observed)
        }
    )


def look() -> dict[str, Any]:
    """Every fact of `FACTS` on the current host, as JSON by its key."""
    return {key: as_json(read(fact)) for key, fact in FACTS.items()}
