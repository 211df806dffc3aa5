"""What the resolver reads of a host; pure: facts are read elsewhere (`reading`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from gpurig.contract.values import Absent, Unknown, as_json, from_json

# Only their names: the facts themselves run under pyinfra, and the resolver without it.
if TYPE_CHECKING:
    from gpurig.facts.cuda import Toolkit
    from gpurig.facts.docker.engine import Installed as DockerPackages
    from gpurig.facts.driver.dkms import Failure
    from gpurig.facts.driver.packages import Installed as DriverPackages
    from gpurig.facts.driver.secure_boot import State
    from gpurig.facts.environments.pythons import Interpreter
    from gpurig.facts.host.account import Login
    from gpurig.facts.host.disk import Room
    from gpurig.facts.host.distribution import OsRelease
    from gpurig.facts.host.machine import Hardware
    from gpurig.facts.host.memory import Bytes
    from gpurig.facts.host.pci import PciDevice
    from gpurig.facts.host.reboot import Asked
    from gpurig.facts.host.virtualization import Kind
    from gpurig.facts.kernel.kernels import Kernels


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
        The same from JSON of the right shape, as `as_json` or ``gpurig facts --json`` gives it.

        Facts that the resolver does not read are passed over, one that is not there is Unknown.
        """
        missing = Unknown("the facts do not have it")
        names = [field.name for field in fields(cls)]
        return cls(**{key: from_json(facts[key]) if key in facts else missing for key in names})

    def as_json(self) -> dict[str, Any]:
        """The fields as JSON: ABSENT as ``null``, Unknown as ``{"unknown": reason}``."""
        return {field.name: as_json(getattr(self, field.name)) for field in fields(self)}
