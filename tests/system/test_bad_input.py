"""Bad input: one sentence, exit 2, nothing changed, never a traceback."""

from __future__ import annotations

import pytest

from system.person import Answer, Person


def _one_sentence(answer: Answer) -> str:
    assert answer.code == 2, answer.out + answer.err
    assert "Traceback" not in answer.out + answer.err
    (sentence,) = answer.err.strip().splitlines()
    return sentence


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "the inventory does not exist"),
        ("", "no host"),
        ("hosts = []\n", "no host"),
        ("hosts = [\n", "line 1"),
        ("hosts = [1/0]\n", "division by zero"),
        ("hosts = [('a', {'rig_framework': ['tensorflow']})]\n", "rig_frameworks"),
        ("hosts = [('a', {'rig_users': 3})]\n", "rig_users"),
        ("hosts = [('a', {'rig_driver_flavour': 'opne'})]\n", "open"),
        ("hosts = [('a', {'rig_jupyter': 'lab'})]\n", "rig_jupyter must be"),
        ("hosts = [('a', {'rig_images': ['tensorflw']})]\n", "did you mean tensorflow?"),
        ("hosts = [('a', {'rig_frameworks': ['pytorhc']})]\n", "did you mean pytorch?"),
        ("hosts = [('a', {'rig_frameworks': ['keras[horovod]']})]\n", "keras needs one of"),
        ("hosts = [('a', {'rig_frameworks': ['jax==9.9']})]\n", "gpurig's tables have 0.10.2"),
        ("import sys\nsys.exit(0)\n", "it exits with 0"),
        ("hosts = [('a', {'rig_images': ['my image']})]\n", "rig_images must be a list"),
        ("hosts = [('a', {'rig_base_image': 'my base'})]\n", "without spaces"),
        ("hosts = [('a', {'rig_images': ['/nowhere/a.tar']})]\n", "No such file"),
        ("hosts = [('a', {'rig_workloads': ['mnist_kears']})]\n", "did you mean mnist_keras?"),
        ("hosts = [('a', {'rig_workloads': ['gone.py']})]\n", "gone.py of rig_workloads cannot"),
        ("hosts = ['@docker/x']\n", "@docker"),
    ],
)
def test_a_broken_inventory(somebody: Person, text: str | None, said: str) -> None:
    """What is wrong, where, and what to do; found before any host is contacted."""
    file = somebody.home / "inventory.py"
    if text is not None:
        file.write_text(text)
    sentence = _one_sentence(somebody.gpurig("up", file))
    assert said.lower() in sentence.lower(), sentence
    assert "inventory.py" in sentence


def test_each_verb_refuses_an_inventory_with_the_same_sentence(somebody: Person) -> None:
    """They load it in one place."""
    file = somebody.home / "inventory.py"
    file.write_text("hosts = [('a', {'rig_users': 3})]\n")
    verbs = ("up", "plan", "verify", "facts", "resolve")
    assert len({_one_sentence(somebody.gpurig(verb, file)) for verb in verbs}) == 1


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ("rig_usres=ann", "rig_users"),
        ("rig_reboot=sometimes", "if-needed"),
        ("nonsense", "nonsense has no value"),
        ("rig_assume_gpu=H100", "10de:"),
    ],
)
def test_a_wrong_setting_on_the_command_line(somebody: Person, wish: str, said: str) -> None:
    """--set is checked like an inventory."""
    assert said in _one_sentence(somebody.gpurig("plan", "@local", "--set", wish))


def test_json_errors_have_the_frame(somebody: Person) -> None:
    """A machine reads the same sentence from the frame's errors."""
    answer = somebody.gpurig("plan", "missing.py", "--json")
    assert answer.code == 2
    assert answer.json["hosts"] == {}
    assert answer.json["errors"][0]["where"].endswith("missing.py")


def test_a_name_that_does_not_resolve(somebody: Person) -> None:
    """As the only host: exit 2, and the name is in the sentence."""
    answer = somebody.gpurig("plan", "no-such-host.invalid")
    assert answer.code == 2
    assert "no-such-host.invalid does not resolve" in answer.out
    assert "Traceback" not in answer.out + answer.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--workload", "missing.py", "--engine", "torchrun"], "missing.py cannot be read"),
        (["--engine", "multiworker", "--processes-per-host", "2"], "one process on each host"),
        (["--engine", "torchrun", "--env", "../x"], "is no name of an environment"),
        (["--engine", "torchrun", "-x", "A B=1"], "is no name of a variable"),
        (["--engine", "torchrun", "missing.py"], "the inventory does not exist"),
    ],
)
def test_a_wrong_wish_for_a_training(somebody: Person, words: list[str], said: str) -> None:
    """A program that is not there, options that do not fit together."""
    assert said in _one_sentence(somebody.gpurig("train", *words))


def test_a_data_mirror_with_another_file(somebody: Person) -> None:
    """A page in an archive's place is named before a host is contacted."""
    mirror = somebody.home / "mirror"
    mirror.mkdir()
    (mirror / "train-images-idx3-ubyte.gz").write_text("<!doctype html><title>Sign in</title>")
    hosts = {"gpu01": {"ssh_hostname": "no-such-host.invalid", "rig_data_mirror": str(mirror)}}
    for verb in ("up", "plan", "verify"):
        sentence = _one_sentence(somebody.gpurig(verb, somebody.inventory(hosts)))
        assert "gpu01, rig_data_mirror: train-images-idx3-ubyte.gz of" in sentence
        assert "a web page" in sentence
