"""What others can change is not read; what is written is the user's alone, and whole."""

from __future__ import annotations

import grp
import os
import pwd
import re
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gpurig import store
from gpurig.cli.asked import Asked
from gpurig.engine import proving, trust
from gpurig.errors import GpurigError, InputError
from gpurig.hosts import inventory
from gpurig.settings import programs
from gpurig.settings.checks import validate

OTHER = 60999  # nobody's uid and gid


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of the user's in a folder of the user's."""
    found = tmp_path / "folder" / "lab.py"
    found.parent.mkdir(mode=0o755)
    found.write_text("hosts = ['gpu01']\n")
    found.chmod(0o644)
    return found


def _granted(file: Path) -> None:
    """Another user may write by an ACL, although the group is the user's own."""
    none = 0xFFFFFFFF
    entries = ((1, 6, none), (2, 6, OTHER), (4, 4, none), (0x10, 6, none), (0x20, 4, none))
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    os.setxattr(file, "system.posix_acl_access", acl)


def _linked(file: Path) -> None:
    """The file is there by a link that another user made."""
    real = file.with_name("real.py")
    file.rename(real)
    file.symlink_to(real)
    os.chown(file, OTHER, OTHER, follow_symlinks=False)


def _linked_away(file: Path) -> None:
    """The user's own link leads into a folder that others can write."""
    away = file.parent.parent / "away"
    away.mkdir()
    away.chmod(0o777)
    file.rename(away / "real.py")
    file.symlink_to(Path("../away/../away/real.py"))


FOREIGN: dict[str, Callable[[Path], None]] = {
    "a file of another user": lambda file: os.chown(file, OTHER, OTHER),
    "a file that all can write": lambda file: file.chmod(0o666),
    "a file that another group can write": lambda file: (
        os.chown(file, -1, OTHER), file.chmod(0o664))[0],
    "a file that another can write by an ACL": _granted,
    "a folder of another user": lambda file: os.chown(file.parent, OTHER, OTHER),
    "a folder that all can write": lambda file: file.parent.chmod(0o777),
    "a folder of another user with the sticky bit": lambda file: (
        os.chown(file.parent, OTHER, OTHER), file.parent.chmod(0o1777))[0],
    "a link of another user": _linked,
    "a folder behind the user's own link that all can write": _linked_away,
}  # fmt: skip


@pytest.mark.parametrize("spoil", FOREIGN.values(), ids=FOREIGN)
def test_what_others_can_change_is_not_run(
    file: Path, spoil: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An inventory is Python: one sentence names it, who may write it, and what to do."""
    spoil(file)
    monkeypatch.setattr(inventory, "exec_file", _never)
    with pytest.raises(
        InputError, match=r"lab\.py: gpurig does not use it, because .*; .*"
    ) as error:
        inventory.load(str(file))
    assert "\n" not in str(error.value)
    assert store.is_foreign(file)


def _never(*_: object, **__: object) -> None:
    raise AssertionError("it was run")


USUAL: dict[str, Callable[[Path], None]] = {
    "as umask 022 leaves it": lambda file: None,
    "as umask 077 leaves it": lambda file: file.chmod(0o600),
    "with the user's own group": lambda file: file.chmod(0o664),
    "a folder with the user's own group": lambda file: file.parent.chmod(0o775),
    "a folder like /tmp": lambda file: file.parent.chmod(0o1777),
}


@pytest.mark.parametrize("make", USUAL.values(), ids=USUAL)
def test_what_is_usual_is_read(file: Path, make: Callable[[Path], None]) -> None:
    """Debian and Ubuntu give each user a group, and clones lie in /tmp."""
    make(file)
    assert [host.name for host in inventory.load(str(file))] == ["gpu01"]


class _Group:
    """Who is in the group of a file, as the databases of users and groups say."""

    def __init__(self, members: list[str], first: list[tuple[str, int]]) -> None:
        self.members, self.first = members, first

    def getgrgid(self, gid: int) -> grp.struct_group:
        return grp.struct_group(("g", "x", gid, self.members))

    def getpwnam(self, name: str) -> pwd.struct_passwd:
        uid = {"me": os.geteuid(), "root": 0, "mallory": OTHER}[name]
        return pwd.struct_passwd((name, "x", uid, uid, "", "/", "/bin/sh"))

    def getpwall(self) -> list[pwd.struct_passwd]:
        return [
            pwd.struct_passwd((name, "x", uid, OTHER, "", "/", "/bin/sh"))
            for name, uid in self.first
        ]


GROUPS = {
    "nobody": ([], [], True),
    "the user": (["me"], [], True),
    "the user and root": (["me", "root"], [("me", os.geteuid())], True),
    "another by its entry": (["me", "mallory"], [], False),
    "another by the first group": (["me"], [("mallory", OTHER)], False),
    "one that nobody knows": (["gone"], [], False),
}


@pytest.mark.parametrize(("members", "first", "private"), GROUPS.values(), ids=GROUPS)
def test_a_group_is_private_when_nobody_else_is_in_it(
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    members: list[str],
    first: list[tuple[str, int]],
    private: bool,
) -> None:
    """By its entry as by the first group of any user; unknown is never private."""
    os.chown(file, -1, OTHER)
    file.chmod(0o664)
    group = _Group(members, first)
    monkeypatch.setattr(store, "grp", group)
    monkeypatch.setattr(store, "pwd", group)
    assert store.is_foreign(file) is not private


def test_under_sudo_the_caller_s_files_are_the_user_s(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As git has it: sudo says who called it, and only root is asked."""
    os.chown(file, OTHER, OTHER)
    for uid, foreign in (("", True), (str(OTHER), False), ("\uff16\uff10\uff19\uff19\uff19", True)):
        monkeypatch.setenv("SUDO_UID", uid)
        assert store.is_foreign(file) is foreign
    monkeypatch.setenv("SUDO_UID", str(OTHER))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert store.is_foreign(file)


def test_data_of_groups_that_others_can_change_are_not_run(file: Path) -> None:
    """They are Python as well, and run before any host is known."""
    data = file.parent / "group_data"
    data.mkdir()
    (data / "all.py").write_text("rig_users = ['mallory']\n")
    (data / "all.py").chmod(0o666)
    with pytest.raises(InputError, match=r"all\.py: gpurig does not use it"):
        inventory.load(str(file))


def test_a_program_that_others_can_change_is_not_handed_over(file: Path) -> None:
    """It would run on hosts."""
    file.chmod(0o666)
    settings = validate({"rig_workloads": [str(file)]}, "x")
    with pytest.raises(InputError, match=r"lab\.py: gpurig does not use it"):
        programs.refuse_unreadable(settings, "x")


def test_nothing_is_read_from_the_working_folder(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pyinfra would run its group_data; with the inventory in it, the folder counts."""
    here = tmp_path / "here"
    (here / "group_data").mkdir(parents=True)
    (here / "group_data" / "all.py").write_text("rig_users = ['mallory']\n")
    monkeypatch.chdir(here)
    (host,) = inventory.load(str(file))
    assert host.settings.users == ()
    file.rename(here / "lab.py")
    (host,) = inventory.load("lab.py")
    assert host.settings.users == ("mallory",)


MODULES = ("json", "gevent", "click", "gpurig", "sitecustomize", "config", "venv", "pip", "uv")


@pytest.fixture
def trap(tmp_path: Path) -> Iterator[Path]:
    """A working folder with modules of many names; each leaves a file where it is imported."""
    here = tmp_path / "trap"
    here.mkdir()
    for name in MODULES:
        (here / f"{name}.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'a').write({name!r})")
    yield here
    assert not (tmp_path / "sprung").exists()


def test_proofs_import_nothing_of_the_working_folder(trap: Path) -> None:
    """They run in a Python of their own, which is started where the user happens to be."""
    command = [sys.executable, "-c", proving._CHILD]
    done = subprocess.run(command, cwd=trap, input="", capture_output=True, text=True, check=False)
    assert "JSONDecodeError" in done.stderr, "it came as far as reading its host"


def test_a_clone_imports_nothing_of_the_working_folder(trap: Path) -> None:
    """Also where PYTHONPATH says so."""
    clone = Path(__file__).parent.parent / "gpurig"
    surroundings = os.environ | {"PYTHONPATH": f":{trap}:."}
    done = subprocess.run(
        [clone, "--version"],
        cwd=trap,
        env=surroundings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("gpurig, version "), done.stderr


def test_programs_are_looked_for_where_only_the_user_and_root_put_them(tmp_path: Path) -> None:
    """Of PATH goes what is relative, of others, or can be written by others."""
    for name, mode in (("mine", 0o755), ("open", 0o777), ("theirs", 0o755)):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(mode)
    os.chown(tmp_path / "theirs", OTHER, OTHER)
    mine = f"{tmp_path}/mine"
    given = f".::{tmp_path}/open:bin:{tmp_path}/theirs:{mine}:{tmp_path}/open/below:/usr/bin"
    assert store.search_path(given) == f"{mine}:/usr/bin"


@pytest.mark.parametrize("variable", ["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"])
def test_a_relative_place_for_caches_is_none(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The specification says so; it would mean the working folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(variable, "here")
    for place in (store.cache(), store.configuration(), store.state()):
        assert place.is_relative_to(tmp_path)


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    """What stands at its place, a link of anybody's included, is replaced and not followed."""
    victim, file = tmp_path / "victim", tmp_path / "file"
    victim.write_text("mine")
    file.symlink_to(victim)
    with suppress(RuntimeError), store.written(file) as out:
        out.write(b"half")
        raise RuntimeError
    assert (file.is_symlink(), sorted(tmp_path.iterdir())) == (True, [file, victim])
    store.write(file, "whole")
    assert (file.is_symlink(), file.read_text(), victim.read_text()) == (False, "whole", "mine")


def test_who_is_killed_leaves_no_half_of_a_file(tmp_path: Path) -> None:
    """A saved image has gigabytes."""
    code = (
        "import os, pathlib\nfrom gpurig import store\n"
        f"with store.written(pathlib.Path({str(tmp_path / 'image.tar')!r})) as out:\n"
        "    out.write(b'half' * 9999)\n    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -9
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("anonymous", [True, False])
def test_where_files_without_a_name_are_unknown_others_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, anonymous: bool
) -> None:
    """NFS has none."""
    if not anonymous:
        monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY | os.O_CREAT)
    monkeypatch.chdir(tmp_path)
    store.write(Path("in/a/file"), "half")
    store.write(Path("in/a/file"), "whole", 0o640)
    (file,) = (tmp_path / "in/a").iterdir()
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("whole", 0o640)


def test_known_hosts_is_the_user_s_alone(tmp_path: Path) -> None:
    """Who can write to it says which hosts are trusted."""
    file = tmp_path / ".ssh" / "known_hosts"
    before = os.umask(0)
    try:
        trust._append(str(file), "gpu01 ssh-ed25519 AAAA")
        trust._append(str(file), "gpu02 ssh-ed25519 BBBB")
    finally:
        os.umask(before)
    assert [found.stat().st_mode & 0o777 for found in (file.parent, file)] == [0o700, 0o600]
    assert file.read_text() == "gpu01 ssh-ed25519 AAAA\ngpu02 ssh-ed25519 BBBB\n"


def test_ssh_s_configuration_that_others_can_change_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may name a program (ProxyCommand), which would be run."""
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / ".ssh" / "config"
    store.write(file, "Host *\n  ProxyCommand touch /tmp/canary\n")
    file.chmod(0o646)
    options = {"target": "gpu01", "limit": None, "wishes": [], "as_json": False, "debug": False}
    with pytest.raises(InputError, match=r"config: gpurig does not use it"):
        Asked.of("plan", options)
    file.chmod(0o644)
    assert [spec.name for spec in Asked.of("plan", options).hosts] == ["gpu01"]


def test_what_breaks_while_a_file_is_written_is_told_as_it_is(tmp_path: Path) -> None:
    """A download that breaks is no fault of the folder; the old file stays, and no other."""
    file = tmp_path / "kept"
    store.write(file, "old")
    with pytest.raises(OSError, match="the network"), store.written(file) as out:  # noqa: PT012
        out.write(b"half")
        raise OSError("the network")
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("kept", "old")]
    store.write(file, b"new")
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("kept", "new")]


UNWRITABLE: dict[str, Callable[[Path], object]] = {
    "a file": lambda place: store.write(place / "file", "x"),
    "a folder": lambda place: store.folder(place / "file"),
    "a link": lambda place: store.link(place / "file", "x"),
}


@pytest.mark.parametrize("write", UNWRITABLE.values(), ids=UNWRITABLE)
def test_what_cannot_be_written_is_one_sentence(
    write: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the path, the system's reason, and the variable that moves gpurig's own folders."""
    (tmp_path / "gpurig").touch()
    with pytest.raises(
        GpurigError, match=r"/gpurig/file: cannot be written \(Not a dir.*\)"
    ) as told:
        write(tmp_path / "gpurig")
    assert (told.value.code, told.value.do) == ("file-unwritable", "check its owner")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(GpurigError, match="set XDG_STATE_HOME to another folder"):
        write(store.state())


def test_a_link_is_never_away(tmp_path: Path) -> None:
    """It is replaced from one moment to the next."""
    for target in ("one", "two"):
        store.link(tmp_path / "latest", target)
        assert os.readlink(tmp_path / "latest") == target
    assert [each.name for each in tmp_path.iterdir()] == ["latest"]


def test_one_at_a_time_waits_no_longer_than_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who holds it keeps all others out, who come with the same key; the sentence has its file."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(store, "_PATIENCE", 0.2)
    held = pytest.raises(GpurigError, match="gpurig/held/key: another process has held this lock")
    with store.one_at_a_time("key"), store.one_at_a_time("other"), held, store.one_at_a_time("key"):
        raise AssertionError("two at a time")
    with store.one_at_a_time("key"):
        pass


def test_no_other_module_writes_files_of_its_own() -> None:
    """Folders, whole files and turns on the control machine are store.py's."""
    ours = re.compile(r"XDG_(CACHE|CONFIG|STATE)_HOME|\bfcntl\b|\bmkstemp\b|\bos\.replace\b")
    root = Path(store.__file__).parent
    folders = [each for each in root.iterdir() if each.is_dir() and not each.is_symlink()]
    files = [file for each in (*folders, root / "deploy") for file in each.glob("*.py")]
    assert len(files) > 70
    found = {file.name for file in files if ours.search(file.read_text())}
    # They ask a host's network devices, on the host, and where pip and uv have their own files.
    assert found == {"inspection.py", "pip.py"}
