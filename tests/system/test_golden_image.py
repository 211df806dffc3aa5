"""An image baked in a chroot without a service manager, for GPUs that are only assumed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab.hosts import Host
from lab.lab import Lab
from lab.nvidia import nvidia
from system import laws
from system.person import Person, settings

pytestmark = pytest.mark.lab

IMAGE = "/srv/image"
PORT = 2222
# A copy of the bare host as the image; its own sshd is how gpurig gets into it.
ENTERED = f"""
mkdir -p {IMAGE} && cd / && tar --one-file-system --exclude=.{IMAGE} -c . | tar -x -C {IMAGE}
for place in proc sys dev; do mkdir -p {IMAGE}/$place; mount --rbind /$place {IMAGE}/$place; done
mkdir -p {IMAGE}/run/sshd && chroot {IMAGE} /usr/sbin/sshd -p {PORT}
"""


def test_an_image_is_baked_where_nothing_starts_services(
    boot: Callable[..., Host], person: Person, lab: Lab
) -> None:
    """Driver, kernel and module for two assumed T4 are in it; again nothing changes."""
    host = boot("trixie", "bake13")
    assert host.ssh(ENTERED).rc == 0
    repository = nvidia(lab)
    places = {"nvidia": {"url": repository.url, "fingerprint": repository.fingerprint}}
    data = host.ssh_data() | settings(lab) | {
        "ssh_port": PORT,
        "ssh_known_hosts_file": str(person.home / "image_known_hosts"),
        "rig_components": ["driver"],
        "rig_assume_gpu": ["10de:1eb8", "10de:1eb8"],
        "rig_driver_source": "nvidia",
        "rig_repositories": places,
    }  # fmt: skip
    inventory = person.inventory({"image": data})
    trusted = person.gpurig("trust", inventory, "-y")
    assert trusted.code == 0, trusted.err
    up = person.gpurig("up", inventory, "--json")
    assert up.code in (0, 4), up.problems
    laws.plan_told_the_truth(up, "image")
    stack = up.host("image")["stack"]
    assert stack["assumed"]
    assert len(stack["gpus"]) == 2
    assert set(up.proofs("image").values()) <= laws.GREEN | {"due"}
    modules = host.ssh(f"find {IMAGE}/lib/modules -path '*updates/dkms/nvidia.ko*'").stdout
    assert modules, "the image has no module for its kernel"
    assert not host.ssh("find /lib/modules -name 'nvidia.ko*'").stdout, "the host itself is bare"
    again = person.gpurig("plan", inventory, "--json")
    assert again.code in (0, 4), again.problems
