"""The lab gives what a lab administrator has: hosts, keys, mirrors, GPUs; and leaves nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.commands import run
from lab.lab import _delete

pytestmark = pytest.mark.lab
HERE = Path(__file__).parent
COMMAND = str(HERE / "lab")


@pytest.fixture(scope="module")
def trixie(boot: Any, lab: Any) -> Iterator[Any]:
    """A Debian 13 host with two H100 for NVML and one more that PCI lists."""
    host = boot("trixie", "labtest-trixie", gpu="h100", gpus=2, list_gpu=["10de:2330"])
    yield host
    lab.remove(host.name)


@pytest.fixture(scope="module")
def bookworm(boot: Any, lab: Any) -> Iterator[Any]:
    """A Debian 12 host with a user who may use sudo."""
    host = boot("bookworm", "labtest-bookworm", user="admin", password="right horse")
    yield host
    lab.remove(host.name)


def test_two_hosts_are_two_machines(trixie: Any, bookworm: Any) -> None:
    """Each host has its own release, address, host key and machine id."""
    assert "trixie" in trixie.read("/etc/os-release")
    assert "bookworm" in bookworm.read("/etc/os-release")
    assert trixie.address != bookworm.address
    assert trixie.description.host_key != bookworm.description.host_key
    assert trixie.read("/etc/machine-id") != bookworm.read("/etc/machine-id")
    for host in (trixie, bookworm):
        assert host.run("systemctl is-system-running").stdout == "running\n"
        assert host.run("getent hosts $(hostname)").rc == 0, "its own name resolves"
        assert host.run("command -v python3", check=False).rc == 127, "no python3"


def test_ssh_checks_the_host_key(trixie: Any, bookworm: Any, tmp_path: Path) -> None:
    """ssh with strict checking takes the right key, and refuses another host's."""
    for host in (trixie, bookworm):
        assert host.ssh("hostname") == (0, f"{host.name}\n", "")
    wrong = tmp_path / "known_hosts"
    wrong.write_text(f"{trixie.address} {bookworm.description.host_key}\n")
    options = ["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"]
    options += ["-o", f"UserKnownHostsFile={wrong}", "-i", str(trixie.key)]
    refused = subprocess.run(
        ["ssh", *options, f"root@{trixie.address}", "true"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert refused.returncode == 255
    assert "Host key verification failed" in refused.stderr


def test_sudo_takes_the_password(bookworm: Any) -> None:
    """The user logs in with the key; sudo takes the right password and no other."""
    sudo = "printf '%s\\n' '{}' | sudo -k -S -p '' id -u"
    assert bookworm.ssh(sudo.format("right horse"), user="admin").stdout == "0\n"
    assert bookworm.ssh(sudo.format("wrong horse"), user="admin").rc == 1


@pytest.mark.parametrize("suite", ["trixie", "bookworm"])
def test_apt_goes_through_the_cache(suite: str, request: pytest.FixtureRequest) -> None:
    """apt on a fresh host knows main, updates and security, and installs from them."""
    host = request.getfixturevalue(suite)
    assert "Components: main\n" in host.read("/etc/apt/sources.list.d/debian.sources")
    host.run("apt-get update -o APT::Update::Error-Mode=any")
    host.run("DEBIAN_FRONTEND=noninteractive apt-get install -y -qq hello")
    assert host.run("hello").stdout == "Hello, world!\n"


def test_hosts_have_no_way_out(trixie: Any) -> None:
    """There is no route beyond the bridge."""
    assert "default" not in trixie.run("ip route").stdout


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_index_serves_wheels(tool: str, lab: Any, tmp_path: Path) -> None:
    """pip and uv fetch a wheel through the lab's index, and no file leads elsewhere."""
    command = {
        "pip": [sys.executable, "-m", "pip", "--isolated", "install", "--no-cache-dir",
                "--index-url", lab.index_url, "--trusted-host", "10.77.0.1"],
        "uv": [shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}"),
               "pip", "install", "--no-cache", "--no-config", "--default-index", lab.index_url,
               "--python", sys.executable],
    }[tool]  # fmt: skip
    plain = {name: value for name, value in os.environ.items() if name[:4] not in ("PIP_", "UV_I")}
    target = tmp_path / "there"
    subprocess.run(
        [*map(str, command), "--no-deps", "--target", target, "idna"], check=True, env=plain
    )
    assert (target / "idna" / "__init__.py").is_file()
    page = urllib.request.urlopen(f"{lab.index_url}idna/").read().decode()
    assert 'href="/files/' in page
    assert 'href="http' not in page


def test_index_answers_parts_and_heads(lab: Any) -> None:
    """HEAD tells a file's size, a range gives those bytes, a second fetch comes from disk."""
    page = urllib.request.urlopen(f"{lab.index_url}idna/").read().decode()
    link = page.rpartition('href="')[2].partition("#")[0]
    url = lab.index_url.removesuffix("/simple/") + link
    head = urllib.request.urlopen(urllib.request.Request(url, method="HEAD"))
    whole = urllib.request.urlopen(url).read()
    assert int(head.headers["Content-Length"]) == len(whole)
    for asked, bytes_ in (("2-9", whole[2:10]), ("-5", whole[-5:]), ("5-", whole[5:])):
        part = urllib.request.Request(url, headers={"Range": f"bytes={asked}"})
        with urllib.request.urlopen(part) as answer:
            assert answer.status == 206
            assert answer.read() == bytes_


def test_unknown_package_is_not_found(lab: Any) -> None:
    """A package no index has answers 404, so that pip and uv say so."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{lab.index_url}no-such-package-in-any-index/")
    assert refused.value.code == 404
    refused.value.close()


def test_mnist_is_served_byte_for_byte(lab: Any) -> None:
    """The archives on the bridge are those of the lab's folder of them."""
    name = "t10k-labels-idx1-ubyte.gz"
    served = urllib.request.urlopen(lab.mnist_url + name).read()
    assert served == (lab.mnist / name).read_bytes()


def test_toolkit_repository_is_trusted_by_its_key_only(lab: Any, trixie: Any) -> None:
    """apt takes the toolkit's repository with its key, and refuses it with another."""
    repository = lab.toolkit
    key = urllib.request.urlopen(repository.key_url).read().decode()
    source = f"deb [signed-by=/etc/apt/keyrings/lab.asc] {repository.packages_url} /\n"
    trixie.write("/etc/apt/keyrings/lab.asc", key)
    trixie.write("/etc/apt/sources.list.d/lab.list", source)
    trixie.run("apt-get update -o APT::Update::Error-Mode=any")
    found = trixie.run("apt-cache madison nvidia-container-toolkit").stdout
    assert all(f" {version}-" in found for version in lab.toolkit_versions)

    trixie.run("cp /usr/share/keyrings/debian-archive-keyring.gpg /etc/apt/keyrings/lab.gpg")
    trixie.write("/etc/apt/sources.list.d/lab.list", source.replace("lab.asc", "lab.gpg"))
    refused = trixie.run("apt-get update -o APT::Update::Error-Mode=any", check=False)
    assert refused.rc == 100
    trixie.run("rm /etc/apt/sources.list.d/lab.list /etc/apt/keyrings/lab.*")


def test_repository_publishes_what_is_asked(lab: Any, trixie: Any, tmp_path: Path) -> None:
    """A repository of one's own holds made packages, one version or another."""
    from . import make_deb

    repository = lab.repository("labtest")
    versions = [make_deb(tmp_path, "cudnn9-stand-in", version) for version in ("9.1-1", "9.2-1")]
    repository.publish(versions[:1])
    trixie.write("/etc/apt/keyrings/own.asc", (repository.folder / "gpgkey").read_text())
    source = f"deb [signed-by=/etc/apt/keyrings/own.asc] {repository.packages_url} /\n"
    trixie.write("/etc/apt/sources.list.d/own.list", source)
    trixie.run("apt-get update -qq && apt-get install -y -qq cudnn9-stand-in")
    assert trixie.run("dpkg-query -W cudnn9-stand-in").stdout.split()[1] == "9.1-1"
    repository.publish(versions[1:])
    trixie.run("apt-get update -qq && apt-get install -y -qq cudnn9-stand-in")
    assert trixie.run("dpkg-query -W cudnn9-stand-in").stdout.split()[1] == "9.2-1"
    trixie.run("rm /etc/apt/sources.list.d/own.list /etc/apt/keyrings/own.asc")
    shutil.rmtree(repository.folder)


def test_pci_listing_and_nodes_outlive_a_reboot(trixie: Any) -> None:
    """The host lists the GPU and has the driver's nodes, before and after it restarts itself."""

    def shown() -> tuple[str, str]:
        listed = trixie.run("cat /sys/bus/pci/devices/0000:81:00.0/device").stdout
        return listed, trixie.run("ls /dev | grep nvidia").stdout

    before, boot_id = shown(), trixie.boot_id()
    assert before == ("0x2330\n", "nvidia-uvm\nnvidia-uvm-tools\nnvidia0\nnvidia1\nnvidiactl\n")
    trixie.reboot()
    assert trixie.boot_id() != boot_id
    assert shown() == before
    assert trixie.ssh("true").rc == 0


def test_snapshot_gives_a_new_machine_with_the_old_content(lab: Any, boot: Any) -> None:
    """A copy has what its original had, and its own name, address and keys."""
    original = boot("trixie", "labtest-original")
    name = f"labtest-{os.getpid()}"
    try:
        original.write("/opt/kept", "kept\n")
        lab.save(original.name, name)
        assert original.ssh("cat /opt/kept").stdout == "kept\n", "the original runs on"
        copy = boot("", "labtest-copy", snapshot=name)
        assert copy.ssh("cat /opt/kept; hostname").stdout == f"kept\n{copy.name}\n"
        assert copy.address != original.address
        assert copy.description.host_key != original.description.host_key
        assert copy.read("/etc/machine-id") != original.read("/etc/machine-id")
        lab.remove(copy.name)
    finally:
        lab.remove(original.name)
        if name in lab.snapshots():
            lab.forget(name)


def test_a_copy_under_way_is_nobody_else_s_to_remove(lab: Any) -> None:
    """The start of another run removes what a killed one left of a snapshot, and no other's."""
    me = lab.process
    places = [lab.disk / "snapshots" / f"labtest.{one}.partial" for one in (
        f"{me.pid}-{me.started}", f"{me.pid}-{me.started + 1}")]  # fmt: skip
    for place in places:
        place.mkdir()
        (place / "host.json").write_text("{}")
    try:
        lab.open()
        assert [place.exists() for place in places] == [True, False]
        assert not [name for name in lab.snapshots() if name.startswith("labtest.")]
    finally:
        shutil.rmtree(places[0])


KILLED = """
import sys
sys.path.insert(0, sys.argv[1])
from lab import Lab
host = Lab(owned=True).open().boot("trixie", "labtest-killed")
print(host.name, flush=True)
input()
"""


def test_what_a_killed_run_left_is_removed(lab: Any) -> None:
    """After a kill -9 the next start removes its host: processes, control group, cable, files."""
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(HERE.parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "labtest-killed\n"
        keeper = lab.host("labtest-killed").description.keeper
        run.kill()
    assert keeper.alive, "the host itself outlives the run that made it"
    lab.open()
    assert not keeper.alive
    assert not (lab.folder / "hosts/labtest-killed").exists()
    links = subprocess.run(["ip", "-json", "link"], check=True, capture_output=True, text=True)
    assert not [link for link in json.loads(links.stdout) if "labtest-kil" in link["ifname"]]


def test_command_boots_lists_enters_and_removes() -> None:
    """The command does the same by hand; what it cannot do is one sentence and exit 1."""

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, *words], check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )

    began = time.monotonic()
    assert command("up", "trixie", "labtest-hand").returncode == 0
    assert time.monotonic() - began < 60
    assert "labtest-hand" in command("list").stdout
    assert command("enter", "labtest-hand", "hostname").stdout == "labtest-hand\n"
    again = command("up", "trixie", "labtest-hand")
    assert again.returncode == 1
    assert again.stderr.startswith("lab: there is a host labtest-hand already")
    assert again.stderr.count("\n") == 1
    assert command("down", "labtest-hand").returncode == 0
    assert "labtest-hand" not in command("list").stdout
    assert command("enter", "labtest-hand").returncode == 1
    assert command("up", "sid", "labtest-hand").stderr.startswith("lab: there is no suite sid")


def test_what_a_killed_test_made_immutable_goes_as_well(lab: Any) -> None:
    """Else no later run gets a host of that name."""
    folder = lab.disk / "labtest-immutable"
    (folder / "etc").mkdir(parents=True)
    (folder / "etc/file").touch()
    run("chattr", "+i", folder / "etc/file")
    _delete(folder, "remove it")
    assert not folder.exists()
