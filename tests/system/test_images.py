"""Images on a booted Debian 13: built, loaded, run as a user, and what a user has stays."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gpurig.contract.finding import Verdict
from gpurig.errors import HostError
from gpurig.images.recipe import RECIPE, Recipe, reference, saved
from gpurig.operations import images
from gpurig.operations.environments.uv import Downloads
from lab.hosts import Host
from lab.lab import Lab
from operations.passes import Passes, all_hold
from system import laws
from system.person import Answer, Person, settings

pytestmark = pytest.mark.lab

BASE = "lab-python:trixie"
SOCKET = "/run/docker.sock"
DAEMON = {"features": {"buildkit": True}}  # as Docker CE has it; there is no buildx here


@pytest.fixture(scope="module")
def host(boot: Callable[..., Host], lab: Lab) -> Host:
    """A host with Docker, a base image without a registry, and a container of its user's."""
    made = boot("trixie", "img13")
    made.write("/etc/docker/daemon.json", json.dumps(DAEMON))
    done = made.ssh("apt-get -qq update && apt-get -qq -y install docker.io docker-cli apparmor")
    assert done.rc == 0, done.stderr
    lab.import_base_image(made, BASE, python=True)
    made.ssh(f"useradd -m ann; docker tag {BASE} mine; docker run -d --name mine mine sleep 9999")
    return made


@pytest.fixture(scope="module")
def passes(host: Host) -> Iterator[Passes]:
    """Single operations on it."""
    over = Passes.over(host)
    yield over
    over.link.close()


@pytest.fixture(scope="module")
def near(host: Host, person: Person) -> Iterator[Person]:
    """The person, whose DOCKER_HOST is the host's socket, brought here by ssh."""
    local = person.home / "docker.sock"
    forward = subprocess.Popen(
        ["ssh", "-N", "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes",
         "-o", f"UserKnownHostsFile={host.known_hosts}", "-i", str(host.key),
         "-L", f"{local}:{SOCKET}", f"root@{host.address}"],
    )  # fmt: skip
    while not local.exists():
        assert forward.poll() is None, "ssh ended"
        time.sleep(0.1)
    yield Person(person.home, {"DOCKER_HOST": f"unix://{local}"})
    forward.kill()
    forward.wait()


def small(text: str = "FROM scratch", base: str = BASE) -> Recipe:
    """A recipe that takes a second, with this text in a file of the image."""
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        dockerfile = "ARG BASE\nFROM ${BASE}\nCOPY word /word\nRUN id > /who\nUSER daemon\n"
        for name, content in (("Dockerfile", dockerfile), ("word", text)):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content.encode()))
    labels = {RECIPE: text, "gpurig.framework": "small 1"}
    return Recipe(reference("small"), base, {"BASE": base}, labels, context.getvalue())


def building(recipe: Recipe) -> Callable[[], None]:
    """A deploy that builds it."""

    def deploy() -> None:
        images.built(title="small", recipe=recipe, downloads=Downloads(None, None))

    return deploy


def test_built_once_and_repaired_after_each_drift(passes: Passes) -> None:
    """From bare, again, removed, other content; the image that is replaced goes."""
    deploy = building(small("one"))
    assert "build gpurig/small" in passes.plan(deploy)["images.small"].will
    assert all_hold(passes.up(deploy)), "one run converges from bare"
    assert not passes.drifted(deploy), "again: zero changes"
    first = passes.shell("docker image inspect -f '{{.Id}}' gpurig/small").strip()

    passes.repaired(deploy, "docker image rm gpurig/small", {"images.small"})

    other = building(small("two"))
    assert passes.plan(other)["images.small"].actual == "built from something else"
    assert all_hold(passes.up(other))
    assert passes.shell("docker run --rm gpurig/small cat /word").strip() == "two"
    assert first not in passes.shell("docker images --no-trunc --quiet")
    assert not passes.shell("docker images --quiet --filter dangling=true").strip()
    assert not passes.shell("ls /run | grep gpurig-run || :").strip()


def test_what_is_in_use_or_the_users_stays(passes: Passes) -> None:
    """A replaced image that has another name or a container stays; a foreign one is not taken."""
    passes.shell("docker tag gpurig/small kept:1; docker run -d --name old gpurig/small sleep 9999")
    mine = "docker ps --no-trunc --format '{{.ID}} {{.Names}}' | sort; docker image inspect -f"
    mine += " '{{.Id}}' mine kept:1"
    before = passes.shell(mine)
    assert all_hold(passes.up(building(small("three"))))
    assert passes.shell(mine) == before

    passes.shell("docker rm -f old; docker tag mine gpurig/small")
    found = passes.up(building(small("three")))["images.small"]
    assert found.verdict is Verdict.UNKNOWN
    assert "did not build" in found.reason
    passes.shell("docker image rm gpurig/small kept:1")
    assert all_hold(passes.up(building(small("three"))))

    # Somebody's own work inherits our label; it loses the name, and is not removed.
    committed = passes.shell(
        "docker run --name work --user 0 gpurig/small sh -c 'echo mine > /mine';"
        " docker commit work gpurig/small; docker rm work >/dev/null"
    ).split()[0]
    assert all_hold(passes.up(building(small("five"))))
    assert passes.shell(f"docker run --rm {committed} cat /mine").strip() == "mine"
    passes.shell(f"docker image rm {committed}")


def test_an_unreachable_base_is_one_sentence(passes: Passes) -> None:
    """A base that is neither there nor to be had: named, with what to do; nothing is left."""
    deploy = building(small("four", base="no-such-base:1"))
    assert "pull no-such-base:1 and build" in passes.plan(deploy)["images.small"].will
    with pytest.raises(HostError, match="no-such-base:1 is not on the host and cannot be pulled"):
        passes.link.apply(deploy)
    assert not passes.shell("ls /run | grep gpurig-run || :").strip()


def test_a_saved_image_is_handed_to_a_host(passes: Passes, near: Person, host: Host) -> None:
    """`image save`, removed on the host, loaded by the operation; the same image, once."""
    assert all_hold(passes.up(building(small("three"))))
    answer = near.gpurig("image", "save", "small", "given.tar")
    assert answer.code == 0, answer.err
    passes.shell("docker image rm gpurig/small")
    file = saved(str(near.home / "given.tar"))
    assert file.tags == ("gpurig/small:latest",)

    def deploy() -> None:
        images.loaded(title="given", saved=file)

    assert all_hold(passes.up(deploy))
    assert not passes.drifted(deploy), "again: zero changes"
    assert passes.shell("docker run --rm gpurig/given cat /word").strip() == "three"
    passes.shell("docker image rm gpurig/given")
    assert all_hold(passes.up(deploy))
    assert passes.shell("ls /var/lib/gpurig/images").split() == ["given.id", "small.id"]
    passes.shell("docker image rm gpurig/given gpurig/small; docker tag mine gpurig/small")
    found = passes.up(deploy)["images.given"]
    assert found.verdict is Verdict.UNKNOWN
    assert "the host has another image" in found.reason
    passes.shell("docker image rm gpurig/small")


def test_run_is_the_callers_own(passes: Passes, near: Person, host: Host) -> None:
    """The caller's uid, folder, output and exit code; no root inside, and nothing is left."""
    assert all_hold(passes.up(building(small("three"))))
    caller = Person(near.home, near.environment | {"SUDO_UID": "1234", "SUDO_GID": "1234"})
    host.ssh(f"install -d -o 1234 {near.home}")  # the folder as the daemon sees it
    script = "id -u; pwd; echo aside >&2; touch made; exit 7"
    answer = caller.gpurig("image", "run", "small", "sh", "-c", script)
    assert (answer.code, answer.out.split()) == (7, ["1234", "/workspace"]), answer.err
    assert answer.err == "aside\n"
    assert host.ssh(f"stat -c %u {near.home}/made").stdout.strip() == "1234"
    assert host.ssh("docker ps --all --format '{{.Names}}'").stdout.split() == ["mine"]
    passes.shell("docker image rm gpurig/small")


BAD = {
    "a Dockerfile that fails": ("FROM BASE\nRUN echo no bread; exit 3\n", 1, "exit 3"),
    "a Dockerfile that is none": ("FORM BASE\n", 1, "FORM"),
}


@pytest.mark.parametrize(("text", "code", "says"), BAD.values(), ids=BAD)
def test_a_dockerfile_that_fails_shows_its_error(
    near: Person, text: str, code: int, says: str
) -> None:
    """Exit 1 with Docker's own sentence."""
    folder = near.home / "own"
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(text.replace("BASE", BASE))
    answer = near.gpurig("image", "build", "./own")
    assert answer.code == code, answer.out
    assert says in answer.err
    assert len(answer.err.strip().splitlines()) == 1, answer.err
    assert ("no bread" in answer.out) == ("no bread" in text), "its output is told as it comes"


def test_wrong_images_are_one_sentence_each(near: Person) -> None:
    """A base that cannot be had, an image that is not there, GPUs that Docker does not offer."""
    for words, says in {
        ("build", "tensorflow", "--base", "no-such-base:1"): "no-such-base:1 is missing",
        ("run", "no-such-image"): "there is no image no-such-image",
        ("run", "--gpus", "all", "mine", "true"): "offers no NVIDIA GPUs",
        ("save", "no-such-image", "x.tar"): "there is no image no-such-image",
    }.items():
        answer = near.gpurig("image", *words)
        assert answer.code == 2, answer.out + answer.err
        assert says in answer.err
        assert len(answer.err.strip().splitlines()) == 1, answer.err


@pytest.fixture(scope="module")
def inventory(host: Host, person: Person, lab: Lab) -> Path:
    """Docker and the TensorFlow image, and nothing else."""
    data = host.ssh_data() | {
        "rig_components": ["docker"],
        "rig_users": ["ann"],
        "rig_images": ["tensorflow"],
        "rig_base_image": BASE,
    }
    return person.inventory({host.name: data}, **settings(lab))


@pytest.fixture(scope="module")
def first(host: Host, inventory: Path, person: Person) -> Answer:
    """The first `up`."""
    return person.gpurig("up", inventory, "--json")


# CI builds small images above; the wheels of TensorFlow in one take minutes.
@pytest.mark.long
def test_up_builds_it_and_mnist_is_learnt_inside(first: Answer, host: Host) -> None:
    """Promised, built, run as the user and trained in, at the hosts' own threshold."""
    assert first.code in (0, 4), first.problems
    laws.plan_told_the_truth(first, host.name)
    laws.everything_is_proven(first, host.name)
    proofs = {proof["id"]: proof for proof in first.host(host.name)["proofs"]}
    for shown in ("images.run-as-user", "images.framework", "images.mnist"):
        assert proofs[shown]["verdict"] == "passed", proofs[shown]
    told = proofs["images.mnist"]["detail"]
    assert (told["threshold"], told["accuracy"] >= 0.97) == (0.97, True)
    assert set(told["plots"]) == {"confusion.png", "prediction.png", "training.png"}
    assert host.ssh("docker ps --format '{{.Names}}'").stdout.split() == ["mine"]


@pytest.mark.long
def test_again_changes_nothing(first: Answer, host: Host, inventory: Path, person: Person) -> None:
    """The second run: 0 changes, and the plan before it says 0."""
    laws.again_changes_nothing(person, inventory, host)


@pytest.mark.long
def test_the_same_image_by_hand(
    first: Answer, near: Person, host: Host, lab: Lab, inventory: Path
) -> None:
    """`image build` tells its steps, makes what `up` made, and `up` finds nothing to do."""
    answer = near.gpurig("image", "build", "tensorflow", "--base", BASE, "--index", lab.index_url)
    assert answer.code == 0, answer.err
    assert "Step 1/" in answer.out
    assert "built gpurig/tensorflow:latest" in answer.out
    labels = json.loads(
        host.ssh("docker image inspect -f '{{json .Config.Labels}}' gpurig/tensorflow").stdout
    )
    assert labels["gpurig.lock"] == "tensorflow-2.21.0-py3.13-x86_64-cpu"
    plan = near.gpurig("plan", inventory, "--json")
    assert not plan.drifted(host.name), plan.problems
