"""Locks: every shipped one is whole, and the nearest one counts."""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from packaging.requirements import Requirement

from gpurig.contract.frameworks import frameworks
from gpurig.errors import GpurigError
from gpurig.stack.model import Environment, Stack
from gpurig.stack.tables import tables
from gpurig.wheels import locks
from lock_lines import locked
from stack.observations import debian, stack

SHIPPED = sorted((Path(locks.__file__).parent / "data" / "locks").glob("*.txt"))


def _environment(lock: str, *pins: str) -> Environment:
    return Environment("tensorflow", "tensorflow", None, "2.21.0", "3.13", "cpu", pins, lock)


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test is a run of its own, by a user who keeps no locks yet."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setattr(locks, "_renewed", {})
    monkeypatch.setattr(locks, "_inventories", [])


def _never(*_: object, **__: object) -> None:
    raise AssertionError("resolved again")


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_every_pin_has_a_hash_and_no_host_is_named(file: Path) -> None:
    """What is downloaded is verified, from whichever index."""
    text = file.read_text()
    assert "://" not in text
    assert not re.search(r"^\s*-(i|e|r|c|-index|-extra|-find|-trusted)", text, re.MULTILINE)
    entries = re.split(r"\n(?=\S)", text.strip())
    for entry in entries:
        assert "==" in entry.splitlines()[0]
        assert re.findall(r"--hash=(\w+):([0-9a-f]+)", entry)
        for kind, digest in re.findall(r"--hash=(\w+):(\w+)", entry):
            assert (kind, len(digest)) == ("sha256", 64)
    names = Counter(locks.normalised(re.split(r"[=\[]", entry)[0]) for entry in entries)
    assert len(locks.pins(text)) == len(entries)
    assert names.most_common(1)[0][1] == 1


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_a_lock_holds_what_its_name_says(file: Path) -> None:
    """
    The key's releases are pinned, what their programs need is there, and CUDA's libraries, and what
    reads GPUs, where it says cuda.
    """
    pins = locks.pins(file.read_text())
    if file.stem == "uv":
        assert list(pins) == ["uv"]
        return
    *releases, _, _, accelerator = file.stem.split("-")
    for framework, version in zip(releases[::2], releases[1::2], strict=True):
        if framework == "horovod":  # it has no wheel, and what it needs to run is locked
            assert {"cloudpickle", "packaging", "psutil", "pyyaml"} <= set(pins)
            continue
        assert version in [pins.get(wheel) for wheel in frameworks()[framework].wheels]
    on_cuda, major = accelerator.startswith("cuda"), accelerator.removeprefix("cuda")
    libraries = [name for name in pins if name.startswith("nvidia-") and name != "nvidia-ml-py"]
    assert any(f"-cu{major}" in name for name in libraries) is bool(libraries) is on_cuda
    (row,) = (r for r in tables().release if [r.name, r.version] == releases[-2:])
    needed = {locks.normalised(Requirement(pin).name) for pin in row.workload_pins}
    assert needed | {"scikit-learn", "setuptools"} <= set(pins)
    assert ("tensorflow-datasets" in pins) is ("tensorflow" in releases)
    assert "nvidia-ml-py" in pins or not on_cuda
    assert ("keras" in pins) is ("mnist_keras" in frameworks()[row.name].proofs)


@pytest.mark.parametrize("gpus", [(), ("10de:2330",)], ids=["cpu", "gpu"])
@pytest.mark.parametrize("wish", frameworks())
@pytest.mark.parametrize("release", ["12", "13"])
def test_what_usual_hosts_get_ships(release: str, wish: str, gpus: tuple[str, ...]) -> None:
    """So a plan of them needs no index, and the lock holds all that the tables ask for now."""
    (wanted,) = stack(debian(release, gpus), frameworks=[wish]).environments
    if wanted.index:
        return  # only its own index has them, and locks of that do not ship
    pins = locks.pins((SHIPPED[0].parent / f"{wanted.lock}.txt").read_text())
    for pin in map(Requirement, wanted.pins):
        assert pin.specifier.contains(pins[locks.normalised(pin.name)]), pin


@pytest.mark.parametrize("file", [f for f in SHIPPED if f.stem != "uv"], ids=lambda f: f.stem)
def test_the_build_part_is_of_the_lock(file: Path) -> None:
    """What is installed first is a part of the lock, with its hashes."""
    text = file.read_text()
    part = locks.build_part(text)
    assert "--hash=sha256:" in part
    assert list(locks.pins(part)) == [locks.BUILD]
    assert part.strip() in text


def test_the_nearest_lock_counts(tmp_path: Path) -> None:
    """locks/ beside the inventory, then the user's own, what ships; never of the working folder."""
    name = next(file.stem for file in SHIPPED if file.stem != "uv")
    wanted = _environment(name)
    Path("locks").mkdir()
    Path("locks", f"{name}.txt").write_text(locked("here==1"))
    found = locks.find(wanted, "x86_64")
    assert found.text == (SHIPPED[0].parent / f"{name}.txt").read_text()
    assert found.locked == "as locked"
    own = tmp_path / "config/gpurig/locks"
    own.mkdir(parents=True)
    (own / f"{name}.txt").write_text(locked("own==1"))
    found = locks.find(wanted, "x86_64")
    assert found.text == locked("own==1")
    assert found.locked == f"as locked in {own}/{name}.txt", "a plan names one that does not ship"
    locks.look_beside(tmp_path / "lab" / "lab.py")
    assert locks.find(wanted, "x86_64").text == locked("own==1")
    beside = tmp_path / "lab" / "locks"
    beside.mkdir(parents=True)
    (beside / f"{name}.txt").write_text(locked("beside==1"))
    assert locks.find(wanted, "x86_64").text == locked("beside==1")
    assert locks.kept() == (name,)
    locks.look_beside(Path("lab.py"))
    assert locks.find(wanted, "x86_64").text == locked("here==1"), "the inventory lies here"


SUM = f"--hash=sha256:{'0' * 64}"
NO_LOCKS = {
    "an address": f"evil @ http://127.0.0.1/evil.tar.gz {SUM}",
    "an address as the version": f"evil==http://127.0.0.1/evil.tar.gz {SUM}",
    "a file": f"./evil.whl {SUM}",
    "a repository": f"-e git+https://127.0.0.1/evil#egg=evil {SUM}",
    "an index": f"--index-url http://127.0.0.1/\nnumpy==1 {SUM}",
    "an option behind a pin": f"numpy==1 {SUM} --config-settings=x",
    "another file": f"-r other.txt\nnumpy==1 {SUM}",
    "no hash": "numpy==1",
    "a weaker hash": f"numpy==1 --hash=md5:{'0' * 32}",
    "a short hash": "numpy==1 --hash=sha256:00",
    "an open version": f"numpy>=1 {SUM}",
    "any version": f"numpy==1.* {SUM}",
    "a marker": f"numpy==1 ; sys_platform == 'linux' {SUM}",
    "extras": f"numpy[all]==1 {SUM}",
    "a comment that goes on": f"# \\\n numpy==1 {SUM}",
    "a form feed": f"numpy==1 {SUM}\fevil==1 {SUM}",
    "a line end that only Python sees": f"numpy==1\u2028evil==1 {SUM}",
    "digits that are not ASCII": f"numpy==\uff11 {SUM}",
    "a letter that looks the same": f"numр\u0443==1 {SUM}",  # noqa: RUF001 # the law
    "one name twice": f"a-b==1 {SUM}\nA_b==2 {SUM}",
    "another promise": f"promise==2.3 {SUM}",
    "nothing": "\n",
}


@pytest.mark.parametrize("text", NO_LOCKS.values(), ids=NO_LOCKS)
def test_what_is_more_than_a_lock_is_refused(text: str, tmp_path: Path) -> None:
    """name==version with hashes and nothing else, in one sentence that names the file."""
    own = tmp_path / "config/gpurig/locks"
    own.mkdir(parents=True)
    (own / "mine.txt").write_bytes(text.encode())
    with pytest.raises(GpurigError, match=r"mine\.txt: is no lock \(line \d+: ") as error:
        locks.find(_environment("mine"), "x86_64")
    assert "\n" not in str(error.value)


def test_settings_of_uv_in_the_working_folder_do_not_count(tmp_path: Path) -> None:
    """Neither an index that it names, nor a Python, nor a workspace; none of it is even started."""
    index, other = tmp_path / "simple", tmp_path / "other"
    for name in ("framework", locks.BUILD):
        _published(index, name, "1.0")
        _published(other, name, "6.6.6")
    settings = f'index-url = "{other.as_uri()}"\nextra-index-url = ["{other.as_uri()}"]\n'
    Path("uv.toml").write_text(settings)
    Path(".venv/bin").mkdir(parents=True)
    Path(".venv/pyvenv.cfg").write_text("home = /usr/bin\n")
    Path(".venv/bin/python").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    Path(".venv/bin/python").chmod(0o755)
    found = locks.find(_environment("own", "framework"), "x86_64", index.as_uri())
    assert locks.pins(found.text) == {"framework": "1.0", locks.BUILD: "1.0"}
    assert not (tmp_path / "ran").exists()


def test_nothing_is_built_to_resolve_a_lock(tmp_path: Path) -> None:
    """What would build a source does not run on the control machine; such a name is refused."""
    index = tmp_path / "simple"
    _published(index, locks.BUILD, "1.0")
    (index / "evil").mkdir()
    with tarfile.open(index / "evil" / "evil-1.0.tar.gz", "w:gz") as sdist:
        for name, text in {
            "PKG-INFO": "Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n",
            "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "evil"\n'
            'backend-path = ["."]\n',
            "evil.py": f"import pathlib; pathlib.Path({str(tmp_path / 'ran')!r}).touch()",
        }.items():
            entry = tarfile.TarInfo(f"evil-1.0/{name}")
            entry.size = len(text)
            sdist.addfile(entry, io.BytesIO(text.encode()))
    page = '<a href="evil-1.0.tar.gz">evil-1.0.tar.gz</a>'
    (index / "evil" / "index.html").write_text(page)
    with pytest.raises(GpurigError, match="cannot resolve"):
        locks.find(_environment("own", "evil"), "x86_64", index.as_uri())
    assert not (tmp_path / "ran").exists()


def test_what_cannot_be_resolved_is_one_sentence(tmp_path: Path) -> None:
    """An index without the package: what, where, what to do; nothing is kept."""
    index = tmp_path / "simple"
    index.mkdir()
    with pytest.raises(GpurigError, match="cannot resolve") as error:
        locks.find(_environment("none", "no-such-thing==1"), "x86_64", index.as_uri())
    assert "\n" not in str(error.value)
    assert not (tmp_path / "config").exists()


def test_without_uv_it_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that ships or was kept needs no uv; one that has to be resolved does."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert locks.find(_environment(SHIPPED[0].stem), "x86_64").text
    with pytest.raises(GpurigError, match="uv does not start") as error:
        locks.find(_environment("none", "no-such-thing==1"), "x86_64")
    assert "\n" not in str(error.value)


def _published(index: Path, name: str, version: str, needs: str = "") -> str:
    """Put an empty wheel into a folder that serves as an index; its SHA-256."""
    folder = index / name
    folder.mkdir(parents=True, exist_ok=True)
    called = name.replace("-", "_")
    wheel = folder / f"{called}-{version}-py3-none-any.whl"
    about = f"{called}-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}"
        archive.writestr(f"{about}/METADATA", metadata)
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    with (folder / "index.html").open("a") as page:
        page.write(f'<a href="{quote(wheel.name)}">{wheel.name}</a>\n')
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


def test_one_that_is_nowhere_is_resolved_once_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By uv, with the index's own hashes, and without the index's name; then it is the user's."""
    index = tmp_path / "simple"
    sums = {name: _published(index, name, "1.0") for name in ("framework", locks.BUILD)}
    found = locks.find(_environment("own", "framework==1.0"), "x86_64", index.as_uri())
    assert locks.pins(found.text) == {"framework": "1.0", locks.BUILD: "1.0"}
    for digest in sums.values():
        assert f"--hash=sha256:{digest}" in found.text
    assert str(tmp_path) not in found.text
    assert [f.name for f in (tmp_path / "config/gpurig/locks").iterdir()] == ["own.txt"]
    monkeypatch.setattr(subprocess, "run", _never)
    assert locks.find(_environment("own", "framework==1.0"), "x86_64").text == found.text


def test_one_that_cannot_be_kept_is_one_sentence(tmp_path: Path) -> None:
    """Where it should lie, and why it does not."""
    (tmp_path / "config").touch()
    for name in ("framework", locks.BUILD):
        _published(tmp_path / "simple", name, "1.0")
    with pytest.raises(GpurigError, match=r"own\.txt: cannot be written"):
        locks.find(_environment("own", "framework"), "x86_64", (tmp_path / "simple").as_uri())


def test_arguments_that_pyinfra_prints_are_short() -> None:
    """The text of a lock is not among what is printed of it."""
    assert "its==1" not in repr(locks.Lock("key", locked("its==1")))


def _torch(tmp_path: Path) -> Environment:
    """PyTorch for the CPU, whose wheel is in an index of its own."""
    return Environment(
        "pytorch", "pytorch", None, "2.0", "3.13", "cpu", ("torch==2.0", "numpy"),
        "pytorch-2.0-py3.13-x86_64-cpu-cpu", (tmp_path / "own" / "cpu").as_uri(), 1.3,
    )  # fmt: skip


def _usual(tmp_path: Path) -> str:
    """The usual index, with the wheel that brings CUDA."""
    for name, version in (("nvidia-cublas", "1.0"), ("numpy", "1.0"), (locks.BUILD, "1.0")):
        _published(tmp_path / "simple", name, version)
    _published(tmp_path / "simple", "torch", "2.0", "Requires-Dist: nvidia-cublas\n")
    return (tmp_path / "simple").as_uri()


def test_only_the_framework_comes_from_its_own_index(tmp_path: Path) -> None:
    """Its local version is pinned, by hash; what else that index has is not taken."""
    usual, own = _usual(tmp_path), tmp_path / "own" / "cpu"
    digest = _published(own, "torch", "2.0+cpu")
    _published(own, "numpy", "9.0")
    found = locks.find(_torch(tmp_path), "x86_64", usual)
    assert locks.pins(found.text) == {"torch": "2.0+cpu", "numpy": "1.0", locks.BUILD: "1.0"}
    assert f"--hash=sha256:{digest}" in found.text
    assert str(tmp_path) not in found.text
    assert (found.index, found.warning) == (own.as_uri(), "")


def test_without_its_own_index_the_usual_build_is_taken_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence with its size, under a key of its own, and the same ever after."""
    usual, wanted = _usual(tmp_path), _torch(tmp_path)
    found = locks.find(wanted, "x86_64", usual)
    assert (found.key, found.index) == ("pytorch-2.0-py3.13-x86_64-cpu", None)
    assert locks.pins(found.text)["torch"] == "2.0"
    assert " GB instead of 1.3 GB). For CPU wheels set a mirror (rig_repositories" in found.warning
    assert "\n" not in found.warning
    assert locks.kept() == (found.key,)
    monkeypatch.setattr(subprocess, "run", _never)
    assert locks.find(wanted, "x86_64", usual) == found
    before = Stack("debian 13", "x86_64", environments=(wanted,))
    after = locks.fitted(before, usual)
    assert after.warnings == (found.warning,)
    (fitted,) = after.environments
    assert (fitted.lock, fitted.index) == (found.key, None)
    assert fitted.gigabytes > wanted.gigabytes
    assert locks.fitted(after, usual) == after
    other = replace(wanted, lock=f"{wanted.lock}-jupyter")
    (tmp_path / "config/gpurig/locks" / f"{found.key}-jupyter.txt").write_text(locked("numpy==1.0"))
    assert locks.find(other, "x86_64", usual).key == f"{found.key}-jupyter"


def test_a_usual_index_with_the_build_for_the_cpu_needs_no_word(tmp_path: Path) -> None:
    """As a lab's own has: then nothing is too large."""
    for name, version in (("torch", "2.0+cpu"), ("numpy", "1.0"), (locks.BUILD, "1.0")):
        _published(tmp_path / "simple", name, version)
    wanted, usual = _torch(tmp_path), (tmp_path / "simple").as_uri()
    (fitted,) = locks.fitted(
        Stack("debian 13", "x86_64", environments=(wanted,)), usual
    ).environments
    assert fitted.gigabytes == wanted.gigabytes
    found = locks.find(replace(wanted, framework="horovod", base="pytorch"), "x86_64", usual)
    assert found.warning == ""


def test_its_own_index_is_taken_when_it_is_back(tmp_path: Path) -> None:
    """With --upgrade: an index that is out of reach is not tried at each run."""
    usual, wanted = _usual(tmp_path), _torch(tmp_path)
    locks.find(wanted, "x86_64", usual)
    _published(tmp_path / "own" / "cpu", "torch", "2.0+cpu")
    assert locks.find(wanted, "x86_64", usual).warning
    assert not locks.find(wanted, "x86_64", usual, renew=True).warning


def test_a_build_for_older_cuda_has_no_other_in_its_place(tmp_path: Path) -> None:
    """It was chosen because the usual one does not serve the GPU."""
    usual, key = _usual(tmp_path), "pytorch-2.0-py3.13-x86_64-cuda-cu126"
    wanted = replace(
        _torch(tmp_path), accelerator="cuda", lock=key, index=(tmp_path / "cu126").as_uri()
    )
    with pytest.raises(GpurigError, match="cannot resolve"):
        locks.find(wanted, "x86_64", usual)


def test_what_is_built_on_the_cpu_build_has_no_other_in_its_place(tmp_path: Path) -> None:
    """Horovod is not compiled on a PyTorch for CUDA: that is said before anything is installed."""
    wanted = replace(_torch(tmp_path), framework="horovod", base="pytorch")
    with pytest.raises(GpurigError, match=r"set a mirror of it \(rig_repositories") as error:
        locks.find(wanted, "x86_64", _usual(tmp_path))
    assert "\n" not in str(error.value)


def test_many_hosts_resolve_a_lock_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes while it is resolved waits for it."""
    usual, run, runs = _usual(tmp_path), subprocess.run, []

    def counted(*args: Any, **kwargs: Any) -> Any:
        runs.append(args)
        return run(*args, **kwargs)

    monkeypatch.setattr(subprocess, "run", counted)
    wanted = _environment("own", "numpy")
    with ThreadPoolExecutor(8) as hosts:
        found = set(hosts.map(lambda _: locks.find(wanted, "x86_64", usual), range(8)))
    assert (len(found), len(runs)) == (1, 1)


def test_two_runs_resolve_a_lock_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process that is at it is waited for, and what it kept is taken."""
    holding, kept = tmp_path / "cache/gpurig/held", tmp_path / "config/gpurig/locks"
    holding.mkdir(parents=True)
    kept.mkdir(parents=True)
    other = (
        "import fcntl, sys, time; file = open(sys.argv[1], 'w');"
        " fcntl.flock(file, fcntl.LOCK_EX); print('held', flush=True); time.sleep(0.5);"
        " open(sys.argv[2], 'w').write(sys.argv[3])"
    )
    command = [sys.executable, "-c", other, str(holding / "own"), str(kept / "own.txt")]
    command.append(locked("other==1"))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        monkeypatch.setattr(subprocess, "run", _never)
        assert locks.find(_environment("own", "numpy"), "x86_64").text == locked("other==1")


def test_a_lock_is_renewed_only_when_asked_and_kept_only_when_told(tmp_path: Path) -> None:
    """A plan shows what a new one would bring; `up` keeps it; for all hosts it is one."""
    usual, wanted = _usual(tmp_path), _environment("own", "numpy")

    def numpy(renew: bool = False) -> str:
        return locks.pins(locks.find(wanted, "x86_64", usual, renew).text)["numpy"]

    assert numpy() == "1.0"
    kept = tmp_path / "config/gpurig/locks/own.txt"
    before = kept.read_text()
    _published(tmp_path / "simple", "numpy", "1.1")
    assert numpy() == "1.0"
    assert numpy(renew=True) == "1.1"
    assert kept.read_text() == before
    _published(tmp_path / "simple", "numpy", "1.2")
    assert numpy(renew=True) == "1.1"
    locks.keep()
    assert locks.pins(kept.read_text())["numpy"] == "1.1"


def test_a_lock_is_kept_beside_the_inventory_that_has_a_place_for_it(tmp_path: Path) -> None:
    """So a lab's locks can be shared with its inventory; else they are the user's own."""
    usual, lab = _usual(tmp_path), tmp_path / "lab"
    (lab / "locks").mkdir(parents=True)
    locks.look_beside(lab / "hosts.py")
    locks.find(_environment("own", "numpy"), "x86_64", usual)
    assert [file.name for file in (lab / "locks").iterdir()] == ["own.txt"]
    assert not (tmp_path / "config").exists()
