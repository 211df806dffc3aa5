"""`gpurig settings`: every setting explained, by the declarations that also write the reference."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gpurig.cli.settings import show_settings
from gpurig.errors import InputError
from gpurig.hosts.inventory import load
from gpurig.settings.checks import parse_set, validate
from gpurig.settings.programs import anchored
from gpurig.settings.table import TABLE, Settings


def _gpurig(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gpurig.cli.main", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("key", TABLE)
def test_a_setting_is_explained_with_what_can_be_copied(
    key: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Both ways in which its example is written are right, and mean the same."""
    monkeypatch.setenv("COLUMNS", "10000")
    assert show_settings(key.removeprefix("rig_"), as_json=False) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"{key}: {TABLE[key].kind}\n    {TABLE[key].doc[:20]}")
    written = re.search(r"in an inventory: (hosts = .*)", told)
    option = re.search(r"as an option: (--set .*)", told)
    assert written
    assert option
    _, wish = shlex.split(option[1])
    inventory = tmp_path / "lab.py"
    inventory.write_text(f"{written[1]}\n")
    others = {"rig_users": ["ada"]} if key == "rig_docker_rootless" else {}
    (host,) = load(str(inventory), overrides=others)
    assert list(host.data) == [key, *others]
    asked = anchored(parse_set([wish]), tmp_path)  # programs start at the inventory's folder
    assert _checked(dict(host.data)) == _checked(asked)


def _checked(data: dict[str, Any]) -> Settings:
    needs = {"rig_users": ["ada"]} if "rig_docker_rootless" in data else {}
    return validate({**needs, **data}, "here")


def test_all_are_explained_in_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order of the reference; only what is copied may be longer."""
    monkeypatch.setenv("COLUMNS", "80")
    show_settings(None, as_json=False)
    told = capsys.readouterr().out
    assert re.findall(r"^(rig_\w+): ", told, re.MULTILINE) == list(TABLE)
    copied = re.compile("    (in an inventory|as an option|default): ")
    assert not [x for x in told.splitlines() if len(x) > 80 and not copied.match(x)]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("rig_user", "there is no setting rig_user; did you mean rig_users or"),
        ("userz", "there is no setting rig_userz; did you mean rig_users"),
        ("driver-branch", ""),
        ("xyzzy", "there is no setting rig_xyzzy; gpurig settings lists all settings"),
        ("", "there is no setting rig_; gpurig settings lists all settings"),
        ("RIG_USERS", ""),
    ],
)
def test_a_name_that_is_none_gets_the_nearest(name: str, said: str) -> None:
    """Hyphens and capitals are as good as what is right."""
    if not said:
        assert show_settings(name, as_json=True) == 0
        return
    with pytest.raises(InputError, match=said):
        show_settings(name, as_json=False)


def test_the_json_has_every_setting() -> None:
    """With the frame that all verbs have; no value of a setting is in it."""
    done = _gpurig("settings", "--json")
    frame = json.loads(done.stdout)
    assert (frame["command"], frame["hosts"], frame["errors"]) == ("settings", {}, [])
    assert [one["setting"] for one in frame["settings"]] == list(TABLE)
    assert {"setting", "type", "default", "meaning", "example", "secret"} == {
        key for one in frame["settings"] for key in one
    }
    wrong = _gpurig("settings", "rig_user", "--json")
    assert wrong.returncode == 2
    assert json.loads(wrong.stdout)["errors"][0]["code"] == "setting-unknown"


def test_an_unknown_setting_of_an_option_names_this_command() -> None:
    """Where no other is near."""
    done = _gpurig("plan", "--set", "foo=1")
    assert (done.returncode, done.stdout) == (2, "")
    said = "gpurig: --set: there is no setting foo; gpurig settings lists all settings\n"
    assert done.stderr == said


@pytest.mark.parametrize("words", ["", "up", "image", "image run", "help"])
def test_help_is_a_command_as_well(words: str) -> None:
    """`gpurig help VERB` prints what `gpurig VERB --help` does."""
    done = _gpurig("help", *words.split())
    assert (done.returncode, done.stdout) == (0, _gpurig(*words.split(), "--help").stdout)


def test_help_of_no_command_names_the_nearest() -> None:
    """One sentence, exit code 2."""
    done = _gpurig("help", "plam")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "gpurig: there is no command 'plam'; did you mean plan?\n"


def test_the_first_page_fits_80_columns_and_has_whole_sentences() -> None:
    """With examples and exit codes."""
    page = _gpurig("--help").stdout
    assert "..." not in page.replace("[ARGS]...", "")
    assert max(map(len, page.splitlines())) <= 80
    assert "Examples:" in page
    assert "Exit codes:" in page
