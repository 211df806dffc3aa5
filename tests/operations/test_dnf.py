"""dnf's promises on a booted host that dnf and rpm manage: bare, again, after each drift."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from gpurig.contract.finding import Verdict
from gpurig.contract.openpgp import certificate
from gpurig.contract.promise import keeps
from gpurig.errors import HostError
from gpurig.operations.driver import packages_dnf
from gpurig.operations.shared import dnf, packages
from gpurig.stack.model import Repository
from key_files import ATTACKER, BEGIN, END, lines
from lab.lab import Lab
from lab.plugin import Boot

from .passes import Passes, all_hold
from .rpm_host import SERVED, prepared

pytestmark = pytest.mark.lab

DRIVER = ("nvidia-driver", "kmod-nvidia-open-dkms")
KEY, FILE = "/etc/pki/rpm-gpg/gpurig-lab", "/etc/yum.repos.d/gpurig-lab.repo"
LOCKS = "/etc/dnf/plugins/versionlock.list"

passes: Passes
repository: Repository


def deployed() -> None:
    """The operations under test, in the order in which a host of dnf has them."""
    dnf.keyring(promise="driver.keyring", repository=repository)
    dnf.repository(
        promise="driver.repository", keyring="driver.keyring", repository=repository, signed="both"
    )
    packages_dnf.module_stream(stream="580-open")
    packages_dnf.versionlock(branch="580")
    packages_dnf.driver_packages_dnf(packages=DRIVER, branch="580")
    packages.packages(promise="test.packages", packages=("small", "extra"))


@pytest.fixture(scope="module", autouse=True)
def _host(lab: Lab, boot: Boot) -> Iterator[None]:
    """A bare host that one run brings about."""
    global passes, repository
    passes = Passes.over(boot("trixie", "dnf9"))
    repository = prepared(passes)
    passes.shell(f"echo 'mine-1.0.*' > {LOCKS}")
    found = passes.plan(deployed)
    assert found.pop("driver.repository").verdict is Verdict.FOLLOWS, "its key comes first"
    assert {one.verdict for one in found.values()} == {Verdict.DRIFTED}, found
    assert all_hold(passes.up(deployed)), "one run converges from bare"
    assert all_hold(passes.up(deployed)), "again: nothing to do"
    yield
    passes.link.close()


def test_the_driver_is_of_its_branch_and_the_toolkit_can_still_be_had() -> None:
    """The lock keeps newer branches away from dnf, and nothing else of NVIDIA's."""
    assert "3:580.95.05-1" in passes.shell("rpm -q --qf '%{EVR}\\n' nvidia-driver")
    assert passes.shell(f"head -n 1 {LOCKS}") == "mine-1.0.*\n"

    passes.shell("dnf -q -y upgrade && dnf -q -y install nvidia-container-toolkit")

    assert "3:580.95.05-1" in passes.shell("rpm -q --qf '%{EVR}\\n' nvidia-driver")
    assert all_hold(passes.plan(deployed))


DRIFTS = {
    "package erased": ("rpm -e extra", {"test.packages"}),
    "repository file removed": (f"rm {FILE}", {"driver.repository"}),
    "repository elsewhere": (
        f"sed -i 's#^baseurl=.*#baseurl=http://127.0.0.1:9/#' {FILE}",
        {"driver.repository"},
    ),
    "signatures unchecked": (
        f"sed -i -e s/^gpgcheck=1/gpgcheck=0/ -e s/repo_gpgcheck=1/repo_gpgcheck=0/ {FILE}",
        {"driver.repository"},
    ),
    "key replaced": (f"cp /srv/repo/other {KEY}", {"driver.keyring"}),
    "another key besides": (f"cat /srv/repo/other >> {KEY}", {"driver.keyring"}),
    "key unreadable": (f"chmod 600 {KEY}", {"driver.keyring"}),
    "another stream": (
        "dnf -q -y module reset nvidia-driver && dnf -q -y module enable nvidia-driver:590-open",
        {"driver.stream"},
    ),
    "lock of another branch": (f"sed -i s/-580/-590/ {LOCKS}", {"driver.versionlock"}),
    "one lock deleted": (f"sed -i /^kmod/d {LOCKS}", {"driver.versionlock"}),
    "driver erased": ("rpm -e nvidia-driver", {"driver.packages"}),
    "another branch installed": (
        "dnf -q -y --disableplugin=versionlock upgrade nvidia-driver kmod-nvidia-open-dkms",
        {"driver.packages"},
    ),
    "the other flavour": (
        "rpm -e --nodeps kmod-nvidia-open-dkms; dnf -q -y install kmod-nvidia-latest-dkms",
        {"driver.packages"},
    ),
}


@pytest.mark.parametrize(("drift", "broken"), DRIFTS.values(), ids=DRIFTS)
def test_each_drift_is_named_and_repaired(drift: str, broken: set[str]) -> None:
    """The plan names the promise that is broken, one run repairs it, the next finds nothing."""
    passes.repaired(deployed, drift, broken)
    assert passes.shell("rpm -q nvidia-driver kmod-nvidia-open-dkms").count("580.95.05") == 2


def test_a_key_of_another_fingerprint_is_refused() -> None:
    """One sentence, and nothing in its place."""
    wrong = replace(repository, name="wrong", uri=f"{SERVED}/wrong", key_url=f"{SERVED}/other")

    def refused() -> None:
        dnf.keyring(promise="wrong.keyring", repository=wrong)

    with pytest.raises(HostError, match=f"instead of {repository.fingerprint}"):
        passes.up(refused)
    assert passes.host.run("ls -d /etc/pki/rpm-gpg/gpurig-wrong /run/gpurig-run.*", check=False).rc


def test_a_key_file_with_a_second_key_is_refused() -> None:
    """The attacker's key, an empty line, the genuine one: nothing in its place, no repository."""
    genuine = certificate((passes.host.root / "srv/repo/key").read_bytes()).binary
    text = [BEGIN, b"", *lines(ATTACKER), b"", *lines(genuine), END, b""]
    (passes.host.root / "srv/repo/attack").write_bytes(b"\n".join(text))
    wrong = replace(repository, name="wrong", uri=f"{SERVED}/wrong", key_url=f"{SERVED}/attack")

    def refused() -> None:
        dnf.keyring(promise="wrong.keyring", repository=wrong)
        dnf.repository(promise="wrong.repository", keyring="wrong.keyring", repository=wrong)

    with pytest.raises(
        HostError, match=r"gpurig refuses the key at .*: its armour has a line that is not base64"
    ):
        passes.up(refused)
    assert passes.host.run("ls -d /etc/pki/rpm-gpg/gpurig-wrong /run/gpurig-run.*", check=False).rc
    assert passes.plan(refused)["wrong.repository"].verdict is Verdict.FOLLOWS


def test_a_binary_key_is_put_in_place_in_armour() -> None:
    """rpm imports armour only; the vendor's file may be binary, or have CRLF at its lines' ends."""
    genuine = certificate((passes.host.root / "srv/repo/key").read_bytes())
    for form in (genuine.binary, genuine.armoured.replace(b"\n", b"\r\n")):
        (passes.host.root / "srv/repo/form").write_bytes(form)
        other = replace(repository, name="form", uri=f"{SERVED}/form", key_url=f"{SERVED}/form")
        passes.shell("rm -f /etc/pki/rpm-gpg/gpurig-form")
        assert all_hold(
            passes.up(lambda other=other: dnf.keyring(promise="f.keyring", repository=other))
        )
        written = (passes.host.root / "etc/pki/rpm-gpg/gpurig-form").read_bytes()
        assert written == genuine.armoured


def test_a_transaction_that_would_remove_a_foreign_package_is_refused() -> None:
    """It is told by its name, and stays."""
    passes.shell("dnf -q -y install foreign")

    def greedy() -> None:
        packages_dnf.driver_packages_dnf(packages=("nvidia-open",), branch="580")

    found = passes.up(greedy)["driver.packages"]
    assert found.verdict is Verdict.UNKNOWN
    assert "would remove foreign" in found.reason
    passes.shell("rpm -q foreign && ! rpm -q nvidia-open && rpm -e foreign")


def test_a_package_in_the_way_is_not_removed_for_an_ordinary_one() -> None:
    """Where dnf refuses, its reason is told, and what was there stays."""
    passes.shell("dnf -q -y install foreign")

    def greedy() -> None:
        packages.packages(promise="greedy.packages", packages=("nvidia-open",))

    with pytest.raises(HostError, match="conflicts with foreign"):
        passes.up(greedy)
    passes.shell("rpm -q foreign && rpm -e foreign")


def test_exact_versions_move_both_ways() -> None:
    """A version that is asked for is installed, also over a newer one."""
    for version in ("1.0-1", "2.0-1"):

        def exact(version: str = version) -> None:
            _exact(version)

        assert all_hold(passes.up(exact))
        assert version in passes.shell("rpm -q small")


@keeps("exact.packages")
def _exact(version: str) -> Iterator[object]:
    yield from packages.installed(("small",), versions={"small": version})


def test_a_repository_of_the_users_own_counts_and_stays() -> None:
    """The same place under another name is not added a second time."""
    theirs = "/etc/yum.repos.d/theirs.repo"
    text = passes.shell(f"sed -e 's/gpurig-lab\\]/theirs]/' {FILE}; rm {FILE}")
    passes.host.write(theirs, text)
    before = passes.shell(f"cat {theirs}")

    assert all_hold(passes.up(deployed))

    assert passes.shell(f"cat {theirs}") == before
    assert passes.host.run(f"ls {FILE}", check=False).rc
    passes.shell(f"rm {theirs}")
    assert all_hold(passes.up(deployed))


def test_a_package_database_that_cannot_be_read_is_unknown() -> None:
    """What rpm calls "not installed" then is not believed."""
    passes.shell(
        "mv /var/lib/rpm /root/rpm && mkdir /var/lib/rpm && echo x > /var/lib/rpm/rpmdb.sqlite"
    )

    found = passes.plan(deployed)["test.packages"]

    passes.shell("rm -r /var/lib/rpm && mv /root/rpm /var/lib/rpm")
    assert found.verdict is Verdict.UNKNOWN, found
