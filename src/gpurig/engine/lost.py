"""What a host had when it was set up and lacks now: it is named, and never taken for a wish."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpurig.contract.values import Unknown
from gpurig.engine import proven
from gpurig.errors import HostError
from gpurig.facts.host.footing import Mirror, Stands
from gpurig.facts.host.proven import There
from gpurig.operations.shared.words import few
from gpurig.settings.table import Settings
from gpurig.stack.gpus import is_nvswitch
from gpurig.stack.observed import Observed

if TYPE_CHECKING:
    from gpurig.facts.host.disk import Room

ACCEPT = "if that is for good, run gpurig up --accept-hardware"

NOTHING = There(switches=[], accounts=[], mounts={}, mirrors=[])

# How people call those who fetch, and the setting that says where from.
_FETCHES = {
    "apt": ("apt", "apt_mirror"),
    "pip": ("pip or uv", "pypi_index"),
    "docker": ("Docker", "docker_daemon"),
}


@dataclass(frozen=True)
class Host:
    """A host as it is now, beside its record."""

    record: proven.Record
    observed: Observed
    footing: Stands | Unknown
    settings: Settings

    @property
    def was(self) -> There:
        """What the record says that it stood on."""
        return self.record.get("there", NOTHING) if isinstance(self.record, dict) else NOTHING

    def there(self) -> There:
        """What its set-up stands on now; what was recorded stays where that cannot be read."""
        there = There(**self.was)
        if isinstance(self.footing, dict):
            missing, mirrors = self.footing["missing"], self.footing["mirrors"]
            there["accounts"] = [user for user in self.settings.users if user not in missing]
            there["mirrors"] = [m for m in mirrors if m["kind"] != "apt" or _archive(m)]
        if not isinstance(self.observed.nvswitches, Unknown):
            switches = _switches(self.observed)
            there["switches"] = [f"{id} at {slot}" for id, slot in switches]
        if isinstance(self.observed.disk, list):
            there["mounts"] = _mounts(self.observed)
        return there

    def lost(self) -> list[HostError]:
        """What is gone, the hardware first."""
        found = [*self._hardware(), *self._unproven(), *self._file_systems()]
        return [*found, *self._accounts(), *self._mirrors()]

    def _hardware(self) -> Iterator[HostError]:
        gone = proven.gone(self.record, self.observed.gpus)
        if not isinstance(self.observed.nvswitches, Unknown):
            away = proven.off_bus(self.was["switches"], _switches(self.observed))
            gone += [f"NVSwitch ({id}) at {slot}" for id, slot in away]
        if gone:
            was = "was here when this host was set up, and PCI does not list it now"
            if len(gone) > 1:
                was = "were here when this host was set up, and PCI does not list them now"
            yield HostError(
                "hardware-gone", f"{', '.join(gone)} {was}", do=f"check the machine; {ACCEPT}"
            )

    def _unproven(self) -> Iterator[HostError]:
        """GPUs of which no record tells: what gpurig made for one is there, and none is."""
        told = self.record["state"] if isinstance(self.record, dict) else {"GPUs": "not known"}
        assumed = bool(told.get("GPUs")) and " at " not in told["GPUs"]
        listed = self.observed.gpus
        if not assumed or self.settings.assume_gpu or listed or isinstance(listed, Unknown):
            return
        if signs := ", ".join(self._signs()):
            what = f"PCI lists no NVIDIA GPU, and gpurig set this host up for one ({signs})"
            do = f"check the machine; {ACCEPT}"
            yield HostError("hardware-gone", what, do=do)

    def _signs(self) -> Iterator[str]:
        """What gpurig made for a GPU and the settings do not make for none."""
        if isinstance(self.footing, Unknown):
            return
        if self.settings.accelerator == "auto":
            for name, key in self.footing["cuda"].items():
                yield f"the environment {name} is for CUDA: {key}"
        if self.footing["driver"] and self.settings.driver_source != "none":
            yield self.footing["driver"]

    def _file_systems(self) -> Iterator[HostError]:
        fstab = self.footing["unmounted"] if isinstance(self.footing, dict) else {}
        told = set()
        for path, mount in fstab.items():
            if mount not in told:
                told.add(mount)
                what = f"{mount} is not mounted, which /etc/fstab lists and {path} lies on"
                yield HostError("mount-gone", what, do="mount it, or remove it from /etc/fstab")
        now = _mounts(self.observed)
        for path, mount in self.was["mounts"].items():
            at = now.get(path, mount)
            if at == mount or not _within(mount, at) or mount in {*told, *now.values()}:
                continue
            told.add(mount)
            was = f"{path} lay on a file system at {mount} when this host was set up"
            what = f"{was}, and none is mounted there now"
            yield HostError("mount-gone", what, do=f"mount it; {ACCEPT}")

    def _accounts(self) -> Iterator[HostError]:
        missing = self.footing["missing"] if isinstance(self.footing, dict) else []
        for user in self.was["accounts"]:
            if user in missing and user in self.settings.users:
                what = f"user {user} had an account when this host was set up, and has none now"
                do = f"make the account again; if it is gone for good, remove {user} from rig_users"
                yield HostError("account-gone", what, do=do)

    def _mirrors(self) -> Iterator[HostError]:
        if isinstance(self.footing, Unknown):
            return
        gone: dict[str, list[Mirror]] = {}  # by their file
        for was in self.was["mirrors"]:
            _, setting = _FETCHES.get(was["kind"], ("", ""))
            if not setting or was["file"] in self.footing["files"] or self._told(was, setting):
                continue
            if not any(_stands_in(one, was) for one in self.footing["mirrors"]):
                gone.setdefault(was["file"], []).append(was)
        for file, mirrors in gone.items():
            who, setting = _FETCHES[mirrors[0]["kind"]]
            what = f"{file} is gone, from which {who} knew {few([m['url'] for m in mirrors])}"
            yield HostError(
                "mirror-gone", what, do=f"put the file back, or set rig_{setting}; {ACCEPT}"
            )

    def _told(self, was: Mirror, setting: str) -> bool:
        """Whether the settings say where from instead."""
        told = getattr(self.settings, setting)
        return "registry-mirrors" in told if was["kind"] == "docker" else bool(told)


def _stands_in(one: Mirror, was: Mirror) -> bool:
    """Whether this mirror has what that one had: apt's, the same archive."""
    same = one["kind"] == was["kind"]
    return same and (one["kind"] != "apt" or _last(one) == _last(was))


def _last(mirror: Mirror) -> str:
    return mirror["url"].rstrip("/").rpartition("/")[2]


def _archive(mirror: Mirror) -> bool:
    """Whether it is one of the distribution's archive, whose address ends alike on each mirror."""
    return _last(mirror).startswith(("debian", "ubuntu"))


def _switches(observed: Observed) -> list[tuple[str, str]]:
    found = observed.nvswitches if isinstance(observed.nvswitches, list) else []
    return [(one["id"], one["address"]) for one in found if is_nvswitch(one["id"])]


def _mounts(observed: Observed) -> dict[str, str]:
    rooms: list[Room] = observed.disk if isinstance(observed.disk, list) else []
    return {room["path"]: room["mount"] for room in rooms if room["path"] not in ("/", "/tmp")}


def _within(path: str, folder: str) -> bool:
    return path != folder and f"{path}/".startswith(folder.rstrip("/") + "/")
