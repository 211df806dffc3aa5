"""MNIST's four archives for the lab's web server: the shared ones, else the product's download."""

from __future__ import annotations

import sys
from pathlib import Path

from .errors import LabMissing

sys.path.append(str(Path(__file__).resolve().parents[2] / "workloads"))
import mnist


def archives(shared: Path, kept: Path, mirror: str | None = None) -> Path:
    """
    The folder that has them.

    + shared: the folder ``GPURIG_SHARED``; its ``data/mnist`` is taken as it is
    + kept: where a download stays; it is compared with its checksums each time
    + mirror: where to download, as in rig_data_mirror; ``None``: the original place
    """
    given = shared / "data/mnist"
    if given.is_dir():
        return given
    try:
        with mnist.alone(kept):
            return mnist.archives(kept, mirror)
    except (mnist.Unreachable, mnist.BadInput) as error:
        raise LabMissing(
            f"the lab needs MNIST, and {error}; put the four archives into {given},"
            " or set GPURIG_SHARED to a folder that has them in data/mnist"
        ) from error
