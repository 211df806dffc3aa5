"""MNIST by Horovod on PyTorch, on two booted Debian 12."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab.hosts import Host
from lab.lab import Lab
from system import laws
from system.person import Person, settings
from system.training_hosts import learn_together, three, torch_for_cpu

pytestmark = [pytest.mark.lab, pytest.mark.long]  # Horovod is compiled once more for it


def test_they_train_mnist_together(
    boot: Callable[..., Host], lab: Lab, person: Person, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """All of the environment is proven, and the weights of both ranks are the same."""
    data = settings(lab) | {
        "rig_components": ["environments"],
        "rig_frameworks": ["horovod[pytorch]"],
    }
    with torch_for_cpu(tmp_path_factory.mktemp("index")) as repositories:
        data["rig_repositories"] |= repositories
        hosts = three(boot, lab, person, "bookworm", "hvdtorch", **data)
    laws.everything_is_proven(hosts.up, "hvdtorch")
    laws.framework_is_proven(hosts.up, "hvdtorch", "horovod")
    learn_together(hosts, "horovod", 2, ("--no-baseline",))
