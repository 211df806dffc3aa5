"""A host of the lab: what one can do with it while it runs, and what is known of it on disk."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from . import gpu, machine
from .commands import Process
from .errors import LabError

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Result(NamedTuple):
    """What a command on a host ended with."""

    rc: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Description:
    """What is known of a host on disk, whether it runs or not."""

    name: str
    suite: str
    address: str
    status: str  # "starting", "up", "down"
    creator: Process  # who makes it; until it is up, it dies with them
    owner: Process | None  # who it goes with; None: it stays until `lab down`
    keeper: Process | None = None  # the process that boots it again and again
    gpu: str = ""
    gpus: int = 0
    gpu_id: str = ""  # as in rig_assume_gpu
    driver: str = ""  # the version NVML answers with
    listed: tuple[str, ...] = ()
    user: str = ""
    host_key: str = ""  # public, as in known_hosts
    binds: dict[str, str] = field(default_factory=dict)

    @property
    def orphaned(self) -> bool:
        """Whether those it should have gone with were killed."""
        left = self.owner is not None and not self.owner.alive
        return left or (self.status == "starting" and not self.creator.alive)

    @classmethod
    def read(cls, file: Path) -> Description:
        """What the file says; raises ``LabError`` if this version of the lab did not write it."""
        fields = json.loads(file.read_text())
        try:
            for name in ("creator", "owner", "keeper"):
                fields[name] = Process(**fields[name]) if fields[name] else None
            return cls(**fields | {"listed": tuple(fields["listed"])})
        except (KeyError, TypeError) as error:
            name = file.parent.name
            raise LabError(f"{name} was made by another version of the lab") from error

    def write(self, file: Path) -> None:
        """Keep it on disk; a reader never sees half of it."""
        staged = file.with_suffix(".new")
        staged.write_text(json.dumps(asdict(self), indent=2))
        staged.rename(file)


class Host:
    """
    One host; its folder holds the root file system, its description and its console's log.

    + folder: ``LAB/disk/hosts/NAME``; the lab's key and known_hosts lie in ``LAB``
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        self.log = folder / "console.log"

    @property
    def description(self) -> Description:
        """What is known of it now."""
        return Description.read(self.folder / "host.json")

    @property
    def name(self) -> str:
        """Its host name."""
        return self.folder.name

    @property
    def address(self) -> str:
        """Its address on the bridge."""
        return self.description.address

    @property
    def key(self) -> Path:
        """The private key that root (and the sudo user) accepts."""
        return self.folder.parents[2] / "key"

    @property
    def known_hosts(self) -> Path:
        """The lab's known_hosts file: this host's real key, and those of the others."""
        return self.folder.parents[2] / "known_hosts"

    @property
    def running(self) -> bool:
        """Whether it is there: booting, up or rebooting."""
        keeper = self.description.keeper
        return keeper is not None and keeper.alive

    def start(self, timeout: float = 300) -> None:
        """
        Boot it, and wait until it has started everything and sshd answers.

        A machine that ended before it was up is started once more: on a busy outer machine
        systemd-nspawn was seen to end during the boot.
        """
        binds = {inside: Path(outside) for inside, outside in self.description.binds.items()}
        arguments = gpu.LISTING_ARGUMENTS if self.description.listed else ()
        for attempt in (1, 2):
            self.update(keeper=machine.boot(self.name, self.root, self.log, binds, arguments))
            try:
                self.wait(timeout)
                break
            except LabError:
                if attempt == 2 or self.running:
                    raise
                machine.kill(self.name)
        self.update(status="up")

    def stop(self) -> None:
        """Shut it down as its own ``poweroff`` does; what does not end is killed."""
        if self.running:
            self.run("systemctl poweroff --no-block", check=False)
            self._until(lambda: not self.running, 30)
        machine.kill(self.name)
        self.update(keeper=None, status="down")

    def reboot(self, timeout: float = 300) -> None:
        """Restart its user space; comes back when sshd answers under a new boot id."""
        before = self.boot_id()
        self.run("systemctl reboot --no-block", check=False)
        if not self._until(lambda: self.boot_id() not in ("", before), timeout):
            raise LabError(f"{self.name} did not come back from its reboot; see {self.log}")
        self.wait(timeout)

    def wait(self, timeout: float = 300) -> None:
        """Wait until sshd answers and its systemd has nothing left to start."""
        ended = self._until(lambda: not self.running or self._up(), timeout)
        if ended and self.running:
            return
        said = self.log.read_text(errors="replace").strip().splitlines()[-5:] or ["nothing"]
        why = "ended while it booted" if ended else f"did not boot in {timeout:.0f} s"
        raise LabError(f"{self.name} {why}; its console said:\n" + "\n".join(said))

    def boot_id(self) -> str:
        """
        Its boot id, "" while it has no init.

        Read from outside: a machine that shuts down stops all its processes before it kills them,
        and an nsenter whose command was stopped stops itself and is never continued.
        """
        if (init := self._init()) is None:
            return ""
        try:
            return Path(f"/proc/{init}/root/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            return ""

    def run(
        self, command: str, *, check: bool = True, stdin: str | None = None, timeout: float = 1800
    ) -> Result:
        """
        Run a shell command on it as root, without ssh.

        + check: raise ``LabError`` unless it ends with 0
        """
        if (init := self._init()) is None:
            if check:
                raise LabError(f"{self.name} is not running")
            return Result(255, "", f"{self.name} is not running\n")
        try:
            done = subprocess.run(
                [*entering(init), "/bin/sh", "-c", command],
                input=stdin if stdin is not None else "",
                check=False,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
            )
        except subprocess.TimeoutExpired as error:
            raise LabError(f"{self.name}: `{command}` did not end in {timeout:.0f} s") from error
        result = Result(done.returncode, done.stdout, done.stderr)
        if check and result.rc:
            said = (result.stderr.strip() or result.stdout.strip() or "nothing").splitlines()[-1]
            raise LabError(f"{self.name}: `{command}` ended with {result.rc}: {said}")
        return result

    def enter(self, command: Sequence[str] = ()) -> None:
        """Become a shell, or a command, on it; does not come back."""
        if (init := self._init()) is None:
            raise LabError(f"{self.name} is not running")
        argv = entering(init)
        argv += ["/bin/sh", "-c", " ".join(command)] if command else ["/bin/bash", "-l"]
        os.execvp(argv[0], argv)

    def ssh(self, command: str, *, user: str = "root", timeout: float = 600) -> Result:
        """Run a command on it over ssh, as its users do: key login, host key checked."""
        argv = ["ssh", "-F", "none", "-i", str(self.key), "-o", "IdentitiesOnly=yes"]
        for option in (f"UserKnownHostsFile={self.known_hosts}", "StrictHostKeyChecking=yes",
                       "GlobalKnownHostsFile=none", "BatchMode=yes"):  # fmt: skip
            argv += ["-o", option]
        argv += [f"{user}@{self.address}", command]
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def ssh_data(self) -> dict[str, str]:
        """What a pyinfra inventory needs to reach it."""
        return {
            "ssh_hostname": self.address,
            "ssh_user": "root",
            "ssh_key": str(self.key),
            "ssh_known_hosts_file": str(self.known_hosts),
            "ssh_strict_host_key_checking": "yes",
        }

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file on it, with its folders; owner root."""
        quoted = shlex.quote(path)
        folder = shlex.quote(os.path.dirname(path))
        command = f"mkdir -p {folder} && cat > {quoted} && chmod {mode:o} {quoted}"
        self.run(command, stdin=text)

    def read(self, path: str) -> str:
        """The text of a file on it."""
        return self.run(f"cat {shlex.quote(path)}").stdout

    def import_image(self, image: Path, name: str) -> None:
        """Give its Docker an image made of a tar: no registry can be reached."""
        if (init := self._init()) is None:
            raise LabError(f"{self.name} is not running")
        with image.open("rb") as tar:
            done = subprocess.run(
                [*entering(init), "docker", "import", "-", name],
                stdin=tar, check=False, capture_output=True, text=True)  # fmt: skip
        if done.returncode:
            raise LabError(f"{self.name} could not import {name}: {done.stderr.strip()}")

    def update(self, **changes: object) -> Description:
        """Change what is known of it on disk."""
        changed = replace(self.description, **changes)  # type: ignore[arg-type]
        changed.write(self.folder / "host.json")
        return changed

    def _init(self) -> int | None:
        keeper = self.description.keeper
        return machine.init_of(keeper) if keeper else None

    def _up(self) -> bool:
        return self.boot_id() != "" and self._greets() and self._settled()

    def _greets(self) -> bool:
        try:
            with socket.create_connection((self.address, 22), timeout=2) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def _settled(self) -> bool:
        state = self.run("systemctl is-system-running", check=False).stdout.strip()
        return state in ("running", "degraded")

    def _until(self, true: Callable[[], bool], timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if true():
                return True
            time.sleep(0.1)
        return False


def entering(init: int) -> list[str]:
    """The command that runs what follows inside the machine of this init, as root's login would."""
    inside = ["nsenter", "--target", str(init), "--all", "--root", "--wd", "--"]
    terminal = os.environ.get("TERM", "dumb")
    home = ["HOME=/root", "USER=root", "LOGNAME=root", "LANG=C.UTF-8", f"TERM={terminal}"]
    return [*inside, "/usr/bin/env", "-i", "-C", "/root", f"PATH={PATH}", *home]
