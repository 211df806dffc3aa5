"""The Python environments: framework, Python, what they compute on, and what is pinned."""

from __future__ import annotations

from packaging.requirements import Requirement

from gpurig.stack.gpus import called, computes_with, row_of
from gpurig.stack.model import Accelerator, Cuda, Cudnn, Driver, Environment, Gpu, WayOut
from gpurig.stack.site import Draft, Site, refuse
from gpurig.stack.tables import CudnnRow, FrameworkRow, tables
from gpurig.stack.versions import numbers

Environments = tuple[tuple[Environment, ...], Cuda | None, Cudnn | None]


def environments(site: Site, draft: Draft, driver: Driver | None) -> Environments:
    """The environments with their CUDA and cuDNN; none with the reason in the draft."""
    if not draft.wants("environments"):
        draft.unwanted("environments")
        return (), None, None
    if not site.settings.frameworks:
        draft.leave_out("environments", "rig_frameworks is empty")
        return (), None, None
    python = _python(site, draft)
    found = []
    cuda: Cuda | None = None
    cudnn: Cudnn | None = None
    for wish in site.settings.frameworks:
        row = _framework(site, draft, Requirement(wish), python)
        accelerator = _accelerator(site, draft, row, driver)
        limit = _cudnn_limit(site) if accelerator == "cuda" else None
        found.append(_environment(site, row, python, accelerator, limit))
        if accelerator == "cuda":
            cuda, cudnn = _cuda(draft, row), _cudnn(draft, row, limit)
    return tuple(found), cuda, cudnn


def _python(site: Site, draft: Draft) -> str:
    row, wish = site.distribution, site.settings.python
    if wish not in ("auto", row.python):
        drop = WayOut("leave rig_python out", f"the environments get Python {row.python}")
        refuse([f'rig_python = "{wish}"', f"{row.name}, which brings Python {row.python}"], drop)
    draft.chose(f"Python {row.python}", f"{row.name} brings it", row.source)
    return row.python


def _framework(site: Site, draft: Draft, wish: Requirement, python: str) -> FrameworkRow:
    rows = [row for row in tables().frameworks if row.name == wish.name]
    known = ", ".join(row.version for row in rows)
    wished = [row for row in rows if wish.specifier.contains(row.version)]
    if not wished:
        drop = WayOut(f'rig_frameworks = ["{wish.name}"]', f"{known} is taken")
        refuse([f"{wish} in rig_frameworks", f"the tables, which know {wish.name} {known}"], drop)
    for row in wished:
        if python in row.python and site.architecture.machine in row.machines:
            has = f"the newest of the tables with wheels for Python {python}"
            draft.chose(f"{row.name} {row.version}", has, row.source)
            return row
    place = f"Python {python} on {site.architecture.machine}"
    drop = WayOut(f"leave {wish.name} out of rig_frameworks", "it gets no environment")
    refuse([f"{wish} in rig_frameworks", f"{place}, for which it has no wheels"], drop)


def _accelerator(site: Site, draft: Draft, row: FrameworkRow, driver: Driver | None) -> Accelerator:
    wish, choice = site.settings.accelerator, f"{row.name} computes on"
    if wish == "cpu":
        draft.chose(f"{choice} cpu", 'rig_accelerator is "cpu"', "the setting")
        draft.leave_out("cuda", 'rig_accelerator is "cpu"')
        return "cpu"
    obstacle = _obstacle(site, row, driver)
    if obstacle and wish == "cuda":
        drop = WayOut("leave rig_accelerator out", f"{row.name} computes on the CPU")
        refuse(['rig_accelerator = "cuda"', obstacle], drop)
    if obstacle:
        draft.chose(f"{choice} cpu", obstacle, row.source, [f"cuda: {obstacle}"])
        draft.leave_out("cuda", obstacle)
        return "cpu"
    _warn(site, draft, row, driver)
    reason = 'rig_accelerator is "cuda"' if wish == "cuda" else "its wheels serve the GPU"
    draft.chose(f"{choice} cuda", reason, row.source, ["cpu: a GPU is there"])
    return "cuda"


def _obstacle(site: Site, row: FrameworkRow, driver: Driver | None) -> str | None:
    """Why the framework cannot compute on the host's GPUs, or None if it can."""
    if not site.gpus:
        return "no NVIDIA GPU"
    if site.architecture.machine not in row.cuda_machines:
        return f"its wheel for {site.architecture.machine} holds no CUDA"
    unserved = [why for gpu in site.gpus if (why := _unserved(site, gpu, row))]
    if len(unserved) == len(site.gpus):
        return unserved[0]
    there, floor = _driver_version(site, driver), _floor(row)
    if there and numbers(there) < numbers(floor):
        return f"CUDA {_major(row)} needs driver {floor} or newer, and {there} is there"
    return None


def _unserved(site: Site, gpu: Gpu, row: FrameworkRow) -> str | None:
    found = row_of(gpu.id)
    if found is None:  # never guessed: only whoever knows the GPU can ask for CUDA
        wished = site.settings.accelerator == "cuda"
        return None if wished else f"the GPU id {gpu.id} is unknown"
    why = computes_with(found, row.cuda)
    return f"{called(gpu)}: {why}" if why else None


def _warn(site: Site, draft: Draft, row: FrameworkRow, driver: Driver | None) -> None:
    for gpu in {gpu.id: gpu for gpu in site.gpus}.values():
        if why := _unserved(site, gpu, row):
            draft.warn(f"{row.name} does not compute on {gpu.id}: {why}")
    for architecture in sorted({gpu.architecture or "" for gpu in site.gpus}):
        if doubt := row.doubts.get(architecture):
            draft.warn(f"{row.name} {row.version}: {doubt}")
    if driver is None and not site.inside and not _driver_version(site, driver):
        floor = _floor(row)
        draft.warn(f"no driver is installed; {row.name} needs {floor} or newer to use the GPU")


def _driver_version(site: Site, driver: Driver | None) -> str | None:
    there = site.observed.driver_installed
    if driver:
        return driver.minimum_version
    return str(there["version"]) if isinstance(there, dict) else None


def _major(row: FrameworkRow) -> int:
    return numbers(row.cuda.lstrip("><="))[0]


def _floor(row: FrameworkRow) -> str:
    return next(cuda.driver for cuda in tables().cudas if cuda.major == _major(row))


def _cuda(draft: Draft, row: FrameworkRow) -> Cuda:
    draft.chose(f"CUDA {row.cuda}", f"the wheels that {row.name} {row.version} names", row.source)
    return Cuda(row.cuda, "wheels")


def _cudnn(draft: Draft, row: FrameworkRow, limit: CudnnRow | None) -> Cudnn:
    reason, source = f"the wheels that {row.name} {row.version} names", row.source
    if limit:
        reason = f"{limit.maximum} is the last for GPUs before compute capability {limit.before}"
        source = limit.source
    draft.chose(f"cuDNN {row.cudnn}", reason, source)
    return Cudnn(row.cudnn, limit.maximum if limit else None)


def _cudnn_limit(site: Site) -> CudnnRow | None:
    capabilities = [numbers(gpu.compute_capability) for gpu in site.gpus if gpu.compute_capability]
    for row in tables().cudnns:
        if any(capability < numbers(row.before) for capability in capabilities):
            return row
    return None


def _environment(
    site: Site, row: FrameworkRow, python: str, accelerator: Accelerator, limit: CudnnRow | None
) -> Environment:
    machine = site.architecture.machine
    pins = [*(row.cuda_pins if accelerator == "cuda" else row.cpu_pins), *row.workload_pins]
    lock = f"{row.name}-{row.version}-py{python}-{machine}-{accelerator}"
    if limit:
        pins.append(f"{limit.package}<={limit.maximum}")
        lock += f"-cudnn{limit.maximum}"  # other pins, so another lock
    return Environment(
        name=row.name,
        framework=row.name,
        base=None,
        version=row.version,
        python=python,
        accelerator=accelerator,
        pins=tuple(pins),
        lock=lock,
    )
