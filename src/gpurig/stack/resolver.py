"""From facts and wishes to the stack that fits, or the reasons why none does; pure."""

from __future__ import annotations

from dataclasses import replace

from gpurig.contract.values import Unknown
from gpurig.settings import daemon_keys
from gpurig.settings.table import Settings
from gpurig.stack.containers import container_toolkit, docker
from gpurig.stack.cuda import of_cuda, system_cuda, system_cudnn
from gpurig.stack.drivers import driver
from gpurig.stack.environments import environments, of_frameworks
from gpurig.stack.images import images
from gpurig.stack.model import Archive, Refusal, Stack
from gpurig.stack.observed import Observed
from gpurig.stack.rootless import rootless
from gpurig.stack.site import Draft, Refused, site


def resolve(settings: Settings, observed: Observed, kept: tuple[str, ...] = ()) -> Stack | Refusal:
    """
    What fits the host: every choice with its reason and its row, or the refusal with ways out.

    + kept: the keys of the locks that are kept for the lab, whose releases outrank newer ones

    The same facts and settings give the same answer, whatever the order of GPUs and wishes.
    """
    draft = Draft(settings)
    try:
        return _stack(settings, observed, draft, kept)
    except Refused as refused:
        return Refusal(
            conflict=tuple(refused.conflict),
            ways_out=tuple(refused.ways_out),
            because=tuple(draft.because),
            warnings=tuple(draft.warnings),
        )


def _stack(settings: Settings, observed: Observed, draft: Draft, kept: tuple[str, ...]) -> Stack:
    here = replace(site(settings, observed, draft), kept=kept)
    its_driver, kernel = driver(here, draft, [*of_cuda(here), *of_frameworks(here, draft)])
    dkms = its_driver and its_driver.dkms  # what packages bring built is signed by a known key
    if dkms and observed.secure_boot == "enabled" and not here.assumed:
        draft.warn(
            "Secure Boot is on: the kernel loads the driver's module only after its key is enrolled"
        )
    its_docker = docker(here, draft)
    for key in daemon_keys.secret(settings.docker_daemon) if its_docker else ():
        draft.warn(
            f"every user can read {key} of rig_docker_daemon, because daemon.json has mode 644"
        )
    its_rootless = rootless(here, draft, its_docker)
    toolkit = container_toolkit(here, draft, its_docker)
    toolchain = system_cuda(here, draft, its_driver)
    its_environments, cuda, cudnn = environments(here, draft, its_driver)
    its_images = images(here, draft, its_docker, toolkit, its_driver, its_environments)
    if isinstance(observed.gpus, Unknown) and not here.gpus:
        draft.warn(f"gpurig cannot read its GPUs ({observed.gpus.reason}), and does not use them")
    return Stack(
        distribution=here.distribution.name,
        architecture=here.architecture.machine,
        package_manager=here.distribution.packages,
        archive=Archive(here.distribution.origin, here.distribution.codename),
        gpus=here.gpus,
        other_gpus=here.other_gpus,
        assumed=here.assumed,
        driver=its_driver,
        kernel=kernel,
        cuda=toolchain or cuda,
        cudnn=system_cudnn(here, draft, toolchain, its_driver) or cudnn,
        docker=its_docker,
        rootless=its_rootless,
        container_toolkit=toolkit,
        environments=its_environments,
        images=its_images,
        left_out=tuple(draft.left_out),
        because=tuple(draft.because),
        ends=tuple(draft.ends),
        warnings=tuple(draft.warnings),
    )
