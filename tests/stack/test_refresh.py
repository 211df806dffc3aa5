"""Tables that are read again: against a local index made of captured pages, and signed archives."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from gpurig.contract.frameworks import frameworks
from gpurig.errors import InputError
from gpurig.refresh import drivers, refresh, releases, written
from gpurig.refresh.bounds import active, brought
from gpurig.refresh.found import Found
from gpurig.refresh.index import Index, configured
from gpurig.refresh.reading import UnreadError, text, wheel_metadata
from gpurig.settings.checks import validate
from gpurig.stack import own_tables
from gpurig.stack.rows import DriverRow, ReleaseRow
from gpurig.stack.table_laws import built
from gpurig.stack.tables import Tables, shipped

DATA = Path(__file__).parents[1] / "data" / "index"
CAPTURED: dict[str, Any] = json.loads((DATA / "pypi-2026-11-30.json").read_text())
TODAY = date(2026, 12, 1)
# What metadata says; workload pins and doubts are ours, and code is read from the binaries.
READ = ("name", "version", "python", "bases")
READ_OF_BUILDS = ("accelerator", "platforms", "pins", "cuda", "cudnn", "nccl", "index")


class _Files(BaseHTTPRequestHandler):
    """The files of a dict by path, whole or in parts."""

    files: dict[str, bytes]

    def do_GET(self) -> None:
        body = self.files.get(self.path)
        if body is None:
            self.send_error(404)
            return
        asked = self.headers.get("Range")
        if asked:
            first, last = (int(word) for word in asked.removeprefix("bytes=").split("-"))
            size, body = len(body), body[first : last + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing: what was asked is no output of a test."""


@pytest.fixture
def server() -> Iterator[tuple[str, dict[str, bytes]]]:
    """The address of a server, and the files that it has."""
    files: dict[str, bytes] = {}
    handler = type("Files", (_Files,), {"files": files})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", files
        running.shutdown()


@pytest.fixture
def index(server: tuple[str, dict[str, bytes]]) -> Index:
    """The captured index, with one of PyTorch's for the CPU made in its manner."""
    root, files = server
    for project, captured in CAPTURED.items():
        listed = []
        for name, requires, metadata in captured["files"]:
            listed.append(
                {"filename": name, "url": f"../../files/{name}", "requires-python": requires,
                 "core-metadata": True, "yanked": False}
            )  # fmt: skip
            head = "\n".join(["Metadata-Version: 2.1", *captured["metadata"][metadata]])
            files[f"/files/{name}.metadata"] = f"{head}\n\nWhat it is.\n".encode()
        files[f"/simple/{project}/"] = json.dumps({"files": listed}).encode()
    names = [
        f"torch-2.15.0%2Bcpu-cp{minor}-cp{minor}-manylinux_2_28_{machine}.whl"
        for minor in (311, 312, 313, 314, 315)
        for machine in ("x86_64", "aarch64")
    ]
    page = "".join(f'<a href="/whl/cpu/{name}" data-core-metadata="true">x</a>\n' for name in names)
    files["/whl/cpu/torch/"] = f"<!DOCTYPE html><body>{page}</body>".encode()
    for name in names:
        files[f"/whl/cpu/{name}.metadata"] = b"Metadata-Version: 2.1\nRequires-Dist: numpy\n\n"
    return Index(f"{root}/simple", f"{root}/whl")


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Takes the newest release of a framework out of the tables, and gives it."""

    def take(framework: str) -> ReleaseRow:
        full = shipped()
        first = next(row for row in full.release if row.name == framework)
        rest: Tables = replace(full, release=tuple(r for r in full.release if r is not first))
        for module in (releases, refresh):
            monkeypatch.setattr(module, "merged", lambda: rest)
        return first

    return take


def _columns(row: ReleaseRow) -> dict[str, Any]:
    builds = [{key: getattr(build, key) for key in READ_OF_BUILDS} for build in row.builds]
    return {key: getattr(row, key) for key in READ} | {"builds": builds}


@pytest.mark.parametrize("framework", ["tensorflow", "pytorch", "jax", "keras"])
def test_the_newest_release_taken_out_of_the_tables_comes_back_equal(
    index: Index, without: Any, framework: str
) -> None:
    """Pythons, platforms, pins, and what each build brings on each architecture."""
    taken = without(framework)
    found = Found()
    refresh.of_framework(found, index, framework, TODAY)
    ((table, row),) = found.rows
    assert isinstance(row, ReleaseRow)
    assert table == "release"
    assert _columns(row) == _columns(taken)
    assert row.date == TODAY
    assert "gpurig tables refresh" in row.source


def test_xgboost_comes_back_but_for_what_only_its_binary_says(index: Index, without: Any) -> None:
    """Its wheels name the major of NCCL, and with it that of CUDA, and no version."""
    taken = without("xgboost")
    row = releases.release(index, "xgboost", taken.version, TODAY).row
    assert (row.version, row.python) == (taken.version, taken.python)
    made = [(b.accelerator, b.platforms, b.pins) for b in row.builds]
    assert made == [
        (b.accelerator, b.platforms, b.pins) for b in taken.builds if "cu12" not in b.pins[0]
    ]
    assert row.builds[0].cuda == ">=13,<14"


def test_a_build_that_its_own_index_does_not_have_is_left_out(index: Index, without: Any) -> None:
    """PyTorch 2.15 has none of cu126, and the one before it has."""
    without("pytorch")
    made = releases.release(index, "pytorch", "2.15.0", TODAY)
    assert not any("cu126" in (build.index or "") for build in made.row.builds)
    (note,) = made.notes
    assert "cu126 is not read" in note
    assert "404" in note


@pytest.mark.parametrize(
    ("framework", "before", "version", "says"),
    [
        ("jax", "0.6.2", "0.7.2", "it has a build cuda13"),
        ("pytorch", "2.10.0", "2.14.1", "its wheels for linux-aarch64 have CUDA >=13.0.3,<13.1"),
    ],
)
def test_a_kind_of_build_that_is_new_is_told(
    index: Index, monkeypatch: pytest.MonkeyPatch,
    framework: str, before: str, version: str, says: str,
) -> None:  # fmt: skip
    """A row is made like the one before: what that has not is left out, and not in silence."""
    old = next(r for r in shipped().release if (r.name, r.version) == (framework, before))
    monkeypatch.setattr(releases, "merged", lambda: replace(shipped(), release=(old,)))
    made = releases.release(index, framework, version, TODAY)
    assert any(says in note for note in made.notes), made.notes


def test_a_build_that_was_not_reached_comes_with_the_next_refresh(
    index: Index, without: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row of a refresh is read again; one that ships, and one that has all, is not written."""
    taken = without("pytorch")
    half = Index(index.url, "http://127.0.0.1:9/whl")
    row = releases.release(half, "pytorch", taken.version, TODAY).row
    assert [build.accelerator for build in row.builds] == ["cuda", "cuda", "mps"]
    ours = own_tables.OwnRow("release", row, "f", 1)
    full = replace(shipped(), release=(row, *releases.merged().release))
    monkeypatch.setattr(refresh, "merged", lambda: full)
    monkeypatch.setattr(refresh, "own", lambda: (ours,))
    found = Found()
    refresh.of_framework(found, index, "pytorch", TODAY)
    ((_, again),) = found.rows
    assert isinstance(again, ReleaseRow)
    assert [build.accelerator for build in again.builds] == ["cuda", "cuda", "mps", "cpu"]
    found = Found()
    refresh.of_framework(found, half, "pytorch", TODAY)
    assert not found.rows
    assert found.same == [f"pytorch {taken.version}"]


def test_what_nobody_read_of_a_release_is_a_doubt_about_each_gpu(
    index: Index, without: Any
) -> None:
    """Which GPUs a wheel has code for is in no metadata: the answer says so, whatever the GPU."""
    without("jax")
    row = releases.release(index, "jax", "0.10.2", TODAY).row
    assert set(row.doubts) == {one.architecture for one in shipped().gpu}
    assert all("as in 0.7.2, not read" in doubt for doubt in row.doubts.values())


def test_a_prerelease_a_withdrawn_file_and_a_free_threaded_one_do_not_count(
    server: tuple[str, dict[str, bytes]], index: Index
) -> None:
    """The newest is what people get who ask for no version."""
    root, files = server
    page = json.loads(files["/simple/keras/"])
    for version, yanked in (("4.0.0rc1", False), ("3.99.0", "broken")):
        name = f"keras-{version}-py3-none-any.whl"
        page["files"].append({"filename": name, "url": name, "yanked": yanked})
    files["/simple/keras/"] = json.dumps(page).encode()
    assert releases.newest(Index(f"{root}/simple"), "keras") == "3.15.1"
    (one,) = [w for w in Index(f"{root}/simple").wheels("keras") if w.version.is_prerelease]
    assert one.allows("3.13")
    threaded = next(w for w in index.wheels("torch") if "cp314t" in w.url)
    assert not threaded.allows("3.14")


@pytest.mark.parametrize(
    "page",
    [b"{", b'{"files": 3}', b'{"files": [{}]}', b"[" * 100_000, b'{"files":' + b"[" * 100_000,
     b'{"files": [{"filename": "torch-9.9-py3-none-any.whl", "url": 3}]}', b"\xff\xfe", b"",
     b'{"files": [{"filename": "../torch-9.9-py3-none-any.whl", "url": "x"}]}',
     b'{"files": [{"filename": "evil-9.9-py3-none-any.whl", "url": "x"}]}'],
    ids=lambda page: page[:40].decode(errors="replace"),
)  # fmt: skip
def test_a_page_that_is_none_is_one_sentence_or_has_no_wheel(
    server: tuple[str, dict[str, bytes]], page: bytes
) -> None:
    """Whatever a server answers: nothing of it becomes a row, and nothing is raised but Unread."""
    root, files = server
    files["/simple/torch/"] = page
    found = Found()
    refresh.of_framework(found, Index(f"{root}/simple"), "pytorch", TODAY)
    assert not found.rows
    assert len(found.unread) + len(found.same) == 1
    assert "\n" not in "".join(found.unread)


def test_metadata_is_read_of_the_wheel_where_the_index_has_it_not_beside(
    server: tuple[str, dict[str, bytes]], tmp_path: Path
) -> None:
    """In parts over http, in place from a folder; one that is too large is not unpacked."""
    root, files = server
    wheel = tmp_path / "torch-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("torch/big.so", b"\0" * 3_000_000, zipfile.ZIP_STORED)
        out.writestr("torch-1.0.dist-info/METADATA", "Requires-Dist: numpy\n")
        out.writestr("torch/_vendor/x.dist-info/METADATA", "Requires-Dist: none\n")
    files["/torch.whl"] = wheel.read_bytes()
    assert wheel_metadata(f"{root}/torch.whl") == "Requires-Dist: numpy\n"
    assert wheel_metadata(wheel.as_uri()) == "Requires-Dist: numpy\n"
    bomb = tmp_path / "bomb.whl"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("torch-1.0.dist-info/METADATA", b"\0" * 50_000_000)
    files["/bomb.whl"], files["/short.whl"] = bomb.read_bytes(), wheel.read_bytes()[:2_000_000]
    for name in ("bomb.whl", "short.whl", "none.whl"):
        with pytest.raises(UnreadError, match=name):
            wheel_metadata(f"{root}/{name}")
    for url in ("ftp://example.com/x", "data:text/plain,x", "https:///x", "/etc/passwd"):
        with pytest.raises(UnreadError):
            text(url)


def test_every_row_that_ships_keeps_the_laws_of_a_user_s_rows() -> None:
    """One set of laws: what a refresh may write is what ships; and its text is read back equal."""
    for table, (kind, _) in own_tables.KINDS.items():
        rows = getattr(shipped(), table)
        for row in rows:
            assert built(kind, asdict(row)) == row
        back = own_tables.rows(written.text((table, row) for row in rows), "t.toml")
        assert [one.row for one in back] == list(rows)


_ROW = 'name = "pytorch"\nversion = "9.9"\npython = ["3.13"]\nsource = "s"\ndate = 2026-12-01\n'
_BRANCH = 'number = 580\nkind = "LTS"\nversions = ["550.1"]\nsource = "s"\ndate = 2026-12-01\n'
_BUILD = (
    '[[release.builds]]\naccelerator = "cpu"\nplatforms = ["linux-x86_64"]\npins = ["torch==9.9"]\n'
)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ("[[release", "not TOML"),
        ("[[gpu]]\nids = []\n", "'gpu'"),
        ("release = 3\n", "'release'"),
        (f"[[release]]\n{_ROW}", "no builds"),
        (f"[[release]]\n{_ROW}nam = 1\n{_BUILD}", "'nam'"),
        (f"[[release]]\n{_ROW}{_BUILD}".replace('"9.9"', "9.9"), "version"),
        (f"[[release]]\n{_ROW}{_BUILD}".replace("2026-12-01", '"today"'), "date"),
        (f"[[release]]\n{_ROW}{_BUILD}".replace("2026-12-01", "2026-12-01T00:00:00"), "date"),
        (f"[[release]]\n{_ROW}{_BUILD}".replace('source = "s"\n', ""), "no source"),
        (f"[[release]]\n{_ROW}{_BUILD}".replace("torch==9.9", "torch @ https://x"), "pins"),
        (f"[[release]]\n{_ROW}{_BUILD}".replace("torch==9.9", "evil==9.9"), "first of pins"),
        (f"[[release]]\n{_ROW}{_BUILD}".replace("torch==9.9", "--index-url=x"), "no requirement"),
        (f"[[release]]\n{_ROW}{_BUILD}".replace("linux-x86_64", "windows"), "platforms"),
        (f"[[release]]\n{_ROW}{_BUILD}index = \"javascript:x\"\n", "URL"),
        (f"[[release]]\n{_ROW}{_BUILD}".replace('"s"', '"a\\u001b[31m"'), "no text"),
        (f"[[release]]\n{_ROW}{_BUILD}" * 2, "same thing"),
        (f"[[branch]]\n{_BRANCH}", "versions"),
    ],
)  # fmt: skip
def test_a_broken_row_is_one_sentence_with_file_and_row(broken: str, says: str) -> None:
    """Nothing is guessed of it, and nothing of its file counts."""
    with pytest.raises(InputError, match=r"own\.toml") as caught:
        own_tables.rows(broken, "own.toml")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def _gpurig(*words: str, home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gpurig.cli.main", *words]
    around = {"HOME": str(home), "PATH": "/usr/bin:/bin", **more}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=around)


def test_own_tables_count_are_named_and_are_refused_whole(tmp_path: Path) -> None:
    """In XDG's folder or in rig_tables; of two rows of one thing the newer one counts."""
    folder = tmp_path / ".local/share/gpurig/tables"
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text(f"[[release]]\n{_ROW}{_BUILD}")
    asked = ("resolve", "--os", "debian:13", "--set", "rig_frameworks=pytorch")
    done = _gpurig(*asked, home=tmp_path)
    assert "pytorch 9.9, Python 3.13" in done.stdout
    assert done.stderr == f"gpurig: tables: 1 row counts from {folder}\n"
    listed = json.loads(_gpurig("tables", "--json", home=tmp_path).stdout)["tables"]
    (table,) = [one for one in listed if one["own_rows"]]
    assert (table["table"], table["from"]) == ("release", ["gpurig", str(folder / "mine.toml")])
    elsewhere = _gpurig(*asked, "--set", f"rig_tables={tmp_path}", home=tmp_path)
    assert "pytorch 9.9" not in elsewhere.stdout
    assert not elsewhere.stderr
    (folder / "mine.toml").write_text(f"[[release]]\n{_ROW}")
    broken = _gpurig(*asked, home=tmp_path)
    assert broken.returncode == 2
    assert broken.stderr.startswith(f"gpurig: {folder}/mine.toml: row 1 of release (pytorch 9.9)")
    missing = _gpurig(*asked, "--set", "rig_tables=/nowhere", home=tmp_path)
    assert missing.returncode == 2
    assert missing.stderr.startswith("gpurig: rig_tables: /nowhere is no folder")


def test_an_older_row_of_one_s_own_does_not_hide_what_ships() -> None:
    """A table that was refreshed once says nothing against a newer gpurig."""
    row = next(row for row in shipped().release if row.name == "pytorch")
    older = own_tables.OwnRow("release", replace(row, date=date(2020, 1, 1)), "f", 1)
    newer = own_tables.OwnRow("release", replace(row, date=date(2030, 1, 1)), "f", 1)
    assert own_tables.counting(vars(shipped()), [older]) == []
    assert own_tables.counting(vars(shipped()), [older, newer]) == [newer]
    joined = own_tables.joined("release", shipped().release, [newer])
    assert len(joined) == len(shipped().release)
    assert newer.row in joined


def test_a_refresh_that_reads_half_leaves_what_was_there(
    index: Index, tmp_path: Path, without: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written before all is read; then the file is replaced as a whole."""
    without("jax")
    monkeypatch.setattr(drivers, "of_distributions", lambda *_: None)
    file = tmp_path / refresh.FILE
    file.write_text("# as it was\n")

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(drivers, "of_nvidia", interrupted)
    settings = validate({}, "test")
    with pytest.raises(KeyboardInterrupt):
        refresh.refresh(tmp_path, index, settings, TODAY, lambda _: None)
    assert file.read_text() == "# as it was\n"
    monkeypatch.setattr(drivers, "of_nvidia", lambda *_: None)
    found = refresh.refresh(tmp_path, index, settings, TODAY, lambda _: None)
    assert [one.row for one in own_tables.rows(file.read_text(), "f")] == [r for _, r in found.rows]
    assert list(tmp_path.iterdir()) == [file]


def test_the_index_is_that_of_uv_or_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its variables, else as uv itself says it; this program names none."""
    for variable in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL"):
        monkeypatch.delenv(variable, raising=False)
    assert configured().startswith("http")
    monkeypatch.setenv("UV_CONFIG_FILE", "/nowhere/uv.toml")
    monkeypatch.setenv("PIP_INDEX_URL", "https://ada:hunter2@p.example.com/simple")
    assert configured() == "https://ada:hunter2@p.example.com/simple"
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://u.example.com/simple")
    assert configured() == "https://u.example.com/simple"


def test_archives_are_those_of_this_machine_and_the_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    """By origin and code name as apt has them: security's own archive is another one."""
    lines = (
        "Debian|http://a.example/debian/|bookworm\n"
        "Debian|http://s.example/debian-security/|bookworm-security\n"
        "Debian|http://b.example/debian/|bookworm-backports\n"
        "Else|http://e.example/|noble\n\n"
    )
    monkeypatch.setattr(drivers, "_targets", lambda: lines)
    here = {
        ("debian", ""): "http://a.example/debian",
        ("debian", "-security"): "http://s.example/debian-security",
    }
    assert drivers.roots(None) == here
    mirrored = {("ubuntu", ""): "http://m.example/ubuntu"}
    assert drivers.roots("http://m.example/ubuntu/") == here | mirrored
    found = Found()
    drivers.of_distributions(found, {}, TODAY)
    assert not found.rows
    assert all("names no archive" in one for one in found.unread)


def test_an_address_with_a_password_is_used_and_never_told(
    server: tuple[str, dict[str, bytes]], index: Index, without: Any
) -> None:
    """pip's configuration may have one: it goes to the server alone, in no sentence."""
    without("keras")
    root, files = server
    secret = root.replace("://", "://ada:hunter2@")
    found = Found()
    refresh.of_framework(found, Index(f"{secret}/simple"), "keras", TODAY)
    assert found.new
    files.clear()
    refresh.of_framework(found, Index(f"{secret}/simple"), "keras", TODAY)
    assert found.unread
    assert "hunter2" not in repr(found)


def test_a_release_with_a_cuda_of_no_table_loses_that_build(
    server: tuple[str, dict[str, bytes]], index: Index, without: Any
) -> None:
    """Which driver it needs nobody knows here; its build for the CPU stays."""
    without("tensorflow")
    _, files = server
    for path, body in list(files.items()):
        if "tensorflow-2.21.0" in path:
            files[path] = body.replace(b">=12.5.82", b">=99.5.82").replace(b"<13.0", b"<100")
    made = releases.release(index, "tensorflow", "2.21.0", TODAY)
    assert [build.accelerator for build in made.row.builds] == ["cpu"]
    assert "in no table" in made.notes[0]


def test_untested_releases_count_for_a_run_on_the_user_s_word(
    server: tuple[str, dict[str, bytes]], index: Index, tmp_path: Path
) -> None:
    """Without rig_untested it is refused; with it the index is asked for that release alone."""
    _, files = server
    page = json.loads(files["/simple/keras/"])
    name = "keras-3.16.0-py3-none-any.whl"
    page["files"].append({"filename": name, "url": f"../../files/{name}", "core-metadata": True})
    files["/simple/keras/"] = json.dumps(page).encode()
    files[f"/files/{name}.metadata"] = b"Requires-Python: >=3.12\n\n"

    def asked(wish: str, *more: str) -> subprocess.CompletedProcess[str]:
        wishes = [f"rig_frameworks={wish}", f"rig_pypi_index={index.url}", *more]
        words = [word for one in wishes for word in ("--set", one)]
        return _gpurig("resolve", "--os", "ubuntu:24.04", *words, home=tmp_path)

    assert asked("keras==3.16.0").returncode == 2
    done = asked("keras==3.16.0", "rig_untested=true")
    assert "keras 3.16.0 on tensorflow" in done.stdout
    assert done.stderr == "gpurig: tables: keras 3.16.0 is in none, and is as the index has it\n"
    assert not (tmp_path / ".local").exists(), "for this run only"
    known = asked("keras==3.15.1", "rig_untested=true")
    assert known.returncode == 0
    assert not known.stderr, "the tables have it: no index is asked"
    none = asked("jax==9.9", "rig_untested=true")
    assert none.returncode == 2
    assert none.stderr.startswith("gpurig: rig_untested: gpurig cannot read jax==9.9")
    assert none.stderr.count("\n") == 1


# --- archives


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A key of our own: gpg's home, and the fingerprint."""
    home = tmp_path_factory.mktemp("gpg")
    home.chmod(0o700)
    base = ["gpg", "--homedir", str(home), "--batch", "--quiet"]
    quick = ["--passphrase", "", "--quick-generate-key", "Archive <a@example.com>", "rsa2048"]
    subprocess.run([*base, *quick], check=True, capture_output=True)
    listed = subprocess.run(
        [*base, "--with-colons", "-k"], check=True, capture_output=True, text=True
    )
    return home, next(
        line.split(":")[9] for line in listed.stdout.splitlines() if line.startswith("fpr")
    )


def _signed(home: Path, release: bytes) -> bytes:
    command = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--clearsign"]
    return subprocess.run(command, input=release, check=True, capture_output=True).stdout


def _archive(files: dict[str, bytes], home: Path, place: str, index: str, name: str, packages: str,
             version: str) -> None:  # fmt: skip
    stanza = f"Package: {packages}\nArchitecture: amd64\nVersion: {version}\n\n"
    packed = gzip.compress(stanza.encode())
    digest = hashlib.sha256(packed).hexdigest()
    release = f"Suite: {name}\nCodename: {name}\nSHA256:\n {digest} {len(packed)} {index}.gz\n"
    files[f"{place}/{index}.gz"] = packed
    files[f"{place}/InRelease"] = _signed(home, release.encode())


def test_a_signed_archive_says_which_driver_a_release_has(
    server: tuple[str, dict[str, bytes]], signer: tuple[Path, str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Of its suite and its updates; no backports, no other signer, no changed index."""
    root, files = server
    home, _ = signer
    keyring = tmp_path / "keyring.gpg"
    keyring.write_bytes(
        subprocess.run(
            ["gpg", "--homedir", str(home), "--export"], check=True, capture_output=True
        ).stdout
    )
    row = next(r for r in shipped().driver if (r.distribution, r.release) == ("debian", "13"))
    archive = replace(shipped().archive[0], keyring=str(keyring))
    only = replace(row, components=["non-free"])
    monkeypatch.setattr(
        drivers, "tables", lambda: replace(shipped(), driver=(only,), archive=(archive,))
    )
    index = "non-free/binary-amd64/Packages"
    for suite, version in (("trixie", "550.163.01-2"), ("trixie-updates", "550.200.02-1"),
                           ("trixie-backports", "615.10.01-1~bpo13+1")):  # fmt: skip
        _archive(files, home, f"/dists/{suite}", index, suite, "nvidia-kernel-dkms", version)
    found = Found()
    drivers.of_distributions(found, {("debian", ""): root}, TODAY)
    ((_, new),) = found.rows
    assert isinstance(new, DriverRow)
    assert (new.version, new.newest, new.branch) == ("550.163.01", "550.200.02", 550)
    assert not found.unread
    _archive(files, home, "/dists/trixie-updates", index, "trixie-updates",
             "nvidia-kernel-dkms", "580.95.05-1")  # fmt: skip
    moved = Found()
    drivers.of_distributions(moved, {("debian", ""): root}, TODAY)
    ((_, new),) = moved.rows
    assert isinstance(new, DriverRow)
    assert (new.version, new.newest, new.branch) == ("580.95.05", None, 580)
    unsigned = files["/dists/trixie/InRelease"]
    for broken, says in (
        (unsigned.replace(b"Codename: trixie", b"Codename: trixiE"), "signature is not good"),
        (_signed(home, b"Codename: sid\n"), "is not of trixie"),
        (b"Codename: trixie\n", "signature is not good"),
    ):
        files["/dists/trixie/InRelease"] = broken
        found = Found()
        drivers.of_distributions(found, {("debian", ""): root}, TODAY)
        assert not found.rows
        assert says in found.unread[0]
    files["/dists/trixie/InRelease"] = unsigned
    files[f"/dists/trixie/{index}.gz"] = gzip.compress(
        b"Package: nvidia-kernel-dkms\nVersion: 999.1-1\n"
    )
    found = Found()
    drivers.of_distributions(found, {("debian", ""): root}, TODAY)
    assert "SHA256" in found.unread[0]
    assert not found.rows


def test_nvidia_s_repository_is_read_with_the_key_of_the_tables(
    server: tuple[str, dict[str, bytes]], signer: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its branches and their newest versions; another key, even one that signs well, is refused."""
    root, files = server
    home, fingerprint = signer
    row = next(r for r in shipped().nvidia_repository if r.name == "debian13")
    ours = replace(row, fingerprint=fingerprint, key="own.pub")
    place = "/debian13/x86_64"
    export = ["gpg", "--homedir", str(home), "--armor", "--export"]
    files[f"{place}/own.pub"] = subprocess.run(export, check=True, capture_output=True).stdout
    _archive(files, home, place, "Packages", "x", "nvidia-driver", "615.99.01-1")
    monkeypatch.setattr(drivers, "tables", lambda: replace(shipped(), nvidia_repository=(ours,)))
    found = Found()
    drivers.of_nvidia(found, root, TODAY)
    rows = dict(found.rows)
    assert rows["nvidia_repository"].branches == [615]  # type: ignore[attr-defined]
    assert rows["branch"].versions[-1] == "615.99.01"  # type: ignore[attr-defined]
    _archive(files, home, place, "Packages", "x", "nvidia-driver", "777.10.01-1")
    found = Found()
    drivers.of_nvidia(found, root, TODAY)
    assert "branch 777, of a kind" in found.unread[0]
    assert not found.rows
    strange = replace(ours, fingerprint="0" * 40)
    monkeypatch.setattr(drivers, "tables", lambda: replace(shipped(), nvidia_repository=(strange,)))
    found = Found()
    drivers.of_nvidia(found, root, TODAY)
    assert "its fingerprint is" in found.unread[0]
    assert not found.rows


def test_every_framework_with_wheels_is_refreshed() -> None:
    """All but Horovod, which gpurig builds with patches of its own."""
    captured = set(CAPTURED)
    for name, about in frameworks().items():
        first = next(row for row in shipped().release if row.name == name)
        assert bool(first.sdist_sha256) == (
            Requirement(first.builds[0].pins[0]).name not in captured
        )
        assert about.title


def test_a_release_that_a_user_allows_is_the_newest_of_those(index: Index) -> None:
    """By the specifier alone; none that fits is a sentence."""
    found = refresh.untested(index, "pytorch", SpecifierSet("<2.15"), TODAY)
    assert [row.version for _, row in found.rows] == ["2.14.1"]  # type: ignore[attr-defined]
    none = refresh.untested(index, "pytorch", SpecifierSet("==7"), TODAY)
    assert none.unread == ["the index has no wheels of pytorch==7"]


@pytest.mark.parametrize(
    ("asked", "bounds"),
    [
        (["cuda-toolkit[cudart]==13.2.2"], {"cuda": ">=13.2.2,<13.3"}),
        (["nvidia-cuda-runtime-cu12<13.0,>=12.5.82"], {"cuda": ">=12.5.82,<13"}),
        (
            ["nvidia-cuda-runtime-cu12>=12.1.105", "nvidia-cuda-nvcc-cu12>=12.6.85"],
            {"cuda": ">=12.6.85,<13"},
        ),
        (["nvidia-cudnn-cu12<10.0,>=9.3.0.75"], {"cudnn": ">=9.3.0.75,<10"}),
        (["nvidia-nccl-cu13"], {"cuda": ">=13,<14"}),
        (["cuda-toolkit==13.*"], {"cuda": ">=13,<14"}),
        (["cuda-toolkit==13.2.*"], {"cuda": ">=13.2,<13.3"}),
        (["nvidia-cudnn-cu12~=9.8"], {"cudnn": ">=9.8,<10"}),
        (["nvidia-cudnn-cu12~=9.8.1"], {"cudnn": ">=9.8.1,<9.9"}),
        (["numpy", "nvidia-ml-py", "nvidia-cublas-cu12==12.8.3"], {}),
    ],
    ids=lambda value: value[0][:24] if isinstance(value, list) else "",
)
def test_what_is_asked_for_becomes_the_bounds_of_the_tables(
    asked: list[str], bounds: dict[str, str]
) -> None:
    """An exact pin stays below the next minor version, an open one below the next major one."""
    assert brought(map(Requirement, asked)) == bounds


@pytest.mark.parametrize("asked", ["<=9.20", "===1.2", ">12.1,<13"])
def test_what_the_tables_cannot_say_is_not_guessed(asked: str) -> None:
    """It is a sentence, and the row stays as it was."""
    with pytest.raises(UnreadError, match="asks for"):
        brought([Requirement(f"cuda-toolkit{asked}")])


def test_a_marker_that_is_none_is_a_sentence() -> None:
    """Of what a server says nothing is raised but UnreadError."""
    with pytest.raises(UnreadError, match="marker"):
        active([Requirement("x; platform_version ~= 'abc' or extra ~= 'b'")], ("",), "linux-x86_64")
