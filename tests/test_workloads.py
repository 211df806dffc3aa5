"""The training programs: their command lines, and archives that are used only when original."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mnist
import pytest
from mnist import ARCHIVES, BadInput, fetch_archives
from mnist_training import Progress, chunks
from nvml import visible

from gpurig.contract.frameworks import programs

PROGRAMS = Path(__file__).parents[1] / "workloads"
NAME = "t10k-labels-idx1-ubyte.gz"
CONTENT = {name: gzip.compress(name.encode() * 50, mtime=0) for name in ARCHIVES}
WANTED = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """A folder with four small archives, whose checksums are `WANTED`."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    for name, content in CONTENT.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """An empty folder to fetch into."""
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder without writing a log."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def address(mirror: Path) -> Iterator[str]:
    """The mirror, served over HTTP on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(mirror))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def run(program: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a program as a user would, without site-packages: it may import nothing heavy yet."""
    command = [sys.executable, "-E", "-S", str(PROGRAMS / program), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("program", [f"{name}.py" for name in programs()])
def test_help_needs_only_the_standard_library(program: str) -> None:
    """`--help` answers where nothing is installed."""
    told = run(program, "--help")
    assert (told.returncode, told.stderr) == (0, "")
    assert "--seed" in told.stdout


@pytest.mark.parametrize(
    ("program", "options"),
    [
        ("mnist_keras.py", ["--epochs", "0"]),
        ("mnist_keras.py", ["--batch-size", "many"]),
        ("mnist_keras.py", ["--threshold", "high"]),
        ("mnist_keras.py", ["--unknown"]),
        ("matmul.py", ["--size", "1"]),
        ("matmul.py", ["--size", "16385"]),
        ("matmul.py", ["--seed", "x"]),
    ],
)
def test_bad_arguments_exit_2(program: str, options: list[str]) -> None:
    """A bad argument is named in the last line, without a traceback or a result."""
    told = run(program, *options)
    assert (told.returncode, told.stdout) == (2, "")
    assert options[0] in told.stderr.splitlines()[-1]
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize("program", [f"{name}.py" for name in programs()])
def test_missing_packages_exit_2(program: str) -> None:
    """Without TensorFlow the last line names the module that is missing."""
    told = run(program)
    assert (told.returncode, told.stdout) == (2, "")
    assert "No module named" in told.stderr.splitlines()[-1]


def test_originals_from_a_folder(mirror: Path, target: Path) -> None:
    """Archives with the right checksums are copied byte for byte."""
    fetch_archives(str(mirror), target, WANTED)
    assert {file.name: file.read_bytes() for file in target.iterdir()} == CONTENT


def test_originals_from_a_file_address(mirror: Path, target: Path) -> None:
    """A file: address is read as its folder is."""
    fetch_archives(mirror.as_uri(), target, WANTED)
    assert {file.name: file.read_bytes() for file in target.iterdir()} == CONTENT


@pytest.mark.parametrize("end", ["", "/"])
def test_originals_over_http(address: str, target: Path, end: str) -> None:
    """An HTTP mirror is read, with or without a slash at its end."""
    fetch_archives(address + end, target, WANTED)
    assert {file.name: file.read_bytes() for file in target.iterdir()} == CONTENT


BAD = {
    "a web page": b"<!DOCTYPE html><title>Sign in</title>",
    "truncated or changed": CONTENT[NAME][:-9],
    "not a gzip archive": b"\x00" + CONTENT[NAME][1:],
}


@pytest.mark.parametrize("over_http", [False, True])
@pytest.mark.parametrize(("seems", "content"), BAD.items())
def test_other_content_is_refused(
    mirror: Path, address: str, target: Path, seems: str, content: bytes, over_http: bool
) -> None:
    """One sentence names the file, what it seems to be, and both checksums."""
    (mirror / NAME).write_bytes(content)
    with pytest.raises(BadInput) as refused:
        fetch_archives(address if over_http else str(mirror), target, WANTED)
    sentence = str(refused.value)
    for part in (NAME, seems, WANTED[NAME], hashlib.sha256(content).hexdigest()):
        assert part in sentence


def test_one_flipped_bit_is_refused(mirror: Path, target: Path) -> None:
    """An archive of the right size with one bit changed is not the original."""
    content = bytearray(CONTENT[NAME])
    content[-1] ^= 1
    (mirror / NAME).write_bytes(content)
    with pytest.raises(BadInput, match="truncated or changed"):
        fetch_archives(str(mirror), target, WANTED)


@pytest.mark.parametrize("over_http", [False, True])
def test_a_missing_archive_is_named(
    mirror: Path, address: str, target: Path, over_http: bool
) -> None:
    """A mirror that lacks one archive is refused with that archive's name."""
    (mirror / NAME).unlink()
    with pytest.raises(BadInput, match=f"{NAME} cannot be read"):
        fetch_archives(address if over_http else str(mirror), target, WANTED)


def test_an_unreachable_mirror_is_never_replaced(target: Path) -> None:
    """Nobody listens: the mirror is refused, and the fallback data are not loaded."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        closed = f"http://127.0.0.1:{free.getsockname()[1]}/mnist"
    with pytest.raises(BadInput, match="Connection refused"):
        mnist.load(str(target), closed)


def test_the_originals_checksums_are_wanted_by_default(mirror: Path, target: Path) -> None:
    """Without other checksums, only the real archives pass."""
    with pytest.raises(BadInput, match=ARCHIVES["train-images-idx3-ubyte.gz"]):
        fetch_archives(str(mirror), target)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small archives are the originals."""
    monkeypatch.setattr(mnist, "ARCHIVES", WANTED)


@pytest.mark.usefixtures("small")
def test_what_is_there_is_not_fetched(mirror: Path, target: Path) -> None:
    """Only the archive that is missing comes from the mirror; then none is needed."""
    fetch_archives(str(mirror), target, {name: WANTED[name] for name in list(WANTED)[:3]})
    (target / "archives").mkdir()
    for file in target.glob("*.gz"):
        file.rename(target / "archives" / file.name)
        (mirror / file.name).unlink()
    mnist.archives(target, str(mirror))
    there = mnist.archives(target, "/nonexistent")
    assert {file.name: file.read_bytes() for file in there.iterdir()} == CONTENT


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("seems", "content"), BAD.items())
def test_a_damaged_archive_is_named_and_fetched_again(
    mirror: Path, target: Path, seems: str, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """It stays damaged, and is an error, where there is nothing to fetch it from."""
    file = mnist.archives(target, str(mirror)) / NAME
    file.write_bytes(content)
    with pytest.raises(BadInput, match=seems):
        mnist.archives(target, "/nonexistent")
    assert file.read_bytes() == content
    capsys.readouterr()
    mnist.archives(target, str(mirror))
    assert f"{NAME} is {seems}" in capsys.readouterr().err
    assert file.read_bytes() == CONTENT[NAME]


@pytest.mark.usefixtures("small")
def test_an_archive_that_is_not_the_original_never_takes_its_name(
    mirror: Path, target: Path
) -> None:
    """Nothing of a refused download stays."""
    (mirror / NAME).write_bytes(b"<html>")
    with pytest.raises(BadInput):
        mnist.archives(target, str(mirror))
    there = {file.name for file in (target / "archives").iterdir()}
    assert there < set(WANTED)
    assert NAME not in there


FETCH = """
import json, sys
import mnist
mnist.ARCHIVES = json.loads(sys.argv[1])
with mnist.alone(mnist.Path(sys.argv[2])):
    mnist.archives(mnist.Path(sys.argv[2]), sys.argv[3])
"""


def test_processes_of_a_host_fetch_once(mirror: Path, target: Path) -> None:
    """Four at the same time ask the mirror for each archive once."""
    asked: list[str] = []

    class Counting(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            asked.append(self.path)

    handler = partial(Counting, directory=str(mirror))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        place = f"http://127.0.0.1:{server.server_port}"
        command = [sys.executable, "-c", FETCH, json.dumps(WANTED), str(target), place]
        running = [subprocess.Popen(command, cwd=PROGRAMS) for _ in range(4)]
        codes = [one.wait() for one in running]
        server.shutdown()
        thread.join()
    assert codes == [0] * 4
    assert sorted(asked) == sorted(f"/{name}" for name in WANTED)


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """A folder with a prepared data set, of two files, and its manifest."""
    place = tmp_path / "data" / "mnist" / "3.0.1"
    place.mkdir(parents=True)
    for name in ("train", "test"):
        (place / name).write_text(name)
    mnist.write_manifest(tmp_path / "data")
    return tmp_path / "data"


def test_damaged_prepared_files_are_named(prepared: Path) -> None:
    """By their manifest: changed, truncated or missing."""
    assert mnist.compare(prepared) is None
    file = prepared / "mnist" / "3.0.1" / "test"
    file.write_text("tes")
    assert mnist.compare(prepared) == f"{file} is truncated or changed"
    file.unlink()
    assert mnist.compare(prepared) == f"{file} is missing"


@pytest.mark.parametrize(
    "manifest",
    ["", "[]", '{"files": {}}', '{"files": {"../x": "0"}}', '{"files": {"mnist/../../x": "0"}}'],
)
def test_a_manifest_that_is_none_is_named(prepared: Path, manifest: str) -> None:
    """Nor does it name files elsewhere: what it names may be removed."""
    (prepared / mnist.MANIFEST).write_text(manifest)
    with pytest.raises(BadInput, match=mnist.MANIFEST):
        mnist.compare(prepared)


TF_CONFIG = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}


@pytest.mark.parametrize(
    ("program", "options", "environment", "told"),
    [
        ("mnist_pytorch", ["--strategy", "ddp"], {}, "start the program with torchrun"),
        (
            "mnist_pytorch",
            ["--strategy", "none"],
            {"RANK": "0", "WORLD_SIZE": "2"},
            "leave --strategy out",
        ),
        ("mnist_pytorch", ["--strategy", "horovod"], {}, "No module named 'horovod'"),
        (
            "mnist_pytorch",
            ["--strategy", "horovod", "--mixed-precision"],
            {},
            "leave --mixed-precision out",
        ),
        ("mnist_keras", [], {"KERAS_BACKEND": "theano"}, "one of tensorflow, torch, jax"),
        (
            "mnist_keras",
            ["--strategy", "mirrored"],
            {"KERAS_BACKEND": "jax"},
            "needs KERAS_BACKEND=tensorflow",
        ),
        ("mnist_keras", ["--strategy", "horovod"], {}, "No module named 'horovod'"),
        ("mnist_keras", ["--replicas", "2"], {}, "needs --strategy mirrored"),
        ("mnist_keras", ["--strategy", "multiworker"], {}, "TF_CONFIG is not set"),
        ("mnist_keras", ["--strategy", "multiworker"], {"TF_CONFIG": "{"}, "cannot be read"),
        (
            "mnist_keras",
            ["--strategy", "multiworker"],
            {"TF_CONFIG": json.dumps(TF_CONFIG | {"task": {"type": "worker", "index": 2}})},
            "does not list this worker",
        ),
        ("mnist_keras", [], {"KERAS_BACKEND": "torch"}, "No module named 'torch'"),
        ("matmul", ["--framework", "jax"], {}, "No module named jax"),
    ],
)
def test_what_does_not_fit_is_one_sentence(
    program: str, options: list[str], environment: dict[str, str], told: str
) -> None:
    """Exit 2 before anything is loaded, without a traceback or a result."""
    command = [sys.executable, "-S", str(PROGRAMS / f"{program}.py"), *options]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | environment
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_clock_stands_still_while_it_is_evaluated(capsys: pytest.CaptureFixture[str]) -> None:
    """Evaluating is not training, and ends once the threshold is reached."""
    accuracies = iter([0.5, 0.98])

    def accuracy() -> float:
        time.sleep(0.2)
        return next(accuracies)

    progress = Progress(400, 2, 0.97, accuracy)
    began = time.perf_counter()
    for chunk in chunks(400):
        for _ in chunk:
            progress.step(10, lambda: (0.5, 0.9))
        progress.checkpoint()
    assert progress.seconds <= time.perf_counter() - began - 0.4
    assert progress.to_threshold is not None
    assert progress.images == 3990
    assert progress.curve[-1] == {"step": 400, "loss": 0.5, "accuracy": 0.9}
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "epoch 1 of 2, step 20 of 400: accuracy 0.9000, loss 0.5000"
    assert "epoch 1 of 2, step 200 of 400: test accuracy 0.9800" in told
    assert told[-1] == "epoch 2 of 2, step 400 of 400: accuracy 0.9000, loss 0.5000"


@pytest.mark.parametrize("steps", [1, 3, 4, 22, 234, 938])
def test_checkpoints_leave_out_no_step(steps: int) -> None:
    """The chunks of an epoch are its steps, and the curve has up to 20 points with the last."""
    assert [step for chunk in chunks(steps) for step in chunk] == list(range(steps))
    progress = Progress(steps, 1, 0.97, None)
    for _ in range(steps):
        progress.step(1, lambda: (0.0, 1.0))
    assert 1 <= len(progress.curve) <= 20
    assert progress.curve[-1]["step"] == steps


@pytest.mark.parametrize(
    ("named", "seen"),
    [(None, [0, 1]), ("", []), ("1", [1]), ("1,0", [0, 1]), ("GPU-1b", [1]), ("-1", [])],
)
def test_only_gpus_that_may_be_used_are_looked_at(
    monkeypatch: pytest.MonkeyPatch, named: str | None, seen: list[int]
) -> None:
    """As CUDA_VISIBLE_DEVICES says, by number or by the beginning of a UUID."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if named is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert [n for n, uuid in enumerate(["GPU-0a", "GPU-1b2c"]) if visible(n, uuid)] == seen
