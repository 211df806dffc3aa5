"""rig_workloads: gpurig's programs by name, a user's own by environment and file."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpurig.contract.frameworks import programs
from gpurig.errors import InputError
from gpurig.hosts import inventory
from gpurig.settings.checks import validate
from gpurig.settings.programs import chosen, own_programs, refuse_unreadable

WHERE = "lab.py, gpu01"


def _own(*workloads: str, **others: object) -> list[tuple[str, str]]:
    settings = validate({"rig_workloads": list(workloads), **others}, WHERE)
    return [(one.environment, one.path) for one in own_programs(settings)]


def test_a_program_names_its_environment_or_has_the_only_one() -> None:
    """`pytorch:train.py` runs in pytorch; `train.py` in the one environment that there is."""
    both = {"rig_frameworks": ["tensorflow", "pytorch==2.10.*"]}
    assert _own("pytorch:/srv/train.py", **both) == [("pytorch", "/srv/train.py")]
    assert _own("/srv/train.py", rig_frameworks=["horovod[pytorch]"]) == [
        ("horovod", "/srv/train.py")
    ]
    assert _own("/srv/train.py") == [("", "/srv/train.py")], "which one it is the host decides"


def test_naming_some_of_ours_leaves_out_the_others() -> None:
    """The user's own never do."""
    assert chosen(validate({}, WHERE)) == set(programs())
    assert chosen(validate({"rig_workloads": ["matmul", "a.py"]}, WHERE)) == {"matmul"}
    assert chosen(validate({"rig_workloads": ["a.py"]}, WHERE)) == set(programs())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["mnist_kears"], "did you mean mnist_keras?"),
        (["train"], "PATH.py"),
        (["train.sh"], "PATH.py"),
        (["a b.py"], "PATH.py"),
        (["a/train.py", "b/train.py"], "a different name"),
        ("train.py", "a list"),
        ([3], "in quotes"),
    ],
)
def test_what_is_no_program_is_one_sentence(wrong: object, said: str) -> None:
    """Before any host is contacted."""
    with pytest.raises(InputError, match="rig_workloads") as refused:
        validate({"rig_workloads": wrong}, WHERE)
    assert said in str(refused.value)


def test_paths_are_meant_from_the_inventorys_folder_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And those of --set from the working folder on."""
    lab, here = tmp_path / "lab", tmp_path / "here"
    lab.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    (lab / "lab.py").write_text(
        "hosts = [('a', {'rig_workloads': ['matmul', 'tensorflow:my/train.py']})]\n"
    )
    (host,) = inventory.load(str(lab / "lab.py"))
    assert host.settings.workloads == ("matmul", f"tensorflow:{lab}/my/train.py")
    (host,) = inventory.load(str(lab / "lab.py"), overrides={"rig_workloads": ["train.py"]})
    assert host.settings.workloads == (f"{here}/train.py",)


@pytest.mark.parametrize(
    ("frameworks", "workload", "said"),
    [
        (["pytorch"], "{folder}/gone.py", "cannot be read (No such file"),
        (["pytorch"], "{folder}/folder.py", "cannot be read (Is a directory"),
        (["pytorch"], "{folder}/binary.py", "it is not text"),
        (["pytorch"], "jax:{folder}/train.py", "which rig_frameworks does not name"),
        (["pytorch", "jax"], "{folder}/train.py", "does not say which of pytorch, jax"),
    ],
)
def test_a_program_that_cannot_be_run_is_one_sentence(
    tmp_path: Path, frameworks: list[str], workload: str, said: str
) -> None:
    """It names the file and what is wrong with it."""
    (tmp_path / "train.py").write_text("print()\n")
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "binary.py").write_bytes(b"\xff\xfe\x00")
    wish = workload.format(folder=tmp_path)
    settings = validate({"rig_frameworks": frameworks, "rig_workloads": [wish]}, WHERE)
    with pytest.raises(InputError) as refused:
        refuse_unreadable(settings, WHERE)
    assert said in str(refused.value)
    assert wish.rpartition("/")[2] in str(refused.value)


def test_a_program_that_can_be_run_is_not_refused(tmp_path: Path) -> None:
    """Nor are gpurig's own."""
    (tmp_path / "train.py").write_text("print()\n")
    wishes = ["matmul", f"tensorflow:{tmp_path}/train.py"]
    refuse_unreadable(validate({"rig_workloads": wishes}, WHERE), WHERE)
