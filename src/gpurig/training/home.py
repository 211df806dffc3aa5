"""How results come home: what programs left on hosts, fetched from where rank 0 ran."""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from gpurig.contract.limits import MB
from gpurig.contract.shape import fits
from gpurig.errors import HostError, InputError
from gpurig.report.units import count, size
from gpurig.training.guards import Guards
from gpurig.training.project import IGNORED, IGNORES
from gpurig.training.wish import WORK, Outcome, Results

_UNLISTED = "the training's results"
NAMED = 3  # files of a host that are named; of more there is their number
LARGE = 10 * MB  # what is named of HOME and TMPDIR: caches of a few files are always there
_SHAPES = {"first": bool, "beside": str, "files": int, "file": str, "size": int, "runs": bool,
           "data": str, "done": str}  # fmt: skip


@dataclass
class _Left:
    """What a host has: `files` in the folder of the program by size, `beside` in other ones."""

    files: dict[str, int] = field(default_factory=dict)
    beside: dict[str, int] = field(default_factory=dict)
    first: bool = False

    def results(self, host: str) -> Results:
        names = tuple(list(self.files)[:NAMED])
        return Results(host, names, len(self.files), sum(self.files.values()))

    def caches(self, host: str) -> list[Results]:
        large = {"home": "HOME", "tmp": "TMPDIR"}.items()
        return [
            Results(host, (word,), 1, self.beside[name])
            for name, word in large
            if self.beside.get(name, 0) > LARGE
        ]


class Home:
    """
    What comes home from one training.

    + out: the folder of this machine, which is made where there is something for it
    """

    def __init__(self, guards: Guards, outcome: Outcome, out: Path) -> None:
        self.guards, self.outcome, self.out = guards, outcome, out

    def bring(self, told: Any) -> None:
        """
        Fetch from rank 0's host, and note what goes with all others.

        What cannot be fetched stays on its host, with an error that says where.
        """
        left: dict[str, _Left] = {}
        there = [host.name for host in self.guards.there()]
        try:
            for name in there:
                try:
                    left[name] = self._listed(name)
                except OSError as error:
                    self._keep(name, _UNLISTED, _why(error))
                except HostError as error:  # it is gone by now
                    self.outcome.errors.append(error)
        except KeyboardInterrupt:
            known = {error.host for error in self.outcome.errors}
            for name in there:
                if name not in known and (name not in left or left[name].files):
                    self._keep(name, _UNLISTED, "it was interrupted")
            raise
        ran = [name for name, one in left.items() if one.first]
        first = (ran or [self.guards.nodes[0].name])[0]
        for name, one in left.items():
            if name != first or not one.files:
                self.guards.hosts[name].drop()
            beside = [one.results(name)] if one.files and name != first else []
            self.outcome.gone += [*beside, *one.caches(name)]
        if first in left and left[first].files:
            results = left[first].results(first)
            try:
                self.out = claimed(self.out)
                told(f"fetching {_many(results)} from {first} into {self.out}")
                self.outcome.folder = str(self.out)
                self._fetch(first, results)
                self.outcome.fetched = results
                self.guards.hosts[first].drop()
            except (OSError, ValueError) as error:
                self._keep(first, _many(results), _why(error))
            except HostError as error:
                self.outcome.errors.append(error)
            except KeyboardInterrupt:  # the second one
                self._keep(first, _many(results), "it was interrupted")
                raise

    def _listed(self, host: str) -> _Left:
        try:
            return self._left(host)
        except KeyboardInterrupt:  # pressed twice: results are not lost by that
            return self._left(host)

    def _left(self, host: str) -> _Left:
        left = _Left()
        for told in self._asked(host, "list"):
            if "file" in told:
                left.files[told["file"]] = told["size"]
            elif "beside" in told:
                left.beside[told["beside"]] = told["size"]
            left.first = left.first or told.get("first", False)
        return left

    def _fetch(self, host: str, results: Results) -> None:
        free = shutil.disk_usage(self.out).free
        if free < results.size:
            raise OSError(
                f"{self.out} has {size(free)} of room, and they take {size(results.size)}"
            )
        taken: BinaryIO | None = None
        file, done, came = self.out, 0, 0
        try:
            for told in self._asked(host, "read"):
                if "file" in told:
                    file = self._place(told["file"])
                    taken = _part(file).open("xb")
                    os.fchmod(taken.fileno(), 0o755 if told.get("runs") else 0o644)
                elif "data" in told and taken:
                    came += taken.write(base64.b64decode(told["data"]))
                    if came > results.size:
                        raise OSError("the host sends more than it said")
                elif "done" in told and taken:
                    taken.close()
                    taken = None
                    _part(file).rename(file)
                    done += 1
        finally:
            if taken:
                taken.close()
        if done < results.files:
            raise OSError(f"{count(done, 'file')} of {results.files} came")

    def _place(self, name: str) -> Path:
        """Where a file comes to be; OSError for a name that leads out of the folder."""
        parts = name.split("/")
        if not all(parts) or {".", ".."} & {*parts} or "\0" in name:
            raise OSError(f"the host names a file {name!r}")
        file = self.out / name
        file.parent.mkdir(parents=True, exist_ok=True)
        return file

    def _keep(self, host: str, results: str, why: str) -> None:
        what = f"{results} could not be fetched ({why})"
        stay = "what there is of them stays" if results == _UNLISTED else "they stay"
        do = f"{stay} there, in {self.guards.folder}/{WORK}; copy them, then remove that folder"
        error = HostError("training-unfetched", what, host, do, host=host)
        self.outcome.errors.append(error)

    def _asked(self, host: str, what: str) -> Iterator[dict[str, Any]]:
        """What `results.py` tells on a host; it ends with 0, or OSError says why not."""
        (node,) = (node for node in self.guards.nodes if node.name == host)
        script = f"{self.guards.folder}/results.py"
        number = self.guards.hosts[host].run([node.python, "-I", script, what], {})
        said = "its list broke off"
        while True:
            try:
                heard = self.guards.next()
            except HostError as error:
                if error.host == host:
                    raise
                self.outcome.errors.append(error)  # that another one is gone ends nothing here
                continue
            if heard is None or heard[0].name != host or heard[1].get("run") != number:
                continue
            told = heard[1]
            if told.get("exit") == 0:
                return
            if "exit" in told:
                raise OSError(said)
            said = told.get("err", said)
            if (line := _line(told.get("out", ""))) is not None:
                yield line


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _part(file: Path) -> Path:
    """Where a file lies until all of it is there."""
    return file.with_name(f".{file.name}.part")


def _line(text: str) -> dict[str, Any] | None:
    try:
        told = json.loads(text)
        base64.b64decode(told.get("data", ""), validate=True)
    except (ValueError, RecursionError, AttributeError, TypeError, binascii.Error):
        return None
    right = all(fits(told[key], kind) for key, kind in _SHAPES.items() if key in told)
    return told if right and ("file" not in told or "size" in told) else None


def _many(results: Results) -> str:
    return f"{count(results.files, 'file')} ({size(results.size)})"


def claimed(out: Path) -> Path:
    """
    A folder that no other training fills: this one, or one beside it, ``NAME-2``.

    What shows whose it is keeps results out of git, and out of what the next training sends.
    """
    for number in itertools.count(1):
        place = out if number == 1 else out.with_name(f"{out.name}-{number}")
        place.mkdir(parents=True, exist_ok=True)
        if any(place.iterdir()):
            continue
        with suppress(FileExistsError), (place / IGNORED).open("x") as file:
            file.write(IGNORES)
            return place
    raise AssertionError("there is no last number")


def refuse_used(out: Path) -> None:
    """InputError where results cannot be put: something is there, or no folder can be made."""
    try:
        if out.is_dir() and any(out.iterdir()):
            raise OSError(0, "it has files already")
        parent = next(one for one in (out, *out.absolute().parents) if one.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK):
            raise OSError(0, f"{parent} is not a folder that you can write to")
    except OSError as error:
        raise InputError("training-out", f"{out} cannot take the results ({error.strerror})",
                          "--out", "name a folder that is new or empty") from error  # fmt: skip
