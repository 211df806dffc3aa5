"""How a lock is resolved: by uv on the control machine, for the host's Python and architecture."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.requirements import Requirement

from gpurig import store
from gpurig.contract.limits import Limits
from gpurig.contract.said import NO_SOLUTION, said
from gpurig.errors import GpurigError
from gpurig.settings.redaction import Redaction, secrets_of
from gpurig.stack.model import Environment
from gpurig.wheels.lock_text import ONLY_WHEELS
from gpurig.wheels.uv_compile import uv_compile

# What must be there before the rest: the sources in a lock are built with it, without a network of
# their own.
BUILD = "setuptools"

# What sources need at run time, so that nothing is built on the control machine to learn it
# (promise, which tensorflow-datasets wants).
_SOURCE = """
[tool.uv]
constraint-dependencies = ["promise==2.3"]
[[tool.uv.dependency-metadata]]
name = "promise"
version = "2.3"
requires-dist = ["six"]
"""

_LIBC = "manylinux_2_28"  # glibc 2.28: older than that of every distribution in the tables


def resolved(
    environment: Environment, architecture: str, index: str | None, own: str | None = None
) -> str:
    """
    The text of a lock, with the hashes of every file and without the name of an index.

    + index: where wheels are looked for, None for where uv looks
    + own: where the framework's wheels are looked for instead, and no others

    GpurigError, one sentence, if nothing fits together or uv does not start.
    """
    # An index of its own may be out of reach, and what is done then needs no patience.
    patience = {"UV_HTTP_RETRIES": "1"} if own and "UV_HTTP_RETRIES" not in os.environ else {}
    # In a folder of gpurig's own: uv also reads the pyproject.toml of those above.
    with TemporaryDirectory(prefix="resolving-", dir=store.folder(store.cache())) as folder:
        file = Path(folder) / "pyproject.toml"
        file.write_text(_project(environment, own))
        try:
            done = uv_compile(
                *ONLY_WHEELS.split(), "--generate-hashes", "--no-header", "--no-annotate",
                "--no-emit-find-links", "--no-emit-index-url", str(file),
                python=environment.python, platform=f"{architecture}-{_LIBC}",
                index=index, variables=patience,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise GpurigError(
                "lock-unresolved", f"uv did not resolve it within {Limits.download} s",
                environment.lock, "check the index (rig_pypi_index), and that this machine"
                                  " reaches it",
            ) from error  # fmt: skip
        except OSError as error:
            raise GpurigError(
                "lock-unresolved",
                f"uv does not start ({error.strerror})",
                environment.lock,
                "install gpurig again, with all its dependencies",
            ) from error
    if done.returncode:
        lines, redacted = done.stderr.splitlines(), Redaction(secrets_of([]))
        raise GpurigError(
            "lock-unresolved",
            f"uv cannot resolve {', '.join(environment.pins)} for Python"
            f" {environment.python} ({redacted(said(lines))})",
            environment.lock,
            _remedy(environment, own, NO_SOLUTION in done.stderr),
        )
    return done.stdout


def _project(environment: Environment, own: str | None) -> str:
    """A project that depends on what is pinned, as uv reads it."""
    lines = [
        "[project]",
        'name = "gpurig-environment"',
        'version = "0"',
        f'requires-python = ">={environment.python}"',
        f"dependencies = {json.dumps([*environment.pins, BUILD])}",
    ]
    if own:
        lines += [
            "[[tool.uv.index]]",
            'name = "framework"',
            f"url = {json.dumps(own)}",
            "explicit = true",
            "[tool.uv.sources]",
            f'{framework_wheel(environment)} = {{ index = "framework" }}',
        ]
    return "\n".join(lines) + "\n" + _SOURCE


def framework_wheel(environment: Environment) -> str:
    """The distribution that computes: the first exact pin, of the base where there is one."""
    pinned = [Requirement(pin) for pin in environment.pins if "==" in pin]
    own = [r.name for r in pinned if environment.base is None or r.name != environment.framework]
    return own[0]


def _remedy(environment: Environment, own: str | None, unsolved: bool) -> str:
    """What helps; unsolved: whether the indexes answered, and what they have does not fit."""
    if own:
        wheel = framework_wheel(environment)
        return f"uv looks for {wheel} in {own}; set a mirror of it (rig_repositories, pytorch)"
    if unsolved:
        return "ask for another version, or set rig_pypi_index to an index that has it"
    return "check the network of this machine, or set rig_pypi_index to an index that it reaches"
