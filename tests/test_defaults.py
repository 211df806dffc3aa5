"""`gpurig.toml`: what holds where neither the inventory nor the command line says otherwise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gpurig.cli.asked import Asked
from gpurig.errors import InputError
from gpurig.settings.defaults import Defaults
from gpurig.settings.redaction import secrets_of

GIVEN: dict[str, Any] = {"wishes": (), "limit": None, "target": None, "quiet": False}


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's file, not yet written."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    file = tmp_path / "config" / "gpurig" / "gpurig.toml"
    file.parent.mkdir(parents=True)
    return file


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """An inventory in a folder of its own, with a file beside it."""
    (tmp_path / "lab").mkdir()
    inventory = tmp_path / "lab" / "lab.py"
    inventory.write_text('gpus = [("gpu01", {"rig_reboot": "never", "rig_cuda": None}), "gpu02"]')
    return inventory


def test_the_nearer_place_wins(user: Path, lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Command line, inventory, the file beside it, the user's, the built-in default."""
    user.write_text(
        'rig_users = ["u"]\nrig_cuda = "13.0"\nrig_python = "3.11"\nrig_cudnn = "system"'
    )
    beside = lab.with_name("gpurig.toml")
    beside.write_text('rig_users = ["b"]\nrig_reboot = "ask"\nrig_python = "3.12"')
    given = GIVEN | {"target": str(lab), "wishes": ("rig_python=3.13",)}
    first, second = (spec.settings for spec in Asked.of("plan", given).hosts)
    assert (first.python, second.python) == ("3.13", "3.13")
    assert (first.reboot, second.reboot) == ("never", "ask")
    assert (first.users, second.users) == (("b",), ("b",))
    assert (first.cuda, first.cudnn) == ("13.0", "system"), "None in an inventory is not given"
    assert first.accelerator == "auto"
    told = capsys.readouterr()
    assert told.err == f"defaults: {user}\ndefaults: {beside}\n"
    assert told.out == ""


def test_hosts_by_name_and_this_machine_have_the_users(
    user: Path, lab: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file in the working folder is beside no inventory."""
    user.write_text('rig_users = ["u"]')
    lab.with_name("gpurig.toml").write_text('rig_users = ["b"]')
    monkeypatch.chdir(lab.parent)
    for target in (None, "gpu01,gpu02"):
        asked = Asked.of("plan", GIVEN | {"target": target, "quiet": True})
        assert {spec.settings.users for spec in asked.hosts} == {("u",)}
    assert capsys.readouterr() == ("", "")


def test_secrets_in_it_are_secrets(user: Path) -> None:
    """They are hidden as those of an inventory."""
    user.write_text('rig_proxy = "http://ann:pw@proxy.example.org:3128"')
    (spec,) = Asked.of("plan", GIVEN).hosts
    assert "pw" in secrets_of([spec.data])


def test_programs_start_at_the_file(user: Path, lab: Path) -> None:
    """As those of an inventory start at its folder."""
    lab.with_name("gpurig.toml").write_text('rig_workloads = ["tensorflow:train.py"]')
    (lab.parent / "train.py").touch()
    first, _ = Asked.of("plan", GIVEN | {"target": str(lab)}).hosts
    assert first.settings.workloads == (f"tensorflow:{lab.parent}/train.py",)


def test_settings_of_several_places_go_together(user: Path, lab: Path) -> None:
    """What contradicts is judged when all is known."""
    user.write_text('rig_users = ["ada"]')
    given = GIVEN | {"wishes": ("rig_docker_rootless=true",)}
    (spec,) = Asked.of("plan", given).hosts
    assert spec.settings.docker_rootless
    user.unlink()
    with pytest.raises(InputError, match="@local: rig_docker_rootless needs at least one user"):
        Asked.of("plan", given)


WRONG = {
    "no TOML": ("rig_users = [", r", line 1: the file is not TOML \(.*\); write lines such as"),
    "no TOML, further down": ("\n\nrig users = 1", ", line 3: the file is not TOML"),
    "twice": ('rig_cuda = "13"\nrig_cuda = "12"', ", line 2: the file is not TOML"),
    "too deep": ("rig_users = " + "[" * 10_000, "the file is not TOML"),
    "no setting": ("rig_user = ['a']", ": there is no setting rig_user; did you mean rig_users"),
    "without rig_": ("users = ['ada']", ": there is no setting users; did you mean rig_users"),
    "a table": ("[rig]\nusers = ['ada']", ": there is no setting rig;"),
    "another's": ("ssh_user = 'ada'", ": there is no setting ssh_user;"),
    "a value": ("rig_reboot = 'maybe'", ": rig_reboot must be one of never, ask, if-needed"),
    "a date": ("rig_users = 2026-01-01", ": rig_users must be"),
    "a relative path": ("rig_cache = 'wheels'", ": rig_cache must be an absolute path"),
    "a release": ("rig_frameworks = ['tensorflow==0.1']", "tensorflow"),
}


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_in_it_is_one_sentence_with_the_file(
    user: Path, text: str, said: str
) -> None:
    """And the line or the key; before any host is contacted."""
    user.write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        Asked.of("plan", GIVEN)
    assert "\n" not in str(caught.value)
    assert str(user) in str(caught.value) or text == WRONG["a release"][0]


@pytest.mark.parametrize("kind", ["folder", "nowhere", "binary", "open"])
def test_a_file_that_cannot_be_used_is_one_sentence(user: Path, kind: str) -> None:
    """Not as if there were none."""
    if kind == "folder":
        user.mkdir()
    elif kind == "nowhere":
        user.symlink_to("nowhere")
    elif kind == "binary":
        user.write_bytes(b"\xff\xfe")
    else:
        user.write_text("")
        user.chmod(0o666)
    with pytest.raises(InputError, match=str(user)) as caught:
        Defaults.of(None)
    assert "\n" not in str(caught.value)


def test_a_described_machine_has_them_as_well(user: Path) -> None:
    """The whole program: on standard error which file was read, the result unmixed."""
    user.write_text('rig_components = ["docker"]')
    words = ["resolve", "--os", "debian:13", "--json"]
    command = [sys.executable, "-m", "gpurig.cli.main", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert done.stderr == f"defaults: {user}\n"
    assert json.loads(done.stdout)["hosts"]["given"]["stack"]["environments"] == []
