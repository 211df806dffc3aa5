"""apt's promises on a booted Debian 13: bare, again, after each drift; keys by fingerprint only."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gpurig.contract.fact import read
from gpurig.contract.finding import Verdict
from gpurig.errors import HostError
from gpurig.facts.packages.apt import Candidates
from gpurig.operations import workloads
from gpurig.operations.driver import modprobe
from gpurig.operations.packages import dpkg, sources
from gpurig.operations.shared import apt, packages
from gpurig.stack.model import Archive, Repository
from lab.debs import make_deb
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
    found = passes.plan(deployed)
    assert {id for id, one in found.items() if one.verdict is Verdict.DRIFTED} == {broken}
    if broken == "packages.dpkg":
        assert found[broken].will.startswith("wait for python3 (process "), found[broken]
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


def test_a_list_of_mirrors_is_a_place_of_apt() -> None:
    """As in Debian's cloud images: what comes by mirror+file is the archive's."""
    source, lists = "/etc/apt/sources.list.d/debian.sources", "/etc/apt/mirrors"
    archive, security = passes.shell(f"sed -n 's/^URIs: //p' {source}").split()
    passes.shell(
        f"cp {source} /root/; mkdir -p {lists}; echo {archive} > {lists}/debian.list;"
        f" echo {security} > {lists}/debian-security.list;"
        f" sed -i -e 's#^URIs: {archive}$#URIs: mirror+file://{lists}/debian.list#'"
        f" -e 's#^URIs: {security}$#URIs: mirror+file://{lists}/debian-security.list#' {source}"
    )
    try:
        passes.repaired(deployed, "dpkg --remove hello", {"packages.sources", "test.packages"})
        ours = passes.shell(f"cat {sources.COMPONENTS_FILE}")
        found = passes.link.plan(
            lambda: read(Candidates, packages="nvidia-kernel-dkms hello")
        ).answer
    finally:
        passes.shell(f"mv /root/debian.sources {source}")
    assert "URIs: mirror+file:///etc/apt/mirrors/debian.list" in ours
    for name in ("nvidia-kernel-dkms", "hello"):
        places = found[name]["versions"][found[name]["candidate"]]
        assert places == ["mirror+file:/etc/apt/mirrors/debian.list"], name
    assert all_hold(passes.up(deployed))


def test_a_source_that_apt_refuses_never_gets_to_its_place() -> None:
    """A stray line with another keyring: the plan names both files, and apt works as before."""
    source, stray = "/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list.d/stray.list"
    archive = passes.shell(f"sed -n 's/^URIs: //p' {source}").split()[0]
    copy = "/usr/share/keyrings/copy.gpg"
    passes.shell(
        f"cp /usr/share/keyrings/debian-archive-keyring.gpg {copy};"
        f" echo 'deb [signed-by={copy}] {archive} trixie main contrib' > {stray}"
    )
    before = _bytes_of_apt()
    found = passes.up(deployed)["packages.sources"]
    assert found.verdict is Verdict.UNKNOWN
    assert all(word in found.reason for word in (source, stray, "Signed-By")), found.reason
    assert _bytes_of_apt() == before
    passes.shell(f"rm {stray} {copy}")
    assert all_hold(passes.up(deployed))


def test_a_file_of_ours_that_apt_refuses_is_not_put_in_place() -> None:
    """A repository that answers with nothing: no file of ours, and apt works as before."""
    nowhere = replace(repository, uri=f"{repository.uri}/nowhere")
    before = _bytes_of_apt()
    with pytest.raises(HostError, match="apt refuses"):
        passes.link.apply(
            lambda: apt.repository(
                promise="test.repository", keyring="test.keyring", repository=nowhere,
                architecture="amd64",
            )
        )  # fmt: skip
    assert _bytes_of_apt() == before
    assert passes.host.run("ls /run | grep gpurig-run", check=False).rc
    assert all_hold(passes.up(deployed))


def test_one_bad_source_stops_nothing_that_others_have() -> None:
    """A third party's repository is gone and the lists too: the package comes."""
    stray = "/etc/apt/sources.list.d/third.list"
    passes.shell(f"echo 'deb [trusted=yes] {repository.uri}/gone trixie main' > {stray}")
    try:
        passes.repaired(
            deployed, "dpkg --remove tree; rm -rf /var/lib/apt/lists/*", {"test.packages"}
        )
        with pytest.raises(HostError) as error:
            passes.link.apply(
                lambda: packages.packages(promise="test.none", packages=("no-such-package",))
            )
    finally:
        passes.shell(f"rm {stray}; apt-get -qq update")
    assert f"{stray}:1" in str(error.value)
    assert "404" in str(error.value)


def test_a_hook_of_another_package_asks_nothing() -> None:
    """apt-listbugs stops apt where nobody answers, but for what it is told."""
    hook = "/etc/apt/apt.conf.d/10listbugs"
    passes.shell(
        "(echo '#!/bin/sh'; echo '[ \"$APT_LISTBUGS_FRONTEND\" = none ] || exit 10') > /root/hook;"
        f" chmod +x /root/hook; echo 'DPkg::Pre-Install-Pkgs {{\"/root/hook\";}};' > {hook}"
    )
    try:
        passes.repaired(deployed, "dpkg --remove tree", {"test.packages"})
    finally:
        passes.shell(f"rm {hook} /root/hook")


def test_another_archive_s_suite_of_the_same_name_is_none_of_ours() -> None:
    """As HashiCorp's `trixie main`: its Release file tells, and nothing is added to it."""
    theirs = "/etc/apt/sources.list.d/third.list"
    passes.shell(
        "mkdir -p /srv/third/dists/trixie/main/binary-amd64; cd /srv/third/dists/trixie;"
        " : > main/binary-amd64/Packages; sum=$(sha256sum < /dev/null | cut -c 1-64);"
        " (echo 'Origin: Third'; echo 'Suite: trixie'; echo 'Components: main';"
        " echo 'Architectures: amd64'; date -Ru '+Date: %a, %d %b %Y %H:%M:%S UTC'; echo 'SHA256:';"
        ' echo " $sum 0 main/binary-amd64/Packages") > Release;'
        f" echo 'deb [trusted=yes] file:/srv/third trixie main' > {theirs}; apt-get -qq update"
    )
    try:
        assert all_hold(passes.plan(deployed))
    finally:
        passes.shell(f"rm -r {theirs} /srv/third")


IN_THE_WAY = {
    "a read-only folder": (
        "mount --bind /etc/modprobe.d /etc/modprobe.d; mount -o remount,bind,ro /etc/modprobe.d",
        "umount /etc/modprobe.d",
        ("Read-only file system",),
    ),
    "a full disk": (
        "mount -t tmpfs -o size=4k tmpfs /etc/modprobe.d; yes | head -c 4096 > /etc/modprobe.d/x",
        "umount /etc/modprobe.d",
        (": /etc/modprobe.d is full; free disk space there; ", "No space left on device"),
    ),
    "no inodes": (
        "mount -t tmpfs -o nr_inodes=1 tmpfs /etc/modprobe.d",
        "umount /etc/modprobe.d",
        (": /etc/modprobe.d has no inodes left; remove files there; ",),
    ),
    "an immutable file": (
        f"chattr +i {modprobe.FILE}",
        f"chattr -i {modprobe.FILE}",
        (modprobe.FILE, "chattr -i"),
    ),
}


DEAD = "/etc/apt/apt.conf.d/zz-dead"
A_YEAR_AGO = '#!/bin/sh\nexec /usr/bin/date -d "1 year ago" "$@"\n'
CAUSES = {
    "no room for packages": (
        "mount -t tmpfs -o size=16k tmpfs /var/cache/apt/archives",
        "umount /var/cache/apt/archives",
        ": /var/cache/apt/archives is full; free disk space there; ",
    ),
    "apt's proxy is dead": (
        f"""echo 'Acquire::http::Proxy "http://me:secret@10.77.0.1:9";' > {DEAD}""",
        f"rm {DEAD}",
        f": the proxy 10.77.0.1:9 does not answer (Acquire::http::Proxy in {DEAD}); ",
    ),
    "the clock is a year off": (
        f"""printf '{A_YEAR_AGO}' > /usr/local/bin/date; chmod +x /usr/local/bin/date;"""
        f""" echo 'Acquire::http::Proxy "http://10.77.0.1:9";' > {DEAD}""",
        f"rm {DEAD} /usr/local/bin/date",
        ": the host's clock says ",
    ),
}


@pytest.mark.parametrize("what", CAUSES)
def test_the_cause_is_told_first(what: str) -> None:
    """What ails the host is looked at when something failed, and told before apt's own words."""
    begin, end, told = CAUSES[what]
    passes.shell(f"dpkg --remove tree; apt-get clean; {begin}")
    try:
        with pytest.raises(HostError) as error:
            passes.link.apply(deployed)
    finally:
        passes.shell(end)
    assert told in error.value.what
    assert "secret" not in error.value.what
    assert all_hold(passes.up(deployed))


def test_a_hold_that_is_in_apt_s_way_is_named(lab: Lab, tmp_path: Path) -> None:
    """apt speaks of broken packages; which of them is on hold, and how to end that, is said."""
    there = lab.repository("held")
    there.publish(
        [make_deb(tmp_path, "gpurig-base", "1"), make_deb(tmp_path, "gpurig-base", "2"),
         make_deb(tmp_path, "gpurig-top", "1", depends="gpurig-base (>= 2)")]
    )  # fmt: skip
    passes.shell(
        f"echo 'deb [trusted=yes] {there.packages_url} /' > /etc/apt/sources.list.d/held.list;"
        " apt-get -qq update; apt-get -qq -y install gpurig-base=1; apt-mark hold gpurig-base"
    )
    try:
        with pytest.raises(HostError) as error:
            passes.link.apply(
                lambda: packages.packages(promise="test.packages", packages=("gpurig-top",))
            )
    finally:
        passes.shell(
            "apt-mark unhold gpurig-base; apt-get -qq -y purge gpurig-base;"
            " rm /etc/apt/sources.list.d/held.list; apt-get -qq update"
        )
    assert ": gpurig-base is on hold; run apt-mark unhold to let gpurig move it; " in (
        error.value.what
    )


def _do(what: str) -> None:
    """chattr comes from this machine: a bare host has none."""
    if what.startswith("chattr"):
        command, flag, path = what.split()
        subprocess.run([command, flag, passes.host.root / path[1:]], check=True)
    else:
        passes.shell(what)


@pytest.mark.parametrize("what", IN_THE_WAY)
def test_what_does_not_stand_on_a_failed_repair_is_repaired(what: str) -> None:
    """The failure is told with its cause, nothing half written stays, and the rest goes on."""
    begin, end, told = IN_THE_WAY[what]
    passes.shell(f"echo > {modprobe.FILE}; dpkg --remove tree")
    _do(begin)
    failures: list[HostError] = []
    try:
        passes.link.apply(deployed, on_failure=failures.append)
        left = passes.shell("ls /etc/modprobe.d")
        after = passes.drifted(deployed)
    finally:
        _do(end)
    assert len(failures) == 1
    assert all(word in failures[0].what for word in told), failures[0].what
    assert "gpurig-new" not in left
    assert after == {"driver.nouveau-blacklist"}
    assert all_hold(passes.up(deployed))
