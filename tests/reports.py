"""Runs whose reports are looked at: hosts of all kinds, right and wrong, in every way they end."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from typing import Any

from gpurig.contract.promise import Finding, Verdict
from gpurig.engine.result import HostResult, Proof, ProofVerdict
from gpurig.errors import HostError
from gpurig.stack.observed import Observed
from stack.observations import IDS, answer, debian

H100 = "NVIDIA H100 80GB HBM3"
# What a host may say to break a page: markup, a word without an end, direction, no character.
HOSTILE = (
    "<script>alert(1)</script><img src=http://example.org/x onerror='x'>\"'&amp;`<b>`"
    f"\x1b[31m\u202e{'endless' * 60} </style></div></details>\ud800"
)
LAYERS = ("docker", "driver", "container-toolkit", "cuda")


def picture(width: int = 960, height: int = 456) -> str:
    """A picture of the size of a learning curve, as base64 PNG."""
    rows = b"".join(b"\0" + bytes(255 - (x * y // 900) % 64 for x in range(width))
                    for y in range(height))  # fmt: skip

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + parts).decode()


def facts(name: str = "gpu01", gpus: Sequence[str] = (), **told: Any) -> dict[str, Any]:
    """What was read of a Debian 13 host, as JSON."""
    machine = {"name": name, "cpu": "AMD EPYC 9654 96-Core Processor", "cpus": 192}
    memory = {"total_bytes": 1_622_000_000_000, "available_bytes": 1_600_000_000_000}
    read = {"machine": machine, "memory": memory} | told
    return debian("13", gpus, told=read).as_json()


def host(name: str = "gpu01", gpus: Sequence[str] = (), **told: Any) -> HostResult:
    """A host that was reached and resolved, with TensorFlow wanted unless `wishes` say else."""
    wishes = told.pop("wishes", {})
    read = facts(name, gpus, **told)
    result = HostResult(name, read, answer(Observed.from_facts(read), **wishes), connected=True)
    result.seconds = 493.2
    return result


def installed(*frameworks: str) -> dict[str, Any]:
    """Facts of a host on which everything is."""
    wheels = {
        "tensorflow": {"tensorflow": "2.21.0", "keras": "3.15.1"},
        "pytorch": {"torch": "2.13.0+cu130"},
        "jax": {"jax": "0.10.2"},
        "keras": {"keras": "3.15.1", "torch": "2.13.0+cu130"},
        "horovod": {"horovod": "0.28.1", "tensorflow": "2.21.0"},
    }
    cuda = {"nvidia_cuda_runtime_cu12": "12.9.79", "nvidia_cudnn_cu12": "9.28.0.42"}
    return {
        "driver_installed": {
            "version": "550.163.01",
            "flavour": "proprietary",
            "source": "distribution",
            "packages": ["nvidia-kernel-dkms"],
            "held": [],
        },
        "docker_installed": {
            "package": "docker.io", "version": "26.1.5+dfsg1-9", "source": "distribution",
        },
        "container_toolkit": {"nvidia-container-toolkit": "1.20.0-1"},
        "frameworks": {name: wheels[name] | cuda for name in frameworks},
    }  # fmt: skip


def proof(name: str, title: str, verdict: str = "passed", reason: str = "", **detail: Any) -> Proof:
    """One proof; a title `part: sentence` is about that part, whose name then ends the id."""
    part = title.partition(": ")[0] if ": " in title else ""
    return Proof(
        f"{name}.{part}" if part else name, title, ProofVerdict(verdict), reason, 1.44, detail
    )


def trained(part: str, accuracy: float = 0.9889, device: str = "GPU", gpus: int = 8) -> Proof:
    """A training that passed, with its pictures."""
    used = [
        {"name": H100, "utilization_percent": 60.0 + n, "memory_used_bytes": 1.9e9}
        for n in range(gpus)
    ]
    return proof(
        "workloads.mnist",
        f"{part}: A convolutional network learns handwritten digits",
        reason=f"{accuracy}, 0.97 after 3.1 s, 88,512 images/s",
        workload="mnist_keras",
        accuracy=accuracy,
        threshold=0.97,
        images_per_second=88512.4 if gpus else 6004.7,
        device=device,
        seconds={"train": 5.7, "to_threshold": 3.14},
        data={"source": "tensorflow_datasets"},
        gpus=used,
        plots={f"{part} {name}.png": picture() for name in ("training", "prediction")},
    )


def proven(*frameworks: str) -> list[Proof]:
    """The proofs of a host without a GPU, all passed but those that do not apply."""
    found = [
        proof("docker.runs-a-container", "A container starts and answers"),
        proof("packages.whole", "No package is half installed"),
        proof("driver.loaded", "The loaded module is that on disk", "not-applicable", "no GPU"),
        proof("cuda.loader", "A program finds CUDA's runtime", "not-applicable", "no GPU"),
        proof("images.mnist", "An image trains", "not-applicable", "rig_images names none"),
    ]
    for name in frameworks:
        title = f"{name}: Every package of the lock is installed at its version"
        found.append(proof("environments.as-locked", title, packages=67))
    return found


def finding(name: str, verdict: str = "holds", **words: str) -> Finding:
    """How a promise stands."""
    return Finding(name, Verdict(verdict), **words)


def _plan() -> list[Finding]:
    return [
        finding("driver", "left-out", reason="no NVIDIA GPU"),
        finding("packages.dpkg"),
        finding("docker.packages", "drifted", actual="docker.io, docker-cli not installed",
                wanted="installed", will="install docker.io, docker-cli"),
        finding("docker.service", "follows", reason="known after docker.packages"),
        finding("environment.tensorflow.interpreter", "drifted", wanted="Python 3.13",
                actual="no /opt/gpurig/venvs/tensorflow", will="make /opt/gpurig/venvs/tensorflow"),
    ]  # fmt: skip


def right() -> list[HostResult]:
    """This machine, without a GPU, set up and trained."""
    result = host("ws-042", **installed("tensorflow") | {"driver_installed": None,
                  "container_toolkit": {}})  # fmt: skip
    result.name, result.plan = "@local", _plan()
    result.final = [finding(f.id, "left-out" if f.reason == "no NVIDIA GPU" else "holds",
                            reason="no NVIDIA GPU" if f.reason == "no NVIDIA GPU" else "")
                    for f in result.plan]  # fmt: skip
    result.proofs = [*proven("tensorflow"), trained("tensorflow", 0.9753, "CPU", gpus=0)]
    return [result]


FIVE = ("tensorflow", "pytorch", "jax", "keras", "horovod")


def eight_gpus() -> list[HostResult]:
    """Eight GPUs, five frameworks, names that need room."""
    name = "dgx-h100-rack-17-unit-04.compute.machine-learning.example.org"
    wishes = {"frameworks": ["tensorflow", "pytorch", "jax", "keras[pytorch]", "horovod"]}
    result = host(name, [IDS["hopper"]] * 8, wishes=wishes, **installed(*FIVE))
    nvml = proof("driver.nvml", "NVML names the GPUs of the PCI bus and the driver on disk",
                 driver="550.163.01", gpus=[IDS["hopper"]] * 8, names=[H100] * 8)  # fmt: skip
    result.plan = [finding("driver.packages"), finding("docker.packages")]
    result.proofs = [nvml, *proven(*FIVE), *map(trained, FIVE)]
    result.notes = ["nvidia 550.163.01 does not build for 6.12.117; another driver was taken"]
    return [result]


def failed() -> list[HostResult]:
    """`up` that stopped in the middle, and read nothing after it."""
    result = host("gpu07.example.org")
    result.plan = _plan()
    result.errors = [
        HostError(
            "operation-failed",
            "could not make /opt/gpurig/venvs/tensorflow: error: Request failed after 3 retries in"
            " 11.4s: dns error: Temporary failure in name resolution",
            "gpu07.example.org",
            "the log has the whole output",
        )
    ]
    return [result]


def failed_and_read() -> list[HostResult]:
    """The same, read again after the failure."""
    (result,) = failed()
    result.final = [*result.plan[:2], finding("docker.packages"), finding("docker.service"),
                    result.plan[4]]  # fmt: skip
    return [result]


def unproven() -> list[HostResult]:
    """A training failed and one was not run, a proof broke, and a reboot is due."""
    (result,) = right()
    result.name, result.final = "gpu03", []
    due = "reboot: 535.216.03 is loaded, 550.163.01 is on disk"
    result.plan = [finding("driver.loaded", "due", reason=due), finding("docker.packages")]
    result.proofs = [
        *proven("tensorflow"),
        proof("driver.loaded", "The loaded module is that on disk", "due", due),
        proof("workloads.own", "tensorflow:fail.py: It says that it passed", "failed",
              "fail.py ended with exit code 3: ValueError: no such file"),
        proof("workloads.mnist", "jax: A convolutional network learns handwritten digits",
              "not-run", "nothing changed; `gpurig verify` runs it"),
        proof("docker.users", "Users can use Docker", "unknown", "TimeoutError: 60 s"),
    ]  # fmt: skip
    return [result]


def due() -> list[HostResult]:
    """Everything done that gpurig may do."""
    (result,) = right()
    waits = "ada must log in again to have the group docker"
    result.final = [*result.final, finding("users.docker-group", "due", reason=waits)]
    return [result]


def refused() -> list[HostResult]:
    """Wishes that no versions fulfil."""
    return [host("old-k80", [IDS["kepler"]], wishes={"accelerator": "cuda"})]


def lost() -> list[HostResult]:
    """A host that does not answer."""
    result = HostResult("gpu09")
    result.errors = [HostError("host-unreachable", "no answer on port 22", "gpu09",
                               "see whether it runs")]  # fmt: skip
    return [result]


def planned() -> list[HostResult]:
    """What `plan` says of a machine that has nothing yet."""
    result = host("gpu11", [IDS["ada"]] * 2)
    result.plan = _plan()
    return [result]


def twelve() -> list[HostResult]:
    """A room of machines."""
    rest = [*right(), *failed(), *refused(), *lost(), *due(), *unproven(), *eight_gpus()]
    rest[0].name, rest[4].name = "cpu01", "cpu02"
    for number in range(5):
        (more,) = eight_gpus()
        more.name = f"gpu2{number}"
        more.facts["machine"]["name"] = more.name
        rest.append(more)
    return rest


def hostile() -> list[HostResult]:
    """Everything that a host, its programs or an inventory says is meant to break the page."""
    result = host(HOSTILE, machine={"name": HOSTILE, "cpu": HOSTILE, "cpus": 1},
                  **installed("tensorflow"))  # fmt: skip
    result.facts["os"] |= {"name": HOSTILE}
    result.facts["kernel"] |= {"running": HOSTILE}
    result.facts["docker_installed"] |= {"version": HOSTILE}
    result.facts["frameworks"] = {"tensorflow": {"tensorflow": HOSTILE}}
    result.plan = [finding(HOSTILE, "drifted", actual=HOSTILE, wanted=HOSTILE, will=HOSTILE)]
    result.final = [finding(HOSTILE, "unknown", reason=HOSTILE)]
    detail = {HOSTILE: HOSTILE, "plots": {HOSTILE: picture(), "x": HOSTILE}, "device": HOSTILE,
              "images_per_second": 1.0, "workload": HOSTILE, "accuracy": 7,
              "data": {"source": HOSTILE}, "gpus": [{"name": HOSTILE}]}  # fmt: skip
    result.proofs = [
        Proof(f"{HOSTILE}.x", HOSTILE, verdict, HOSTILE, 1.0, detail) for verdict in ProofVerdict
    ]
    result.errors = [HostError("x", HOSTILE, HOSTILE, HOSTILE)]
    result.notes = [HOSTILE]
    return [result]


# By name: the verb, and its results.
SCENES = {
    "right": ("up", right),
    "eight-gpus": ("verify", eight_gpus),
    "failed": ("up", failed),
    "failed-and-read": ("up", failed_and_read),
    "unproven": ("verify", unproven),
    "due": ("up", due),
    "refused": ("up", refused),
    "lost": ("up", lost),
    "planned": ("plan", planned),
    "twelve": ("up", twelve),
    "hostile": ("up", hostile),
}
