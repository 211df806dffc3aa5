"""apt's promises on a booted Debian 13: bare, again, after each drift; keys by fingerprint only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from gpurig.contract.promise import Verdict
from gpurig.errors import HostError
from gpurig.operations import workloads
from gpurig.operations.driver import modprobe
from gpurig.operations.packages import dpkg, sources
from gpurig.operations.shared import apt, packages
from gpurig.stack.model import Archive, Repository
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
    sources.components(components=COMPONENTS, archive=Archive("Debian", "trixie"))
    modprobe.nouveau_blacklist()
    packages.packages(promise="test.packages", packages=("kmod", *SMALL))
    apt.keyring(promise="test.keyring", repository=repository)
    apt.repository(
        promise="test.repository",
        keyring="test.keyring",
        repository=repository,
        architecture="amd64",
    )
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
    "our file of components is gone": (f"rm {sources.COMPONENTS_FILE}", {"packages.sources"}),
    "the keyring is gone": (f"rm {KEYRING}", {"test.keyring"}),
    "the keyring cannot be read": (f"chmod 600 {KEYRING}", {"test.keyring"}),
    "the keyring is another": (
        f"cp /usr/share/keyrings/debian-archive-keyring.gpg {KEYRING}",
        {"test.keyring"},
    ),
    "the keyring has another key besides": (
        f"cat /usr/share/keyrings/debian-archive-keyring.gpg >> {KEYRING}",
        {"test.keyring"},
    ),
    "the repository is another": (
        "sed -i s/10[.]77/10.78/ /etc/apt/sources.list.d/gpurig-nvidia-container-toolkit.sources",
        {"test.repository"},
    ),
    "nouveau may load": (f"rm {modprobe.FILE}", {"driver.nouveau-blacklist"}),
    "a program is edited": ("echo >> /opt/gpurig/workloads/matmul.py", {"workloads.files"}),
    "a program is gone": ("rm /opt/gpurig/workloads/mnist_keras.py", {"workloads.files"}),
    "the user is gone": ("userdel gpurig", {"workloads.user"}),
    "the data are gone": ("rm -r /var/lib/gpurig/datasets", {"workloads.data"}),
    "the data is root's": ("chown root /var/lib/gpurig/datasets", {"workloads.data"}),
}


@pytest.mark.parametrize("drift", DRIFTS)
def test_each_drift_is_named_and_repaired(drift: str) -> None:
    """The plan names the promise that is broken, and no other; one run repairs it."""
    script, broken = DRIFTS[drift]
    passes.repaired(deployed, script, broken)


@pytest.fixture(scope="module")
def held() -> str:
    """A command that holds dpkg's locks for five seconds, once it is sure to have them."""
    passes.shell("apt-get -qq -y install python3-minimal >/dev/null 2>&1")
    passes.host.write(
        "/root/hold.py",
        "import fcntl, time\n"
        "files = [open(f'/var/lib/dpkg/{name}', 'w') for name in ('lock-frontend', 'lock')]\n"
        "for file in files:\n    fcntl.lockf(file, fcntl.LOCK_EX)\n"
        "open('/run/held', 'w').close()\ntime.sleep(5)\n",
    )
    return (
        "rm -f /run/held; nohup python3 /root/hold.py >/dev/null 2>&1 &"
        " until [ -e /run/held ]; do sleep 0.1; done"
    )


@pytest.mark.parametrize("broken", ["test.packages", "packages.dpkg"])
def test_another_run_of_apt_is_waited_for(broken: str, held: str) -> None:
    """While somebody else has the lock the plan is the same; the run begins when they are done."""
    script = next(script for script, told in DRIFTS.values() if told == {broken})
    passes.shell(f"{script}; {held}")
    assert passes.drifted(deployed) == {broken}
    assert passes.shell("pgrep -cf [h]old.py").strip() == "1", "it has not waited for the plan"
    assert all_hold(passes.up(deployed))
    assert passes.host.run("pgrep -f [h]old.py", check=False).rc, "it was waited for"


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


def _bytes_of_apt() -> str:
    return passes.shell(
        "find /etc/apt /usr/share/keyrings /run -name 'gpurig*' -type f -o"
        f" -path {KEYRING} | sort | xargs sha256sum"
    )


@pytest.mark.parametrize("name", ["nvidia-container-toolkit", "other"])
def test_a_key_of_another_fingerprint_is_never_put_in_place(name: str) -> None:
    """One sentence names both fingerprints; the keyring that was there stays, byte for byte."""
    elsewhere = "http://10.77.0.1/other"
    wrong = replace(repository, name=name, uri=elsewhere, fingerprint="A" * 40)
    before = _bytes_of_apt()
    with pytest.raises(HostError, match=f"instead of {'A' * 40}") as error:
        passes.link.apply(lambda: apt.keyring(promise="other.keyring", repository=wrong))
    assert repository.fingerprint in str(error.value)
    assert _bytes_of_apt() == before
    assert passes.host.run("ls /usr/share/keyrings/other.gpg", check=False).rc


def test_a_key_that_is_not_there_is_one_sentence() -> None:
    """A web server without it, or with a page in its place: nothing is put in place."""
    for place in (f"{repository.key_url}.gone", repository.uri + "/Packages"):
        wrong = replace(repository, name="other", uri="http://10.77.0.1/other", key_url=place)
        with pytest.raises(HostError) as error:
            passes.link.apply(
                lambda wrong=wrong: apt.keyring(promise="other.keyring", repository=wrong)
            )
        assert "\n" not in str(error.value)
        assert passes.host.run("ls /usr/share/keyrings/other.gpg", check=False).rc


def test_components_that_the_user_enabled_are_left_to_them() -> None:
    """Theirs count for the suites they name, and what they lack is ours."""
    address = passes.shell("sed -n 's/^URIs: //p' /etc/apt/sources.list.d/debian.sources")
    archive, security = address.split()
    theirs = "/etc/apt/sources.list.d/theirs.list"
    all_of_them = " ".join(COMPONENTS)
    passes.shell(
        f"rm {sources.COMPONENTS_FILE}; printf 'deb {archive} %s {all_of_them}\\n' trixie"
        f" trixie-updates > {theirs}; echo 'deb {security}/ trixie-security non-free' >> {theirs}"
    )
    assert passes.plan(deployed)["packages.sources"].wanted == ", ".join(COMPONENTS)
    assert all_hold(passes.up(deployed))
    ours = passes.shell(f"cat {sources.COMPONENTS_FILE}")
    assert "Suites: trixie-security\nComponents: contrib non-free-firmware\n" in ours
    assert ours.count("Types:") == 1
    passes.shell(f"sed -i 's/ non-free$/ {all_of_them}/' {theirs}")
    assert all_hold(passes.up(deployed))
    assert passes.host.run(f"ls {sources.COMPONENTS_FILE}", check=False).rc, (
        "nothing is left to add"
    )
    assert "configured multiple times" not in passes.shell("apt-get update 2>&1")
    passes.repaired(deployed, f"rm {theirs}", {"packages.sources"})


def test_a_source_with_its_key_inside_is_copied_with_it() -> None:
    """
    apt takes what we write from a deb822 file that carries its key, as Debian allows.

    Until then it reads no list at all: our file still names the keyring for the same archive.
    """
    source = "/etc/apt/sources.list.d/debian.sources"
    passes.repaired(
        deployed,
        f"cp {source} /root/; (echo 'Signed-By:'; echo ' -----BEGIN PGP PUBLIC KEY BLOCK-----';"
        " echo ' .'; base64 -w 64 /usr/share/keyrings/debian-archive-keyring.gpg | sed 's/^/ /';"
        " echo ' -----END PGP PUBLIC KEY BLOCK-----') > /root/key;"
        f" sed -i -e '/^Signed-By:/{{r /root/key' -e 'd}}' {source}",
        {"packages.sources"},
    )
    passes.shell("apt-get -qq -o APT::Update::Error-Mode=any update")
    passes.shell(f"mv /root/debian.sources {source}")
    assert all_hold(passes.up(deployed))


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
