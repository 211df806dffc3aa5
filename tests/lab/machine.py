"""One booted machine: systemd-nspawn in a mount namespace and a control group of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from .clock import CLOCK
from .commands import Process, run, start
from .errors import LabError
from .network import BRIDGE

GROUP = "gpurig-lab-"
# Debian 13's systemd refuses the first version of control groups, so the machine gets the second;
# it gets a group of its own, since two systemd in one group would stop each other's services.
# With --keep-unit nspawn ends with 133 when the machine reboots, and expects to be started again.
BOOT = """
group=$1; shift
umount -R /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 cgroup2 /sys/fs/cgroup &&
mkdir -p "/sys/fs/cgroup/$group" &&
echo $$ > "/sys/fs/cgroup/$group/cgroup.procs" &&
while systemd-nspawn "$@"; code=$?; [ $code = 133 ]; do :; done
exit $code
"""


def boot(
    name: str, root: Path, log: Path, binds: dict[str, Path], arguments: Sequence[str] = ()
) -> Process:
    """
    Start a machine and come back at once, with the process that keeps it over its reboots.

    + binds: what lies at which path inside
    + arguments: for its init, as on a kernel's command line
    """
    options = [
        "--boot",
        "--quiet",
        f"--directory={root}",
        f"--machine={name}",
        f"--hostname={name}",
        f"--network-bridge={BRIDGE}",
        "--register=no",
        "--keep-unit",
        "--link-journal=no",
        "--resolv-conf=off",
        "--timezone=off",
        "--private-users=no",
        "--capability=all",
        "--drop-capability=CAP_SYS_MODULE",  # the kernel is the outer machine's
        "--system-call-filter=@keyring bpf",  # without it `docker run` inside has no keyring
        *(f"--bind={outside}:{_escaped(inside)}" for inside, outside in binds.items()),
        *arguments,
    ]
    return start(
        "unshare", "--mount", "sh", "-c", BOOT, "sh", GROUP + name, *options,
        log=log, env={"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
    )  # fmt: skip


def init_of(keeper: Process) -> int | None:
    """The number of the machine's own init, None while it has none (booting, rebooting)."""
    if not keeper.alive:
        return None
    for nspawn in keeper.children():
        for child in Process.of(nspawn).children():
            try:
                numbers = Path(f"/proc/{child}/status").read_text().partition("\nNSpid:")[2]
            except OSError:
                continue
            if numbers.partition("\n")[0].split()[-1:] == ["1"]:
                return child
    return None


def kill(name: str) -> None:
    """End every process of a machine at once and remove its control group."""
    group = groups_folder() / (GROUP + name)
    CLOCK.hosts += _processor_seconds(group)
    deadline = time.monotonic() + 20
    while group.is_dir():
        (group / "cgroup.kill").write_text("1")
        for inner in [*sorted(group.rglob("*/"), reverse=True), group]:
            try:
                inner.rmdir()
            except OSError:
                continue  # not empty yet: its processes are on their way out
        if time.monotonic() > deadline:
            raise LabError(f"the processes of {name} do not end")
        time.sleep(0.05)
    run("rm", "-rf", f"/run/systemd/nspawn/propagate/{name}")


def _processor_seconds(group: Path) -> float:
    """What all processes of a group have used of the processors."""
    try:
        lines = (group / "cpu.stat").read_text().splitlines()
    except OSError:
        return 0.0
    return next(int(line.split()[1]) / 1e6 for line in lines if line.startswith("usage_usec"))


def names() -> Iterator[str]:
    """The machines that have a control group, running or left behind."""
    for group in groups_folder().glob(f"{GROUP}*"):
        yield group.name.removeprefix(GROUP)


def groups_folder() -> Path:
    """Where this machine shows control groups of the second version."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(place)
    place = "/run/gpurig-lab-cgroup"
    Path(place).mkdir(exist_ok=True)
    run("mount", "-t", "cgroup2", "cgroup2", place, what="mount control groups")
    return Path(place)


def _escaped(path: str) -> str:
    return path.replace(":", "\\:")
