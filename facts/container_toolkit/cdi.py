"""CDI: the specs that name GPUs to container runtimes, and what they ought to name."""

from __future__ import annotations

import json
import re
from typing import Any, TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown
from gpurig.facts.driver.mig import NVIDIA_SMI
from gpurig.facts.host.loader import LOADED

# In rising priority; the second is emptied at boot (facts of the CDI specification).
FOLDERS = ("/etc/cdi", "/var/run/cdi")


class Spec(TypedDict):
    """
    One CDI spec file.

    + version: ``cdiVersion``; kind: ``nvidia.com/gpu``; both empty when the file is broken
    + devices: their names, ``0``, ``all`` …; nodes: the device nodes of GPUs they bring
    + control: the nodes beside those of GPUs, ``/dev/nvidiactl`` …
    + libraries: file names of the driver's libraries, ``libcuda.so.550.163.01``
    + missing: what it names on the host and is not there
    + deadly: whether its readers crash on it, `deadly`
    + cut: whether it ends in the middle of a line or of a mount, as nothing ends that was written
      to the end
    + closed: the file or its folder where not everybody may read or others than root may write,
      with mode and owner: ``/etc/cdi/nvidia.yaml has mode 600 and owner root``
    """

    path: str
    version: str
    kind: str
    devices: list[str]
    nodes: list[str]
    control: list[str]
    libraries: list[str]
    missing: list[str]
    closed: list[str]
    deadly: bool
    cut: bool


class CdiSpecs(Always[list[Spec]]):
    """All CDI specs of the host, whoever wrote them; an empty list when there is none."""

    def command(self) -> StringCommand:
        # hostPath: a file brought into containers; path: a device node, on the host likewise
        return framed(
            f"for f in {' '.join(f'{folder}/*.yaml {folder}/*.json' for folder in FOLDERS)}; do"
            ' [ -f "$f" ] || continue; echo "spec $f";'
            ' find -L "$f" "${f%/*}" -maxdepth 0 \\( ! -uid 0 -o -perm /022 -o ! -perm -004'
            " -o -type d ! -perm -005 \\) -printf 'closed %p has mode %m and owner %u\\n';"
            ' tr ",{}" "\\n" < "$f" |'
            ' sed -n -e \'s/.*hostPath"\\{0,1\\}: *"\\{0,1\\}\\([^"]*\\).*/\\1/p\''
            # a device node whose path on the host is not told apart, and a hook's program
            ' -e \'s/^[^a-zA-Z]*path"\\{0,1\\}: *"\\{0,1\\}\\([^"]*\\).*/\\1/p\''
            ' | sort -u | while read -r p; do [ -e "$p" ] || echo "missing $p"; done;'
            ' [ -z "$(tail -c 1 "$f")" ] || echo cut;'
            " sed 's/^/| /' \"$f\"; echo; done"
        )

    def parse(self, lines: list[str], code: int) -> list[Spec] | Unknown:
        specs: list[Spec] = []
        texts: list[list[str]] = []
        for line in lines:
            if line.startswith("spec "):
                specs.append(_spec(line.removeprefix("spec "), ""))
                texts.append([])
            elif line.startswith("missing "):
                specs[-1]["missing"].append(line.removeprefix("missing "))
            elif line.startswith("closed "):
                specs[-1]["closed"].append(line.removeprefix("closed "))
            elif line == "cut":
                specs[-1]["cut"] = True
            elif line.startswith("| "):
                texts[-1].append(line[2:])
        return [
            _spec(spec["path"], "\n".join(text))
            | {"missing": _absent(spec["missing"], text), "closed": spec["closed"]}
            | {"cut": (spec["cut"] and "\n".join(text)[:1] != "{") or mount_cut("\n".join(text))}
            for spec, text in zip(specs, texts, strict=True)
        ]


def _absent(missing: list[str], text: list[str]) -> list[str]:
    """Those that are paths of the host; a node's path is a container's where it has a hostPath."""
    if any("hostPath" in line and "/dev/" in line for line in text):
        return [path for path in missing if not path.startswith("/dev/")]
    return missing


_NODE = re.compile(r"/dev/nvidia\d+\b")
_CONTROL = re.compile(r"/dev/nvidia(?:ctl|-uvm|-uvm-tools)(?![\w-])")
_LIBRARY = re.compile(r"/(lib[^/\"\s]+\.so\.\d+\.[\d.]+\d)\b")


def _spec(path: str, text: str) -> Spec:
    """A spec read from its text; nvidia-ctk's YAML is plain enough to be read by line."""
    try:
        said: dict[str, Any] = json.loads(text) if text[:1] == "{" else _yaml(text)
        version, kind = str(said.get("cdiVersion", "")), str(said.get("kind", ""))
        devices = [str(device["name"]) for device in said.get("devices") or []]
    except (ValueError, LookupError, TypeError, AttributeError):
        version, kind, devices = "", "", []
    return Spec(
        path=path,
        version=version,
        kind=kind,
        devices=devices,
        nodes=sorted(set(_NODE.findall(text))),
        control=sorted(set(_CONTROL.findall(text))),
        libraries=sorted(set(_LIBRARY.findall(text))),
        missing=[],
        closed=[],
        deadly=deadly(text),
        cut=False,
    )


# The lists of a spec whose entries CDI's library follows as pointers.
_FOLLOWED = re.compile(r"(deviceNodes|hooks|mounts|netDevices): *")


def deadly(text: str) -> bool:
    """
    Whether dockerd (26.1.5) and nvidia-ctk (1.20.0) crash on this YAML, and write no spec.

    They do where an entry of these lists is empty, as it is in a file that was cut off right after
    its dash. Wherever else YAML is cut, and all JSON that is, they pass over or take.
    """
    lines = [line for line in text.splitlines() if line.strip() and line.lstrip()[0] != "#"]
    return any(
        line.strip() == "-" and _is_empty(lines, n) and _FOLLOWED.fullmatch(_list_of(lines, n))
        for n, line in enumerate(lines)
    )


def mount_cut(text: str) -> bool:
    """
    Whether the YAML ends in a list of mounts whose last one is shorter than each other.

    nvidia-ctk writes mounts last, and of each the same keys and at least the same options.
    """
    lines = [line for line in text.splitlines() if line.strip() and line.lstrip()[0] != "#"]
    starts = [n for n, line in enumerate(lines) if line.strip() == "mounts:"]
    if not starts:
        return False
    key, body = _depth(lines[starts[-1]]), lines[starts[-1] + 1 :]
    if any(_depth(line) <= key and not line.strip().startswith("-") for line in body):
        return False  # something comes after them
    if body and not body[0].strip().startswith("-"):
        return False
    sizes: list[int] = []
    for line in body:
        if _depth(line) == _depth(body[0]) and line.strip().startswith("-"):
            sizes.append(0)
        sizes[-1] += 1
    return not sizes or sizes[-1] < min(sizes[:-1], default=3)


def _is_empty(lines: list[str], n: int) -> bool:
    """Whether nothing stands below the dash on line n."""
    return n + 1 == len(lines) or _depth(lines[n + 1]) <= _depth(lines[n])


def _list_of(lines: list[str], n: int) -> str:
    """The key of the list that line n is an entry of, as it is written."""
    depth = _depth(lines[n])
    for line in reversed(lines[:n]):
        if _depth(line) < depth or (_depth(line) == depth and line.strip()[0] != "-"):
            return line.strip().removeprefix("- ")
    return ""


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _yaml(text: str) -> dict[str, Any]:
    head = dict(re.findall(r'^(cdiVersion|kind): *"?([^"\n]+?)"? *$', text, re.MULTILINE))
    block = re.search(r"^devices:\n((?:[ -].*\n?)*)", text, re.MULTILINE)
    body = block[1] if block else ""
    first = re.match(r" *- ", body)  # device names stand at the first depth of the list
    names = re.findall(rf'^{first[0]}name: *"?([^"\n]+?)"? *$', body, re.MULTILINE) if first else []
    return head | {"devices": [{"name": name} for name in names]}


class DriverOnHost(TypedDict):
    """
    What a CDI spec of this host must name.

    + version: of the driver's user space, ``550.163.01``
    + libraries: those of ``libcuda`` and ``libnvidia-ml`` that are installed, as file names
    + nodes: ``/dev/nvidia0`` …, empty as long as no driver has made them
    + control: those beside them that are there, ``/dev/nvidiactl``, ``/dev/nvidia-uvm`` …
    """

    version: str
    libraries: list[str]
    nodes: list[str]
    control: list[str]


class DriverLibraries(Fact[DriverOnHost]):
    """The NVIDIA driver's user space as the loader finds it; ABSENT when there is no NVML."""

    def command(self) -> StringCommand:
        return framed(
            f"{LOADED}for l in libnvidia-ml.so.1 libcuda.so.1; do"
            ' p=$(printf "%s\\n" "$loaded" | sed -n "s/^\\t$l (libc6,[^)]*) => //p" | head -n 1);'
            ' [ ! -e "$p" ] || readlink -f "$p"; done;'
            " for n in /dev/nvidia[0-9]* /dev/nvidiactl /dev/nvidia-uvm /dev/nvidia-uvm-tools; do"
            ' [ ! -e "$n" ] || echo "$n"; done'
        )

    def parse(self, lines: list[str], code: int) -> DriverOnHost | Absent | Unknown:
        libraries = [line.rpartition("/")[2] for line in lines if ".so." in line]
        versions = [name.partition(".so.")[2] for name in libraries if "nvidia-ml" in name]
        if not versions:
            return ABSENT
        return DriverOnHost(
            version=versions[0],
            libraries=sorted(libraries),
            nodes=sorted(line for line in lines if _NODE.fullmatch(line)),
            control=sorted(line for line in lines if _CONTROL.fullmatch(line)),
        )


# As the unit itself has it.
_CONDITION = (
    '{ m=/lib/modules/$(uname -r)/modules.dep; [ -e /dev/dxg ] || { [ -e "$m" ] &&'
    ' [ -n "$(sed -nE "/\\/(nvidia|nvidia-current)[.]ko/{p;q}" "$m")" ]; }; }'
)


class CdiRefresh(Always[bool]):
    """
    Whether the toolkit's own nvidia-cdi-refresh.service writes the spec on this host.

    It is switched on at boot and its condition is met: the running kernel's modules.dep names
    nvidia.ko or nvidia-current.ko (not so with Debian's open flavour), or this is WSL.
    """

    def command(self) -> StringCommand:
        return framed(
            "[ -d /run/systemd/system ] || exit 0;"
            " case $(must systemctl show nvidia-cdi-refresh.service --value"
            " --property=UnitFileState) in enabled*|static|indirect|generated|alias) ;;"
            " *) exit 0 ;; esac;"
            f" {_CONDITION} || exit 0; echo refreshes"
        )

    def parse(self, lines: list[str], code: int) -> bool | Unknown:
        return "refreshes" in lines


class RefreshPossible(Always[bool]):
    """
    Whether nvidia-cdi-refresh.service would do its work if it were started.

    Its condition, as in `CdiRefresh`: where it is not met, systemd skips the unit without an error.
    """

    def command(self) -> StringCommand:
        return framed(f"{_CONDITION} || exit 0; echo possible")

    def parse(self, lines: list[str], code: int) -> bool | Unknown:
        return "possible" in lines


class NvmlGpus(Always[int]):
    """How many GPUs the driver answers for; 0 when it does not, and then no spec can be made."""

    def command(self) -> StringCommand:
        return framed(f"{NVIDIA_SMI} || exit 3; timeout 30 nvidia-smi -L 2>&1")

    def parse(self, lines: list[str], code: int) -> int | Unknown:
        if code == 1 or 124 <= code < 255:  # not one of its own
            return Unknown(f"nvidia-smi ended with {code}")
        return 0 if code else sum(line.startswith("GPU ") for line in lines)
