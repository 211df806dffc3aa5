"""The system's CUDA toolkit: packages, /usr/local/cuda, loader, login shells, host compiler."""

from __future__ import annotations

from collections.abc import Sequence

from pyinfra.api import QuoteString, StringCommand

from gpurig.contract.fact import read
from gpurig.contract.known import known
from gpurig.contract.promise import Commands, drift, follows, holds, keeps, unknown
from gpurig.contract.values import ABSENT
from gpurig.facts.cuda import (
    LINK,
    PROFILE,
    CudaLibraries,
    CudaLink,
    CudaProfile,
    CudaToolkits,
    Toolkit,
)
from gpurig.facts.packages.dpkg import Packages
from gpurig.operations.shared.file import HEADER, written
from gpurig.operations.shared.packages import installed, missing

LOADER_FILE = "/etc/ld.so.conf.d/gpurig-cuda.conf"


@keeps("cuda.packages")
def packages(packages: Sequence[str], home: str | None) -> Commands:
    """
    The toolkit's packages are installed and its nvcc is there; other toolkits stay.

    + home: the toolkit's folder; ``None`` for the distribution's own

    Without what they recommend: Debian's nvidia-cuda-toolkit brings by its dependencies a host
    compiler that it accepts and all that nvcc needs to compile and to link (tried on Debian 13),
    and recommends debuggers and profilers.
    """
    found, toolkits = read(Packages, packages=" ".join(packages)), known(CudaToolkits)
    complete = isinstance(found, dict) and not missing(packages, found)
    if complete and not _there(toolkits, home):
        return unknown(
            f"{', '.join(packages)} is installed, but {home or '/usr'}"
            " has no nvcc. Find its package with dpkg-query -S"
            " bin/nvcc, then run apt-get install --reinstall PACKAGE"
        )
    yield from installed(packages)


@keeps("cuda.link")
def link(home: str) -> Commands:
    """
    /usr/local/cuda leads to this toolkit, by update-alternatives where NVIDIA's packages use it.

    + home: the toolkit's folder
    """
    toolkits, found = known(CudaToolkits), known(CudaLink)
    if found["kind"] == "folder":
        return unknown(
            f"{LINK} is a real folder. Move it to"
            " /usr/local/cuda-VERSION, so that gpurig can make the link"
        )
    if not _there(toolkits, home):
        return follows("cuda.packages")
    choices = found["choices"]
    if found["target"] == home:
        return holds(f"{LINK} leads to {home}")
    drift(
        actual=f"{LINK} leads to {found['target']}" if found["target"] else f"no {LINK}",
        wanted=f"{LINK} leads to {home}",
        will=f"make {LINK} lead to {home}",
        leaves="every toolkit",
    )
    name, target, staged = QuoteString(LINK), QuoteString(home), QuoteString(f"{LINK}.gpurig-new")
    if not choices:
        yield StringCommand("ln -sfn", target, staged, "&& mv -fT", staged, name)
        return
    if home not in choices:
        yield StringCommand("update-alternatives --quiet --install", name, "cuda", target, "1")
    # It leaves a link alone that is not its own.
    yield StringCommand("ln -sfn /etc/alternatives/cuda", staged, "&& mv -fT", staged, name)
    yield StringCommand("update-alternatives --quiet --set cuda", target)


@keeps("cuda.loader")
def loader(home: str | None) -> Commands:
    """
    The loader finds the toolkit's CUDA runtime, whoever's file names its folder.

    + home: the toolkit's folder; ``None`` where its libraries lie in the system's folders
    """
    toolkits, libraries = known(CudaToolkits), known(CudaLibraries)
    if not _there(toolkits, home):
        return follows("cuda.packages")
    places = (f"{home}/",) if home else ("/usr/lib/", "/lib/")
    ours = [path for path in libraries if path.startswith(places)]
    if ours:
        return holds(f"ldconfig finds {ours[0]}")
    drift(
        actual="the loader does not find libcudart"
        if not libraries
        else f"the loader finds {libraries[0]}",
        wanted=f"the loader finds libcudart of {home or 'the distribution'}",
        will=f"write {LOADER_FILE} and run ldconfig" if home else "run ldconfig",
        leaves="every other file of the loader",
    )
    if home:
        yield from written(LOADER_FILE, f"{HEADER}{home}/lib64\n")
    yield StringCommand("ldconfig")


@keeps("cuda.profile")
def profile(home: str | None, gcc: int | None = None) -> Commands:
    """
    A login shell finds nvcc, and nvcc the compiler that it accepts.

    + home: the toolkit's folder; ``None`` for the distribution's own, which needs no help:
      its nvcc is in /usr/bin and looks for a compiler that it accepts by itself
    + gcc: the major of the host compiler, where the default one is too new
    """
    found, text = known(CudaProfile), _profile(home, gcc)
    if found is ABSENT and not text:
        return holds("nvcc is in /usr/bin; login shells need no file")
    if found == text:
        return holds(f"{PROFILE} names {home}")
    drift(
        actual=f"no {PROFILE}" if found is ABSENT else f"{PROFILE} differs",
        wanted=f"{home} in login shells" if home else "the distribution's own nvcc",
        will=f"write {PROFILE}" if text else f"remove {PROFILE}",
        leaves="every other file of login shells",
    )
    if text:
        yield from written(PROFILE, text)
    else:
        yield StringCommand("rm -f", QuoteString(PROFILE))


def _there(toolkits: list[Toolkit], home: str | None) -> bool:
    if home is None:
        return any(toolkit["origin"] == "distribution" for toolkit in toolkits)
    return any(toolkit["home"] == home for toolkit in toolkits)


def _profile(home: str | None, gcc: int | None) -> str:
    """The file for login shells, empty where none is needed."""
    if home is None:
        return ""
    lines = [
        f"export CUDA_HOME={home}",
        'case ":$PATH:" in *":$CUDA_HOME/bin:"*) ;; *) PATH="$CUDA_HOME/bin:$PATH" ;; esac',
    ]
    if gcc:
        # nvcc 12.4 does not know NVCC_CCBIN (tried); a -ccbin on its command line comes later
        # than the one here, and wins.
        lines += [
            f"export NVCC_CCBIN=/usr/bin/g++-{gcc}",
            'case "$NVCC_PREPEND_FLAGS" in *-ccbin*) ;; *) export NVCC_PREPEND_FLAGS='
            '"-ccbin $NVCC_CCBIN${NVCC_PREPEND_FLAGS:+ $NVCC_PREPEND_FLAGS}" ;; esac',
        ]
    return HEADER + "".join(f"{line}\n" for line in lines)


@keeps("cuda.host-compiler")
def host_compiler(gcc: int | None) -> Commands:
    """
    A compiler that nvcc accepts is installed, beside the default one; gcc's alternatives stay.

    + gcc: its major, where the default one is too new; ``None``: the default one
    """
    yield from installed((f"gcc-{gcc}", f"g++-{gcc}") if gcc else ("gcc", "g++"))
