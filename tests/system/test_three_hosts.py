"""
One inventory of three: a Debian 13 without a GPU, a Debian 12 with one, and one that is not there.

The first has no python3 and a user whose sudo asks for a password; the second gets its own driver,
Docker, a module of a few lines in the place of NVIDIA's, and an environment for the CPU: the small
one of XGBoost, for the long tests that of TensorFlow.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.hosts import Host
from lab.lab import Lab
from lab.modules import quick_modules
from system import laws
from system.person import Answer, Person, settings, state

pytestmark = pytest.mark.lab

TRAIN = """
import json, os
import FRAMEWORK
print(json.dumps({"schema": 1, "workload": "train", "passed": os.getuid() > 0}))
"""
SITE = "/opt/gpurig/venvs/tensorflow/lib/python3*/site-packages"
CANARY = "canary-9f3b-secret"
UNREACHABLE = "10.77.0.250"  # an address of the lab's own network that nobody has


@pytest.fixture(scope="module")
def hosts(boot: Callable[..., Host]) -> list[Host]:
    """A Debian 13 on which only ann may use sudo, and a Debian 12 with an A100, both bare."""
    first = boot("trixie", "cpu13", user="ann", password=CANARY)
    second = boot("bookworm", "gpu12", gpu="a100")
    quick_modules(second)
    return [first, second]


@pytest.fixture(scope="module")
def framework(request: pytest.FixtureRequest) -> str:
    """What the second learns with."""
    return "tensorflow" if request.config.getoption("--long") else "xgboost"


def second_data(host: Host, framework: str) -> dict[str, Any]:
    """What the inventory says of the second; the Debian 13 of another file has CUDA's wheels."""
    data = {"rig_assume_gpu": ["10de:20b0"], "rig_accelerator": "cpu"}
    return host.ssh_data() | data | {"rig_frameworks": [framework]}


@pytest.fixture(scope="module")
def inventory(hosts: list[Host], person: Person, lab: Lab, framework: str) -> Path:
    """Both, and one that does not answer."""
    first, second = hosts
    (person.home / "train.py").write_text(TRAIN.replace("FRAMEWORK", framework))
    (person.home / "boost.py").write_text(TRAIN.replace("FRAMEWORK", "xgboost"))
    sudo = {"ssh_user": "ann", "_sudo_password": CANARY, "rig_users": ["ann"]}
    small = {"rig_frameworks": ["xgboost"], "rig_workloads": ["trees", "xgboost:boost.py"]}
    dead = second.ssh_data() | {"ssh_hostname": UNREACHABLE}
    return person.inventory(
        {
            first.name: first.ssh_data() | sudo | small,
            second.name: second_data(second, framework),
            "dead": dead,
        },
        rig_workloads=["train.py"],
        **settings(lab),
    )


class Watch:
    """Looks through every process of this machine (the lab's hosts are among them) for a word."""

    def __init__(self, word: str) -> None:
        self.word, self.seen, self.looks = word, "", 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watch:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()

    def _look(self) -> None:
        while not self.over.wait(0.2):
            self.looks += 1
            listing = subprocess.run(
                ["ps", "axeww", "-o", "args"], capture_output=True, text=True, check=False
            ).stdout
            found = [line for line in listing.splitlines() if self.word in line]
            self.seen = self.seen or "\n".join(found)


@pytest.fixture(scope="module")
def watched(inventory: Path, person: Person) -> tuple[Answer, Watch]:
    """The first `up`, with somebody watching the process list."""
    with Watch(CANARY) as watch:
        answer = person.gpurig("up", inventory, "--json")
    return answer, watch


@pytest.fixture(scope="module")
def first(watched: tuple[Answer, Watch]) -> Answer:
    return watched[0]


def test_two_converge_and_the_third_is_named(first: Answer, hosts: list[Host]) -> None:
    """One dead host delays nobody, is named with the reason, and makes the exit code 1."""
    assert first.code == 1, first.problems
    (error,) = first.json["errors"]
    assert (error["host"], error["code"]) == ("dead", "host-unreachable")
    for host in hosts:
        laws.plan_told_the_truth(first, host.name)
        laws.everything_is_proven(first, host.name)


def test_what_needs_a_gpu_is_left_out_and_said_once(first: Answer, hosts: list[Host]) -> None:
    """No driver, no toolkit, no CUDA; proofs of them are not applicable, never passed."""
    host = hosts[0]
    assert first.host(host.name)["stack"]["driver"] is None
    said = [f for f in first.host(host.name)["plan"] if f["verdict"] == "left-out"]
    assert len({finding["id"] for finding in said}) == len(said)
    assert first.proofs(host.name)["driver.nvml"] == "not-applicable"
    assert "nvidia" not in host.ssh("dpkg-query -W -f '${Package}\\n'").stdout


def test_both_learn(first: Answer, hosts: list[Host], framework: str) -> None:
    """By the programs that come with gpurig, and by one of the user's own."""
    small, large = (first.proofs(host.name) for host in hosts)
    assert small["workloads.program.xgboost:trees.py"] == "passed"
    assert small["workloads.own.xgboost:boost.py"] == "passed"
    if framework == "tensorflow":
        assert large["workloads.mnist.tensorflow"] == "passed"
        assert large["workloads.own.train.py"] == "passed"
    else:
        assert large["workloads.own.xgboost:train.py"] == "passed"


def test_debian_12_gets_its_own_driver_and_module(first: Answer, hosts: list[Host]) -> None:
    """GPUs in containers by the runtime; Docker 20.10 has no CDI; the next kernel has a module."""
    proofs = first.proofs(hosts[1].name)
    assert proofs["docker.runtime-lists-gpus"] == "passed"
    assert proofs["docker.cdi-lists-gpus"] == "not-applicable"
    assert proofs["driver.module-for-next-boot"] == "passed"


def test_the_password_is_seen_nowhere(
    watched: tuple[Answer, Watch], person: Person, hosts: list[Host]
) -> None:
    """Not in a process list, not in the log, not in a report, not on the host's disk."""
    answer, watch = watched
    assert watch.looks > 100, "nobody was watching"
    assert not watch.seen
    assert CANARY not in answer.out + answer.err
    search = ["grep", "-rlF", "--exclude=*.py", CANARY, person.home]  # a GB of wheels is there, too
    found = subprocess.run(search, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (1, ""), found
    left = hosts[0].ssh(f"grep -rls {CANARY} /etc /tmp /var/tmp /run /root /opt/gpurig /var/log")
    assert not left.stdout


def test_again_changes_nothing(first: Answer, hosts: list[Host], inventory: Path, person: Person
                               ) -> None:  # fmt: skip
    """The second run: 0 changes on each, and the plan before it says 0."""
    before = [state(host) for host in hosts]
    again = person.gpurig("up", inventory, "--json")
    for host in hosts:
        laws.nothing_to_do(again, host.name)
    assert [state(host) for host in hosts] == before


PYTHON = "runuser -u nobody -- env -i HOME=/tmp/nobody PYTHONPATH=/opt/gpurig/workloads" \
    " TF_CPP_MIN_LOG_LEVEL=3 /opt/gpurig/venvs/tensorflow/bin/python"  # fmt: skip


@pytest.mark.long
def test_damaged_data_are_named_or_prepared_anew(first: Answer, hosts: list[Host]) -> None:
    """Prepared data and archives, whole, copied, truncated, on the host that `up` prepared."""
    host = hosts[1]
    host.write("/tmp/data_on_host.py", (Path(__file__).parent / "data_on_host.py").read_text())
    host.run("install -d -o nobody /tmp/nobody /tmp/nobody/work")
    told = host.run(
        f"{PYTHON} /tmp/data_on_host.py /var/lib/gpurig/datasets /tmp/nobody/work", check=False
    )
    assert told.rc == 0, told.stderr
    assert len(told.stdout.splitlines()) == 6, told.stdout + told.stderr


@pytest.mark.long
def test_the_same_seed_gives_the_same_accuracy(first: Answer, hosts: list[Host]) -> None:
    """On the fallback data, without a network: twice the same weights, by another others."""
    host = hosts[1]
    host.run("install -d -o nobody /tmp/nobody")
    program = "/opt/gpurig/workloads/mnist_keras.py --epochs 3 --threshold 0"
    told = [host.run(f"{PYTHON} {program} --seed {seed}").stdout for seed in (7, 7, 8)]
    same, again, other = (json.loads(text.splitlines()[-1]) for text in told)
    assert same["data"]["source"] == "fallback: UCI digits"
    assert same["accuracy"] == again["accuracy"]
    assert same["ranks"] == again["ranks"] != other["ranks"]
    assert [Path(plot).name for plot in same["plots"]] == [
        "prediction.png", "training.png", "confusion.png"
    ]  # fmt: skip


@pytest.mark.long
def test_what_cannot_be_written_is_one_sentence(first: Answer, hosts: list[Host]) -> None:
    """A folder that is not theirs, and a disk without room: exit 2, no traceback."""
    host = hosts[1]
    host.run("install -d -o nobody /tmp/nobody; install -d /tmp/roots /tmp/full")
    host.run("mount -t tmpfs -o size=64k,mode=777 tmpfs /tmp/full")
    archives = "--data-mirror /var/lib/gpurig/datasets/archives"
    for options, told in (
        (f"--data-dir /tmp/roots {archives}", "/tmp/roots is not writable"),
        (f"--data-dir /tmp/full {archives}", "No space left on device"),
        ("--data-dir /var/lib/gpurig/datasets --out /tmp/roots/out", "Permission denied"),
    ):
        answer = host.run(f"{PYTHON} /opt/gpurig/workloads/mnist_keras.py {options}", check=False)
        assert (answer.rc, answer.stdout) == (2, ""), answer.stderr
        assert told in answer.stderr.splitlines()[-1]
        assert "Traceback" not in answer.stderr


def test_a_wrong_sudo_password_is_one_sentence(inventory: Path, somebody: Person, hosts: list[Host],
                                               lab: Lab, framework: str) -> None:  # fmt: skip
    """As the only host exit 2, among others exit 1 and named; no traceback."""
    first, second = hosts
    wrong = first.ssh_data() | {"ssh_user": "ann", "_sudo_password": "wrong"}
    alone = somebody.inventory({first.name: wrong}, **settings(lab))
    answer = somebody.gpurig("plan", alone)
    assert answer.code == 2, answer.out + answer.err
    assert "sudo refuses the password" in answer.out
    assert "Traceback" not in answer.out + answer.err
    both = somebody.inventory(
        {first.name: wrong, second.name: second_data(second, framework)}, **settings(lab)
    )
    answer = somebody.gpurig("plan", both, "--json")
    assert answer.code == 1, answer.out + answer.err
    assert [error["host"] for error in answer.json["errors"]] == [first.name]


BREAKS = f"""
mkdir -p /srv/stray && cp {SITE}/tensorflow/libtensorflow_framework.so.2 /srv/stray
echo 'export LD_LIBRARY_PATH=/srv/stray' > /etc/profile.d/stray.sh
mkdir /root/kept && mv {SITE}/idna-*.dist-info /root/kept
"""
BAD = {
    "silent.py": ("import sys; print('no GPU here', file=sys.stderr)", "no JSON line: no GPU here"),
    "stops.py": ("raise SystemExit('no data')", "exit code 1: no data"),
    "says-no.py": (
        TRAIN.replace("FRAMEWORK", "tensorflow").replace("> 0", "< 0"),
        "says-no.py reports that it did not pass",
    ),
}


@pytest.mark.long
def test_what_breaks_training_is_named(
    first: Answer, hosts: list[Host], somebody: Person, lab: Lab, framework: str
) -> None:
    """A library that shadows, a package that is gone, programs that break the contract."""
    host = hosts[1]
    for name, (text, _) in BAD.items():
        (somebody.home / name).write_text(text)
    inventory = somebody.inventory(
        {host.name: second_data(host, framework)},
        rig_workloads=["matmul", *BAD],
        **settings(lab),
    )
    up = somebody.gpurig("up", inventory, "--json", "--prove", "never")  # hands the programs over
    assert up.changed(host.name) == {"workloads.own"}, up.problems
    try:
        host.ssh(BREAKS)
        answer = somebody.gpurig("verify", inventory, "--json")
    finally:
        host.ssh(f"rm /etc/profile.d/stray.sh; mv /root/kept/* {SITE}")
    assert answer.code == 1, answer.problems
    failed = {
        proof["id"]: proof["reason"]
        for proof in answer.host(host.name)["proofs"]
        if proof["verdict"] in ("failed", "unknown")
    }
    wanted = {
        "environments.consistent.tensorflow": "requires idna, which is not installed",
        "environments.as-locked.tensorflow": "idna is missing, the lock has",
        "environments.login-shell.tensorflow": (
            "gpurig: /srv/stray/libtensorflow_framework.so.2 is loaded instead of the environment's"
            " own library, because of LD_LIBRARY_PATH=/srv/stray"
        ),
        **{f"workloads.own.{name}": said for name, (_, said) in BAD.items()},
    }
    assert failed.keys() == wanted.keys()
    assert [said for proof, said in wanted.items() if said not in failed[proof]] == [], failed


@pytest.mark.long
def test_nvidia_s_own_module_builds_on_debian_12(
    boot: Callable[..., Host], somebody: Person, lab: Lab
) -> None:
    """Debian 12's driver with its real sources, for the kernel that boots next."""
    host = boot("bookworm", "mod12")
    data = host.ssh_data() | {"rig_assume_gpu": ["10de:20b0"], "rig_components": ["driver"]}
    inventory = somebody.inventory({host.name: data}, **settings(lab))
    up = somebody.gpurig("up", inventory, "--json")
    assert up.code in (0, 4), up.problems
    laws.plan_told_the_truth(up, host.name)
    laws.everything_is_proven(up, host.name)
    assert up.proofs(host.name)["driver.module-for-next-boot"] == "passed"
