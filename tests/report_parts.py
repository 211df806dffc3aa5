"""What results of runs are made of: hosts with facts and a stack, findings, proofs, pictures."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from functools import cache
from typing import Any

from gpurig.contract.finding import Finding, Verdict
from gpurig.engine.result import HostResult, Proof, ProofVerdict
from gpurig.stack.observed import Observed
from stack.observations import answer, debian

H100 = "NVIDIA H100 80GB HBM3"


@cache
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
        f"{part}: A network learns handwritten digits",
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
