"""The wheels that pip finds here beside its indexes (find-links), as an index for the hosts."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from .network import GATEWAY


def found(pattern: str) -> list[Path]:
    """The wheels of this name in the folders that pip is configured to look into."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    folders = {
        folder
        for line in listed.splitlines()
        if line.partition("=")[0].endswith("find-links")
        for folder in str(ast.literal_eval(line.partition("=")[2])).split()
    }
    return sorted({file for folder in folders for file in Path(folder).glob(pattern)})


@contextmanager
def served(folder: Path, package: str, wheels: list[Path]) -> Iterator[str]:
    """
    An index with these wheels of one package, on the bridge; its address without a last slash.

    + folder: an empty one
    """
    (folder / package).mkdir(parents=True)
    for wheel in wheels:
        shutil.copyfile(wheel, folder / package / wheel.name)
    handler = partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer((GATEWAY, 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{GATEWAY}:{server.server_port}"
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing: pytest would show it with whatever fails."""
