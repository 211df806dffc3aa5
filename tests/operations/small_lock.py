"""A hashed lock, resolved from the lab's index as gpurig resolves its own."""

from __future__ import annotations

from gpurig.wheels.locks import Lock
from gpurig.wheels.uv_compile import uv_compile
from lab.lab import Lab


def small_lock(lab: Lab, *pins: str, key: str = "") -> Lock:
    """
    What these pins need on Python 3.13, and setuptools, which every lock has.

    + key: the lock's, after its first pin where it is not given
    """
    done = uv_compile(
        "--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url", "-",
        python="3.13", platform="x86_64-manylinux_2_28", index=lab.index_url,
        stdin="\n".join([*pins, "setuptools"]) + "\n",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Lock(key or f"small-{pins[0]}", done.stdout)
