"""
All settings, each declared once: its default, type, check, example, and what it means.

`Settings` is what one host's settings are, and `TABLE` what there is to be set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from gpurig.contract.frameworks import DEFAULT, bases
from gpurig.contract.frameworks import frameworks as known
from gpurig.contract.frameworks import programs as shipped
from gpurig.settings.daemon_keys import daemon
from gpurig.settings.kinds import (
    branch,
    frameworks,
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
        "The components to set up, of driver, docker, container-toolkit and environments;"
        " unset: all that fit the host, while one named here that cannot be done is an error.",
    )
    driver_branch: str = _setting(
        "auto", "text", branch, '"550"',
        "The branch of the NVIDIA driver; auto: the one that fits.",
    )
    driver_flavour: str = _setting(
        "auto", "text", one_of("auto", "open", "proprietary"), '"proprietary"',
        "The flavour of its kernel module: auto, open or proprietary.",
    )
    driver_source: str = _setting(
        "auto", "text", one_of("auto", "distribution", "nvidia", "none"), '"distribution"',
        "Where the driver comes from: auto, distribution, nvidia, or none to leave it alone.",
    )
    boot_kernel: str = _setting(
        "newest", "text", one_of("newest", "with-driver"), '"with-driver"',
        "Which kernel boots by default: the newest, or with-driver for the newest that has the"
        " driver's module.",
    )
    cuda: str = _setting(
        "wheels", "text", version_or("wheels", "system"), '"wheels"',
        "Where CUDA comes from: wheels in each environment, system, or a version of the system's.",
    )
    cudnn: str = _setting(
        "wheels", "text", version_or("wheels", "system"), '"wheels"',
        "Where cuDNN comes from: wheels in each environment, system, or a version of the system's.",
    )
    frameworks: tuple[str, ...] | None = _setting(
        None, "list", frameworks(*known(), bases=bases()), '["tensorflow==2.21.0"]',
        "The frameworks that get an environment each, with an optional version; unset:"
        f" {DEFAULT}, where it has wheels. Known are {', '.join(known())}."
        f" {needs(bases())} (keras[jax]); the first is taken if none is named.",
    )
    accelerator: str = _setting(
        "auto", "text", one_of("auto", "cpu", "cuda"), '"cpu"',
        "What environments compute on: cpu, cuda, or auto for what the host has.",
    )
    python: str = _setting(
        "auto", "text", python_version, '"3.13"',
        "The Python of the environments; auto: the one that the distribution brings. Another needs"
        " a mirror of python-build-standalone (rig_repositories, python).",
    )
    venv_root: str = _setting(
        "/opt/gpurig/venvs", "path", venv_root, '"/opt/gpurig/venvs"',
        "The folder that holds the environments; its name has no quote, dollar, backtick, backslash"
        " or colon.",
    )
    keep_extras: bool = _setting(
        True, "boolean", switch, "true",
        "Whether packages that were added to an environment by hand stay in it, also when it is"
        " made anew; false: they are removed.",
    )
    jupyter: bool = _setting(
        False, "boolean", switch, "true",
        "Whether each environment is registered as a Jupyter kernel for all users; JupyterLab"
        " itself is theirs to choose.",
    )
    workloads: tuple[str, ...] = _setting(
        (), "list", programs, '["pytorch:train.py"]',
        "Training programs that are run as proofs: your own, each with the environment that runs it"
        " and its file on the control machine (from the inventory's folder on), beside gpurig's;"
        f" naming some of {', '.join(shipped())} leaves out the rest of these.",
    )
    users: tuple[str, ...] = _setting(
        (), "list", users, '["ada"]',
        "The users who may use Docker; workloads run as the first of them, else as user gpurig.",
    )
    docker_source: str = _setting(
        "auto", "text", one_of("auto", "distribution", "docker"), '"docker"',
        "Where Docker comes from: distribution (docker.io), docker (Docker CE), or auto for what is"
        " installed, else the distribution's. Containers, images and volumes outlive a move.",
    )
    docker_rootless: bool = _setting(
        False, "boolean", switch, "true",
        "Whether each user of rig_users gets a Docker of their own that runs without root, beside"
        " the system's; they are not put into the group docker then.",
    )
    docker_daemon: Mapping[str, Any] = _setting(
        {}, "table", daemon, '{"log-driver": "local"}',
        "Keys of daemon.json and their values (log rotation, data-root, mirrors, shared memory,"
        " live-restore …); every other key stays as it is.",
    )
    container_toolkit: str = _setting(
        "auto", "text", version_or("auto"), '"1.19.1"',
        "The version of NVIDIA's container toolkit, for all its packages at once; auto: what is"
        " installed stays, else the repository's newest.",
    )
    images: tuple[str, ...] = _setting(
        (), "list", images(*IMAGES), '["tensorflow", "/srv/images/lab.tar"]',
        "The container images that hosts have as gpurig/NAME: tensorflow and pytorch are built"
        " there, a saved image (a file on the control machine) is loaded.",
    )
    base_image: str | None = _setting(
        None, "text", image_reference, '"python:3.13-slim"',
        "The image that container images are built on, with the Python of the environment; unset:"
        " python:…-slim of that version. One that the host has is not pulled.",
    )
    repositories: Mapping[str, Mapping[str, str]] = _setting(
        {}, "table", repositories,
        '{"nvidia-container-toolkit": {"url": "https://mirror.example.com/toolkit"}}',
        "Other places of vendors' repositories: per name url (a mirror of its root), key_url and"
        " fingerprint, of which those left out stay the vendor's. Of pytorch (its wheels for the"
        " CPU and for older CUDA) and of python (python-build-standalone, which is used only where"
        " this names it) only url.",
    )
    apt_mirror: str | None = _setting(
        None, "url", url, '"http://mirror.example.com/debian"',
        "The mirror that contrib and non-free are read from; unset: the one the host uses.",
    )
    pypi_index: str | None = _setting(
        None, "url", url, '"https://pypi.example.com/simple/"',
        "The index that wheels are read from; unset: the one the tools use.",
    )
    data_mirror: str | None = _setting(
        None, "url or path", url_or_path, '"https://data.example.com/mnist/"',
        "The folder or address that holds the four archives of MNIST.",
    )
    proxy: str | None = _setting(
        None, "url", proxy, '"http://proxy.example.com:3128"',
        "The proxy for what hosts download; it may hold a password.",
        secret=True,
    )
    cache: str | None = _setting(
        None, "path", absolute_path, '"/srv/cache"',
        "A folder on the control machine where wheels are kept for all hosts, which then need no"
        " index; unset: hosts download themselves, but in a run over several this machine does,"
        " once, and keeps them in ~/.cache/gpurig/wheels.",
    )
    limits: Mapping[str, int] = _setting(
        {}, "table", limits, '{"command": 14400}',
        "After how many seconds gpurig gives up: connect (30) for a connection, fact (60) for one"
        " fact, command (7200) without a word from a command or proof, training (86400) without a"
        " line of `train`, download (7200) for one file; and answer (16): how many megabytes one"
        " command may print.",
    )
    reboot: str = _setting(
        "ask", "text", one_of("never", "ask", "if-needed"), '"if-needed"',
        "Whether a host is rebooted when something needs it; ask: only with somebody to ask.",
    )
    assume_gpu: tuple[str, ...] = _setting(
        (), "list", pci_ids, '["10de:2330"]',
        "PCI ids of NVIDIA GPUs to set up for where there are none, as when images are baked.",
    )
# fmt: on


TABLE: dict[str, Setting] = {
    PREFIX + one.name: Setting(one.name, default=getattr(Settings(), one.name), **one.metadata)
    for one in fields(Settings)
}
