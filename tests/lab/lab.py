"""The lab: its folder, its services, and the hosts that are made, kept and removed in it."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from . import bases, data, gpu, machine, network, nvidia_toolkit, services, storage
from .clock import CLOCK
from .commands import Process, run
from .errors import LabError
from .hosts import Description, Host
from .identity import personalise
from .repository import Repository, stop_agent
from .standins import nvml
from .standins.toolkit import packages as container_toolkit

DEFAULT_FOLDER = "/var/cache/gpurig-lab"
CHECKOUT = Path(__file__).resolve().parents[2]
TOOLKIT = "nvidia-container-toolkit"


class Lab:
    """
    One lab; everything it has lies in its folder, outside the checkout.

    + folder: default ``GPURIG_LAB``, else ``/var/cache/gpurig-lab``
    + shared: has MNIST in ``data/mnist``; default ``GPURIG_SHARED``, else ``shared`` beside the
      checkout; without it MNIST is downloaded
    + owned: hosts made through this object go when this program ends, however it ends
    """

    def __init__(
        self, folder: Path | None = None, shared: Path | None = None, *, owned: bool = False
    ) -> None:
        self.folder = (folder or Path(os.environ.get("GPURIG_LAB", DEFAULT_FOLDER))).resolve()
        beside = os.environ.get("GPURIG_SHARED", CHECKOUT.parent / "shared")
        self.shared = (shared or Path(beside)).resolve()
        if self.folder.is_relative_to(CHECKOUT):
            raise LabError(f"the lab's folder {self.folder} lies inside the checkout")
        self.disk = self.folder / "disk"
        self.process = Process.of(os.getpid())
        self.owner = self.process if owned else None
        self.key = self.folder / "key"
        self.known_hosts = self.folder / "known_hosts"
        self.services = services.Services(self.folder)
        self.index_url = f"{services.WEB}/simple/"
        self.mnist_url = f"{services.WEB}/mnist/"
        self.apt_proxy = services.APT_PROXY

    # -- the lab itself

    def open(self) -> Lab:
        """Install what is missing, remove what a killed run left, start bridge and services."""
        bases.install_packages(self.folder)
        given = self._given_toolkit
        shown = {"mnist": self.mnist, "repositories": self.folder / "repositories"}
        with self.locked():
            network.raise_bridge(self.folder)
            storage.mount(self.folder)
            self._sweep()
            for place in ("disk/hosts", "disk/snapshots", "repositories", "runs"):
                (self.folder / place).mkdir(exist_ok=True)
            if self.owner:
                (self.folder / "runs" / str(self.owner.pid)).write_text(str(self.owner.started))
            if not self.key.exists():
                run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", self.key)
            self.services.start(shown, self.folder / "index", self.folder / "apt-cache")
            if not self.toolkit.folder.exists():
                with tempfile.TemporaryDirectory() as scratch:
                    made = given or container_toolkit.build(Path(scratch))
                    self.toolkit.publish(made)
        return self

    def attach(self) -> Lab:
        """Only make visible what it has: nothing is installed, started or removed."""
        if (self.folder / "disk.img").exists():
            with self.locked():
                storage.mount(self.folder)
        return self

    def close(self) -> None:
        """Remove the hosts that go with this program; the last one out stops the services."""
        with self.locked():  # another run may be removing a host of its own
            mine = [h for h in self.hosts() if self.owner and h.description.owner == self.owner]
        for host in mine:
            self.remove(host.name)
        with self.locked():
            if self.owner:
                (self.folder / "runs" / str(self.owner.pid)).unlink(missing_ok=True)
            self._sweep()
            if not any((self.disk / "hosts").iterdir()) and not self._runs():
                self._stop()

    def down_all(self) -> None:
        """Remove every host, whoever made it, and stop the services; caches and bases stay."""
        for host in self.hosts():
            self.remove(host.name)
        with self.locked():
            self._sweep()
            self._stop()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """The lab for this program alone; held for moments, never while a host boots."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @property
    def mnist(self) -> Path:
        """The folder of MNIST's four archives; they are downloaded if nobody shares them."""
        return data.archives(self.shared, self.folder / "mnist")

    @cached_property
    def toolkit(self) -> Repository:
        """
        The repository of NVIDIA's container toolkit: of the stand-in, or of given packages.

        Its name says what it is made of: runs of different checkouts do not change each other's.
        """
        given = self._given_toolkit
        digest = nvidia_toolkit.digest(given) if given else container_toolkit.digest()
        return self.repository(f"{TOOLKIT}-{digest[:12]}")

    @property
    def toolkit_versions(self) -> tuple[str, str]:
        """The older and the newer version in it, as ``1.20.0``."""
        older, newer = nvidia_toolkit.versions(self.toolkit.content)
        return older.rpartition("-")[0], newer.rpartition("-")[0]

    def repository(self, name: str) -> Repository:
        """A signed repository of a test's own, empty until something is published in it."""
        place = self.folder / "repositories" / name
        return Repository(place, f"{services.WEB}/repositories/{name}", self.folder / "gnupg")

    # -- hosts

    def boot(
        self,
        suite: str,
        name: str,
        *,
        snapshot: str = "",
        gpu: str = "",
        gpus: int = 1,
        list_gpu: Sequence[str] = (),
        python: bool = False,
        user: str = "",
        password: str = "",
    ) -> Host:
        """
        Make and boot a host; comes back when ssh answers.

        + suite: trixie or bookworm; "" with a snapshot, which knows its own
        + gpu, gpus: a kind of GPU and how many of it NVML answers with (t4, a100, l40s, h100, b200)
        + list_gpu: PCI ids (``10de:2330``) the host lists, though nothing computes there
        + python: from a base with python3; else it has none
        + user, password: a user besides root who may use sudo
        """
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name):
            raise LabError(f"{name} is no name for a host; use small letters, digits and dashes")
        with CLOCK.doing("base"):
            source, suite, was = self._source(suite, snapshot, python)
        with self.locked():
            host = self._reserve(name, suite)
        try:
            run("cp", "--archive", "--reflink=auto", source, host.root, what=f"copy {source}")
            binds: dict[str, Path] = {}
            if gpu or was.gpu:
                binds |= self._give_gpu(host, gpu, gpus, was)
            if list_gpu:
                binds |= self._list_gpu(host, list_gpu)
            host.update(binds={inside: str(place) for inside, place in binds.items()}, user=user)
            keys = personalise(host, self.key.with_suffix(".pub").read_text(), user, password)
            host.update(host_key=keys)
            with self.locked():
                self._write_known_hosts()
            with CLOCK.doing("boot"):
                host.start()
        except BaseException:
            if host.log.exists():  # all that tells why; the host itself goes
                shutil.copy(host.log, self.folder / "last-failure.log")
            self.remove(name)
            raise
        return host

    def host(self, name: str) -> Host:
        """The host of this name."""
        host = Host(self.disk / "hosts" / name)
        if not (host.folder / "host.json").exists():
            raise LabError(f"the lab has no host {name}; `lab list` shows those it has")
        return host

    def hosts(self) -> list[Host]:
        """Every host, running or not."""
        found = sorted((self.disk / "hosts").glob("*/host.json"))
        return [Host(file.parent) for file in found]

    def remove(self, name: str) -> None:
        """Take a host away at once, with all it had."""
        machine.kill(name)
        folder = self.disk / "hosts" / name
        _delete(folder / "root", f"remove {name}")
        with self.locked():
            shutil.rmtree(folder, ignore_errors=True)
            self._write_known_hosts()

    def save(self, name: str, snapshot: str) -> None:
        """Keep a host's file system as a snapshot: it is shut down, copied and booted again."""
        host = self.host(name)
        place = self.disk / "snapshots" / snapshot
        if place.exists():
            raise LabError(f"there is a snapshot {snapshot} already; `lab forget {snapshot}` first")
        maker = f"{self.process.pid}-{self.process.started}"  # by whom `_sweep` knows it
        partial = place.with_name(f"{snapshot}.{maker}.partial")
        partial.mkdir(parents=True)
        host.stop()
        host.description.write(partial / "host.json")
        copy = ("cp", "--archive", "--reflink=auto")
        run(*copy, host.root, partial / "root", what=f"copy {name}")
        partial.rename(place)
        host.start()

    def snapshots(self) -> list[str]:
        """The names of the snapshots."""
        found = (file.parent for file in self.disk.glob("snapshots/*/host.json"))
        return sorted(place.name for place in found if place.suffix != ".partial")

    def forget(self, snapshot: str) -> None:
        """Remove a snapshot."""
        if snapshot not in self.snapshots():
            raise LabError(f"the lab has no snapshot {snapshot}")
        run("rm", "-rf", self.disk / "snapshots" / snapshot, what=f"remove {snapshot}")

    def import_base_image(self, host: Host, name: str, python: bool = False) -> None:
        """Give a host's Docker a minimal Debian of the host's suite as an image of this name."""
        with CLOCK.doing("container image"):
            image = bases.container_image(self.disk, host.description.suite, python)
        host.import_image(image, name)

    # -- parts

    @cached_property
    def _given_toolkit(self) -> list[Path]:
        """NVIDIA's own packages of the toolkit, where the environment names some."""
        return nvidia_toolkit.given(self.folder / "nvidia-toolkit")

    def _source(self, suite: str, snapshot: str, python: bool) -> tuple[Path, str, Description]:
        """What a new host is copied from, its suite, and what was known of what it copies."""
        if not snapshot:
            blank = Description("", suite, "", "", self.process, None)
            return bases.base(self.disk, suite, python), suite, blank
        if snapshot not in self.snapshots():
            known = ", ".join(self.snapshots()) or "none"
            raise LabError(f"the lab has no snapshot {snapshot}; it has {known}")
        place = self.disk / "snapshots" / snapshot
        was = Description.read(place / "host.json")
        if suite and suite != was.suite:
            raise LabError(f"the snapshot {snapshot} is a {was.suite}, not a {suite}")
        return place / "root", was.suite, was

    def _reserve(self, name: str, suite: str) -> Host:
        host = Host(self.disk / "hosts" / name)
        if host.folder.exists():
            raise LabError(f"there is a host {name} already; `lab down {name}` removes it")
        address = network.free_address({each.address for each in self.hosts()})
        host.folder.mkdir(parents=True)
        Description(name, suite, address, "starting", self.process, self.owner).write(
            host.folder / "host.json"
        )
        return host

    def _give_gpu(self, host: Host, kind: str, count: int, was: Description) -> dict[str, Path]:
        kind, count = (kind, count) if kind else (was.gpu, was.gpus)
        if was.driver:  # the library is in the snapshot already, under this version
            driver = was.driver
        else:
            found = bases.archive(self.disk, host.description.suite).version("libnvidia-ml1")
            driver = found.rpartition(":")[2].partition("-")[0]
        library = nvml.library(self.folder / "standins", kind, count, driver)
        gpu.install(host.root, library, driver)
        host.update(gpu=kind, gpus=count, gpu_id=nvml.kind(kind).pci, driver=driver)
        return gpu.device_nodes(host.folder / "dev", count)

    def _list_gpu(self, host: Host, ids: Sequence[str]) -> dict[str, Path]:
        host.update(listed=tuple(ids))
        return gpu.listing(host.folder / "pci", ids)

    def _sweep(self) -> None:
        """Remove hosts whose makers or owners were killed, and machines nobody knows."""
        for host in self.hosts():
            try:
                known = host.description
            except LabError:
                known = None
            if known is None or known.orphaned:
                machine.kill(host.name)
                _delete(host.root, f"remove {host.name}")
                _delete(host.folder, f"remove {host.name}")  # with what it is known by
            elif known.status == "up" and not host.running:
                host.update(status="down", keeper=None)
        if network.bridge_owner() in (None, str(self.folder)):  # else they are another lab's
            for name in set(machine.names()) - {host.name for host in self.hosts()}:
                machine.kill(name)
        for partial in self.disk.glob("snapshots/*.partial"):
            maker = re.search(r"\.(\d+)-(\d+)\.partial$", partial.name)
            if not maker or not Process(int(maker[1]), int(maker[2])).alive:
                run("rm", "-rf", partial)
        self._write_known_hosts()

    def _runs(self) -> list[Process]:
        """Programs that use the lab now."""
        alive = []
        for file in (self.folder / "runs").glob("*"):
            process = Process(int(file.name), int(file.read_text() or 0))
            if process.alive:
                alive.append(process)
            else:
                file.unlink()
        return alive

    def _stop(self) -> None:
        self.services.stop()
        stop_agent(self.folder / "gnupg")
        network.remove_bridge(self.folder)
        storage.unmount(self.folder)

    def _write_known_hosts(self) -> None:
        lines = []
        for host in self.hosts():
            known = host.description
            if known.host_key:
                lines.append(f"{known.address},{known.name} {known.host_key}\n")
        staged = self.known_hosts.with_suffix(".new")
        staged.write_text("".join(lines))
        staged.rename(self.known_hosts)


def _delete(folder: Path, what: str) -> None:
    """A folder is gone, also where a test that was killed left an immutable file in it."""
    words = "rm", "-rf", "--one-file-system", folder
    try:
        run(*words, what=what)
    except LabError:
        run("chattr", "-R", "-f", "-i", folder, what=what)
        run(*words, what=what)
