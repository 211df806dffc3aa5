"""The folder of a program: which of its files go to the hosts, as git or an ignore file says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from gpurig.contract.limits import MB
from gpurig.errors import InputError
from gpurig.report.units import count, size

LIMIT = 100 * MB  # of all files together; data belong on the hosts
MANY = 10_000  # files
FOLDERS, DEPTH = 2_000, 6  # folders that no file makes, and how deep they lie; the rest stays here
RESULTS = "gpurig-train"  # where results lie, unless --out says otherwise
# In each folder of results, which are no part of a program.
IGNORED, IGNORES = ".gitignore", "# Written by gpurig train\n*\n"
IGNORE = (".gitignore", ".gpurigignore")
_CACHES = ("__pycache__", "node_modules", "venv")
# Left empty, metadata would say that a package is there, and without a version.
_METADATA = (".egg-info", ".dist-info")
EMPTY = Path(os.devnull)  # what is read of a folder
# Places where programs lie beside what has nothing to do with them: only the program itself goes.
_SHARED = {Path("/"), Path("/tmp"), Path("/var/tmp"), Path("/root"), Path("/home")}


@dataclass(frozen=True)
class Project:
    """
    A folder that is sent.

    + files: by their paths in it; a path that ends with a slash is that of a folder
    + rule: by what they were chosen; unsent: names of links to folders
    """

    folder: Path
    files: dict[str, Path]
    rule: str
    unsent: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """What is sent, in one sentence."""
        if not self.rule:
            name = next(iter(self.files))
            return f"sending {name} without the files beside it, as it is in {self.folder}"
        bytes_of_all = sum(file.stat().st_size for file in self.files.values())
        many = sum(not name.endswith("/") for name in self.files)
        files = f"{count(many, 'file')}, {size(bytes_of_all)}"
        without = f"; not {', '.join(self.unsent)}, which links to a folder" if self.unsent else ""
        return f"sending {self.folder}: {files} ({self.rule}){without}"


def project(program: Path, workdir: Path | None) -> Project:
    """
    The files beside a program, and the folders that no file makes: a program may write there.

    + workdir: the folder instead of the program's own; the program lies in it

    InputError where they are too many, or cannot be listed.
    """
    here = program.resolve()
    folder = workdir.resolve() if workdir else here.parent
    if not here.is_relative_to(folder):
        what = f"{program} is not in {workdir}"
        raise _wrong(what, "name a folder that has the program in it", "--workdir")
    own = str(here.relative_to(folder))
    if workdir is None and folder in _SHARED | {Path.home().resolve()}:
        return Project(folder, {own: here}, "")
    names, rule = _listed(folder)
    found, unsent = {own: here}, []
    for name in names:
        path = folder / name
        if path.is_dir():
            unsent += [name] if path.is_symlink() else []
        elif path.is_file() and f"/{RESULTS}/" not in f"/{name}":
            found[name] = path
        if len(found) > MANY:
            raise _wrong(f"{folder} has more than {MANY:,} files", _ignore(folder), "--workload")
    _refuse_large(folder, found)
    if closed := [name for name, path in found.items() if not os.access(path, os.R_OK)]:
        raise _wrong(f"{folder / closed[0]} cannot be read", _ignore(folder), "--workload")
    found |= dict.fromkeys(islice(_folders(folder, [*found]), FOLDERS), EMPTY)
    return Project(folder, found, rule, tuple(unsent))


def _folders(folder: Path, files: Iterable[str]) -> Iterator[str]:
    """
    The folders that none of these files makes, the uppermost first: empty ones, and ignored ones.

    Of an ignored folder that has files nothing but itself: a program may take the folder of a data
    set for the data set.
    """
    made = {f"{above}/" for name in files for above in Path(name).parents}
    waiting = deque([""])
    while waiting:
        place = waiting.popleft()
        for name in _inner(folder / place):
            inner = f"{place}{name}/"
            if inner not in made:
                yield inner
            if inner.count("/") < DEPTH and (inner in made or not _has_files(folder / inner)):
                waiting.append(inner)


def _inner(folder: Path) -> list[str]:
    """The names of its folders, without those that no program of a project's writes into."""
    with suppress(OSError), os.scandir(folder) as there:
        return sorted(
            one.name
            for one in there
            if one.is_dir(follow_symlinks=False)
            and not one.name.startswith(".")
            and not one.name.endswith(_METADATA)
            and one.name not in (*_CACHES, RESULTS)
            and not os.path.exists(os.path.join(one.path, "pyvenv.cfg"))
            and not _is_fetched(Path(one.path))
        )
    return []


def _has_files(folder: Path) -> bool:
    """Whether a file is in it, however deep; a hidden one only keeps a folder in git."""
    return any(name[:1] != "." for _, _, names in os.walk(folder) for name in names)


def _refuse_large(folder: Path, found: dict[str, Path]) -> None:
    sizes = {name: file.stat().st_size for name, file in found.items()}
    if sum(sizes.values()) <= LIMIT:
        return
    largest = sorted(sizes, key=lambda name: -sizes[name])[:3]
    named = ", ".join(f"{name} ({size(sizes[name])})" for name in largest)
    what = f"{folder} has {size(sum(sizes.values()))} in {count(len(sizes), 'file')}, and gpurig"
    what += f" sends up to {size(LIMIT)}; the largest: {named}"
    raise _wrong(what, _ignore(folder), "--workload")


def _ignore(folder: Path) -> str:
    return f"name what the program does not need in {folder / IGNORE[1]}, or use --workdir"


def _listed(folder: Path) -> tuple[Iterator[str], str]:
    """The names of the files, and the rule by which they were chosen."""
    if not shutil.which("git"):
        there = [name for name in IGNORE if (folder / name).exists()]
        if there:
            raise _wrong(f"git is not installed, which reads {there[0]}", "install git", "git")
        return _walked(folder), "no hidden files, no caches"
    there = [name for name in IGNORE if (folder / name).exists()]
    standard = ("--others", "--exclude-standard")
    if _git(folder, "rev-parse", "--is-inside-work-tree", check=False).strip() == "true":
        tracked, rule = _ls(folder), "as git says"
        found = [*tracked, *_visible(_ls(folder, *standard))]
    else:
        rule = f"as {' and '.join(there)} says" if there else "no hidden files, no caches"
        found = _visible(_beside(folder, *standard))
    if IGNORE[1] in there:  # what git tracks as well
        per_folder = f"--exclude-per-directory={IGNORE[1]}"
        without = {*_beside(folder, "--others", "--ignored", per_folder)}
        found = [name for name in found if name not in without]
    return _with_submodules(folder, found), rule


def _ls(folder: Path, *words: str, git: Sequence[str] = ()) -> list[str]:
    return [name for name in _git(folder, *git, "ls-files", "-z", *words).split("\0") if name]


def _beside(folder: Path, *words: str) -> list[str]:
    """What git would list there if the folder were a new repository."""
    with tempfile.TemporaryDirectory() as empty:
        _git(Path(empty), "init", "--bare", "--quiet", ".")
        return _ls(folder, *words, git=(f"--git-dir={empty}", f"--work-tree={folder}"))


def _with_submodules(folder: Path, names: list[str]) -> Iterator[str]:
    for name in names:
        inner = folder / name
        if inner.is_dir() and not inner.is_symlink():
            if not (inner / ".git").exists():  # a submodule that is not there
                continue
            yield from (f"{name.rstrip('/')}/{one}" for one in _listed(inner)[0])
        else:
            yield name


def _visible(names: list[str]) -> list[str]:
    """Without caches, and without what is hidden: it may be a key that nobody wants to send."""
    hidden = re.compile(rf"(.*/)?(\..*|{'|'.join(_CACHES)})(/.*)?")
    return [name for name in names if not hidden.fullmatch(name)]


def _walked(folder: Path) -> Iterator[str]:
    for place, folders, names in os.walk(folder):
        folders[:] = [
            one
            for one in folders
            if one[:1] != "." and one not in _CACHES and not _is_fetched(Path(place, one))
        ]
        here = os.path.relpath(place, folder)
        links = [one for one in folders if os.path.islink(os.path.join(place, one))]
        for name in (*names, *links):
            if not name.startswith("."):
                yield os.path.normpath(os.path.join(here, name))


def _is_fetched(folder: Path) -> bool:
    try:
        return (folder / IGNORED).read_text() == IGNORES
    except (OSError, ValueError):
        return False


def _git(folder: Path, *words: str, check: bool = True) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", "-C", str(folder), *words], capture_output=True, check=False, env=kept
    )
    said = done.stderr.decode(errors="replace").strip().splitlines()
    unsafe = any("dubious ownership" in line for line in said)
    if done.returncode and (check or unsafe):
        why = said[0] if said else f"exit {done.returncode}"
        do = "repair that, or use --workdir with another folder"
        raise _wrong(f"git does not list {folder} ({why})", do, "--workload")
    return done.stdout.decode(errors="surrogateescape")


def _wrong(what: str, do: str, where: str) -> InputError:
    return InputError("workload-wrong", what, where, do)
