"""What a host was set up with and has no longer is named, whatever of it is gone."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, cast

import pytest

from gpurig.contract.values import ABSENT, Unknown
from gpurig.engine import proven
from gpurig.engine.lost import NOTHING, Host
from gpurig.errors import InputError
from gpurig.facts.host.footing import Footing, Mirror, Stands
from gpurig.facts.host.proven import Proven, ProvenRecord, There
from gpurig.settings import mounted
from gpurig.settings.table import Settings
from gpurig.stack.observed import Observed

H100 = {"id": "10de:2330", "address": "0000:41:00.0"}
SWITCH = {"id": "10de:22a3", "address": "0000:07:00.0"}
BRIDGE = {"id": "10de:0001", "address": "0000:08:00.0"}


def _stands(**more: Any) -> Stands:
    none = Stands(missing=[], unmounted={}, mirrors=[], files=[], cuda={}, driver="")
    return cast("Stands", {**none, **more})


def _rooms(**mounts: str) -> list[dict[str, Any]]:
    return [
        {"path": path, "mount": mount, "free_bytes": 1, "free_inodes": None}
        for path, mount in mounts.items()
    ]


def _host(
    there: dict[str, Any] | None,
    footing: Stands | Unknown | None = None,
    settings: Settings | None = None,
    gpus: str = "",
    **facts: Any,
) -> Host:
    """there: of the record; None where there is no record."""
    record: proven.Record = ABSENT
    if there is not None:
        state = {"GPUs": gpus} if gpus else {}
        record = Proven(state=state, proofs={}, there=cast("There", {**NOTHING, **there}))
    observed = Observed.from_facts({"gpus": [], "nvswitches": [], "disk": [], **facts})
    return Host(record, observed, _stands() if footing is None else footing, settings or Settings())


def _mirror(kind: str, file: str, url: str) -> Mirror:
    return Mirror(kind=kind, file=file, url=url)


PIP = _mirror("pip", "/etc/pip.conf", "https://pypi.example.com/")
APT = _mirror("apt", "/etc/apt/sources.list.d/lab.list", "http://apt.example.com/debian")
HUB = _mirror("docker", "/etc/docker/daemon.json", "https://hub.example.com")
SWITCHES = {"switches": ["10de:22a3 at 0000:07:00.0", "10de:22a3 at 0000:09:00.0"]}
ADA = Settings(users=("ada",))
CUDA = {"jax": "jax-0.10.2-py3.13-x86_64-cuda13"}

# What is gone: the host, the code of its error, and words of the sentence.
GONE: dict[str, tuple[Host, str, str]] = {
    "one switch": (_host(SWITCHES, nvswitches=[SWITCH]), "hardware-gone", "at 0000:09:00.0 was"),
    "all switches": (_host(SWITCHES), "hardware-gone", "0000:07:00.0, NVSwitch (10de:22a3) at"),
    "a GPU and a switch": (
        _host(SWITCHES, nvswitches=[SWITCH], gpus="10de:2330 at 0000:41:00.0"),
        "hardware-gone", "10de:2330) at 0000:41:00.0, NVSwitch (10de:22a3) at 0000:09:00.0 were",
    ),
    "a user": (
        _host({"accounts": ["ada"]}, _stands(missing=["ada"]), ADA), "account-gone", "user ada had"
    ),
    "a file system": (
        _host({"mounts": {"/srv/venvs": "/srv"}}, disk=_rooms(**{"/srv/venvs": "/"})),
        "mount-gone", "/srv/venvs lay on a file system at /srv",
    ),
    "a nested one": (
        _host({"mounts": {"/srv/a/b": "/srv/a"}}, disk=_rooms(**{"/srv/a/b": "/srv"})),
        "mount-gone", "at /srv/a when",
    ),
    "Docker's data root": (
        _host({"mounts": {"/data/docker": "/data/docker"}}, disk=_rooms(**{"/data/docker": "/"})),
        "mount-gone", "/data/docker lay",
    ),
    "one of fstab, before any record": (
        _host(None, _stands(unmounted={"/srv/venvs": "/srv"})), "mount-gone", "/srv is not mounted"
    ),
    "pip's configuration": (_host({"mirrors": [PIP]}), "mirror-gone", "knew https://pypi"),
    "apt's only mirror": (_host({"mirrors": [APT]}), "mirror-gone", "from which apt knew http:"),
    "apt's mirrors of one file": (
        _host({"mirrors": [APT, {**APT, "url": "http://apt.example.com/debian-security"}]}),
        "mirror-gone", "http://apt.example.com/debian, http://apt.example.com/debian-security",
    ),
    "apt's mirror, beside another archive": (
        _host({"mirrors": [APT]}, _stands(mirrors=[
            _mirror("apt", "/etc/apt/sources.list.d/x.list", "https://other.example.com/x")])),
        "mirror-gone", "lab.list is gone",
    ),
    "Docker's mirror": (_host({"mirrors": [HUB]}), "mirror-gone", "from which Docker knew"),
    "a GPU before any record": (
        _host(None, _stands(cuda=CUDA)), "hardware-gone", "the environment jax is for CUDA: jax-0"
    ),
    "a driver's GPU before any record": (
        _host(None, _stands(driver="/etc/modprobe.d/gpurig-nvidia.conf")),
        "hardware-gone", "(/etc/modprobe.d/gpurig-nvidia.conf)",
    ),
    "a GPU that an image was baked for": (
        _host({}, _stands(cuda=CUDA), gpus="10de:2330"), "hardware-gone", "PCI lists no NVIDIA GPU"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("host", "code", "words"), GONE.values(), ids=GONE)
def test_what_is_gone_is_named(host: Host, code: str, words: str) -> None:
    """With one sentence, which says how it is told that it is gone for good."""
    (lost,) = host.lost()
    assert lost.code == code
    assert words in lost.what
    ways = ("--accept-hardware", "remove ada from rig_users", "remove it from /etc/fstab")
    assert any(way in lost.do for way in ways)


OTHER_PIP = _mirror("pip", "/etc/uv/uv.toml", "https://other.example.com/")
OTHER_APT = _mirror("apt", "/etc/apt/sources.list", "http://deb.example.org/debian/")
KEPT: dict[str, Host] = {
    "nothing was recorded": _host(None),
    "a switch is in another slot": _host(
        {"switches": ["10de:22a3 at 0000:09:00.0"]}, nvswitches=[SWITCH]
    ),
    "the bus cannot be read": _host(SWITCHES, nvswitches={"unknown": "/sys is not mounted"}),
    "the user is no longer wanted": _host({"accounts": ["ada"]}, _stands(missing=["ada"])),
    "the user never had an account": _host({}, _stands(missing=["ada"]), ADA),
    "the footing cannot be read": _host({"mirrors": [PIP]}, Unknown("late")),
    "the environments are elsewhere": _host({"mounts": {"/srv/venvs": "/srv"}}),
    "a file system came": _host(
        {"mounts": {"/srv/venvs": "/"}}, disk=_rooms(**{"/srv/venvs": "/srv"})
    ),
    "the disk cannot be read": _host(
        {"mounts": {"/srv/venvs": "/srv"}}, disk={"unknown": "df did not answer"}
    ),
    "the file names no index any more": _host({"mirrors": [PIP]}, _stands(files=["/etc/pip.conf"])),
    "another file names one": _host({"mirrors": [PIP]}, _stands(mirrors=[OTHER_PIP])),
    "the settings name one": _host(
        {"mirrors": [PIP]}, settings=Settings(pypi_index="https://other.example.com/")
    ),
    "apt has another mirror": _host({"mirrors": [APT]}, _stands(mirrors=[OTHER_APT])),
    "Docker's mirrors are a setting": _host(
        {"mirrors": [HUB]}, settings=Settings(docker_daemon={"registry-mirrors": []})
    ),
    "a CPU is asked for": _host(None, _stands(cuda=CUDA), Settings(accelerator="cpu")),
    "GPUs are assumed": _host(None, _stands(cuda=CUDA), Settings(assume_gpu=("10de:2330",))),
    "there is a GPU": Host(
        ABSENT,
        Observed.from_facts({"gpus": [H100], "nvswitches": [], "disk": []}),
        _stands(cuda=CUDA),
        Settings(),
    ),
    "the PCI bus cannot be read": Host(
        ABSENT,
        Observed.from_facts({"gpus": {"unknown": "/sys is not mounted"}}),
        _stands(cuda=CUDA),
        Settings(),
    ),
    "it was accepted": _host({}, _stands(cuda=CUDA)),
}


@pytest.mark.parametrize("host", KEPT.values(), ids=KEPT)
def test_nothing_else_is_called_gone(host: Host) -> None:
    """Neither what a person changed, nor what cannot be read, nor what never was there."""
    assert host.lost() == []


def test_what_is_there_is_recorded_and_read_again() -> None:
    """Accounts that are there, switches and not bridges, file systems, and mirrors of archives."""
    settings = Settings(users=("ada", "bob"))
    strange = _mirror("apt", "/etc/apt/sources.list.d/x.list", "https://x.example.com/stable")
    footing = _stands(missing=["bob"], mirrors=[APT, strange, PIP])
    facts: dict[str, Any] = {
        "nvswitches": [SWITCH, BRIDGE],
        "disk": _rooms(**{"/": "/", "/srv/v": "/srv"}),
    }
    host = _host(None, footing, settings, "", **facts)
    there = There(
        switches=["10de:22a3 at 0000:07:00.0"],
        accounts=["ada"],
        mounts={"/srv/v": "/srv"},
        mirrors=[APT, PIP],
    )
    assert host.there() == there
    record = proven.joined(ABSENT, {"kernel": "6"}, (), host.there())
    text = json.dumps(record).splitlines()
    assert ProvenRecord().parse(text, 0) == record
    assert Host(record, host.observed, footing, settings).lost() == []


def test_what_cannot_be_read_stays_recorded() -> None:
    """A fact that fails once takes nothing from the record."""
    there = {"accounts": ["ada"], "mounts": {"/srv": "/srv"}, "mirrors": [PIP], **SWITCHES}
    unread = {"unknown": "late"}
    host = _host(there, Unknown("late"), ADA, nvswitches=unread, disk=unread)
    assert host.there() == there


@pytest.mark.parametrize("text", ['"there": 1', '"there": {"switches": []}', '"there": null'])
def test_a_broken_record_is_unknown(text: str) -> None:
    """Also where only this part of it is broken."""
    frame = [f'{{"state": {{}}, "proofs": {{}}, {text}}}', "", "gpurig-exit:0"]
    assert isinstance(ProvenRecord().process(frame), Unknown)


def test_a_record_that_cannot_be_written_leaves_no_proof(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What passed before a change counts no longer, also on a full disk."""
    file = tmp_path / "proven.json"
    monkeypatch.setattr(proven, "RECORD", str(file))
    file.write_text("passed")
    (tmp_path / "proven.json.gpurig-new").mkdir()
    subprocess.run(["sh", "-c", proven.unproven(Proven(state={}, proofs={}))], check=False)
    assert not file.exists()


def test_files_of_mirrors_are_read_as_their_readers_do(tmp_path: Path) -> None:
    """One-line and deb822 sources, both pip's and uv's words, JSON in any layout; no password."""
    files = {
        "etc/apt/sources.list": "# deb http://no.example.com/debian x main\n"
        "deb [arch=amd64 signed-by=/k] http://u:p@a.example.com/debian trixie main\n",
        "etc/apt/sources.list.d/b.sources": "Types: deb\nURIs: https://b.example.com/debian\n",
        "etc/apt/sources.list.d/gpurig-docker.sources": "URIs: https://ours.example.com/\n",
        "etc/apt/mirrors/debian.list": "https://c.example.com/debian\tpriority:1\n",
        "etc/pip.conf": "[global]\nindex_url: https://u:p@pip.example.com/simple\nproxy = x\n",
        "etc/uv/uv.toml": '[[index]]\nurl = "https://uv.example.com/simple"\ndefault = true\n',
        "etc/docker/daemon.json": '{"x": [1],\n "registry-mirrors":\n ["https://d1", "https://d2"]}',
        "etc/fstab": "# c\nUUID=1 / ext4\nLABEL=x\t/nowhere/ ext4 nofail 0 0\nUUID=2 none swap\n"
        "LABEL=y /a\\040b auto\n//x/y /nowhere/deep cifs noauto,password=hush 0 0\n",
        "opt/v/jax/.gpurig.json": '{"lock":\n "jax-1-cuda13"}',
        "opt/v/cpu/.gpurig.json": '{"lock": "jax-1-cpu"}',
        "opt/v/odd/.gpurig.json": "[",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    script = Footing().command(users=("root", "no-one"), venv_root="/opt/v").get_raw_value()
    for folder in ("/etc/", "/opt/v"):
        script = script.replace(folder, f"{tmp_path}{folder}")
    script = script.replace("for p in / ", "for p in / /nowhere/deep '/a b' ")
    ran = subprocess.run(["dash", "-c", script], capture_output=True, text=True, check=True)
    read = Footing().process(ran.stdout.replace(str(tmp_path), "").splitlines())
    assert isinstance(read, dict), read
    assert read["missing"] == ["no-one"]
    assert read["unmounted"] == {"/nowhere/deep": "/nowhere", "/a b": "/a b"}
    assert read["cuda"] == {"jax": "jax-1-cuda13"}
    assert [(one["kind"], one["url"]) for one in read["mirrors"]] == [
        ("apt", "http://a.example.com/debian"),
        ("apt", "https://b.example.com/debian"),
        ("apt", "https://c.example.com/debian"),
        ("pip", "https://pip.example.com/simple"),
        ("pip", "https://uv.example.com/simple"),
        ("docker", "https://d1"),
        ("docker", "https://d2"),
    ]
    assert "ours.example.com" not in ran.stdout
    assert "u:p" not in ran.stdout
    assert "hush" not in ran.stdout
    assert not ran.stderr


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (Settings(cache="/srv/a disk/cache"), "rig_cache"),
        (Settings(data_mirror="/srv/a disk"), "rig_data_mirror"),
        (Settings(images=("tensorflow", "/srv/a disk/golden.tar")), "rig_images"),
        (Settings(cache="/srv/a disk too"), ""),
        (Settings(cache="/media/stick", data_mirror="/srv/999/x"), ""),
        (Settings(cache="/mnt/up/cache", data_mirror="https://example.com/srv/a disk"), ""),
        (Settings(), ""),
    ],
)
def test_nothing_is_read_or_written_where_a_file_system_belongs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings, named: str
) -> None:
    """On this machine neither: a cache, archives of MNIST, and saved images."""
    (tmp_path / "fstab").write_text(
        "# /dev/x /srv ext4\nLABEL=a /srv/a\\040disk/ ext4 nofail\nLABEL=b /mnt/up ext4\n"
        "UUID=1 / ext4\nUUID=2 none swap sw\nLABEL=s /media/stick auto user,noauto 0 0\n"
        "LABEL=o /srv/\\999 ext4\n"
    )
    (tmp_path / "mounts").write_text("/dev/b /mnt/up ext4 rw 0 0\n/dev/r / ext4 rw 0 0\n")
    monkeypatch.setattr(mounted, "FSTAB", tmp_path / "fstab")
    monkeypatch.setattr(mounted, "MOUNTS", tmp_path / "mounts")
    if not named:
        return mounted.refuse_unmounted(settings, "gpu01")
    with pytest.raises(InputError, match=f"gpu01, {named}: /srv/a disk is not mounted") as error:
        mounted.refuse_unmounted(settings, "gpu01")
    assert "mount it" in error.value.do
    return None
