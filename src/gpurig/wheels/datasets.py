"""The four archives of MNIST: fetched once by the control machine, for all hosts and runs."""

from __future__ import annotations

import hashlib
import http.client
import shutil
import tempfile
from pathlib import Path

from gpurig import store
from gpurig.contract.limits import Limits
from gpurig.errors import InputError
from gpurig.settings.table import Settings
from gpurig.wheels.download import pieces
from gpurig.workloads.mnist import ARCHIVES, ORIGINAL, kind

SECONDS = 10  # without an answer of the mirror, not for the whole file
LARGEST = 100  # megabytes; the four archives together have 12


class Unreached(Exception):
    """The archives cannot be had from here; the sentence says why."""


_unreached: dict[str | None, str] = {}  # by mirror, in this run


def archives(mirror: str | None, seconds: int = Limits.download) -> Path:
    """
    The folder of the archives on this machine, fetched first if they are not all there.

    + mirror: rig_data_mirror, an address or a folder of this machine; ``None``: the original place
    + seconds: for each of them, as rig_limits has it

    Every file is compared with its sha256 each time. InputError: the mirror has another file;
    Unreached: it does not answer, or is a folder that this machine does not have. GpurigError:
    they cannot be kept here.
    """
    kept = store.cache() / "data"
    store.refuse_foreign(kept)
    if _whole(kept):
        return kept
    with store.one_at_a_time("mnist"):
        if _whole(kept):
            return kept
        if mirror in _unreached:
            raise Unreached(_unreached[mirror])
        with tempfile.TemporaryDirectory(prefix="gpurig-data-") as name:
            try:
                _fetch(mirror, Path(name), seconds)
            except Unreached as error:
                _unreached[mirror] = str(error)
                raise
            for file in ARCHIVES:
                store.write(kept / file, (Path(name) / file).read_bytes())
    return kept


def _whole(folder: Path) -> bool:
    return all(_sum(folder / name) == checksum for name, checksum in ARCHIVES.items())


def refuse_wrong(settings: Settings, where: str, here: bool = False) -> None:
    """
    InputError where rig_data_mirror has other files than MNIST's, before a host is contacted.

    + here: whether the host is this machine, so that a folder must be there
    """
    wanted = not settings.components or "environments" in settings.components
    if settings.data_mirror is None or not wanted:
        return
    if here and settings.data_mirror.startswith("/"):
        _refuse_missing(Path(settings.data_mirror), where)
    try:
        archives(settings.data_mirror, Limits(**settings.limits).download)
    except InputError as error:
        error.where = f"{where}, {error.where}"
        raise
    except Unreached:
        return  # perhaps the host reaches it; workloads.archives says what is the case


def _refuse_missing(folder: Path, where: str) -> None:
    try:
        folder.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        what = f"{folder} does not exist on this machine"
        do = "make the folder, with the four archives of MNIST, or remove the setting"
        raise InputError("data-missing", what, f"{where}, rig_data_mirror", do) from error
    except OSError:
        return  # root may reach it


def _fetch(mirror: str | None, folder: Path, seconds: int) -> None:
    for name, checksum in ARCHIVES.items():
        target = folder / name
        try:
            _copy(mirror or ORIGINAL, name, target, seconds)
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
            raise Unreached(
                f"{name} cannot be fetched from {mirror or ORIGINAL} ({reason})"
            ) from error
        if (found := _sum(target)) != checksum:
            raise InputError(
                "data-wrong",
                f"{name} of {mirror or ORIGINAL} is {kind(target)}: its sha256 is {found}, not"
                f" {checksum}",
                "rig_data_mirror" if mirror else "",
                "set rig_data_mirror to a mirror of the original archives"
                if mirror
                else "set rig_data_mirror",
            )


def _copy(mirror: str, name: str, target: Path, seconds: int) -> None:
    if mirror.startswith("/"):
        shutil.copyfile(Path(mirror) / name, target)
        return
    address = f"{mirror.rstrip('/')}/{name}"
    with target.open("wb") as to:
        to.writelines(pieces(address, SECONDS, seconds, LARGEST))


def _sum(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return ""
