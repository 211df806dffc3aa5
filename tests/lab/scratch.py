"""A root file system with the toolkit's stand-in, in which commands run without a booted host."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import bases
from .lab import Lab
from .standins import nvml
from .standins.toolkit import packages as toolkit

RECORDED = Path(__file__).parents[1] / "data/recorded/toolkit"
DRIVER = "550.163.01"
LIBRARIES = "usr/lib/x86_64-linux-gnu"
NODES = {
    "nvidia0": (195, 0), "nvidia1": (195, 1), "nvidiactl": (195, 255),
    "nvidia-uvm": (510, 0), "nvidia-uvm-tools": (510, 1),
}  # fmt: skip
RUNC = '#!/bin/sh\nprintf "%s\\n" "$@" > /out/runc\n'
# Everything is written into memory and gone when the command ends; /out is the caller's.
ENTER = """
mount -t tmpfs lab "$1" && cd "$1" && mkdir upper work root
mount -t overlay lab -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" root
mkdir -p root/out && mount --bind "$3" root/out
exec chroot root /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root /bin/sh -c "$4"
"""


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it left in ``/out``, by name."""

    exit: int
    stdout: str
    stderr: str
    out: dict[str, str]


@dataclass(frozen=True)
class Scratch:
    """The base of a suite with the toolkit, two H100 and their driver 550 laid over it."""

    base: Path
    layer: Path

    @classmethod
    def of(
        cls, lab: Lab, suite: str, layer: Path, mutated: Mapping[str, tuple[str, str]] | None = None
    ) -> Scratch:
        """
        Make the layer, in an empty folder.

        + mutated: by program, a text in it and what stands there instead
        """
        files: dict[str, str | bytes] = {}
        for content in toolkit.files(toolkit.VERSIONS[-1]).values():
            files |= {path: text for path, text in content.items() if path.startswith("usr/bin/")}
        for program, (text, instead) in (mutated or {}).items():
            was = files[f"usr/bin/{program}"]
            assert isinstance(was, str)
            assert was.count(text) == 1, f"{program} has this {was.count(text)} times: {text}"
            files[f"usr/bin/{program}"] = was.replace(text, instead)
        files |= {f"usr/bin/nvidia-{name}": "#!/bin/sh\n" for name in ("smi", "persistenced")}
        files["usr/bin/runc"] = RUNC
        library = nvml.library(lab.folder / "standins", "h100", 2, DRIVER)
        current = f"{LIBRARIES}/nvidia/current"
        files |= {f"{current}/libnvidia-{name}.so.{DRIVER}": library for name in ("ml", "cfg")}
        for path, content_ in files.items():
            file = layer / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content_ if isinstance(content_, bytes) else content_.encode())
            file.chmod(0o755)
        (layer / "etc/nvidia-container-runtime").mkdir(parents=True)
        shutil.copy(RECORDED / "config.toml", layer / "etc/nvidia-container-runtime")
        link = f"nvidia/current/libnvidia-ml.so.{DRIVER}"
        (layer / LIBRARIES / "libnvidia-ml.so.1").symlink_to(link)
        for folder in ("root/rec", "dev/char"):
            (layer / folder).mkdir(parents=True)
        for name, numbers in NODES.items():
            os.mknod(layer / "dev" / name, 0o666 | stat.S_IFCHR, os.makedev(*numbers))
            (layer / "dev" / name).chmod(0o666)
        return cls(bases.base(lab.disk, suite), layer)

    def run(
        self,
        command: str,
        *,
        setup: str = "",
        kept: Sequence[str] = (),
        given: Mapping[str, str | bytes] | None = None,
    ) -> Ran:
        """
        Run one command in a shell of its own; nothing stays.

        + setup: what is done before, whatever it says; kept: files to be handed out afterwards
        + given: files that lie in ``/out`` from the start
        """
        with tempfile.TemporaryDirectory() as scratch:
            place, out = Path(scratch, "root"), Path(scratch, "out")
            place.mkdir()
            out.mkdir()
            for name, text in (given or {}).items():
                (out / name).write_bytes(text if isinstance(text, bytes) else text.encode())
            whole = f"({setup or ':'}) >/dev/null 2>&1\n({command})\ncode=$?\n"
            whole += "".join(f"cp -p {file} /out/ 2>/dev/null\n" for file in kept)
            whole += "exit $code\n"
            enter = ["unshare", "--mount", "sh", "-ec", ENTER, "sh", str(place)]
            done = subprocess.run(
                [*enter, f"{self.layer}:{self.base}", str(out), whole],
                check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL,
            )  # fmt: skip
            left = {file.name: file.read_text() for file in out.iterdir() if file.suffix != ".deb"}
        return Ran(done.returncode, done.stdout, done.stderr, left)
