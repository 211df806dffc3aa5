"""A clone so small that ./gpurig prepares it in seconds, and the index that serves it."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import os
import shlex
import shutil
import ssl
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ROOT = Path(__file__).resolve().parents[1]
LOCKS = {
    "toy": "requirements.lock",
    "pytest": "requirements-test.lock",
    "uv": "src/gpurig/wheels/data/locks/uv.txt",
}
BACKEND = """
import zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    import toy  # as hatchling, it comes from the lock
    with zipfile.ZipFile(f"{folder}/gpurig-0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("gpurig-0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: gpurig\\nVersion: 0\\n")
        wheel.writestr("gpurig-0.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        wheel.writestr("gpurig-0.dist-info/entry_points.txt", "[console_scripts]\\ngpurig = toy:main\\n")
        wheel.writestr("gpurig-0.dist-info/RECORD", "")
    return "gpurig-0-py3-none-any.whl"
"""  # noqa: E501
PROJECT = """
[build-system]
requires = ["toy"]
build-backend = "backend"
backend-path = ["."]
"""


def wheels(folder: Path) -> dict[str, Path]:
    """One that leads to the uv of these tests, what a toy's run needs, and what its tests need."""
    made = {
        "toy": _wheel(folder, "toy", {"toy.py": "def main():\n    print('ran')\n"}),
        "pytest": _wheel(folder, "pytest", {"pytest.py": "print('tests ran')\n"}),
    }
    real = Path(sys.executable).with_name("uv")
    script = f'#!/bin/sh\nexec {shlex.quote(str(real))} "$@"\n'
    made["uv"] = _wheel(folder, "uv", {"uv-1.data/scripts/uv": script})
    return made


def _wheel(folder: Path, name: str, files: Mapping[str, str]) -> Path:
    made = folder / f"{name}-1-py3-none-any.whl"
    about = f"{name}-1.dist-info"
    with zipfile.ZipFile(made, "w") as wheel:
        for place, text in files.items():
            info = zipfile.ZipInfo(place)
            info.external_attr = 0o100755 << 16  # pip asks for a regular file as well
            wheel.writestr(info, text)
        wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    return made


class Clone:
    """The bootstrap of this repository around a project of one package."""

    def __init__(self, folder: Path, made: Mapping[str, Path]) -> None:
        self.folder = folder / "a clone"  # its path has a space
        self.home = folder / "home"
        self.home.mkdir()
        for name in ("gpurig", "scripts/uv_as_pip.py"):
            (self.folder / name).parent.mkdir(exist_ok=True, parents=True)
            shutil.copy(ROOT / name, self.folder / name)
        (self.folder / "backend.py").write_text(BACKEND)
        (self.folder / "pyproject.toml").write_text(PROJECT)
        for name, place in LOCKS.items():
            digest = hashlib.sha256(made[name].read_bytes()).hexdigest()
            (self.folder / place).parent.mkdir(exist_ok=True, parents=True)
            (self.folder / place).write_text(f"{name}==1 --hash=sha256:{digest}\n")

    def start(
        self,
        *words: str,
        before: Iterable[str] = (),
        errors: int = subprocess.PIPE,
        **variables: str,
    ) -> subprocess.Popen[str]:
        """``./gpurig WORDS`` with nothing of this machine's configuration but these variables."""
        environ = {
            "PATH": f"{sys.base_prefix}/bin:/usr/bin:/bin",
            "HOME": str(self.home),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_RETRIES": "0",
            "UV_HTTP_RETRIES": "0",
        }
        return subprocess.Popen(
            [*before, self.folder / "gpurig", *words],
            cwd=self.home, env=environ | variables, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
        )  # fmt: skip

    def run(self, *words: str, **variables: str) -> tuple[int, str, str]:
        """Exit code, output and errors of ``./gpurig WORDS``."""
        return ended(self.start(*words, **variables))


def ended(started: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, output and errors, at most a minute later."""
    said, complained = started.communicate(timeout=60)
    return started.returncode, said, complained


class Served:
    """
    An index on the loopback device, which is a proxy as well.

    + asked: the names of the files that were fetched
    + held: a name whose file waits until ``go`` is set; ``reached`` is set when one waits
    """

    def __init__(self, made: Mapping[str, Path]) -> None:
        self.made = dict(made)
        self.asked: list[str] = []
        self.held, self.reached, self.go = "", threading.Event(), threading.Event()
        self.url = ""


@contextmanager
def served(made: Mapping[str, Path], certificate: Path | None = None) -> Iterator[Served]:
    """
    An index that has these wheels.

    + certificate: key and certificate; with it the index speaks TLS
    """
    index = Served(made)
    handler = partial(_Handler, index)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        scheme = "https" if certificate else "http"
        index.url = f"{scheme}://127.0.0.1:{server.server_port}/simple/"
        yield index
        index.go.set()
        server.shutdown()


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, index: Served, *about: object) -> None:
        self.index = index
        super().__init__(*about)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        name = self.path.rstrip("/").rpartition("/")[2]
        if file := self.index.made.get(name):
            self._answer("text/html", f'<a href="/{file.name}">{file.name}</a>'.encode())
            return
        for file in self.index.made.values():
            if file.name == name:
                self.index.asked.append(name.split("-")[0])
                if name.startswith(f"{self.index.held}-"):
                    self.index.reached.set()
                    self.index.go.wait(60)
                self._answer("application/zip", file.read_bytes())
                return
        self.send_error(404)

    def do_HEAD(self) -> None:
        self.send_error(405)

    def _answer(self, kind: str, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        try:
            self.wfile.write(content)
        except OSError:
            self.close_connection = True  # whoever asked was killed

    def log_message(self, *_: object) -> None:
        """Nothing: pytest would show it with whatever fails."""


def certificate(file: Path) -> Path:
    """A file with the key and the certificate of 127.0.0.1, which only itself vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "an index")])
    now = datetime.datetime.now(datetime.timezone.utc)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=9))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(pem))
    return file
