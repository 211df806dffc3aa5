"""Runs whose reports are looked at: hosts of all kinds, right and wrong, in every way they end."""

from __future__ import annotations

from dataclasses import replace

from gpurig.contract.finding import Finding
from gpurig.engine.result import HostResult, Proof, ProofVerdict, Standing
from gpurig.errors import HostError
from report_parts import H100, finding, host, installed, picture, proof, proven, trained
from stack.observations import IDS

# What a host may say to break a page: markup, a word without an end, direction, no character.
HOSTILE = (
    "<script>alert(1)</script><img src=http://example.org/x onerror='x'>\"'&amp;`<b>`"
    f"\x1b[31m\u202e{'endless' * 60} </style></div></details>\ud800"
)


def _plan() -> list[Finding]:
    return [
        finding("driver", "left-out", reason="no NVIDIA GPU"),
        finding("packages.dpkg"),
        finding("docker.packages", "drifted", actual="docker.io, docker-cli not installed",
                wanted="installed", will="install docker.io, docker-cli"),
        finding("docker.service", "follows", reason="known after docker.packages"),
        finding("environment.tensorflow.interpreter", "drifted", wanted="Python 3.13",
                actual="not there",
                will="install TensorFlow 2.21.0 for CPU in /opt/gpurig/venvs/tensorflow"),
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
    result.notes = ["nvidia 550.163.01 does not build for 6.12.117; gpurig took another driver"]
    return [result]


def failed() -> list[HostResult]:
    """`up` that stopped in the middle, and read nothing after it."""
    result = host("gpu07.example.org")
    result.plan = _plan()
    result.errors = [
        HostError(
            "operation-failed",
            "could not install TensorFlow 2.21.0 for CPU in /opt/gpurig/venvs/tensorflow:"
            " error: Request failed after 3 retries in 11.4s: dns error:"
            " Temporary failure in name resolution",
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
    due = "reboot: module 535.216.03 is loaded, 550.163.01 is installed"
    result.plan = [finding("driver.loaded", "due", reason=due), finding("docker.packages")]
    result.proofs = [
        *proven("tensorflow"),
        proof("driver.loaded", "The loaded module is that on disk", "due", due),
        proof("workloads.own", "tensorflow:fail.py: It says that it passed", "failed",
              "fail.py ended with exit code 3: ValueError: no such file"),
        proof("workloads.mnist", "jax: A network learns handwritten digits",
              "not-run", "nothing changed; `gpurig verify` runs it"),
        proof("docker.users", "Users can use Docker", "unknown", "TimeoutError: 60 s"),
    ]  # fmt: skip
    return [result]


def passed_before() -> list[HostResult]:
    """Nothing was changed, and the training that passed was not run again."""
    (result,) = right()
    result.plan, result.final = [finding("docker.packages")], []
    since = "2026-11-29T21:48Z"
    result.standing = Standing(since=since)
    reason = f"passed {since}, unchanged since; `gpurig verify` runs it again"
    title = "tensorflow: A network learns handwritten digits"
    deferred = proof("workloads.mnist", title, "not-run", reason)
    result.proofs[-1] = replace(deferred, deferred=True)
    return [result]


def failed_before() -> list[HostResult]:
    """Nothing to change, and a program that failed in the last run."""
    (result,) = passed_before()
    result.proofs, result.standing = [], Standing(("fail.py: it ended with exit code 3",))
    return [result]


def never_proven() -> list[HostResult]:
    """Nothing to change, and no proof since the last change."""
    (result,) = passed_before()
    missing = "its proofs have not run to the end since the last change"
    result.proofs, result.standing = [], Standing(missing=missing)
    return [result]


def assumed() -> list[HostResult]:
    """GPUs that the settings assume: nothing can compute on them."""
    result = host("image01", wishes={"assume_gpu": [IDS["hopper"]]})
    result.plan, result.standing = [finding("docker.packages")], Standing(since="2026-11-29T21:48Z")
    result.proofs = [proof("workloads.mnist", "tensorflow: A network learns", "not-run",
                           "assumed hardware")]  # fmt: skip
    return [result]


def due() -> list[HostResult]:
    """Everything done that gpurig may do."""
    (result,) = right()
    waits = "ada must log in again to get the group docker"
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
    "passed-before": ("up", passed_before),
    "failed-before": ("plan", failed_before),
    "never-proven": ("plan", never_proven),
    "assumed": ("up", assumed),
    "due": ("up", due),
    "refused": ("up", refused),
    "lost": ("up", lost),
    "planned": ("plan", planned),
    "twelve": ("up", twelve),
    "hostile": ("up", hostile),
}
