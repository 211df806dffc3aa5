"""The tables: figures with their source, that agree with each other and with what others list."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from gpurig.contract.frameworks import frameworks
from gpurig.settings.places import REPOSITORIES
from gpurig.stack.gpus import driven_by, gpu, row_of, runs_code
from gpurig.stack.rows import BuildRow, DistributionRow, ReleaseRow
from gpurig.stack.tables import tables
from gpurig.stack.versions import numbers

DATA = Path(__file__).parent.parent / "data"
LOCKS = Path(__file__).parents[2] / "src" / "gpurig" / "wheels" / "data" / "locks"

# What the first two letters of a chip's name say.
FAMILIES = {
    "GK": "kepler", "GM": "maxwell", "GP": "pascal", "GV": "volta", "TU": "turing", "GA": "ampere",
    "AD": "ada", "GH": "hopper", "GB": "blackwell", "GR": "rubin",
}  # fmt: skip
# One of each row, by the product that pci.ids names: its capability is in no list of chips.
CAPABILITIES = {
    "0ffe": "3.0", "1024": "3.5", "102d": "3.7", "13bd": "5.0", "13ad": "5.2", "15f8": "6.0",
    "1b38": "6.1", "1db6": "7.0", "1eb8": "7.5", "20b5": "8.0", "2235": "8.6", "26b9": "8.9",
    "2330": "9.0", "2342": "9.0", "2901": "10.0", "3182": "10.3", "2b85": "12.0", "2e12": "12.1",
    "2b00": "11.0", "3021": "10.7",
}  # fmt: skip
GRACE_HOPPER = {"2342", "2345", "2348"}
# In pci.ids, and in no row: what it is and what drives it is not known.
UNKNOWN_CHIPS = {"3340": "GB120"}
# In a row, and not in the captured pci.ids: its list of 2026.10.24 has it.
LATER_IDS = {"3400"}
KINDS = {"LTS", "production", "new feature", "legacy"}
PLATFORMS = {"linux-x86_64", "linux-aarch64", "macos-arm64"}


def _listed(name: str) -> list[str]:
    lines = (DATA / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


PCI_IDS = dict(line.split("  ", 1) for line in _listed("pci.ids-nvidia.txt"))
OPEN_IDS = [one for line in _listed("open-gpu-ids.txt") for one in line.split()]
CHIPS = {
    pci_id: chip[0]
    for pci_id, name in PCI_IDS.items()
    if (chip := re.match(rf"({'|'.join(FAMILIES)})\d\d[0-9B]", name)) and "NVSwitch" not in name
}
RELEASES = {(row.family, row.release): row for row in tables().distribution if not row.like}
BRANCHES = {row.number: row for row in tables().branch}
BUILDS = [
    pytest.param(row, build, id=f"{row.name}-{row.version}-{n}-{build.accelerator}")
    for row in tables().release
    for n, build in enumerate(row.builds)
]


def _span(ids: str) -> tuple[int, int]:
    first, _, last = ids.partition("-")
    return int(first, 16), int(last or first, 16)


def _major(bounds: str) -> int:
    return numbers(bounds.split(",")[0].lstrip(">=~"))[0]


def test_every_row_names_its_source_and_date():
    for row in tables().rows():
        assert row.source.strip(), row
        assert row.date.year >= 2025, row


# --- GPUs


def test_an_id_is_of_the_chip_that_pci_ids_names():
    assert len(CHIPS) > 800
    for pci_id, chip in CHIPS.items():
        found = row_of(f"10de:{pci_id}")
        if pci_id in UNKNOWN_CHIPS:
            assert (found, chip) == (None, UNKNOWN_CHIPS[pci_id])
            continue
        assert found is not None, f"{pci_id} {chip}"
        assert found.architecture == FAMILIES[chip[:2]], f"{pci_id} {chip}"
        assert chip in re.findall(r"[A-Z]{2}\w+", found.chips), f"{pci_id} {chip}"


def test_what_the_open_modules_list_has_the_open_flavour():
    assert len(OPEN_IDS) == 289
    for pci_id in OPEN_IDS:
        found = row_of(f"10de:{pci_id}")
        assert found is not None, pci_id
        assert "open" in found.flavours, pci_id


def test_every_row_has_the_compute_capability_of_a_known_product():
    found = {pci_id: row_of(f"10de:{pci_id}") for pci_id in CAPABILITIES}
    assert {pci_id: row.compute_capability for pci_id, row in found.items()} == CAPABILITIES
    assert {row.chips for row in found.values()} == {row.chips for row in tables().gpu}


def test_only_the_open_module_drives_grace_hopper():
    for pci_id, chip in CHIPS.items():
        if chip == "GH100":
            alone = row_of(f"10de:{pci_id}").flavours == ["open"]
            assert alone == (pci_id in GRACE_HOPPER), pci_id


def test_no_range_is_of_ids_that_nobody_lists():
    """Each range of a row holds an id that pci.ids or the open modules name."""
    known = {int(one, 16) for one in (*PCI_IDS, *OPEN_IDS, *LATER_IDS)}
    for row in tables().gpu:
        for ids in row.ids:
            first, last = _span(ids)
            assert any(first <= one <= last for one in known), f"{row.chips}: {ids}"


def test_an_id_of_no_row_stays_unknown():
    """Fermi, NVSwitches, audio, a PCIe bridge, the future, zero, another vendor: never guessed."""
    others = [pci_id for pci_id, name in PCI_IDS.items() if "NVSwitch" in name or name[:2] == "GF"]
    known = [f"10de:{pci_id}" for pci_id in (*others, "22bc", "22ce", "ffff", "0000")]
    for pci_id in (*known, "1002:744c"):
        assert row_of(pci_id) is None, pci_id
        assert gpu(pci_id).architecture is None


@pytest.mark.parametrize("table", ["gpu", "nvswitch"])
def test_no_two_rows_claim_an_id_equally(table):
    """Of several ranges that hold an id one is the narrowest, so that order does not decide."""
    claims: dict[tuple[int, int], str] = {}
    for row in getattr(tables(), table):
        for ids in row.ids:
            span = _span(ids)
            assert span[0] <= span[1], ids
            assert span not in claims, f"{ids}: {row.chips} and {claims[span]}"
            claims[span] = row.chips
    for one in claims:
        for other in claims:
            crosses = one[0] < other[0] <= one[1] < other[1]
            assert not crosses, f"{claims[one]} and {claims[other]} cross at {other[0]:04x}"


def test_every_nvswitch_of_pci_ids_is_known():
    spans = [_span(ids) for row in tables().nvswitch for ids in row.ids]
    named = [int(pci_id, 16) for pci_id, name in PCI_IDS.items() if "NVSwitch" in name]
    assert named
    assert all(any(first <= one <= last for first, last in spans) for one in named)


@pytest.mark.parametrize("row", tables().gpu, ids=lambda row: row.chips)
def test_flavours_follow_the_architecture(row):
    """Open modules begin with Turing, proprietary ones end before Blackwell and Grace Hopper."""
    if row.architecture in ("kepler", "maxwell", "pascal", "volta"):
        assert row.flavours == ["proprietary"]
    elif row.architecture in ("blackwell", "rubin") or "Grace" in row.chips:
        assert row.flavours == ["open"]
    else:
        assert row.flavours == ["open", "proprietary"]


@pytest.mark.parametrize("toolkit", tables().cuda, ids=lambda row: row.version)
@pytest.mark.parametrize("row", tables().gpu, ids=lambda row: row.chips)
def test_gpus_and_toolkits_say_the_same_of_each_other(row, toolkit):
    """A toolkit compiles for a GPU from its first to its last CUDA, and for it only then."""
    version = numbers(toolkit.version)
    first, last = numbers(row.cuda_first), numbers(row.cuda_last or toolkit.version)
    assert (row.compute_capability in toolkit.capabilities) == (first <= version <= last)


@pytest.mark.parametrize("row", tables().gpu, ids=lambda row: row.chips)
def test_every_gpu_has_a_driver_branch(row):
    if row.last_branch:
        assert row.last_branch in BRANCHES
    assert any(driven_by(row, number, row.flavours[0]) is None for number in BRANCHES)


@pytest.mark.parametrize("row", tables().accelerator, ids=lambda row: row.name)
def test_what_is_no_gpu_is_served_by_its_framework(row):
    """It is found by its ids or by the platform, and each such framework has a build for it."""
    assert bool(row.ids) != (row.platform is not None)
    builds = [b for one in tables().release if one.name == row.framework for b in one.builds]
    serving = [b for b in builds if b.accelerator == row.accelerator]
    assert serving
    assert row.platform is None or all(row.platform in build.platforms for build in serving)


# --- drivers


@pytest.mark.parametrize("row", tables().branch, ids=lambda row: row.number)
def test_a_branch_is_of_a_kind_and_has_its_own_versions_in_order(row):
    assert row.kind in KINDS
    assert row.end_of_life is None or re.fullmatch(r"ended|20\d\d-(0\d|1[0-2])", row.end_of_life)
    assert all(numbers(version)[0] == row.number for version in row.versions)
    assert row.versions == sorted(set(row.versions), key=numbers)


def test_branches_are_in_order_and_their_cuda_never_goes_back():
    assert list(BRANCHES) == sorted(BRANCHES)
    assert len(BRANCHES) == len(tables().branch)
    majors = [row.cuda_major for row in tables().branch if row.cuda_major]
    assert majors == sorted(majors)


@pytest.mark.parametrize("major", tables().cuda_major, ids=lambda row: row.major)
def test_the_branch_of_a_floor_is_the_first_with_that_cuda(major):
    """A branch runs the CUDA majors whose floor is not above it, and says so."""
    for row in tables().branch:
        if row.cuda_major:
            assert (row.number >= numbers(major.driver)[0]) == (row.cuda_major >= major.major)


@pytest.mark.parametrize(
    "row", tables().driver, ids=lambda row: f"{row.distribution}{row.release}-{row.branch}"
)
def test_a_packaged_driver_is_of_a_known_branch_and_distribution(row):
    assert row.branch in BRANCHES
    assert numbers(row.version)[0] == row.branch
    assert (row.distribution, row.release) in RELEASES
    assert set(row.architectures) <= {one.machine for one in tables().architecture}
    drives = [g for g in tables().gpu if driven_by(g, row.branch, row.flavour) is None]
    assert drives


@pytest.mark.parametrize(
    "row", tables().driver, ids=lambda row: f"{row.distribution}{row.release}-{row.branch}"
)
def test_every_driver_maps_its_module_and_answers_nvml(row):
    """Without libcuda1 Debian makes no alternative, and modprobe does not find nvidia."""
    if row.branch == 470 and row.distribution == "debian":
        assert {"libnvidia-tesla-470-cuda1", "nvidia-tesla-470-smi"} <= set(row.packages)
        assert row.module == row.dkms == "nvidia-tesla-470"
    elif row.distribution == "debian":
        assert {"libcuda1", "nvidia-smi", "nvidia-persistenced"} <= set(row.packages)
        assert row.module == row.dkms
        assert row.module == f"nvidia-current{'-open' if row.flavour == 'open' else ''}"
        assert ("nvidia-open-kernel-dkms" in row.packages) == (row.flavour == "open")
    else:
        open_ = "-open" if row.flavour == "open" else ""
        server = "-server" if row.line else ""
        headless, utils = row.packages
        assert (headless, utils) == (
            f"nvidia-headless-{row.branch}{server}{open_}", f"nvidia-utils-{row.branch}{server}"
        )  # fmt: skip
        assert (row.module, row.dkms) == ("nvidia", "nvidia")
        # It depends on nvidia-kernel-common-BRANCH-server, and is in multiverse.
        of_server = (f"nvidia-fabricmanager-{row.branch}", ["multiverse"])
        assert (row.fabric_manager, row.fabric_components) == (
            of_server if row.line else (None, [])
        )


@pytest.mark.parametrize("row", tables().broken, ids=lambda row: f"{row.release}-{row.branch}")
def test_what_is_broken_is_of_a_known_distribution_and_branch(row):
    assert (row.distribution, row.release) in RELEASES
    assert row.branch in BRANCHES
    assert row.origin in ("distribution", "nvidia")


# --- repositories


@pytest.mark.parametrize("row", tables().nvidia_repository, ids=lambda row: row.name)
def test_a_repository_is_of_a_known_distribution_and_signed_by_its_key(row):
    """NVIDIA names it after the distribution, and its key's file after the fingerprint's end."""
    assert (row.distribution, row.release) in RELEASES
    assert row.name == f"{row.distribution}{row.release.replace('.', '')}"
    assert set(row.machines) <= {one.machine for one in tables().architecture}
    assert row.machines.get("aarch64", "sbsa") == "sbsa"
    assert row.branches == sorted(set(row.branches))
    assert set(row.branches) <= set(BRANCHES)
    key = row.key.removesuffix(".pub")
    assert re.fullmatch(r"[0-9A-Fa-f]{8}", key)
    assert row.fingerprint is None or re.fullmatch(r"[0-9A-F]{40}", row.fingerprint)
    assert row.fingerprint is None or row.fingerprint.endswith(key.upper())


def test_no_key_in_use_is_a_retired_one():
    retired = {row.fingerprint for row in tables().retired_key}
    assert all(re.fullmatch(r"[0-9A-F]{40}", fingerprint) for fingerprint in retired)
    used = {
        row.fingerprint
        for row in (*tables().nvidia_repository, *tables().toolkit, *tables().docker)
    }
    assert not used & retired


@pytest.mark.parametrize("flavour", ["open", "proprietary"])
@pytest.mark.parametrize("row", tables().nvidia_repository, ids=lambda row: row.name)
def test_each_branch_of_a_repository_has_one_set_of_names(row, flavour):
    for branch in row.branches:
        rows = [
            one
            for one in tables().nvidia_packages
            if (one.family, one.flavour)
            == (RELEASES[row.distribution, row.release].family, flavour)
            and (one.first_branch or 0) <= branch <= (one.last_branch or branch)
        ]
        assert len(rows) == 1, branch
        (named,) = rows
        texts = [*named.packages, named.pinning or "", named.stream or "", named.fabric_manager]
        assert all("{" not in text.format(branch=branch) for text in texts)
        assert any(("open" in name) == (flavour == "open") for name in named.packages)
        assert (named.module, named.dkms) == ("nvidia", "nvidia")


@pytest.mark.parametrize("row", tables().nvidia_packages, ids=lambda row: row.family)
def test_names_follow_what_nvidia_says_of_them(row):
    """Pinning is apt's and begins with 580, streams are RHEL's; 590 drops the branch's number."""
    apt = row.family in ("debian", "ubuntu")
    assert (row.pinning is not None) == (apt and (row.first_branch or 0) >= 580)
    assert (row.stream is not None) == (row.family == "rhel")
    numbered = any("{branch}" in name for name in row.packages)
    assert numbered == (row.family == "ubuntu" and (row.first_branch or 0) < 590)
    kernel = [name for name in row.packages if "dkms" in name]
    assert len(kernel) == 1
    assert ("open" in kernel[0]) == (row.flavour == "open")


# --- Docker's repository


@pytest.mark.parametrize("row", tables().docker, ids=lambda row: row.family)
def test_docker_s_repository_serves_releases_of_one_family_of_apt(row):
    """Each suite is a supported release's code name; the key is one, by its whole fingerprint."""
    here = {one.codename: one.packages for one in RELEASES.values() if one.family == row.family}
    assert row.suites
    assert all(here[suite] == "apt" for suite in row.suites)
    assert re.fullmatch(r"[0-9A-F]{40}", row.fingerprint)
    assert row.uri.startswith("{root}/")
    assert row.key.startswith(row.uri)
    assert row.packages[0] == "docker-ce"
    assert row.name in REPOSITORIES


# --- distributions


@pytest.mark.parametrize("row", tables().distribution, ids=lambda row: row.name)
def test_a_distribution_is_whole(row: DistributionRow):
    assert row.origin == {"debian": "Debian", "ubuntu": "Ubuntu"}.get(row.family, "")
    assert row.packages == {"debian": "apt", "ubuntu": "apt", "macos": ""}.get(row.family, "dnf")
    assert bool(row.docker) == bool(row.docker_packages)
    assert row.end_of_life is None or re.fullmatch(r"20\d\d-(0\d|1[0-2])", row.end_of_life)
    assert len(set(row.pythons)) == len(row.pythons)
    assert all(re.fullmatch(r"3\.\d+", python) for python in row.pythons)
    if row.family != "macos":
        assert any(gcc <= toolkit.gcc for toolkit in tables().cuda for gcc in row.gccs)


def test_no_two_distributions_are_one():
    names = [(name, row.version) for row in tables().distribution for name in row.ids]
    assert len(set(names)) == len(names)
    assert len(RELEASES) == len([row for row in tables().distribution if not row.like])


DERIVATIVES = [row for row in tables().distribution if row.like]


@pytest.mark.parametrize("row", DERIVATIVES, ids=lambda row: row.name)
def test_a_derivative_is_its_base_but_for_what_it_is_called(row: DistributionRow):
    """All that the other tables are asked for is the base's; so is what its own row leaves out."""
    (base,) = (one for one in tables().distribution if one.word == row.like)
    assert base.like is None
    own = {"ids", "version", "name", "like", "source", "date"}
    assert {k: v for k, v in vars(row).items() if k not in own} == {
        k: v for k, v in vars(base).items() if k not in own
    }
    assert (row.version, row.release) == (row.word.partition(":")[2], base.version)


@pytest.mark.parametrize("row", tables().distribution, ids=lambda row: row.name)
def test_every_linux_has_its_kernels_on_each_architecture(row):
    for machine in [one.machine for one in tables().architecture]:
        found = [
            one for one in tables().kernels if (one.family, one.machine) == (row.family, machine)
        ]
        assert len(found) == (0 if row.family == "macos" else 1)
        for kernels in found:
            assert len(set(kernels.flavours)) == len(kernels.flavours)
            by_flavour = "{flavour}" in kernels.image
            assert by_flavour == (row.packages == "apt")
            assert all(("{flavour}" in name) == by_flavour for name in kernels.headers)


# --- frameworks


@pytest.mark.parametrize("name", frameworks())
def test_releases_are_newest_first(name):
    versions = [numbers(row.version) for row in tables().release if row.name == name]
    assert all(newer > older for newer, older in pairwise(versions))


@pytest.mark.parametrize("row", tables().release, ids=lambda row: f"{row.name}-{row.version}")
def test_a_release_is_whole(row: ReleaseRow):
    assert row.python == sorted(set(row.python), key=numbers)
    assert row.builds
    architectures = {one.architecture for one in tables().gpu}
    assert set(row.doubts) <= architectures
    for name, allowed in row.bases.items():
        releases = [one for one in tables().release if one.name == name]
        fitting = [one for one in releases if SpecifierSet(allowed).contains(one.version)]
        assert any(set(row.python) & set(one.python) for one in fitting)


@pytest.mark.parametrize(("row", "build"), BUILDS)
def test_a_build_asks_for_its_release_on_known_platforms(row: ReleaseRow, build: BuildRow):
    assert build.platforms
    assert set(build.platforms) <= PLATFORMS
    own = Requirement(build.pins[0])
    assert own.name.partition("-")[0] == frameworks()[row.name].wheels[0]
    assert str(own.specifier) == f"=={row.version}"
    assert own.extras <= {"and-cuda", "cuda12", "cuda13", "tpu"}
    cuda = build.accelerator == "cuda"
    assert not cuda or "macos-arm64" not in build.platforms
    assert bool(build.cuda) == bool(build.capabilities) == (cuda and not row.bases)
    compiles = row.name in ("tensorflow", "jax")  # they cannot do without XLA
    assert bool(build.compiler) == (bool(build.cuda) and compiles)


@pytest.mark.parametrize(("row", "build"), BUILDS)
def test_every_cuda_build_runs_somewhere(row: ReleaseRow, build: BuildRow):
    """Some branch drives some GPU that the build has code for, and runs the build's CUDA."""
    if build.cuda is None:
        return
    major = _major(build.cuda)
    (floor,) = (one.driver for one in tables().cuda_major if one.major == major)
    serving = [
        (branch.number, one.chips)
        for branch in tables().branch
        if branch.cuda_major and branch.cuda_major >= major and not branch.ended
        if branch.versions and numbers(branch.versions[-1]) >= numbers(floor)
        for one in tables().gpu
        if driven_by(one, branch.number, one.flavours[0]) is None
        if runs_code(one.compute_capability, build)
    ]
    assert serving


@pytest.mark.parametrize(("row", "build"), BUILDS)
def test_a_build_brings_cuda_and_cudnn_that_exist(row: ReleaseRow, build: BuildRow):
    """Its code is of capabilities that a toolkit in its bounds compiles for; so is its cuDNN."""
    if build.cuda is None:
        return
    allowed = SpecifierSet(build.cuda)
    low = numbers(build.cuda.split(",")[0].lstrip(">="))
    toolkits = [
        one
        for one in tables().cuda
        if allowed.contains(f"{one.version}.9999") or numbers(one.version) == low[:2]
    ]
    compiled = {capability for one in toolkits for capability in one.capabilities}
    held = [*build.capabilities, *build.ptx]
    assert all(re.fullmatch(r"\d+\.\d[af]?", one) for one in held)
    assert {one.rstrip("af") for one in held} <= compiled
    assert build.capabilities == sorted(set(build.capabilities), key=numbers)
    assert build.ptx == sorted(set(build.ptx), key=numbers)
    first = numbers((build.cudnn or "").split(",")[0].lstrip(">="))
    assert not build.cudnn or any(
        numbers(one.first) <= first <= (numbers(one.last) if one.last else first)
        and low[0] in one.cuda_majors
        for one in tables().cudnn
    )


def test_a_build_of_its_own_index_is_preferred_to_none_and_cpu_to_nothing():
    """Builds are in order: CUDA of the usual index, CUDA of others, what is no GPU, at last cpu."""
    for row in tables().release:
        order = [
            (build.accelerator == "cpu", build.accelerator != "cuda", build.index is not None)
            for build in row.builds
        ]
        assert order == sorted(order), f"{row.name} {row.version}"


@pytest.mark.parametrize("lock", sorted(LOCKS.glob("tensorflow-*.txt")), ids=lambda path: path.stem)
def test_the_locks_that_ship_are_of_a_release_and_its_pins(lock):
    """A lock's name says release, Python, architecture and accelerator; a row has that build."""
    name, version, python, machine, accelerator = re.fullmatch(
        r"(\w+)-([\d.]+)-py([\d.]+)-(\w+)-(\w+)", lock.stem
    ).groups()
    (row,) = (r for r in tables().release if (r.name, r.version) == (name, version))
    (build,) = (b for b in row.builds if b.accelerator == accelerator)
    assert python in row.python
    assert f"linux-{machine}" in build.platforms
    held = dict(re.findall(r"^([\w.-]+)==(\S+)", lock.read_text(encoding="utf-8"), re.MULTILINE))
    for pin in map(Requirement, [*build.pins, *row.workload_pins]):
        assert pin.specifier.contains(held[pin.name.replace("_", "-")]), pin


# --- CUDA and cuDNN


def test_toolkits_are_newest_first_and_need_no_less_than_their_major():
    versions = [numbers(row.version) for row in tables().cuda]
    assert all(newer > older for newer, older in pairwise(versions))
    floors = {row.major: numbers(row.driver) for row in tables().cuda_major}
    for row in tables().cuda:
        assert row.driver is None or numbers(row.driver) >= floors[numbers(row.version)[0]]
        assert row.capabilities == sorted(row.capabilities, key=numbers)
    for newer, older in pairwise(tables().cuda):
        assert (newer.gcc, newer.clang) >= (older.gcc, older.clang)
        assert not (newer.driver and older.driver) or numbers(newer.driver) > numbers(older.driver)


@pytest.mark.parametrize("row", tables().cuda_packages, ids=lambda row: row.origin + row.release)
def test_a_packaged_toolkit_is_of_a_known_distribution_and_version(row):
    known = {one.version for one in tables().cuda}
    if row.origin == "distribution":
        assert (row.distribution, row.release) in RELEASES
        assert row.version in known
    else:
        assert row.first in known
        assert "{" not in row.home.format(version="13.0")
    assert all("{" not in name.format(dashed="13-0", version="13.0") for name in row.packages)


@pytest.mark.parametrize("rows", [tables().cudnn, tables().nccl], ids=["cudnn", "nccl"])
def test_ranges_of_libraries_follow_each_other(rows):
    """They do not overlap, the newest alone is open, and no newer one serves older GPUs."""
    assert [row.last is None for row in rows].count(True) == 1
    for newer, older in pairwise(rows):
        assert older.last is not None
        assert numbers(older.first) <= numbers(older.last) < numbers(newer.first)
        assert numbers(newer.capability) >= numbers(older.capability)
        assert numbers(newer.capability_last) >= numbers(older.capability_last)


def test_the_last_cudnn_for_old_gpus_is_the_one_that_pytorch_pins():
    """Two tables that were read apart: the end of Volta, and what builds with code for it ask."""
    (row,) = (one for one in tables().cudnn if one.last == "9.10.2.21")
    asked = {b.cudnn.split(",")[0] for f in tables().release if f.name == "pytorch"
             for b in f.builds if b.cudnn and runs_code("7.0", b)}  # fmt: skip
    assert all(numbers(one.lstrip(">=")) <= numbers(row.last) for one in asked)
