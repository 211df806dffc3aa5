"""apt's promises on a booted Debian 13: bare, again, after each drift; keys by fingerprint only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from gpurig.errors import HostError
from gpurig.operations import apt, dpkg, modprobe, packages, workloads
from gpurig.promise import Verdict
from gpurig.stack.model import Repository
from lab.lab import Lab
from lab.plugin import Boot

from .passes import Passes, all_hold

pytestmark = pytest.mark.lab

SMALL = ("hello", "tree")  # small packages of main that nothing else brings
COMPONENTS = ("contrib", "non-free", "non-free-firmware")
KEYRING = "/usr/share/keyrings/nvidia-container-toolkit.gpg"

passes: Passes
repository: Repository


def deployed() -> None:
    """The operations under test, in the order in which a workstation has them."""
    dpkg.whole()
    apt.components(components=COMPONENTS)
    modprobe.nouveau_blacklist()
    packages.packages(layer="test", packages=("kmod", *SMALL))
    apt.keyring(layer="test", repository=repository)
    apt.repository(layer="test", repository=repository, architecture="amd64")
    workloads.user(user=workloads.USER)
    workloads.programs()
    workloads.data(user=workloads.USER)


@pytest.fixture(scope="module", autouse=True)
def _host(lab: Lab, boot: Boot) -> Iterator[None]:
    """A bare host that one run brings about."""
    global passes, repository
    repository = Repository(
        "nvidia-container-toolkit",
        lab.toolkit.packages_url,
        "/",
        (),
        lab.toolkit.key_url,
        lab.toolkit.fingerprint,
    )
    passes = Passes.over(boot("trixie", "apt13"))
    assert passes.plan(deployed)["test.packages"].verdict is Verdict.DRIFTED
    assert all_hold(passes.up(deployed)), "one run converges from bare"
    assert all_hold(passes.up(deployed)), "again: nothing to do"
    yield
    passes.link.close()


DRIFTS = {
    "a package is removed": ("dpkg --remove hello", {"test.packages"}),
    "the lists are gone": ("dpkg --remove tree; rm -rf /var/lib/apt/lists/*", {"test.packages"}),
    "dpkg was interrupted": (
        "cd /tmp && apt-get -qq download hello && dpkg --unpack hello_*.deb; rm hello_*.deb",
        {"packages.dpkg"},
    ),
    "a dependency is gone": (
        "apt-get -qq -y install --no-install-recommends dkms >/dev/null 2>&1;"
        " dpkg --force-depends --remove make",
        {"packages.dpkg"},
    ),
    "our file of components is gone": (f"rm {apt.COMPONENTS_FILE}", {"packages.sources"}),
    "the keyring is gone": (f"rm {KEYRING}", {"test.keyring"}),
    "the keyring cannot be read": (f"chmod 600 {KEYRING}", {"test.keyring"}),
    "the keyring is another": (
        f"cp /usr/share/keyrings/debian-archive-keyring.gpg {KEYRING}",
        {"test.keyring"},
    ),
    "the repository is another": (
        "sed -i s/10[.]77/10.78/ /etc/apt/sources.list.d/gpurig-nvidia-container-toolkit.sources",
        {"test.repository"},
    ),
    "nouveau may load": (f"rm {modprobe.FILE}", {"driver.nouveau-blacklist"}),
    "a program is edited": ("echo >> /opt/gpurig/workloads/matmul.py", {"workloads.files"}),
    "the data is root's": ("chown root /var/lib/gpurig/datasets", {"workloads.data"}),
}


@pytest.mark.parametrize("drift", DRIFTS)
def test_each_drift_is_named_and_repaired(drift: str) -> None:
    """The plan names the promise that is broken, and no other; one run repairs it."""
    script, broken = DRIFTS[drift]
    passes.shell(script)
    assert passes.drifted(deployed) == broken
    assert all_hold(passes.up(deployed))


def test_another_run_of_apt_is_waited_for() -> None:
    """The lock is held for some seconds by somebody else; nothing fails."""
    passes.shell("dpkg --remove hello")
    passes.shell(
        'apt-get -qq -y install python3-minimal >/dev/null 2>&1; nohup python3 -c "import fcntl,'
        " time; f = open('/var/lib/dpkg/lock-frontend', 'w'); fcntl.lockf(f, fcntl.LOCK_EX);"
        ' time.sleep(5)" >/dev/null 2>&1 &'
    )
    assert all_hold(passes.up(deployed))


def test_a_package_on_hold_is_not_moved() -> None:
    """The hold is the user's: it is named, and the package is left as it is."""
    passes.shell("dpkg --remove hello; apt-mark hold hello")
    try:
        found = passes.up(deployed)["test.packages"]
    finally:
        passes.shell("apt-mark unhold hello")
    assert found.verdict is Verdict.UNKNOWN
    assert "hello is on hold" in found.reason
    assert all_hold(passes.up(deployed))


def test_a_key_of_another_fingerprint_is_never_put_in_place() -> None:
    """One sentence names both fingerprints; the keyring that was there stays."""
    elsewhere = "http://10.77.0.1/other"
    wrong = replace(repository, name="other", uri=elsewhere, fingerprint="A" * 40)
    with pytest.raises(HostError, match=f"instead of {'A' * 40}"):
        passes.link.apply(lambda: apt.keyring(layer="other", repository=wrong))
    assert passes.host.run("ls /usr/share/keyrings/other.gpg", check=False).rc


def test_the_user_s_own_source_of_the_repository_stays() -> None:
    """Their file counts, and ours is not put beside it."""
    ours = "/etc/apt/sources.list.d/gpurig-nvidia-container-toolkit.sources"
    theirs = "/etc/apt/sources.list.d/theirs.list"
    passes.shell(f"rm {ours}; echo 'deb [signed-by={KEYRING}] {repository.uri} /' > {theirs}")
    assert all_hold(passes.up(deployed))
    assert passes.host.run(f"ls {ours}", check=False).rc
    passes.shell(f"rm {theirs}")
    assert all_hold(passes.up(deployed))


def test_another_file_s_blacklist_counts() -> None:
    """What matters is what modprobe does, not who wrote it."""
    passes.shell(f"mv {modprobe.FILE} /etc/modprobe.d/theirs.conf")
    assert passes.plan(deployed)["driver.nouveau-blacklist"].verdict is Verdict.HOLDS
    passes.shell("rm /etc/modprobe.d/theirs.conf")
    assert all_hold(passes.up(deployed))
