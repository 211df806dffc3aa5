"""
All settings, each declared once: its default, type, check, example, and what it means.

`Settings` is what one host's settings are, and `TABLE` what there is to be set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from gpurig.contract.frameworks import DEFAULTS, bases
from gpurig.contract.frameworks import frameworks as known
from gpurig.contract.frameworks import programs as shipped
from gpurig.settings.daemon_keys import daemon
from gpurig.settings.kinds import (
    branch,
    frameworks,
    gpu_words,
    image_reference,
    images,
    limits,
    needs,
    one_of,
    pci_ids,
    programs,
    python_version,
    some_of,
    switch,
    users,
    version_or,
)
from gpurig.settings.places import absolute_path, proxy, repositories, url, url_or_path, venv_root

PREFIX = "rig_"

COMPONENTS = ("driver", "docker", "container-toolkit", "environments")
IMAGES = ("tensorflow", "pytorch")


@dataclass(frozen=True)
class Setting:
    """
    One setting.

    + name: without ``rig_``; kind: its type in words
    + default: what holds when it is not given
    + check: makes the value of what was given; raises ValueError with the end of a sentence
    + example: a right value, as a person writes it in an inventory
    + doc: one sentence
    + secret: whether its value is never printed
    """

    name: str
    kind: str
    default: Any
    check: Callable[[Any], Any]
    example: str
    doc: str
    secret: bool = False

    @property
    def key(self) -> str:
        """As inventories name it."""
        return PREFIX + self.name

    @property
    def default_shown(self) -> str:
        """As a person writes it; empty where there is none."""
        if isinstance(self.default, bool):
            return str(self.default).lower()
        return "" if self.default in (None, (), {}) else str(self.default)


def _setting(
    default: Any,
    kind: str,
    check: Callable[[Any], Any],
    example: str,
    doc: str,
    secret: bool = False,
) -> Any:
    """One field of `Settings`, with what `Setting` has of it."""
    about = {"kind": kind, "check": check, "example": example, "doc": doc, "secret": secret}
    if isinstance(default, dict):
        return field(default_factory=default.copy, repr=not secret, metadata=about)
    return field(default=default, repr=not secret, metadata=about)


# fmt: off
@dataclass(frozen=True)
class Settings:
    """
    One host's settings.

    ``components`` is empty for "all that fit"; where a field is None, the setting is not given.
    """

    components: tuple[str, ...] = _setting(
        (), "list", some_of(*COMPONENTS), '["docker", "environments"]',
        "The components to set up: driver, docker,"
        " container-toolkit, environments. Unset: all that fit the"
        " host. A component that is named here and does not fit the"
        " host is an error.",
    )
    driver_branch: str = _setting(
        "auto", "text", branch, '"550"',
        "The branch of the NVIDIA driver. auto: the one that fits.",
    )
    driver_flavour: str = _setting(
        "auto", "text", one_of("auto", "open", "proprietary"), '"proprietary"',
        "The flavour of the driver's kernel module: auto, open or proprietary.",
    )
    driver_source: str = _setting(
        "auto", "text", one_of("auto", "distribution", "nvidia", "none"), '"distribution"',
        "The source of the driver: auto, distribution, nvidia."
        " none: gpurig leaves the driver alone.",
    )
    boot_kernel: str = _setting(
        "newest", "text", one_of("newest", "with-driver"), '"with-driver"',
        "The kernel that boots by default. newest: the newest."
        " with-driver: the newest that has the driver's module.",
    )
    cuda: str = _setting(
        "wheels", "text", version_or("wheels", "system"), '"wheels"',
        "The source of CUDA. wheels: each environment has its own."
        " system, or a version: a toolkit for the whole system.",
    )
    cudnn: str = _setting(
        "wheels", "text", version_or("wheels", "system"), '"wheels"',
        "The source of cuDNN. wheels: each environment has its own."
        " system, or a version: libraries for the whole system.",
    )
    frameworks: tuple[str, ...] | None = _setting(
        None, "list", frameworks(*known(), bases=bases()), '["tensorflow==2.21.0"]',
        "The frameworks, each in its own environment, with or"
        f" without a version. gpurig knows {', '.join(known())}."
        f" {needs(bases())} (keras[jax]); the default is the first."
        f" Unset: the first of {', '.join(DEFAULTS)} that computes on the host's GPU, or, without"
        " one, that has wheels for the host.",
    )
    accelerator: str = _setting(
        "auto", "text", one_of("auto", "cpu", "cuda"), '"cpu"',
        "What environments compute on: cpu or cuda. auto: what the host has.",
    )
    python: str = _setting(
        "auto", "text", python_version, '"3.13"',
        "The Python of the environments. auto: the distribution's, or another that it brings"
        " if the newest release of the framework needs it."
        " A Python that the distribution lacks needs a mirror of"
        " python-build-standalone (rig_repositories, python).",
    )
    venv_root: str = _setting(
        "/opt/gpurig/venvs", "path", venv_root, '"/opt/gpurig/venvs"',
        "The folder of the environments. Its name has no quote,"
        " dollar, backtick, backslash or colon.",
    )
    keep_extras: bool = _setting(
        True, "boolean", switch, "true",
        "Whether packages that users added to an environment by"
        " hand stay, even if gpurig builds the environment again."
        " false: gpurig removes them.",
    )
    jupyter: bool = _setting(
        False, "boolean", switch, "true",
        "Whether each environment is a Jupyter kernel for all"
        " users. gpurig does not install JupyterLab.",
    )
    workloads: tuple[str, ...] = _setting(
        (), "list", programs, '["pytorch:train.py"]',
        "Training programs that run as proofs. ENVIRONMENT:PATH.py"
        " is your own program; a relative path starts at the"
        " inventory's folder. gpurig's own are"
        f" {', '.join(shipped())}: name some of them to leave out"
        " the others.",
    )
    users: tuple[str, ...] = _setting(
        (), "list", users, '["ada"]',
        "The users who may use Docker. Workloads run as the first"
        " of them, else as the user gpurig.",
    )
    docker_source: str = _setting(
        "auto", "text", one_of("auto", "distribution", "docker"), '"docker"',
        "The source of Docker: distribution (docker.io) or docker"
        " (Docker CE). auto: an installed Docker stays, else the"
        " distribution's. A move keeps containers, images and"
        " volumes.",
    )
    docker_rootless: bool = _setting(
        False, "boolean", switch, "true",
        "Whether each user of rig_users gets their own Docker,"
        " which runs without root beside the system's. gpurig then"
        " does not add them to the group docker.",
    )
    docker_daemon: Mapping[str, Any] = _setting(
        {}, "table", daemon, '{"log-driver": "local"}',
        "Keys of daemon.json and their values (log rotation,"
        " data-root, mirrors, shared memory, live-restore …). Other"
        " keys stay as they are.",
    )
    container_toolkit: str = _setting(
        "auto", "text", version_or("auto"), '"1.19.1"',
        "The version of NVIDIA's container toolkit, for all its"
        " packages. auto: an installed one stays, else the"
        " repository's newest.",
    )
    images: tuple[str, ...] = _setting(
        (), "list", images(*IMAGES), '["tensorflow", "/srv/images/lab.tar"]',
        "The container images of hosts, named gpurig/NAME. Hosts"
        " build tensorflow and pytorch, and load a saved image (a"
        " file on the control machine).",
    )
    base_image: str | None = _setting(
        None, "text", image_reference, '"python:3.13-slim"',
        "The base of container images, with the Python of the"
        " environment. Unset: python:…-slim of that version. Docker"
        " does not pull a base that the host has.",
    )
    repositories: Mapping[str, Mapping[str, str]] = _setting(
        {}, "table", repositories,
        '{"nvidia-container-toolkit": {"url": "https://mirror.example.com/toolkit"}}',
        "Mirrors of vendors' repositories, by name: url (the mirror"
        " of its root), key_url and fingerprint. Those that you"
        " leave out stay the vendor's. pytorch (wheels for the CPU"
        " and for older CUDA) and python (python-build-standalone,"
        " used only if it is named here) have only url.",
    )
    apt_mirror: str | None = _setting(
        None, "url", url, '"http://mirror.example.com/debian"',
        "The mirror for contrib and non-free. Unset: the host's own.",
    )
    pypi_index: str | None = _setting(
        None, "url", url, '"https://pypi.example.com/simple/"',
        "The index for wheels. Unset: the one in the configuration of pip and uv.",
    )
    data_mirror: str | None = _setting(
        None, "url or path", url_or_path, '"https://data.example.com/mnist/"',
        "The folder or address of the four archives of MNIST.",
    )
    proxy: str | None = _setting(
        None, "url", proxy, '"http://proxy.example.com:3128"',
        "The proxy for downloads of hosts. It may have a password.",
        secret=True,
    )
    cache: str | None = _setting(
        None, "path", absolute_path, '"/srv/cache"',
        "A folder on the control machine that keeps wheels for all"
        " hosts, which then need no index. Unset: a single host"
        " downloads its wheels itself. In a run over several hosts"
        " the control machine downloads each wheel once, into"
        " ~/.cache/gpurig/wheels.",
    )
    tables: str | None = _setting(
        None, "path", absolute_path, '"/srv/gpurig/tables"',
        "A folder on the control machine with tables beside those"
        " that ship, the same for all hosts. Unset: the one into"
        " which gpurig tables refresh writes,"
        " ~/.local/share/gpurig/tables.",
    )
    untested: bool = _setting(
        False, "boolean", switch, "true",
        "Whether rig_frameworks may name a release that is in no"
        " table. gpurig then takes what the index says of its wheels,"
        " and warns of what that leaves open.",
    )
    limits: Mapping[str, int] = _setting(
        {}, "table", limits, '{"command": 14400}',
        "After how many seconds gpurig gives up: connect (30) for a"
        " connection, fact (60) for one fact, command (7200)"
        " without output of a command or proof, training (86400)"
        " without output of `train`, download (7200) for one file."
        " answer (16) is how many megabytes one command may print.",
    )
    reboot: str = _setting(
        "ask", "text", one_of("never", "ask", "if-needed"), '"if-needed"',
        "Whether gpurig reboots a host that needs it: never,"
        " if-needed, ask. ask: only on a terminal, after a yes.",
    )
    gpus: tuple[str, ...] = _setting(
        (), "list", gpu_words, '["10de:2684", "0000:41:00.0", "RTX 4090"]',
        "The NVIDIA GPUs that gpurig is to use, by PCI id, slot or"
        " name; it leaves the others alone. Unset: all, but those"
        " that a virtual machine holds (vfio-pci), and a display"
        " card that only a legacy driver supports, beside others.",
    )
    assume_gpu: tuple[str, ...] = _setting(
        (), "list", pci_ids, '["10de:2330"]',
        "PCI ids of NVIDIA GPUs to set a host up for that has none,"
        " for example to bake an image.",
    )
# fmt: on


TABLE: dict[str, Setting] = {
    PREFIX + one.name: Setting(one.name, default=getattr(Settings(), one.name), **one.metadata)
    for one in fields(Settings)
}
