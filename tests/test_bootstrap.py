"""What ./gpurig does before gpurig runs: .venv, from wherever pip is configured to take it."""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from toy_clone import ROOT, Clone, Served, certificate, ended, served, wheels

NO_INDEX = "gpurig: the package index could not be used (PIP_INDEX_URL names another); "


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheels of the toy."""
    return wheels(tmp_path_factory.mktemp("wheels"))


@pytest.fixture
def index(made: Mapping[str, Path]) -> Iterator[Served]:
    """An index that has them all."""
    with served(made) as running:
        yield running


@pytest.fixture
def clone(tmp_path: Path, made: Mapping[str, Path]) -> Clone:
    """A clone in which ./gpurig has not run."""
    return Clone(tmp_path, made)


@pytest.fixture(scope="module")
def script() -> Any:
    """scripts/uv_as_pip.py as a module."""
    spec = spec_from_file_location("uv_as_pip", ROOT / "scripts/uv_as_pip.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_run_gets_what_it_needs_and_tests_get_the_rest(clone: Clone, index: Served) -> None:
    """A mirror in PIP_INDEX_URL serves both, each once; without the tests' part gpurig runs."""
    kept = index.made.pop("pytest")
    assert clone.run(PIP_INDEX_URL=index.url)[:2] == (0, "ran\n")
    assert index.asked == ["uv", "toy"]
    code, _, told = clone.run("test", PIP_INDEX_URL=index.url)
    assert code == 2
    assert NO_INDEX in told
    assert clone.run() == (0, "ran\n", "")
    index.made["pytest"] = kept
    assert clone.run("test", PIP_INDEX_URL=index.url)[:2] == (0, "tests ran\n")
    assert index.asked == ["uv", "toy", "pytest"]
    assert clone.run("test") == (0, "tests ran\n", "")
    assert clone.run() == (0, "ran\n", "")


def test_pip_conf_and_a_private_ca_count(
    clone: Clone, made: Mapping[str, Path], tmp_path: Path
) -> None:
    """Indexes of pip.conf are asked, all of them, and trusted by the certificate it names."""
    pem = certificate(tmp_path / "index.pem")
    (rest := dict(made)).pop("uv")
    conf = tmp_path / "pip.conf"
    with served({"uv": made["uv"]}, pem) as main, served(rest, pem) as extra:
        conf.write_text(
            f"[global]\nindex-url = {main.url}\nextra-index-url =\n  {extra.url}\ncert = {pem}\n"
        )
        code, said, told = clone.run(PIP_CONFIG_FILE=str(conf))
        assert (code, said) == (0, "ran\n"), (
            told + clone.folder.joinpath(".bootstrap.log").read_text()
        )
        assert (main.asked, extra.asked) == (["uv"], ["toy"])
        (clone.folder / ".venv/.gpurig").unlink()
        conf.write_text(conf.read_text().replace(f"cert = {pem}", ""))
        assert clone.run(PIP_CONFIG_FILE=str(conf))[0] == 2  # nobody vouches for it


def test_a_proxy_is_used(clone: Clone, index: Served) -> None:
    """With http_proxy the index's name need not be known here."""
    proxy = index.url.removesuffix("simple/")
    code, said, _ = clone.run(
        PIP_INDEX_URL="http://index.invalid/simple/",
        PIP_TRUSTED_HOST="index.invalid",
        http_proxy=proxy,
    )
    assert (code, said) == (0, "ran\n")
    assert index.asked == ["uv", "toy"]


@pytest.mark.parametrize("missing", ["uv", "toy"])
def test_without_an_index_it_is_one_sentence(missing: str, clone: Clone, index: Served) -> None:
    """Whether pip or uv finds nothing, one sentence names the log."""
    del index.made[missing]
    code, said, told = clone.run(PIP_INDEX_URL=index.url)
    log = clone.folder / ".bootstrap.log"
    first, *rest = told.splitlines()
    assert (code, said) == (2, "")
    assert first == f"gpurig: preparing {clone.folder}/.venv"
    assert rest == [f"{NO_INDEX}{log} has what was said"]
    assert missing in log.read_text()


def test_a_person_sees_that_it_goes_on(clone: Clone, index: Served) -> None:
    """On a terminal, where a step takes long: for how long, and what it does, in one line."""
    index.held = "toy"
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    started = clone.start(PIP_INDEX_URL=index.url, errors=theirs)
    os.close(theirs)
    said = b""
    with suppress(OSError):  # the terminal ends with the last that writes to it
        # Once gevent is at work the index is served only while nothing blocks.
        while select.select([ours], [], [], 60)[0] and (piece := os.read(ours, 1000)):
            said += piece
            if b"  3 s" in said:
                index.go.set()
    os.close(ours)
    assert ended(started)[:2] == (0, "ran\n")
    first, *frames = said.decode().split("\r\x1b[K")
    assert first.startswith("gpurig: preparing ")
    assert [frame for frame in frames if frame.startswith("  2 s")]
    assert all(len(frame) < 40 for frame in frames)
    assert frames[-1] == ""


@pytest.mark.parametrize("held", ["toy", "pytest"])
def test_killed_anywhere_it_starts_over(held: str, clone: Clone, index: Served) -> None:
    """What a killed run left behind is not taken for complete."""
    index.held = held
    killed = clone.start("test", PIP_INDEX_URL=index.url)
    assert index.reached.wait(60)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    for packages in clone.folder.glob(".venv/lib/*/site-packages"):
        about = packages / "pytest-1.dist-info"  # as if it was killed between two files
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: pytest\nVersion: 1\n")
        (about / "RECORD").write_text("")
    index.go.set()
    code, said, told = clone.run("test", PIP_INDEX_URL=index.url)
    assert (code, said) == (0, "tests ran\n"), told
    assert clone.run() == (0, "ran\n", "")


def test_two_at_once_prepare_once(clone: Clone, index: Served) -> None:
    """The second waits for the first, and then has nothing to prepare."""
    index.held = "toy"
    first = clone.start(PIP_INDEX_URL=index.url)
    assert index.reached.wait(60)
    second = clone.start(PIP_INDEX_URL=index.url)
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(1)
    index.go.set()
    assert ended(first)[:2] == (0, "ran\n")
    assert ended(second) == (0, "ran\n", "")
    assert index.asked == ["uv", "toy"]


FOREIGN = {
    "Python's": {
        "PYTHONPATH": "FOLDER", "PYTHONHOME": "FOLDER", "PYTHONSTARTUP": "FOLDER/toy.py",
        "PYTHONINSPECT": "1", "PYTHONWARNINGS": "error", "PYTHONUSERBASE": "FOLDER",
        "PYTHONSAFEPATH": "1", "PYTHONOPTIMIZE": "2", "PYTHONPLATLIBDIR": "none",
    },
    "pip's": {
        "PIP_TARGET": "FOLDER", "PIP_USER": "1", "PIP_PREFIX": "FOLDER", "PIP_CONSTRAINT": "/none",
        "PIP_REQUIRE_VIRTUALENV": "1", "PIP_DRY_RUN": "1", "PIP_QUIET": "3", "PIP_LOG": "/none/log",
        "PIP_NO_BINARY": ":all:",
    },
    "uv's": {
        "UV_TARGET": "FOLDER", "UV_PREFIX": "FOLDER", "UV_CONSTRAINT": "/none", "UV_PYTHON": "2.7",
        "UV_SYSTEM_PYTHON": "1", "UV_REQUIRE_HASHES": "1", "UV_EXCLUDE_NEWER": "2001-01-01",
        "UV_NO_BINARY": "1", "UV_PROJECT_ENVIRONMENT": "FOLDER", "UV_CONFIG_FILE": "/none",
    },
    "the shell's": {
        "CDPATH": "FOLDER", "ENV": "FOLDER/toy.py", "BASH_ENV": "FOLDER/toy.py", "IFS": "/",
        "GREP_OPTIONS": "-v", "POSIXLY_CORRECT": "1", "PS4": "$(false)", "TMOUT": "1",
    },
    "the language's": {"LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8", "LANGUAGE": "tr"},
    "a language that is not there": {"LC_ALL": "xx_YY"},
    "none": {"LC_ALL": "POSIX", "LANG": ""},
}  # fmt: skip


# All at once; by themselves they tell which it is.
TOGETHER = {key: value for variables in FOREIGN.values() for key, value in variables.items()}
TOGETHER |= FOREIGN["the language's"]
APART = [pytest.param(one, id=name, marks=pytest.mark.long) for name, one in FOREIGN.items()]


@pytest.mark.parametrize("variables", [pytest.param(TOGETHER, id="all"), *APART])
def test_no_variable_of_the_caller_s_decides_what_runs(
    clone: Clone, index: Served, tmp_path: Path, variables: dict[str, str]
) -> None:
    """Nothing of theirs is imported, nothing goes elsewhere; the index that they name counts."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    for module in ("toy", "click", "venv", "sitecustomize", "usercustomize"):
        (folder / f"{module}.py").write_text("raise SystemExit('a foreign module')\n")
    before = sorted(folder.iterdir())
    theirs = {key: value.replace("FOLDER", str(folder)) for key, value in variables.items()}
    answer = clone.run(PIP_INDEX_URL=index.url, **theirs)
    log = clone.folder / ".bootstrap.log"
    assert answer[:2] == (0, "ran\n"), answer[2] + log.read_text()
    assert clone.run(**theirs) == (0, "ran\n", "")
    assert sorted(folder.iterdir()) == before


def test_pip_conf_that_leads_elsewhere_does_not(
    clone: Clone, index: Served, tmp_path: Path
) -> None:
    """Of a configuration file only what says from where counts."""
    conf = tmp_path / "pip.conf"
    conf.write_text(
        f"[global]\nindex-url = {index.url}\ntarget = {tmp_path}/theirs\nuser = true\n"
        "[install]\nrequire-virtualenv = true\nconstraint = /none\n"
    )
    answer = clone.run(PIP_CONFIG_FILE=str(conf))
    assert answer[:2] == (0, "ran\n"), (clone.folder / ".bootstrap.log").read_text()
    assert not (tmp_path / "theirs").exists()


@pytest.mark.parametrize(
    "mask", [0o077, 0o777, *(pytest.param(n, marks=pytest.mark.long) for n in (0o000, 0o277))]
)
def test_any_umask_does(clone: Clone, index: Served, mask: int) -> None:
    """What is prepared has modes of its own, and a later run of somebody else's can use it."""
    before = os.umask(mask)
    try:
        answer = clone.run(PIP_INDEX_URL=index.url)
    finally:
        os.umask(before)
    assert answer[:2] == (0, "ran\n"), answer
    modes = {name: (clone.folder / name).stat().st_mode & 0o777 for name in
             (".bootstrap.lock", ".bootstrap.log", ".venv", ".venv/.gpurig")}  # fmt: skip
    assert modes == {
        ".bootstrap.lock": 0o644, ".bootstrap.log": 0o644, ".venv": 0o755, ".venv/.gpurig": 0o644,
    }  # fmt: skip


def test_a_prepared_clone_need_not_be_writable(clone: Clone, index: Served) -> None:
    """As where it lies on a medium that is only read."""
    clone.run(PIP_INDEX_URL=index.url)
    clone.folder.chmod(0o555)
    before = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
    answer = ended(clone.start(before=before))
    clone.folder.chmod(0o755)
    assert answer == (0, "ran\n", "")


def test_a_home_that_cannot_be_written_does(clone: Clone, index: Served) -> None:
    """uv's cache is in the home folder; without one nothing is kept."""
    assert clone.run(PIP_INDEX_URL=index.url, HOME="/proc/no-home")[:2] == (0, "ran\n")


def test_a_clone_that_cannot_be_written_is_one_sentence(clone: Clone) -> None:
    """Nothing is begun there."""
    clone.folder.chmod(0o555)
    before = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
    code, said, told = ended(clone.start(before=before))
    clone.folder.chmod(0o755)
    assert (code, said) == (2, "")
    assert told == f"gpurig: {clone.folder} cannot be written; clone it where you may write\n"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A folder for PATH: its python3 is not enough, and it has no apt-get to bring another."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("sh", "dirname", "readlink", "cat", "cksum", "flock", "rm", "env"):
        (tools / tool).symlink_to(f"/usr/bin/{tool}")
    (tools / "python3").write_text("#!/bin/sh\nexit 1\n")
    (tools / "python3").chmod(0o755)
    return tools


def test_a_python_that_is_too_old_is_one_sentence(clone: Clone, old: Path) -> None:
    """One older than 3.10, or without venv."""
    covered = f"mount --bind '{old}/python3' $(readlink -f /usr/bin/python3) && exec \"$@\""
    own = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else [])]
    before = [*own, "sh", "-c", f'PATH=/usr/sbin:/usr/bin:/sbin:/bin; {covered}', "sh",
              "env", f"PATH={old}"]  # fmt: skip
    code, said, told = ended(clone.start(before=before))
    assert (code, said) == (2, "")
    assert told == (
        "gpurig: needs python3 >= 3.10 with venv and pip; install them and run this again\n"
    )


def test_an_old_python_before_the_distribution_s_does_not_matter(
    clone: Clone, index: Served, old: Path
) -> None:
    """As one of conda's; what else the clone needs is there."""
    for tool in ("mkdir", "id", "tail", "sleep"):
        (old / tool).symlink_to(f"/usr/bin/{tool}")
    assert clone.run(PATH=str(old), PIP_INDEX_URL=index.url)[:2] == (0, "ran\n")


@pytest.mark.parametrize("moved", ["folder", "Python"])
def test_what_was_prepared_elsewhere_is_prepared_again(
    clone: Clone, index: Served, tmp_path: Path, moved: str
) -> None:
    """A copy never runs the program of the folder that it came from; a Python may be gone."""
    clone.run(PIP_INDEX_URL=index.url)
    if moved == "folder":
        shutil.copytree(clone.folder, tmp_path / "copy", symlinks=True)
        clone.folder = tmp_path / "copy"
    else:
        (clone.folder / ".venv/bin/python").unlink()
        (clone.folder / ".venv/bin/python").symlink_to(tmp_path / "gone")
    index.asked.clear()
    assert clone.run(PIP_INDEX_URL=index.url)[:2] == (0, "ran\n")
    assert index.asked
    assert str(clone.folder) in (clone.folder / ".venv/bin/gpurig").read_text()
    assert clone.run()[:2] == (0, "ran\n")


def test_a_clone_that_root_prepared_is_one_sentence(clone: Clone) -> None:
    """With the command that gives it back."""
    lock = clone.folder / ".bootstrap.lock"
    lock.touch(mode=0o444)
    before = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
    code, said, told = ended(clone.start(before=before))
    assert (code, said) == (2, "")
    assert told.startswith(f"gpurig: {lock} belongs to somebody else, who ran this here; run: sudo")


def test_the_later_section_of_pip_s_configuration_wins(script: Any) -> None:
    """As for ``pip install``: global, install, the environment; other commands do not count."""
    listed = (
        ":env:.index-url='https://c/'\nglobal.index-url='https://a/'\n"
        "install.index-url='https://b/'\ninstall.cert='/b'\ndownload.cert='/d'\nglobal.timeout='9'\n"
    )
    assert script.configured(listed) == {"index-url": "https://c/", "cert": "/b", "timeout": "9"}


@pytest.mark.parametrize(
    ("options", "environ", "told"),
    [
        ({"index-url": "https://a/"}, {}, {"UV_DEFAULT_INDEX": "https://a/"}),
        ({"index-url": "https://a/"}, {"UV_DEFAULT_INDEX": "https://u/"}, {}),
        ({"extra-index-url": "\nb\nc"}, {}, {"UV_INDEX": "b c"}),
        ({"find-links": "/w https://f/"}, {}, {"UV_FIND_LINKS": "/w,https://f/"}),
        ({"trusted-host": "a b:8"}, {}, {"UV_INSECURE_HOST": "a b:8"}),
        ({"proxy": "http://p"}, {}, {"HTTP_PROXY": "http://p", "HTTPS_PROXY": "http://p"}),
        ({"default-timeout": "180"}, {}, {"UV_HTTP_TIMEOUT": "180"}),
        ({"cert": "/a.pem"}, {"SSL_CERT_FILE": "/b.pem"}, {"SSL_CERT_FILE": "/a.pem"}),
        ({"cert": "/"}, {}, {"SSL_CERT_DIR": "/"}),
        ({}, {"REQUESTS_CA_BUNDLE": "/r.pem"}, {"SSL_CERT_FILE": "/r.pem"}),
        ({"client-cert": "/me.pem"}, {}, {"SSL_CLIENT_CERT": "/me.pem"}),
        ({"quiet": "1"}, {}, {}),
    ],
)
def test_uv_is_told_what_pip_is_configured_for(
    options: dict[str, str], environ: dict[str, str], told: dict[str, str], script: Any
) -> None:
    """Each option that says from where, by uv's name for it; what uv was told already stays."""
    found = script.environment(options, environ)
    always = {"UV_INDEX_STRATEGY", "UV_SYSTEM_CERTS"}
    assert {name: found[name] for name in found.keys() - always} == told


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_of_the_tests_is_ours_and_prepares_nothing(word: str, tmp_path: Path) -> None:
    """Not pytest's hundreds of lines."""
    clone = shutil.copy(ROOT / "gpurig", tmp_path / "gpurig")
    done = subprocess.run([clone, "test", word], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: ./gpurig test [OPTIONS] [FILE]...\n")
    assert "--lab" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert [file.name for file in tmp_path.iterdir()] == ["gpurig"]
