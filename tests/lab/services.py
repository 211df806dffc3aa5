"""The lab's own processes on the bridge: the apt cache and the web server."""

from __future__ import annotations

import ast
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from .commands import Process, run, start
from .errors import LabError
from .network import GATEWAY

APT_PORT = 3142
WEB_PORT = 3141
APT_PROXY = f"http://{GATEWAY}:{APT_PORT}"
WEB = f"http://{GATEWAY}:{WEB_PORT}"
# pip knows its default index; the repository names no package host.
DEFAULT_INDEX = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"


class Services:
    """Starts what does not run, leaves what does, stops all of it; state lies in the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "services"
        self.state = self.folder / "running.json"

    def start(self, folders: dict[str, Path], index: Path, cache: Path) -> None:
        """
        Bring up whatever is down.

        + folders: those the web server shows, by the first part of their address
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        running = self._running()
        if "apt" not in running:
            running["apt"] = self._launch("apt", self._apt_cache(cache), APT_PORT)
        if "web" not in running:
            running["web"] = self._launch("web", self._web(folders, index), WEB_PORT)
        self.state.write_text(json.dumps({name: asdict(p) for name, p in running.items()}))

    def stop(self) -> None:
        """End them all."""
        for process in self._running().values():
            os.kill(process.pid, 15)
            deadline = time.monotonic() + 10
            while process.alive and time.monotonic() < deadline:
                time.sleep(0.02)
            if process.alive:
                os.kill(process.pid, 9)
        self.state.unlink(missing_ok=True)

    def _running(self) -> dict[str, Process]:
        try:
            known = json.loads(self.state.read_text())
        except FileNotFoundError:
            return {}
        processes = {name: Process(**fields) for name, fields in known.items()}
        return {name: process for name, process in processes.items() if process.alive}

    def _launch(self, name: str, argv: Sequence[str], port: int) -> Process:
        log = self.folder / f"{name}.log"
        if _listening(port):
            raise LabError(f"port {port} of {GATEWAY} is taken by a program the lab did not start")
        package = Path(__file__).parents[__package__.count(".") + 1]
        log.unlink(missing_ok=True)
        process = start(*argv, log=log, env={"PYTHONPATH": str(package)})
        deadline = time.monotonic() + 20
        while not _listening(port):
            if not process.alive or time.monotonic() > deadline:
                raise LabError(f"the lab's {name} service did not start; its log is {log}")
            time.sleep(0.05)
        return process

    def _apt_cache(self, cache: Path) -> list[str]:
        configuration = self.folder / "apt-cacher-ng"
        configuration.mkdir(exist_ok=True)
        cache.mkdir(parents=True, exist_ok=True)
        settings = {
            "CacheDir": cache,
            "LogDir": self.folder,
            "SocketPath": self.folder / "apt.socket",
            "SupportDir": "/usr/lib/apt-cacher-ng",
            "BindAddress": GATEWAY,
            "Port": APT_PORT,
            "ForeGround": 1,
            "ExThreshold": 4,
        }
        if proxy := os.environ.get("http_proxy"):
            settings["Proxy"] = proxy
        text = "".join(f"{key}: {value}\n" for key, value in settings.items())
        (configuration / "acng.conf").write_text(text)
        return ["apt-cacher-ng", "-c", str(configuration)]

    def _web(self, folders: dict[str, Path], index: Path) -> list[str]:
        configuration = self.folder / "web.json"
        configuration.touch(mode=0o600)  # an index address may carry a password
        settings = {
            "address": GATEWAY,
            "port": WEB_PORT,
            "index": str(index),
            "upstreams": upstream_indexes(),
            "folders": {name: str(place) for name, place in folders.items()},
        }
        configuration.write_text(json.dumps(settings, indent=2))
        return [sys.executable, "-m", f"{__package__}.web", str(configuration)]


def upstream_indexes() -> list[str]:
    """The package indexes pip uses on this machine: its main one, then the extra ones."""
    pip = _python_with_pip()
    listed = run(*pip, "-m", "pip", "config", "list", what="read pip's configuration")
    found: dict[str, str] = {}
    for line in sorted(listed.splitlines(), reverse=True):  # the environment's lines win
        key, _, value = line.partition("=")
        found[key.rpartition(".")[2]] = str(ast.literal_eval(value))
    main = found.get("index-url") or run(*pip, "-c", DEFAULT_INDEX).strip()
    extra = found.get("extra-index-url", "").split()
    return [main, *extra]


def _python_with_pip() -> list[str]:
    for python in (sys.executable, "python3"):
        found = subprocess.run([python, "-m", "pip", "--version"], check=False, capture_output=True)
        if found.returncode == 0:
            return [python]
    run("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", "install", "--no-install-recommends",
        "python3-pip", what="install pip", env={"DEBIAN_FRONTEND": "noninteractive"})  # fmt: skip
    return ["/usr/bin/python3"]


def _listening(port: int) -> bool:
    try:
        socket.create_connection((GATEWAY, port), timeout=1).close()
    except OSError:
        return False
    return True
