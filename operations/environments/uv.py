"""uv on a host: in an environment of gpurig's own, and what its downloads go through."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from io import BytesIO
from pathlib import Path

from pyinfra import logger
from pyinfra.api import FileUploadCommand, StringCommand

from gpurig.contract.known import known
from gpurig.contract.promise import Commands, drift, holds, keeps
from gpurig.contract.staged import private
from gpurig.errors import GpurigError
from gpurig.facts.environments.tools import Tool, Tools
from gpurig.operations.shared import ownership
from gpurig.settings import pip
from gpurig.wheels import locks
from gpurig.wheels.cache import Shelf
from gpurig.wheels.locks import Lock

TOOLS = "/opt/gpurig/tools"
UV = f"{TOOLS}/bin/uv"

PYTHON = "3.12"  # that uv's wheel is looked for with; it is for any

# A word of `surroundings` for uv, which has no variable for it.
OPTIONS = "${GPURIG_UV:+--no-index}"

# Wheels that the control machine hands over, while they are installed; /tmp may be in memory.
WHEELS = "/opt/gpurig/wheels"
HANDED = private("wheels", WHEELS)

SECRETS = private("environment")  # index and proxy may hold passwords: never in a command line


@dataclass(frozen=True)
class Downloads:
    """
    How downloads are made; either address may hold a password, so neither is ever printed.

    + index: of wheels; proxy: for http and https; ``None``: as the tools have it
    + own: what the host's pip is told of indexes, where no index is given and this is the host
    + shelf: the control machine's cache that wheels are handed over from, ``None`` where the host
      downloads them
    """

    index: str | None = field(default=None, repr=False)
    proxy: str | None = field(default=None, repr=False)
    shelf: Shelf | None = None
    own: pip.Indexes = field(default=pip.Indexes(), repr=False)


@cache
def _uv_lock() -> Lock:
    return Lock("uv", (files("gpurig.wheels") / "data" / "locks" / "uv.txt").read_text())


@keeps("environments.tools")
def tools(downloads: Downloads) -> Commands:
    """
    uv, in an environment of gpurig's own, by hash, for the host's architecture.

    Root runs it: what others could change is not trusted any more, and made again.
    """
    ownership.root_alone("environments.folders", ownership.OURS)
    wanted = locks.pins(_uv_lock().text)["uv"]
    there = known(Tools, path=TOOLS) or Tool(version="", open="", closed="")
    if there["version"] == wanted:
        return holds(f"uv {wanted} in {TOOLS}")
    drift(
        actual=there["open"] or (f"uv {there['version']}" if there["version"] else "no uv"),
        wanted=f"uv {wanted}",
        will=f"install uv {wanted} in {TOOLS}",
    )
    yield from surroundings(downloads, _uv_lock(), PYTHON)
    yield from uploaded(_uv_lock().text, f"{SECRETS}.lock")
    # pip comes from the distribution's own wheels, so that nothing unverified is ever run.
    yield StringCommand(
        within(
            f"rm -rf {TOOLS} {TOOLS}.data &&"
            f" /usr/bin/virtualenv -q --no-download --app-data {TOOLS}.data"
            f" --python /usr/bin/python3 {TOOLS} && rm -rf {TOOLS}.data &&"
            f" {TOOLS}/bin/python -m pip install -q --no-cache-dir --disable-pip-version-check"
            f" --only-binary :all: --require-hashes -r {SECRETS}.lock"
        )
    )


def surroundings(
    downloads: Downloads,
    lock: Lock | None = None,
    python: str = "",
    names: Sequence[str] | None = None,
) -> Commands:
    """
    Indexes and proxy for what is downloaded, in a file that only root can read.

    + lock, python: what is installed, and for which, where that is known by a lock
    + names: its distributions, ``None`` for all
    """
    handed: list[Path] = []
    if downloads.shelf and lock:
        # Commands first: a plan asks whether there is one, and downloads nothing.
        yield StringCommand(f"rm -rf {WHEELS} && mkdir -p -m 755 {WHEELS} {HANDED}")
        handed = _from_shelf(downloads.shelf, lock, python, names)
    # manual: a Python comes only where rig_python asks for one, never because uv misses one.
    values = {"UV_SYSTEM_CERTS": "1", "UV_PYTHON_DOWNLOADS": "manual", "PIP_NO_INPUT": "1"}
    values |= _index(downloads.index) | _proxy(downloads.proxy)
    if handed:  # and no index is named: uv asks one that is, whatever else it is told
        values |= {"UV_FIND_LINKS": HANDED, "PIP_FIND_LINKS": HANDED}
        values |= {"GPURIG_UV": "1", "PIP_NO_INDEX": "1"}
    else:
        own = downloads.own.variables
        values |= {"UV_DEFAULT_INDEX": downloads.index} if downloads.index else own
        if lock and lock.index:
            # Any of them may have any of the wheels: what is right is told by its hash.
            every = f"{lock.index} {own.get('UV_INDEX', '')}".strip()
            values |= {"UV_INDEX": every, "UV_INDEX_STRATEGY": "unsafe-best-match"}
    text = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
    yield from uploaded(text, f"{SECRETS}.env")
    for file in handed:
        yield FileUploadCommand(str(file), f"{HANDED}/{file.name}")


def _index(url: str | None) -> dict[str, str]:
    """What pip is told of an index, and both of one without a certificate."""
    if not url:
        return {}
    if not url.startswith("http:"):
        return {"PIP_INDEX_URL": url}
    # Named by the administrator; every file is compared with its hash all the same.
    host = url.split("/")[2].rpartition("@")[2]
    return {"PIP_INDEX_URL": url, "UV_INSECURE_HOST": host, "PIP_TRUSTED_HOST": host}


def _proxy(url: str | None) -> dict[str, str]:
    names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
    return dict.fromkeys(names, url) if url else {}


def _from_shelf(shelf: Shelf, lock: Lock, python: str, names: Sequence[str] | None) -> list[Path]:
    """What is handed over; nothing where hosts may reach an index that this machine does not."""
    try:
        return shelf.files(lock, python, names)
    except GpurigError as error:
        if shelf.asked_for:
            raise
        logger.warning("%s; the host downloads its wheels itself", error)
        return []


def uploaded(text: str, path: str) -> Commands:
    """The commands that bring a text to a file that only root can read."""
    yield StringCommand(f"rm -f {path} && touch {path} && chmod 600 {path}")
    yield FileUploadCommand(BytesIO(text.encode()), path)


def within(script: str) -> str:
    """A script with what `surroundings` brought, which is gone when it ends."""
    gone = f"rm -rf {SECRETS}.* {HANDED}; rmdir {WHEELS} 2>/dev/null"
    return f"trap '{gone}' EXIT; . {SECRETS}.env; {script}"
