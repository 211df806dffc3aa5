"""The words of programs that failed: those that say why are found, at any width."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gpurig.contract.said import plain, said
from gpurig.wheels.uv_compile import uv_compile

# As uv 0.13.9, apt 2.6 and 3.0, dpkg 1.22, pip 25.1 and dnf 4 print it.
UV_NAME = """Using Python 3.13.5 environment at: v
error: Request failed after 3 retries in 11.4s
  cause: Failed to fetch: https://pypi.example/simple/setuptools/
  cause: error sending request for url (https://pypi.example/simple/setuptools/)
  cause: client error (Connect)
  cause: dns error
  cause: failed to lookup address information: Temporary failure in name resolution"""
UV_OLD = """error: Failed to fetch: `https://pypi.example/simple/six/`
  Caused by: Request failed after 3 retries
  Caused by: tcp connect error: Connection refused (os error 111)"""
UV_NARROW = """error: Request failed after 1 retry in 1.9s
  cause: Failed to fetch: https://pypi.example/simple/six/
  cause: failed to lookup address information: Temporary failure in name
         resolution"""
UV_NONE = """error: No solution found when resolving dependencies
  cause: Because there is no version of six==99.0 and you require six==99.0, we can
         conclude that your requirements are unsatisfiable."""
UV_BUILD = """error: Failed to build `horovod==0.28.1`
  cause: The build backend returned an error
  cause: cmake was not found"""
UV_HASH = "error: Hash mismatch for `six==1.17.0`\n"
APT_NAME = """Reading package lists...
W: Failed to fetch http://deb.example/dists/trixie/InRelease  Could not resolve 'deb.example'
W: Some index files failed to download. They have been ignored, or old ones used instead.
Reading package lists...
E: Unable to locate package docker.io"""
APT_GONE = """Err:1 http://deb.example/pool/a_1_amd64.deb
  404  Not Found [IP: 10.0.0.1 80]
E: Failed to fetch http://deb.example/pool/a_1_amd64.deb  404  Not Found [IP: 10.0.0.1 80]
E: Failed to fetch http://deb.example/pool/b_1_amd64.deb  404  Not Found [IP: 10.0.0.1 80]
E: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?"""
APT_HELD = """The following packages have unmet dependencies:
 docker.io : Depends: runc but it is not going to be installed
E: Unable to correct problems, you have held broken packages.
Reading state information..."""
APT_KEY = """W: GPG error: https://nv.example/deb InRelease: NO_PUBKEY A4B469963BF863CC
E: The repository 'https://nv.example/deb InRelease' is not signed.
E: apt refuses https://nv.example/deb: another key than the accepted one has signed it"""
DPKG = """Setting up docker.io (26.1.5) ...
dpkg: error processing package docker.io (--configure):
 installed docker.io package post-installation script subprocess returned error exit status 1
Errors were encountered while processing:
 docker.io
E: Sub-process /usr/bin/dpkg returned an error code (1)"""
PIP = """WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError('<x>: \
Failed to establish a new connection: [Errno -2] Name or service not known')': /simple/uv/
ERROR: Could not find a version that satisfies the requirement uv==0.13.9 (from versions: none)
ERROR: No matching distribution found for uv==0.13.9""".replace("\\\n", "")
DNF = "Last metadata expiration check\nE: package kmod-nvidia requires kernel = 6.1"


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (UV_NAME, "uv cannot fetch https://pypi.example/simple/setuptools/ (the name does not"
                  " resolve)"),
        (UV_OLD, "uv cannot fetch https://pypi.example/simple/six/ (it refuses connections)"),
        (UV_NARROW, "uv cannot fetch https://pypi.example/simple/six/ (the name does not resolve)"),
        (UV_NONE, "Because there is no version of six==99.0 and you require six==99.0, we can"
                  " conclude that your requirements are unsatisfiable."),
        (UV_BUILD, "Failed to build `horovod==0.28.1` (The build backend returned an error; cmake"
                   " was not found)"),
        (UV_HASH, "error: Hash mismatch for `six==1.17.0`"),
        (APT_NAME, "Unable to locate package docker.io; apt cannot fetch"
                   " http://deb.example/dists/trixie/InRelease (the name does not resolve)"),
        (APT_GONE, "apt cannot fetch http://deb.example/pool/a_1_amd64.deb (it has nothing there),"
                   " and 1 more"),
        (APT_HELD, "Unable to correct problems, you have held broken packages"),
        (APT_KEY, "apt refuses https://nv.example/deb: another key than the accepted one has signed"
                  " it"),
        (DPKG, "dpkg cannot install docker.io (installed docker.io package post-installation"
               " script subprocess returned error exit status 1)"),
        (PIP, "pip cannot fetch /simple/uv/ from its index (the name does not resolve)"),
        (DNF, "package kmod-nvidia requires kernel = 6.1"),
        ("one\n\ntwo \n", "two"),
        ("", "it printed nothing"),
    ],
)  # fmt: skip
def test_the_words_that_matter(lines: str, told: str) -> None:
    """A reason that the program gives, not the last line by chance."""
    assert said(lines.splitlines()) == told


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("[Errno -3] Temporary failure in name resolution", "the name does not resolve"),
        ("Could not resolve 'deb.example'", "the name does not resolve"),
        ("Connection refused (os error 111)", "it refuses connections"),
        ("Unable to connect to 10.77.0.1:9:", "nothing answers there"),
        ("connect (113: No route to host)", "the network has no way to it"),
        ("Connection timed out", "it does not answer in time"),
        ("invalid peer certificate: UnknownIssuer", "its certificate is not trusted"),
        ("HTTP status client error (403 Forbidden)", "it refuses access"),
        ("407  Proxy Authentication Required", "the proxy wants a password"),
        ("400  Bad Request [IP: 10.0.0.1 3142]", "it refuses this request"),
        ("503  Service Unavailable", "it reports an error of its own"),
        (" something else ", "something else"),
    ],
)
def test_reasons_in_plain_words(reason: str, told: str) -> None:
    """Of each tool's wording for the same case."""
    assert plain(reason) == told


def test_uv_of_today_says_it_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its real words about an index that is not there, and about a version that is not there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    here = {"python": version, "platform": "x86_64-manylinux_2_28"}

    def asked(index: str) -> subprocess.CompletedProcess[str]:
        done = uv_compile("-", index=index, stdin="six==99.0\n", **here)  # type: ignore[arg-type]
        assert done.returncode
        return done

    told = said(asked("http://127.0.0.1:1/simple/").stderr.splitlines())
    assert told == "uv cannot fetch http://127.0.0.1:1/simple/six/ (it refuses connections)"
    (tmp_path / "simple/six").mkdir(parents=True)
    (tmp_path / "simple/six/index.html").write_text("<html></html>")
    told = said(asked((tmp_path / "simple").as_uri()).stderr.splitlines())
    assert told.startswith("Because ")
    assert told.endswith("unsatisfiable.")
