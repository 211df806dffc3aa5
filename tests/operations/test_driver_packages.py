"""The driver's packages on a booted Debian 13: from both sources, and from each to each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gpurig.contract.finding import Verdict
from gpurig.errors import HostError
from gpurig.operations.driver import packages
from gpurig.operations.driver import preferences as pins
from gpurig.operations.packages import dpkg as whole
from gpurig.operations.packages import sources
from gpurig.operations.shared import apt
from gpurig.stack.model import Archive, Driver, Repository
from lab.debs import make_deb
from lab.lab import Lab
from lab.nvidia import nvidia
from lab.plugin import Boot

from .passes import Passes, all_hold

pytestmark = pytest.mark.lab

ARCHIVE = Archive("Debian", "trixie")
DEBIAN = Driver(
    branch="550",
    flavour="proprietary",
    source="distribution",
    packages=(
        "nvidia-kernel-dkms", "libcuda1", "libnvidia-ml1", "libnvidia-cfg1", "nvidia-smi",
        "nvidia-persistenced",
    ),
    module="nvidia-current",
    dkms="nvidia-current",
    minimum_version="550.163.01",
    components=("contrib", "non-free", "non-free-firmware"),
)  # fmt: skip
MODULES = {"open": "nvidia-kernel-open-dkms", "proprietary": "nvidia-kernel-dkms"}

passes: Passes
repository: Repository
wanted: Driver


def theirs(branch: str, flavour: str = "open") -> Driver:
    """NVIDIA's driver of a branch."""
    return Driver(
        branch=branch,
        flavour="open" if flavour == "open" else "proprietary",
        source="nvidia",
        packages=("nvidia-driver-cuda", MODULES[flavour]),
        module="nvidia",
        dkms="nvidia",
        minimum_version=f"{branch}.0",
        repository=repository,
        pinning=f"nvidia-driver-pinning-{branch}",
    )


def deployed() -> None:
    """The operations under test, in the order of the deploy."""
    if wanted.components:
        sources.components(components=wanted.components, archive=ARCHIVE)
    if wanted.repository:
        apt.keyring(promise="driver.keyring", repository=wanted.repository)
        apt.repository(
            promise="driver.repository",
            keyring="driver.keyring",
            repository=wanted.repository,
            architecture="amd64",
        )
    pins.preferences(driver=wanted, archive=ARCHIVE)
    if wanted.repository:
        packages.pinning(package=wanted.pinning)
    packages.packages(driver=wanted)


@pytest.fixture(scope="module", autouse=True)
def _host(lab: Lab, boot: Boot) -> Iterator[None]:
    """A bare host, without a kernel's headers, so that no module is built."""
    global passes, repository, wanted
    place = nvidia(lab, "nvidia-moves")
    repository = Repository("nvidia", place.uri, "/", (), place.key_url, place.fingerprint)
    passes = Passes.over(boot("trixie", "drv13"))
    wanted = DEBIAN
    yield
    passes.link.close()


def transactions() -> list[str]:
    """What apt was asked for, one line for each transaction that changed something."""
    history = passes.host.run("grep -h ^Commandline: /var/log/apt/history.log", check=False)
    return str(history.stdout).splitlines()


def installed() -> dict[str, str]:
    """The version of each package that is installed."""
    form = r"${binary:Package} ${Version} ${db:Status-Status}\n"
    lines = (line.split() for line in passes.shell(f"dpkg-query -W -f '{form}'").splitlines())
    return {name: version for name, version, state in lines if state == "installed"}


def moved(driver: Driver) -> dict[str, str]:
    """One run brings the driver about, and the next one changes nothing."""
    global wanted
    wanted = driver
    before = len(transactions())
    assert all_hold(passes.up(deployed))
    done = transactions()
    asked = [line for line in done[before:] if "pinning" not in line]
    assert len(asked) == 1, f"one transaction moved it: {asked}"
    if driver.pinning:
        pinning = [line for line in done[before:] if driver.pinning in line]
        assert done[before:] == [*pinning, *asked], "pinned before the driver"
    assert all_hold(passes.plan(deployed)), "a second run has nothing to do"
    assert not passes.shell("dpkg --audit")
    return installed()


MOVES = {
    "bare to Debian's": lambda: DEBIAN,
    "Debian's to NVIDIA's 580, open": lambda: theirs("580"),
    "open to proprietary": lambda: theirs("580", "proprietary"),
    "580 to 595, open": lambda: theirs("595"),
    "595 down to 580": lambda: theirs("580"),
    "NVIDIA's to Debian's": lambda: DEBIAN,
}


@pytest.mark.parametrize("move", MOVES)
def test_each_move_is_one_transaction_and_the_next_run_changes_nothing(move: str) -> None:
    """After it every package of the driver is of the source, branch and flavour wanted."""
    driver = MOVES[move]()
    there = moved(driver)
    names = [name.partition(":")[0] for name in there]
    assert set(driver.packages) <= set(names)
    version = there["libcuda1:amd64"]
    assert version.startswith(f"{driver.branch}.")
    assert there[MODULES[driver.flavour]] == version
    assert [name for name in MODULES.values() if name in there] == [MODULES[driver.flavour]]
    branches = {v[:3] for n, v in there.items() if "nvidia" in n and "pinning" not in n}
    assert branches & {"550", "580", "595"} == {driver.branch}
    pinned = [name for name in names if name.startswith("nvidia-driver-pinning")]
    if driver.pinning:
        assert pinned == [driver.pinning]


def test_a_newer_candidate_is_not_taken() -> None:
    """What is installed and right holds, whatever apt could get."""
    moved(theirs("580"))
    passes.shell("apt-get -qq update; apt-get -s dist-upgrade | grep -c ' (595\\|(620' || :")
    assert all_hold(passes.plan(deployed))
    assert "595" not in passes.shell("apt-get -s dist-upgrade | grep ^Inst || :")


def test_a_package_on_hold_is_not_moved() -> None:
    """The hold is the user's: it is named, and nothing is changed."""
    global wanted
    wanted = theirs("595")
    passes.shell("apt-mark hold libcuda1")
    before = installed()
    try:
        found = passes.up(lambda: packages.packages(driver=wanted))["driver.packages"]
    finally:
        passes.shell("apt-mark unhold libcuda1")
    assert found.verdict is Verdict.UNKNOWN
    assert "libcuda1 is on hold" in found.reason
    assert installed() == before
    wanted = theirs("580")
    assert all_hold(passes.up(deployed))


def test_what_is_not_the_driver_s_is_never_removed(tmp_path: Path) -> None:
    """A user's package that needs the old driver: refused with its name, nothing is changed."""
    deb = make_deb(tmp_path, "my-renderer", "1.0", depends="libcuda1 (<< 590)")
    (passes.host.root / "root" / deb.name).write_bytes(deb.read_bytes())
    passes.shell(f"dpkg -i /root/{deb.name}")
    before, asked = installed(), transactions()
    newer = theirs("595")
    pins_before = passes.shell(f"cat {pins.FILE}")
    with pytest.raises(HostError, match="would remove my-renderer, which is not NVIDIA's driver"):
        passes.link.apply(
            lambda: (
                pins.preferences(driver=newer, archive=ARCHIVE),
                packages.packages(driver=newer),
            )
        )
    assert (installed(), transactions()) == (before, asked)
    passes.host.write(pins.FILE, pins_before)
    passes.shell("dpkg --purge my-renderer")
    assert all_hold(passes.up(deployed))


def test_a_pin_of_the_user_s_that_outranks_ours_is_named() -> None:
    """It stays as it is."""
    global wanted
    file = "/etc/apt/preferences.d/a-mine"
    text = "Package: libcuda1 nvidia-driver-cuda\nPin: version 620.*\nPin-Priority: 1002\n"
    passes.host.write(file, text)
    found = passes.plan(deployed)["driver.preferences"]
    assert found.verdict is Verdict.UNKNOWN
    assert file in found.reason
    assert passes.host.read(file) == text
    passes.shell(f"rm {file}")
    assert all_hold(passes.plan(deployed))


def test_a_move_that_was_cut_off_is_finished() -> None:
    """Half of the packages are of another version, half installed: the next run brings them in."""
    global wanted
    wanted = theirs("580")
    assert all_hold(passes.up(deployed))
    passes.shell(
        "cd /root && apt-get -qq download libnvidia-ml1=595.71.05-1 &&"
        " dpkg --force-all --unpack libnvidia-ml1_595*.deb; dpkg --force-all --remove libcuda1;"
        " rm /root/*.deb"
    )
    passes.link.apply(whole.whole)
    assert all_hold(passes.up(deployed))
    assert {installed()[f"{n}:amd64"] for n in ("libcuda1", "libnvidia-ml1")} == {"580.95.05-1"}


def test_a_driver_of_a_run_file_is_found_and_left() -> None:
    """It is named with its version and the way out, and nothing is changed."""
    library = "/usr/lib/x86_64-linux-gnu/libcuda.so.610.43.02"
    current = "/usr/lib/x86_64-linux-gnu/libcuda.so.580.95.05"
    passes.shell(
        f"cp {current} {library}; rm /usr/lib/x86_64-linux-gnu/libcuda.so.1;"
        f" ln -s {library} /usr/lib/x86_64-linux-gnu/libcuda.so.1;"
        " touch /usr/bin/nvidia-uninstall; ldconfig"
    )
    before = installed()
    found = passes.plan(deployed)["driver.packages"]
    assert found.verdict is Verdict.UNKNOWN
    assert "610.43.02" in found.reason
    assert "nvidia-uninstall" in found.reason
    assert installed() == before
    passes.shell(
        f"rm /usr/bin/nvidia-uninstall {library} /usr/lib/x86_64-linux-gnu/libcuda.so.1;"
        f" ln -s libcuda.so.580.95.05 /usr/lib/x86_64-linux-gnu/libcuda.so.1; ldconfig"
    )
    assert all_hold(passes.plan(deployed))
