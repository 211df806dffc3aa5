"""Images: they run as the user, hold the resolved framework, and a network learns in one."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from testinfra.host import Host

from gpurig.proofs.plots import plots
from gpurig.proofs.plugin import Subject, not_applicable
from gpurig.proofs.training import DATA, mirror_for, substitute

WORKLOAD = "/opt/gpurig/mnist_keras.py"  # in the image, the file that hosts have as well
ASK = {
    "tensorflow": "import tensorflow as it;"
    " print(it.__version__, len(it.config.list_physical_devices('GPU')))",
    "pytorch": "import torch as it; print(it.__version__, it.cuda.device_count())",
}


@pytest.fixture(autouse=True, scope="module")
def built(stack: dict[str, Any]) -> list[dict[str, Any]]:
    """The images that were built; a proof of this file ends where there is none."""
    found = [image for image in stack["images"] if image["environment"]]
    if not found:
        not_applicable("rig_images names no image to build")
    return found


def _run(
    host: Host, subject: Subject, image: dict[str, Any], scratch: str, options: str, *words: str
) -> Any:
    """A command in a container as the user, whose folder is /workspace; Docker is asked by root."""
    who = host.check_output("id -u %s", subject.user), host.check_output("id -g %s", subject.user)
    line = f"docker run --rm --user {':'.join(who)} --env HOME=/workspace --env USER=user"
    reference = shlex.quote(f"gpurig/{image['name']}")
    mount = f"--volume {scratch}:/workspace --workdir /workspace"
    return host.run(f"{line} {mount} {options} {reference} {shlex.join(words)}")


def _gpus(host: Host, subject: Subject, image: dict[str, Any]) -> str:
    """What gives a container the GPUs, where there are some that compute."""
    if image["environment"]["accelerator"] != "cuda" or subject.stack["assumed"]:
        return ""
    version = host.check_output("docker version --format '{{.Server.Version}}'")
    if int(version.split(".")[0]) < 25:
        return "--runtime=nvidia --env NVIDIA_VISIBLE_DEVICES=all"
    return "--device nvidia.com/gpu=all"


@pytest.mark.proof("images.run-as-user")
def test_images_run_as_the_user(
    host: Host, subject: Subject, built: list[dict[str, Any]], scratch: str
) -> None:
    """A container runs and writes as the user, and no image runs as root by default."""
    uid = host.check_output("id -u %s", subject.user)
    for image in built:
        name = f"gpurig/{image['name']}"
        default = host.check_output("docker image inspect --format '{{.Config.User}}' %s", name)
        assert default not in ("", "0", "root"), f"{name} runs as root by default"
        file = f"by-{image['name']}"
        script = f"id -u; touch {file}"
        told = _run(host, subject, image, scratch, "--network none", "sh", "-c", script)
        assert told.rc == 0, f"{name}: {told.stderr.strip()}"
        assert told.stdout.split() == [uid], f"{name} runs as uid {told.stdout.strip()}, not {uid}"
        owner = host.check_output("stat -c %%u %s", f"{scratch}/{file}")
        assert owner == uid, f"files that {name} writes belong to uid {owner}, not {uid}"


@pytest.mark.proof("images.framework")
def test_images_hold_the_framework(
    host: Host, subject: Subject, built: list[dict[str, Any]], scratch: str
) -> None:
    """The framework of each image imports in the chosen version and sees the container's GPUs."""
    for image in built:
        inside, gpus = image["environment"], _gpus(host, subject, image)
        ask = ASK[inside["framework"]]
        told = _run(host, subject, image, scratch, f"--network none {gpus}", "python", "-c", ask)
        last = (told.stderr.strip().splitlines() or ["no output"])[-1]
        assert told.rc == 0, f"gpurig/{image['name']}: {last}"
        version, seen = told.stdout.split()[-2:]
        subject.detail[image["name"]] = {"version": version, "gpus": int(seen)}
        assert version.partition("+")[0] == inside["version"], f"the framework is {version}"
        if gpus:
            assert int(seen) == len(subject.gpus), f"it sees {seen} of {len(subject.gpus)} GPUs"


@pytest.mark.proof("images.mnist")
def test_a_network_learns_in_a_container(
    host: Host, subject: Subject, built: list[dict[str, Any]], training: None, scratch: str
) -> None:
    """In the TensorFlow image a network learns digits, with the same program as on the host."""
    image = next((one for one in built if one["name"] == "tensorflow"), None)
    if image is None:
        not_applicable("rig_images does not name tensorflow")
    options = f"--network host --volume {DATA}:/data {_gpus(host, subject, image)}"
    words = ["python", WORKLOAD, "--data-dir", "/data", "--out", "/workspace/out"]
    if mirror := mirror_for(host, subject):
        words += ["--data-mirror", "/mirror" if mirror.startswith("/") else mirror]
        if mirror.startswith("/"):
            options += f" --volume {shlex.quote(mirror)}:/mirror:ro"
    ended = _run(host, subject, image, scratch, options, *words)
    assert ended.rc in (0, 1), (ended.stderr.strip().splitlines() or ["no output"])[-1]
    told: dict[str, Any] = json.loads((ended.stdout.strip().splitlines() or ["null"])[-1])
    assert told, "the workload printed no JSON line"
    drawn = [path.replace("/workspace", scratch, 1) for path in told.get("plots", [])]
    subject.detail |= told | {"plots": plots(host, subject.user, scratch, drawn)}
    subject.remark = substitute(told)
    accuracy, threshold = told["accuracy"], told["threshold"]
    assert told["passed"], f"accuracy {accuracy:.4f} is below {threshold}"
