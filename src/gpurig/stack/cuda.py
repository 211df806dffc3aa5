"""The system's CUDA toolkit and cuDNN, where they are wished for beside the wheels."""

from __future__ import annotations

from dataclasses import dataclass

from gpurig.stack import nvidia
from gpurig.stack.candidates import Candidate
from gpurig.stack.demands import Demand
from gpurig.stack.gpus import called
from gpurig.stack.model import Cuda, Cudnn, Driver, WayOut
from gpurig.stack.rows import CudaPackagesRow, CudaRow
from gpurig.stack.serving import covers, cudnn_limit, driver_floor
from gpurig.stack.site import Draft, Site, refuse
from gpurig.stack.tables import tables
from gpurig.stack.versions import numbers

WHEELS = WayOut("remove rig_cuda", "each environment has its own CUDA, and the host has no nvcc")
CUDNN_WHEELS = WayOut("remove rig_cudnn", "each environment has its own cuDNN")


@dataclass(frozen=True)
class Toolkit:
    """One toolkit that could be had: its version's figures, and how it is packaged."""

    row: CudaRow
    packaged: CudaPackagesRow
    installed: bool

    @property
    def title(self) -> str:
        """How sentences name it."""
        return f"CUDA {self.row.version} from {self.packaged.origin}"


def wished(site: Site) -> bool:
    """Whether a toolkit of the system is wished for."""
    return site.settings.cuda != "wheels"


def toolkits(site: Site) -> list[Toolkit]:
    """The toolkits that the wish allows: an installed one first, then newest first."""
    wish = site.settings.cuda
    found = []
    for row in tables().cuda:
        if wish != "system" and not _begins_alike(row.version, wish):
            continue
        for packaged in tables().cuda_packages:
            if _has(site, packaged, row):
                found.append(Toolkit(row, packaged, _is_there(site, packaged, row)))
    newest = sorted(found, key=lambda one: numbers(one.row.version), reverse=True)
    return sorted(newest, key=lambda one: not one.installed)


def _begins_alike(one: str, other: str) -> bool:
    """Whether the shorter of two versions is how the longer one begins."""
    pairs = zip(numbers(one), numbers(other), strict=False)
    return all(first == second for first, second in pairs)


def _has(site: Site, packaged: CudaPackagesRow, row: CudaRow) -> bool:
    if packaged.origin == "distribution":
        here = (site.distribution.family, site.distribution.release)
        own = (packaged.distribution, packaged.release) == here
        return own and packaged.version == row.version
    place = nvidia.repository_row(site)
    if place is None or nvidia.obstacle(site):
        return False
    return numbers(row.version) >= max(numbers(packaged.first), numbers(place.cuda_first))


def _is_there(site: Site, packaged: CudaPackagesRow, row: CudaRow) -> bool:
    there = site.observed.cuda_toolkits
    return any(
        (one["origin"], numbers(one["version"])[:2]) == (packaged.origin, numbers(row.version))
        for one in (there if isinstance(there, list) else [])
    )


def against(site: Site, toolkit: Toolkit, driver: str | None) -> str | None:
    """Why this toolkit does not serve the site under this driver, or None."""
    if why := _unserving(site, toolkit):
        return why
    floor = driver_floor(numbers(toolkit.row.version)[0])
    if driver and numbers(driver) < numbers(floor):
        return f"CUDA {toolkit.row.version} needs driver {floor} or newer"
    return None


def _unserving(site: Site, toolkit: Toolkit) -> str | None:
    """Why the toolkit cannot be used here with any driver, by GPUs and gcc; None where it can."""
    row = toolkit.row
    for gpu in site.kinds:
        if gpu.compute_capability and gpu.compute_capability not in row.capabilities:
            return f"CUDA {row.version} does not compile for {called(gpu)}"
    if not any(major <= row.gcc for major in site.distribution.gccs):
        name = site.distribution.name
        return f"CUDA {row.version} allows gcc {row.gcc} at most, and {name} has only newer ones"
    return None


def of_cuda(site: Site) -> list[Demand]:
    """That some toolkit of the wish runs under the driver."""
    if not wished(site):
        return []
    found = toolkits(site)
    serving = [one for one in found if _unserving(site, one) is None]
    if site.gpus and found and not serving:
        whys = dict.fromkeys(why for one in found if (why := _unserving(site, one)))
        refuse([f'rig_cuda = "{site.settings.cuda}"', "; ".join(whys)], WHEELS)
    floors = {numbers(driver_floor(numbers(one.row.version)[0])): one for one in serving}

    def objection(c: Candidate) -> str | None:
        if not found or any(floor <= numbers(c.version) for floor in floors):
            return None
        return against(site, serving[0] if serving else found[0], c.version)

    return [Demand(f'rig_cuda = "{site.settings.cuda}"', objection, WHEELS)]


def system_cuda(site: Site, draft: Draft, driver: Driver | None) -> Cuda | None:
    """The toolkit to have, None where none is wished for; a refusal where none can be had."""
    if not wished(site):
        return None
    if site.distribution.packages != "apt":
        by_hand = f"{site.distribution.name}: gpurig cannot set up CUDA toolkits there yet"
        refuse([f'rig_cuda = "{site.settings.cuda}"', by_hand], WHEELS)
    version = driver.minimum_version if driver else _installed_driver(site)
    found = toolkits(site)
    fitting = [one for one in found if against(site, one, version) is None]
    if not fitting:
        whys = dict.fromkeys(why for one in found if (why := against(site, one, version)))
        known = f"; {'; '.join(whys)}" if whys else f" has no package of it{_why(site)}"
        refuse([f'rig_cuda = "{site.settings.cuda}"', f"{site.distribution.name}{known}"], WHEELS)
    best = min(fitting, key=lambda one: _rank(one, fitting, driver, version))
    gcc = _host_compiler(site, draft, best.row)
    rejected = [
        f"{one.title}: {against(site, one, version)}" for one in found if one not in fitting
    ]
    reason = _reason(site, best, version)
    draft.chose(f"CUDA toolkit {best.row.version}", reason, best.row.source, rejected)
    packaged, row = best.packaged, best.row
    from_nvidia = packaged.origin == "nvidia"
    return Cuda(
        version=row.version,
        origin=packaged.origin,
        packages=tuple(_filled(name, row.version) for name in packaged.packages),
        home=_filled(packaged.home, row.version),
        gcc=gcc,
        capabilities=tuple(
            sorted({g.compute_capability for g in site.gpus if g.compute_capability}, key=numbers)
        ),
        components=tuple(packaged.components),
        repository=nvidia.repository(site) if from_nvidia else None,
    )


def _filled(text: str, version: str) -> str:
    return text.format(version=version, dashed=version.replace(".", "-"))


def _rank(
    one: Toolkit, fitting: list[Toolkit], driver: Driver | None, version: str | None
) -> tuple[bool, bool, bool, int]:
    """Installed, then of the driver's own source, then wholly served by the driver, then newest."""
    served = bool(version and one.row.driver and numbers(one.row.driver) <= numbers(version))
    same = driver is None or one.packaged.origin == driver.source
    return not one.installed, not same, not served, fitting.index(one)


def _reason(site: Site, best: Toolkit, version: str | None) -> str:
    how = "it is installed" if best.installed else f"from {best.packaged.origin}"
    wish = f'rig_cuda is "{site.settings.cuda}"; {how}'
    row = best.row
    if version and row.driver and numbers(row.driver) > numbers(version):
        return f"{wish}; minor-version compatibility (its own PTX needs driver {row.driver})"
    if version and row.driver is None:
        return f"{wish}; minor-version compatibility (gpurig does not know its own driver)"
    return f"{wish}; the driver supports all of it" if version else wish


def _host_compiler(site: Site, draft: Draft, row: CudaRow) -> int | None:
    """The major of gcc that nvcc must be given, None where the default one will do."""
    default = site.distribution.gccs[0]
    if default <= row.gcc:
        draft.chose(
            f"host compiler gcc {default}",
            f"the default; CUDA allows gcc {row.gcc} at most",
            row.source,
        )
        return None
    best = max(major for major in site.distribution.gccs if major <= row.gcc)
    too_new = f"gcc {default}: CUDA {row.version} allows gcc {row.gcc} at most (crt/host_config.h)"
    draft.chose(
        f"host compiler gcc {best}",
        f"installed beside the default one{site.distribution.doubt('gccs')}",
        row.source,
        [too_new],
    )
    return best


def _installed_driver(site: Site) -> str | None:
    there = site.observed.driver_installed
    return str(there["version"]) if isinstance(there, dict) else None


def _why(site: Site) -> str:
    place = nvidia.repository_row(site)
    obstacle = nvidia.obstacle(site)
    if not obstacle and place and place.cuda_first:
        obstacle = f"NVIDIA's repository begins with {place.cuda_first}"
    return f" ({obstacle})" if obstacle else ""


_PACKAGED = (9,)  # the packages' names begin with libcudnn9


def system_cudnn(
    site: Site, draft: Draft, cuda: Cuda | None, driver: Driver | None
) -> Cudnn | None:
    """cuDNN of the system, from NVIDIA's repository; None where it is not wished for."""
    wish = site.settings.cudnn
    if wish == "wheels":
        return None
    if site.distribution.packages != "apt":
        by_hand = f"{site.distribution.name}: gpurig cannot set up cuDNN there yet"
        refuse([f'rig_cudnn = "{wish}"', by_hand], CUDNN_WHEELS)
    if obstacle := nvidia.obstacle(site):
        refuse([f'rig_cudnn = "{wish}"', obstacle], CUDNN_WHEELS)
    limit = cudnn_limit(site.gpus)
    if limit and wish != "system" and numbers(wish) > numbers(limit):
        old = ", ".join(called(gpu) for gpu in site.gpus)
        refuse([f'rig_cudnn = "{wish}"', f"{limit} is the last cuDNN for {old}"], CUDNN_WHEELS)
    (row,) = tables().cudnn_packages
    major = _major(cuda, driver, limit)
    limit = _checked(site, wish, major) or limit
    packages = tuple(name.format(major=major) for name in row.packages)
    version = limit or "" if wish == "system" else wish
    reason = f'rig_cudnn is "{wish}"' + (
        f"; {limit} is the last cuDNN for the GPUs" if limit else ""
    )
    draft.chose(
        f"cuDNN {version or 'of the repository'}", f"{reason}, for CUDA {major}", row.source
    )
    return Cudnn(
        version=version or ">=9",
        maximum=limit if wish == "system" else wish,
        minimum=None if wish == "system" else wish,
        origin="nvidia",
        packages=packages,
        repository=nvidia.repository(site),
    )


def _checked(site: Site, wish: str, major: int) -> str | None:
    """The last version for this CUDA and these GPUs, None where that is the newest."""
    able = [
        row
        for row in tables().cudnn
        if major in row.cuda_majors
        and numbers(row.first) >= _PACKAGED
        and all(covers(row, gpu.compute_capability) for gpu in site.kinds if gpu.compute_capability)
    ]
    if not able:
        gpus = ", ".join(called(gpu) for gpu in site.kinds)
        refuse(
            [f'rig_cudnn = "{wish}"', f"no cuDNN supports both CUDA {major} and {gpus}"],
            CUDNN_WHEELS,
        )
    known = [numbers(row.first)[0] for row in able]
    version = numbers(wish)
    right = wish == "system" or any(
        numbers(row.first) <= version and (row.last is None or version <= numbers(row.last))
        for row in able
    )
    if not right or (version and version[0] not in known):
        told = " or ".join(f"{row.first} to {row.last or 'the newest'}" for row in able)
        refuse([f'rig_cudnn = "{wish}"', f"for CUDA {major} there is cuDNN {told}"], CUDNN_WHEELS)
    newest = max(able, key=lambda row: numbers(row.first))
    return newest.last


def _major(cuda: Cuda | None, driver: Driver | None, limit: str | None) -> int:
    if cuda and cuda.origin != "wheels":
        return numbers(cuda.version)[0]
    if limit or (driver and numbers(driver.minimum_version) < numbers(driver_floor(13))):
        return 12
    return 13
