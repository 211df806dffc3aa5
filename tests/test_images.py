"""Images: the same input gives the same recipe, and what is wrong is one sentence."""

from __future__ import annotations

import gc
import hashlib
import http.server
import io
import json
import os
import re
import socket
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, cast
from urllib.parse import unquote, urlsplit

import click.testing
import paramiko
import pytest

from gpurig.cli import main
from gpurig.cli.image import _image
from gpurig.errors import InputError
from gpurig.images import docker_api
from gpurig.images import recipe as images
from gpurig.images.docker_api import Offer, devices
from gpurig.settings.kinds import image_reference
from gpurig.settings.table import Settings
from gpurig.stack.model import Environment, Image
from gpurig.wheels.lock_text import ONLY_WHEELS
from lock_lines import locked

ROOT = Path(__file__).parents[1]
LOCK = "tensorflow-2.21.0-py3.13-x86_64-cpu"
INSIDE = Environment("tensorflow", "tensorflow", None, "2.21.0", "3.13", "cpu", (), LOCK)
IMAGE = Image("tensorflow", base="python:3.13-slim", environment=INSIDE)


def contents(recipe: images.Recipe) -> dict[str, bytes]:
    """The files of its context."""
    with tarfile.open(fileobj=io.BytesIO(recipe.context)) as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]  # all are files


def test_the_context_has_the_hosts_own_lock_and_workload() -> None:
    """The same lock and program files as on hosts, and nothing else beside the Dockerfile."""
    found = contents(images.recipe(IMAGE, "x86_64"))
    programs = {file.name: file.read_bytes() for file in (ROOT / "workloads").glob("*.py")}
    del programs["__init__.py"]
    assert set(found) == {"Dockerfile", "requirements.lock", "build.lock", *programs}
    assert programs.items() <= found.items()
    lock = ROOT / f"src/gpurig/wheels/data/locks/{LOCK}.txt"
    assert found["requirements.lock"] == lock.read_bytes()
    assert found["build.lock"].startswith(b"setuptools==")


def test_the_recipe_is_the_same_until_something_that_counts_changes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Base, Python and lock change its sum; the index that wheels come from does not."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    first = images.recipe(IMAGE, "x86_64")
    again = images.recipe(IMAGE, "x86_64", "http://index.example.com:3141/simple/")
    assert first.context == again.context
    assert first.labels == again.labels
    assert again.arguments["PIP_TRUSTED_HOST"] == "index.example.com:3141"
    sums = {first.labels[images.RECIPE]}
    sums.add(images.recipe(replace(IMAGE, base="mine:1"), "x86_64").labels[images.RECIPE])
    (tmp_path / "gpurig/locks").mkdir(parents=True)
    (tmp_path / f"gpurig/locks/{LOCK}.txt").write_text(locked("setuptools==1"))
    sums.add(images.recipe(IMAGE, "x86_64").labels[images.RECIPE])
    assert len(sums) == 3


def test_the_dockerfile_is_as_promised() -> None:
    """A base by argument, wheels by hash, not root, a health check, and the classic builder."""
    text = (ROOT / "workloads/container/Dockerfile").read_text()
    assert re.search(r"^ARG BASE=python:\S+-slim\nFROM \$\{BASE\}$", text, re.MULTILINE)
    for line in re.findall(r"pip install(?:.*\\\n)*.*", text):
        for each in line.split("&&"):
            assert "--require-hashes" in each
            assert "--only-binary :all:" in each
    assert ONLY_WHEELS in text
    assert "--mount" not in text
    assert "# syntax" not in text
    words = [line.split()[0] for line in text.splitlines() if line[:1].isalpha()]
    assert words.index("USER") < words.index("CMD")
    assert {"HEALTHCHECK", "WORKDIR", "LABEL"} <= set(words)


def write_image(file: Path, tags: list[str], count: int = 1) -> None:
    """A file as `docker save` writes it."""
    with tarfile.open(file, "w") as tar:
        config = {"created": "2026-11-25T16:00:00Z", "rootfs": {"diff_ids": ["sha256:aa"]}}
        entry = {"Config": "blobs/sha256/00", "RepoTags": tags, "Layers": []}
        for name, value in {"blobs/sha256/00": config, "manifest.json": [entry] * count}.items():
            data = json.dumps(value).encode()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def test_a_saved_image_tells_what_it_holds(tmp_path: Path) -> None:
    """Its names, and what tells it from others; a file that changed is read anew."""
    file = tmp_path / "lab.tar"
    write_image(file, ["lab:1"])
    found = images.saved(str(file))
    assert (found.tags, found.created) == (("lab:1",), "2026-11-25T16:00:00Z")
    assert found.layers == ("sha256:aa",)
    write_image(file, ["lab:22", "lab:3"])
    file.touch()
    assert images.saved(str(file)).tags == ("lab:22", "lab:3")


WRONG: dict[str, Callable[[Path], object]] = {
    "not there": lambda file: None,
    "a folder": lambda file: file.mkdir(),
    "no tar": lambda file: file.write_text("FROM scratch\n"),
    "without a name": lambda file: write_image(file, []),
    "two images": lambda file: write_image(file, ["a:1"], count=2),
    "another tar": lambda file: tarfile.open(file, "w").close(),
}


@pytest.mark.parametrize("make", WRONG.values(), ids=WRONG)
def test_a_file_that_is_no_saved_image_is_one_sentence(
    make: Callable[[Path], object], tmp_path: Path
) -> None:
    """Named before any host is contacted, with what to do."""
    file = tmp_path / "lab.tar"
    make(file)
    with pytest.raises(InputError) as caught:
        images.refuse_unreadable(Settings(images=(str(file),)), "lab.py, gpu01")
    assert str(caught.value).startswith(f"lab.py, gpu01: {file} ")
    assert "\n" not in str(caught.value)


GPU, CDI, PLAIN = (
    Offer("x86_64", True, False),
    Offer("x86_64", True, True),
    Offer("x86_64", False, False),
)


def test_gpus_are_given_as_the_daemon_offers_them() -> None:
    """CDI devices where it has them, else the runtime; by default all that there are."""
    assert devices(None, PLAIN) == devices("none", CDI) == {}
    assert devices(None, GPU) == {
        "runtime": "nvidia", "environment": {"NVIDIA_VISIBLE_DEVICES": "all"}
    }  # fmt: skip
    assert devices("2", GPU)["environment"] == {"NVIDIA_VISIBLE_DEVICES": "0,1"}
    (request,) = devices("2", CDI)["device_requests"]
    assert (request["Driver"], request["DeviceIDs"]) == (
        "cdi", ["nvidia.com/gpu=0", "nvidia.com/gpu=1"]
    )  # fmt: skip
    with pytest.raises(InputError, match="offers no NVIDIA GPUs"):
        devices("all", PLAIN)


def test_by_hand_the_image_is_the_resolvers() -> None:
    """CUDA where Docker offers GPUs, the wished Python, the default base of that Python."""
    on_gpu = _image("tensorflow", Settings(), GPU)
    assert on_gpu.environment
    assert on_gpu.environment.lock == "tensorflow-2.21.0-py3.13-x86_64-cuda"
    older = _image("tensorflow", Settings(python="3.11"), Offer("aarch64", False, False))
    assert older.environment
    assert older.environment.lock == "tensorflow-2.21.0-py3.11-aarch64-cpu"
    assert older.base == "python:3.11-slim"
    torch = _image("pytorch", Settings(), PLAIN).environment
    assert torch
    assert (torch.framework, torch.accelerator) == ("pytorch", "cpu")
    with pytest.raises(InputError, match="cannot be built"):
        _image("tensorflow", Settings(frameworks=("tensorflow==1.0",)), PLAIN)


BAD = {
    "a name with spaces": ("build", "my image"),
    "an unknown name": ("build", "tensorflw"),
    "no Dockerfile": ("build", "./nothing"),
    "a base with spaces": ("build", "tensorflow", "--base", "my base"),
    "an index that is none": ("build", "tensorflow", "--index", "pypi"),
    "a tag with capitals": ("build", "tensorflow", "--tag", "Mine"),
    "an unknown setting": ("build", "tensorflow", "--set", "rig_bass=x"),
    "Docker does not run": ("build", "tensorflow"),
    "a name with spaces to run": ("run", "my image"),
    "GPUs that are no number": ("run", "--gpus", "some", "tensorflow"),
    "a volume that is none": ("run", "-v", "data", "tensorflow"),
    "run without Docker": ("run", "tensorflow", "ls", "-l"),
    "save without Docker": ("save", "tensorflow", "x.tar"),
}


@pytest.mark.parametrize("words", BAD.values(), ids=BAD)
def test_bad_input_is_one_sentence(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Exit 2, and no word of Docker's client beside it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{free.getsockname()[1]}")
    monkeypatch.chdir(tmp_path)
    done = click.testing.CliRunner().invoke(main.gpurig, ["image", *words])
    assert isinstance(done.exception, InputError), done.output
    assert done.exception.exit_code == 2
    assert "\n" not in str(done.exception)
    if words[1] == "tensorflw":
        assert "did you mean tensorflow?" in str(done.exception)
    if words == ("build", "tensorflow"):
        assert "Docker does not answer (Connection refused)" in str(done.exception)


def test_a_machine_without_docker_is_told_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Not to start what is not there."""
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(docker_api, "SOCKET", str(tmp_path / "docker.sock"))
    monkeypatch.setattr(docker_api.docker, "from_env", _no_socket)
    with pytest.raises(InputError, match="Docker is not installed; run gpurig up") as caught:
        docker_api.connect()
    assert caught.value.code == "docker-missing"
    (tmp_path / "docker.sock").touch()
    with pytest.raises(InputError, match="Docker does not answer"):
        docker_api.connect()


# The SDK closes no socket of a client that it cannot make.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("way", ["config.json", "DOCKER_CONTEXT"])
def test_the_user_s_context_is_whose_docker_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str
) -> None:
    """As `docker context use` sets it; DOCKER_HOST comes before it; one that is gone is named."""
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    place = tmp_path / "contexts/meta" / hashlib.sha256(b"lab").hexdigest()
    place.mkdir(parents=True)
    there = {"Host": f"unix://{tmp_path}/lab.sock", "SkipTLSVerify": False}
    meta = {"Name": "lab", "Metadata": {}, "Endpoints": {"docker": there}}
    (place / "meta.json").write_text(json.dumps(meta))
    if way == "config.json":
        (tmp_path / way).write_text(json.dumps({"currentContext": "lab"}))
    else:
        monkeypatch.setenv(way, "lab")
    with pytest.raises(InputError, match="Docker's context lab: Docker does not answer"):
        docker_api.connect()
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    with pytest.raises(InputError, match=r"tcp://127[.]0[.]0[.]1:9: Docker does not answer"):
        docker_api.connect()
    monkeypatch.delenv("DOCKER_HOST")
    for damaged in ("", "[]", '{"Endpoints": {}}', None):
        (place / "meta.json").unlink()
        if damaged is not None:
            (place / "meta.json").write_text(damaged)
        with pytest.raises(InputError, match="Docker's context lab cannot be read") as caught:
            docker_api.connect()
        assert "docker context ls" in caught.value.do
    del caught
    gc.collect()


@pytest.mark.parametrize("config", [None, "", "{", '{"currentContext": ""}', '{"a": 1}', "[]"])
def test_without_a_context_it_is_this_machine_s_docker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, config: str | None
) -> None:
    """Whatever stands in the file, or in the folder that gpurig runs in."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    assert docker_api._chosen() == ("this machine", {})


def test_layers_of_a_base_are_counted_as_they_come() -> None:
    """And why it does not come is the error."""
    told: list[str] = []
    chunks = [
        {"status": "Pulling from library/python", "id": "3.13-slim"},
        {"status": "Pulling fs layer", "id": "a"}, {"status": "Pulling fs layer", "id": "b"},
        {"status": "Downloading", "id": "a", "progressDetail": {"current": 1, "total": 2}},
        {"status": "Pull complete", "id": "a"}, {"status": "Pull complete", "id": "b"},
        {"status": "Digest: sha256:ab"},
    ]  # fmt: skip
    assert docker_api._pulled(chunks, told.append) == ""
    assert told == ["1 of 2 layers", "2 of 2 layers"]
    assert docker_api._pulled([{"error": "not found\n"}], told.append) == "not found"


def _no_socket(**_: object) -> None:
    raise OSError(2, "No such file or directory")


def test_lines_of_a_build_are_told_and_its_error_ends_it() -> None:
    """Each line as it comes; Docker's sentence is the error."""
    told: list[str] = []
    with pytest.raises(docker_api.GpurigError, match="returned a non-zero code: 3"):
        docker_api._told(
            [{"stream": "Step 1/2\n"}, {"stream": "\n"}, {"stream": " ---> ab\nmore\n"},
             {"error": "The command '/bin/sh -c exit 3' returned a non-zero code: 3"}],
            "mine", told.append,
        )  # fmt: skip
    assert told == ["Step 1/2", " ---> ab", "more"]


class _Image:
    """What Docker's SDK gives for an image."""

    def save(self, named: str) -> Iterator[bytes]:
        yield from (b"half ", named.encode())


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_a_saved_image_is_the_user_s_alone(tmp_path: Path, umask: int) -> None:
    """As `docker save` has it; no link that lies at its place, or beside it, is followed."""
    victim, file = tmp_path / "victim", tmp_path / "lab.tar"
    for link in (file, tmp_path / f"lab.tar.{os.getpid()}"):
        link.symlink_to(victim)
    before = os.umask(umask)
    try:
        docker_api.save(cast("Any", _Image()), "lab:3", file)
    finally:
        os.umask(before)
    assert (file.read_bytes(), file.lstat().st_mode & 0o777) == (b"half lab:3", 0o600)
    assert not victim.exists()


ID = f"sha256:{'5f' * 32}"
NAMES = {"lab/tf:2.21", "debian:trixie", "localhost:5000/tf:latest", "gpurig/tensorflow:latest"}
CUT = b"14\r\n{"  # the beginning of an answer in chunks
Answer = tuple[int, Any] | bytes | None


class _Daemon(http.server.BaseHTTPRequestHandler):
    """
    What dockerd answers at its outer edge.

    + others: what it answers instead, by method and end of the path: status and body, an answer
      in chunks that it breaks off, or nothing at all
    """

    protocol_version = "HTTP/1.1"
    others: ClassVar[dict[str, Answer]]
    started: ClassVar[threading.Event]

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = unquote(urlsplit(self.path).path)
        whole = f"{self.command} {path}"
        instead = [answer for end, answer in self.others.items() if whole.endswith(end)]
        answer = instead[0] if instead else self.usual(path)
        if isinstance(answer, tuple):
            status, body = answer
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            return
        self.close_connection = True
        if answer:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(answer)

    do_POST = do_DELETE = do_GET

    def usual(self, path: str) -> Answer:
        """What it answers when all is well: a container that says `hello` and ends with 3."""
        end = path.rpartition("/")[2]
        if found := re.search("/images/(.+)/json$", path):
            return self.image(found[1])
        if end == "attach":
            self.send_response(101)
            self.send_header("Connection", "Upgrade")
            self.send_header("Upgrade", "tcp")
            self.end_headers()
            self.started.wait(5)
            self.wfile.write(b"\1\0\0\0\0\0\0\6hello\n")
            return None
        if end == "start":
            self.started.set()
        return {
            "version": (200, {"ApiVersion": "1.50"}),
            "_ping": (200, b"OK"),
            "info": (200, {"Architecture": "x86_64"}),
            "get": (200, b"layers"),
            "create": (201, {"Id": "aa"}),
            "json": (200, {"Id": "aa", "Config": {"Tty": False}}),
            "start": (204, b""),
            "wait": (200, {"StatusCode": 3}),
            "aa": (204, b""),
        }[end]

    def image(self, name: str) -> Answer:
        try:
            image_reference(name)
        except ValueError:
            return 400, {"message": "invalid reference format"}
        tagged = name if ":" in name.rpartition("/")[2] else f"{name}:latest"
        if {name, tagged} & {ID, *NAMES}:
            return 200, {"Id": ID, "RepoTags": sorted(NAMES)}
        return 404, {"message": f"No such image: {name}"}

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, Answer]]:
    """A daemon is there; what this has it answers instead."""
    instead: dict[str, Answer] = {}
    handler = type("Daemon", (_Daemon,), {"others": instead, "started": threading.Event()})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        monkeypatch.chdir(tmp_path)
        yield instead
        server.shutdown()
    gc.collect()


# The SDK leaves the socket of a container's output open.
leaky = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def image_command(*words: str) -> click.testing.Result:
    """What `gpurig image` answers to these words."""
    return click.testing.CliRunner().invoke(main.gpurig, ["image", *words])


@leaky
@pytest.mark.parametrize(
    "name", ["tensorflow", "gpurig/tensorflow", "lab/tf:2.21", "debian:trixie", "localhost:5000/tf"]
)
def test_an_image_is_found_by_the_name_that_it_was_built_under(
    others: dict[str, Answer], tmp_path: Path, name: str
) -> None:
    """Also with a tag, a folder or a registry, where gpurig/NAME is no name at all."""
    ran = image_command("run", name, "python", "train.py")
    assert (ran.exit_code, ran.output) == (3, "hello\n")
    saved = image_command("save", name, "lab.tar")
    assert saved.exit_code == 0, saved.exception
    assert (tmp_path / "lab.tar").read_bytes() == b"layers"


@leaky
def test_an_image_is_run_by_its_id_and_saved_by_its_name(others: dict[str, Answer]) -> None:
    """A file without a name is none that rig_images takes."""
    assert image_command("run", ID).exit_code == 3
    assert "is an id, not a name" in str(image_command("save", ID, "lab.tar").exception)


@pytest.mark.parametrize("name", ["lab/tf:2.20", "pytorch", "debian@" + ID])
def test_an_image_that_is_not_there_is_one_sentence(others: dict[str, Answer], name: str) -> None:
    """It names the image as the user did, also where the daemon takes no such name."""
    for refused in ({}, {"/json": (400, {"message": "invalid reference format"})}):
        others |= refused
        done = image_command("run", name)
        assert isinstance(done.exception, InputError)
        assert str(done.exception).startswith(f"there is no image {name}; build it")


REMOVE = "DELETE /v1.50/containers/aa"
NO_CONTAINER = (404, {"message": "No such container: aa"})
ENDS: dict[str, tuple[dict[str, Answer], int | str]] = {
    "it is removed": (
        {"/wait": NO_CONTAINER, REMOVE: NO_CONTAINER},
        "the container was removed while it ran",
    ),
    "it is being removed": (
        {
            "/wait": (200, {"StatusCode": 137}),
            REMOVE: (409, {"message": "removal is already in progress"}),
        },
        137,
    ),
    "the daemon goes away": (
        {"/wait": None, REMOVE: None},
        "Docker does not answer (Remote end closed connection without response)",
    ),
    "the daemon goes away at the end": ({REMOVE: None}, 3),
}  # fmt: skip


@leaky
@pytest.mark.parametrize(("instead", "told"), ENDS.values(), ids=ENDS)
def test_a_container_that_goes_by_itself_ends_the_run(
    others: dict[str, Answer], instead: dict[str, Answer], told: int | str
) -> None:
    """With its exit code where the daemon tells it, else with one sentence."""
    others |= instead
    done = image_command("run", "tensorflow")
    assert done.output == "hello\n"
    if isinstance(told, int):
        assert done.exit_code == told, done.exception
    else:
        assert str(done.exception) == f"{ID}: {told}"
        assert getattr(done.exception, "code", None) == "container-failed"


BUILD = ("build", "tensorflow", "--base", "debian:trixie")
HALF = "Docker ended in the middle of its answer"
SILENT = "Docker does not answer (Remote end closed connection without response); start Docker"
REFUSED: dict[str, tuple[tuple[str, ...], dict[str, Answer], str, str]] = {
    "which image": (
        ("run", "lab/tf:2.21"),
        {"/json": (403, {"message": "authorization denied by plugin"})},
        "docker-unreachable",
        "Docker does not answer (authorization denied by plugin); start Docker",
    ),
    "which image, no answer": (
        ("save", "lab/tf:2.21", "x"), {"/json": None}, "docker-unreachable", SILENT
    ),
    "what it offers": (("run", "tensorflow"), {"/info": None}, "docker-unreachable", SILENT),
    "which base": (("build", "tensorflow"), {"/json": None}, "docker-unreachable", SILENT),
    "a base": (("build", "tensorflow"), {"/create": CUT}, "base-image-missing", HALF),
    "a build": (BUILD, {"/build": CUT}, "image-build-failed", HALF),
    "a file": (("save", "tensorflow", "x"), {"/get": CUT}, "image-unsaved", HALF),
}  # fmt: skip


@pytest.mark.parametrize(("words", "instead", "code", "told"), REFUSED.values(), ids=REFUSED)
def test_a_daemon_that_refuses_or_goes_away_is_one_sentence(
    others: dict[str, Answer],
    tmp_path: Path,
    words: tuple[str, ...],
    instead: dict[str, Answer],
    code: str,
    told: str,
) -> None:
    """Whenever it does, and nothing half-written is left."""
    others |= instead
    done = image_command(*words)
    assert getattr(done.exception, "code", None) == code, done.exception
    assert "\n" not in str(done.exception)
    assert told in str(done.exception)
    assert not list(tmp_path.iterdir())


def test_an_error_of_ssh_has_its_own_words() -> None:
    """One that nothing else caused, as when a session ends."""
    error = paramiko.SSHException("SSH session not active")
    assert docker_api._last(error) == "Docker does not answer (SSH session not active)"


@pytest.mark.filterwarnings("ignore:docker-credential-none not installed:UserWarning")
def test_a_program_for_credentials_that_is_missing_is_named(
    others: dict[str, Answer], tmp_path: Path
) -> None:
    """As after Docker Desktop is removed, which leaves its line in config.json."""
    (tmp_path / "config.json").write_text('{"credsStore": "none"}')
    done = image_command(*BUILD)
    assert getattr(done.exception, "code", None) == "image-build-failed", done.exception
    assert "docker-credential-none not installed" in str(done.exception)
