"""CUDA toolkits: which there are, where /usr/local/cuda leads, what the loader finds of them."""

from __future__ import annotations

from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown
from gpurig.facts.host.loader import LISTED
from gpurig.facts.host.ownership import GUARD
from gpurig.facts.packages.dpkg import QUERY

LINK = "/usr/local/cuda"
PROFILE = "/etc/profile.d/gpurig-cuda.sh"

# Debian's nvidia-cuda-toolkit has its commands, headers and libraries in the system's folders; the
# bin and lib64 of its /usr/lib/cuda are empty.
DEBIAN_NVCC = "/usr/bin/nvcc"


class Toolkit(TypedDict):
    """
    One toolkit that has nvcc.

    + version: as nvcc says it, ``12.4``; empty where nvcc does not run. Where others than root can
      change it, it is not started, and its folder says it, ``/usr/local/cuda-12.4``
    + origin: ``distribution``, ``nvidia`` (a package of theirs) or ``other`` (a runfile, a copy)
    + home: its folder; nvcc: its compiler driver
    """

    version: str
    origin: str
    home: str
    nvcc: str


class CudaToolkits(Always[list[Toolkit]]):
    """
    The toolkits on disk, the distribution's first; empty where there is none.

    ``[{"version": "12.4", "origin": "distribution", "home": "/usr",
    "nvcc": "/usr/bin/nvcc"}]``
    """

    def command(self) -> StringCommand:
        # dpkg names no package of a toolkit that was moved by hand: its origin is "other", too.
        return framed(
            f"{GUARD}{QUERY}for n in {DEBIAN_NVCC} /usr/local/cuda-*/bin/nvcc /opt/cuda*/bin/nvcc;"
            ' do [ -x "$n" ] || continue; h=${n%/bin/nvcc};'
            ' [ "$n" = ' + DEBIAN_NVCC + ' ] || [ ! -L "$h" ] || continue;'
            ' query -S "$n"; p=$(printf "%s\\n" "$known" | head -n 1 | cut -d: -f1);'
            ' said=; if [ -n "$(guarded "$n")" ]; then said="release ${h##*cuda-}";'
            ' else said=$("$n" --version 2>/dev/null) || { [ $? != 137 ] || unread nvcc 137; }; fi;'
            ' v=$(printf "%s\\n" "$said" | sed -n "s/.*release \\([0-9.]*\\).*/\\1/p");'
            ' echo "$n|$p|$v"; done; :'
        )

    def parse(self, lines: list[str], code: int) -> list[Toolkit] | Unknown:
        found = []
        for line in lines:
            nvcc, package, version = line.split("|")
            origin = "distribution" if package == "nvidia-cuda-toolkit" else "other"
            if package.startswith("cuda-") and nvcc != DEBIAN_NVCC:
                origin = "nvidia"
            found.append(
                Toolkit(
                    version=version,
                    origin=origin,
                    home=nvcc.removesuffix("/bin/nvcc"),
                    nvcc=nvcc,
                )
            )
        return found


class Link(TypedDict):
    """
    What lies at /usr/local/cuda.

    + kind: ``none``, ``link``, ``alternative`` (a link that update-alternatives keeps), ``folder``
    + target: where it leads in the end, whether or not that is there; empty for ``none``
    + choices: the folders that update-alternatives knows for it
    """

    kind: str
    target: str
    choices: list[str]


class CudaLink(Always[Link]):
    """
    Where /usr/local/cuda leads.

    ``{"kind": "alternative", "target": "/usr/local/cuda-12.8",
    "choices": ["/usr/local/cuda-12.8"]}``
    """

    def command(self) -> StringCommand:
        return framed(
            f"l={LINK}; if [ -L $l ]; then"
            " case $(readlink $l) in /etc/alternatives/*) k=alternative ;; *) k=link ;; esac;"
            " elif [ -e $l ]; then k=folder; else k=none; fi; echo $k;"
            " [ $k = none ] && echo || readlink -m $l;"
            " ! command -v update-alternatives >/dev/null ||"
            " may update-alternatives --list cuda; :"
        )

    def parse(self, lines: list[str], code: int) -> Link | Unknown:
        kind, target, *choices = lines
        if kind not in ("none", "link", "alternative", "folder"):
            raise ValueError(kind)
        return Link(kind=kind, target=target, choices=choices)


class CudaLibraries(Always[list[str]]):
    """
    The CUDA runtimes that the loader finds, in its order, as the folders' real names have them.

    ``["/usr/local/cuda-12.8/targets/x86_64-linux/lib/libcudart.so.12.8.90"]``; what the cache
    names and the disk no longer has is not there.
    """

    def command(self) -> StringCommand:
        return framed(
            f"{LISTED}printf '%s\\n' \"$loaded\" |"
            " sed -n 's/.*libcudart[.]so[.][0-9.]* .*=> //p' |"
            ' while read -r f; do [ ! -e "$f" ] || readlink -e "$f"; done; :'
        )

    def parse(self, lines: list[str], code: int) -> list[str] | Unknown:
        return list(dict.fromkeys(lines))


class CudaProfile(Fact[str]):
    """The text of gpurig's own file for login shells; ABSENT where there is none."""

    def command(self) -> StringCommand:
        return framed(f"[ -e {PROFILE} ] || exit 3; cat {PROFILE}")

    def parse(self, lines: list[str], code: int) -> str | Absent | Unknown:
        if code == 3:
            return ABSENT
        if code:
            return Unknown(f"{PROFILE} cannot be read")
        return "".join(f"{line}\n" for line in lines)
