"""Settings: what is right is taken, what is wrong is one sentence."""

from __future__ import annotations

import ast
import re
import shlex
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpurig.errors import InputError
from gpurig.hosts.inventory import load
from gpurig.settings.checks import in_inventory, parse_set, validate
from gpurig.settings.daemon_keys import KINDS
from gpurig.settings.defaults import Defaults
from gpurig.settings.table import TABLE, Settings

ROOT = Path(__file__).parents[1]
CANARY = "c4n4ry"


def refused(data: dict[str, Any]) -> InputError:
    with pytest.raises(InputError) as caught:
        validate(data, "lab.py, gpu01")
    assert str(caught.value).count("\n") == 0
    assert str(caught.value).startswith("lab.py, gpu01: ")
    return caught.value


@pytest.mark.parametrize("setting", TABLE.values(), ids=lambda it: it.key)
def test_every_default_is_right(setting):
    """It stands its own check, unless it means that the setting is not given."""
    assert getattr(Settings(), setting.name) == setting.default
    if setting.default not in (None, ()):
        assert setting.check(setting.default) == setting.default


def test_no_two_hosts_share_a_default_that_can_be_changed():
    for setting in TABLE.values():
        if isinstance(setting.default, dict):
            mine, yours = (getattr(Settings(), setting.name) for _ in range(2))
            assert mine is not yours


def test_without_any_setting_the_defaults_hold():
    assert validate({"ssh_user": "ada", "_sudo": True}, "lab.py") == Settings()


@pytest.mark.parametrize("setting", TABLE.values(), ids=lambda it: it.key)
def test_every_example_is_right(setting):
    """An example passes its own check; only what comes later is refused, and says so."""
    example = setting.example.replace("true", "True")
    value = ast.literal_eval(example)
    checked = setting.check(value)
    # rig_docker_rootless is right only where users are named
    settings = validate({"rig_users": ["ada"], setting.key: value}, "x")
    assert getattr(settings, setting.name) == checked


@pytest.mark.parametrize(
    ("key", "nearest"),
    [("rig_user", "rig_users"), ("rig_driver_flavor", "rig_driver_flavour")],
)
def test_an_unknown_setting_is_told_the_nearest_right_one(key, nearest):
    error = refused({key: "x"})
    assert error.code == "setting-unknown"
    assert f"did you mean {nearest}?" in str(error)


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("log-opt", "log-opts"),
        ("log_driver", "log-driver"),
        ("registry-mirror", "registry-mirrors"),
        ("shm-size", "default-shm-size"),
        ("data_root", "data-root"),
        ("live-restor", "live-restore"),
    ],
)
def test_an_unknown_key_of_daemon_json_is_told_the_nearest_right_one(key, nearest):
    """One sentence before any host is contacted: dockerd would not start on it."""
    error = refused({"rig_docker_daemon": {key: "x"}})

    assert error.exit_code == 2
    assert f"{key!r} is none (did you mean {nearest}?)" in str(error)
    assert "\n" not in str(error)


def test_a_key_like_none_of_daemon_json_s_is_named_alone():
    assert "'zzz' is none; for" in str(refused({"rig_docker_daemon": {"zzz": "all"}}))


def test_every_key_that_dockerd_knows_may_be_wished_for():
    """But hosts, which would open a socket: that is refused by name."""
    right = {"a text": "x", "true or false": True, "a whole number": 1, "a list": []}
    wishes = {key: right.get(kind, {}) for key, kind in KINDS.items() if key != "hosts"}

    assert validate({"rig_docker_daemon": wishes}, "x").docker_daemon == wishes


@pytest.mark.parametrize(
    "data",
    [
        {"rig_components": []},
        {"rig_components": ["drivers"]},
        {"rig_driver_branch": 550},
        {"rig_driver_branch": "55"},
        {"rig_driver_flavour": "closed"},
        {"rig_frameworks": "tensorflow"},
        {"rig_frameworks": ["tensorflow", "tensorflow==2.21.0"]},
        {"rig_frameworks": ["tensorflow @ https://example.com/x.whl"]},
        {"rig_frameworks": ["tensorflow[and-cuda]"]},
        {"rig_frameworks": ["keras[horovod]"]},
        {"rig_frameworks": ["horovod[tensorflow,pytorch]"]},
        {"rig_python": 3.13},
        {"rig_venv_root": "venvs"},
        {"rig_venv_root": "/opt/../etc"},
        {"rig_venv_root": "/"},
        {"rig_venv_root": "/etc"},
        {"rig_venv_root": "//etc//"},
        {"rig_venv_root": "/proc/x"},
        {"rig_venv_root": "/dev/shm"},
        {"rig_venv_root": "/usr/lib/venvs"},
        {"rig_venv_root": "/usr/local"},
        {"rig_venv_root": "/tmp"},
        {"rig_venv_root": "/opt"},
        {"rig_venv_root": "/opt/./venvs"},
        {"rig_venv_root": "/opt/$(id)"},
        {"rig_venv_root": "/opt/`id`"},
        {"rig_venv_root": "/opt/it's"},
        {"rig_venv_root": '/opt/"'},
        {"rig_venv_root": "/opt/a\\b"},
        {"rig_venv_root": "/opt/a:b"},
        {"rig_venv_root": "/opt/a\nb"},
        {"rig_venv_root": "/opt/a\u202eb"},
        {"rig_cache": "/srv/../root"},
        {"rig_cuda": "\uff11\uff12.8"},
        {"rig_cudnn": "\u0669"},
        {"rig_container_toolkit": "1.19.\u0661"},
        {"rig_python": "3.1\uff13"},
        {"rig_driver_branch": "\uff15\uff15\uff10"},
        {"rig_assume_gpu": ["10de:233\uff10"]},
        {"rig_frameworks": ["tensorflow==\uff12.21.0"]},
        {"rig_users": ["."]},
        {"rig_users": [".."]},
        {"rig_users": [".ada"]},
        {"rig_users": ["ad\u0430"]},
        {"rig_users": ["-rf"]},
        {"rig_images": ["/srv/..tar"]},
        {"rig_workloads": ["/srv/.py"]},
        {"rig_users": "ada"},
        {"rig_users": ["root"]},
        {"rig_users": ["ada; reboot"]},
        {"rig_users": ["ada:x"]},
        {"rig_users": ["ada/x"]},
        {"rig_users": ["ada x"]},
        {"rig_users": ["$(ada)"]},
        {"rig_users": ["a" * 256]},
        {"rig_users": ["1000"]},
        {"rig_docker_daemon": ["log-driver"]},
        {"rig_docker_daemon": {"hosts": ["tcp://0.0.0.0"]}},
        {"rig_docker_daemon": {"runtimes": {"nvidia": {"path": "/x"}}}},
        {"rig_docker_daemon": {"log-opts": {1, 2}}},
        {"rig_docker_daemon": {"log-opts": {"max-file": 3}}},
        {"rig_docker_daemon": {"live-restore": "yes"}},
        {"rig_docker_daemon": {"default-shm-size": 8}},
        {"rig_docker_daemon": {"registry-mirrors": ["https://ada:word@mirror.example"]}},
        {"rig_docker_daemon": {"registry-mirrors": ["ada:word@mirror.example"]}},
        {"rig_docker_daemon": {"proxies": {"http-proxy": "ada:word@proxy.example:3128"}}},
        {"rig_docker_daemon": {"proxies": {"https-proxy": "ada@proxy.example"}}},
        {"rig_docker_daemon": {"proxies": {"http-proxy": "//ada:word@proxy.example"}}},
        {"rig_docker_daemon": {"log-opts": {"gelf-address": "udp://ada:word@logs.example"}}},
        {"rig_docker_daemon": {"log-opts": {"labels": "ada:word@logs.example:1"}}},
        {"rig_repositories": {"nvidia-docker": {"url": "https://example.com"}}},
        {"rig_repositories": {"nvidia-container-toolkit": {"fingerprint": "DEAD"}}},
        {"rig_repositories": {"nvidia-container-toolkit": {"urls": "https://example.com"}}},
        {"rig_apt_mirror": "ftp://example.com"},
        {"rig_pypi_index": "https://example.com/a b"},
        {"rig_pypi_index": "https://ada:word@example.com/simple"},
        {"rig_pypi_index": "https://:word@example.com/simple"},
        {"rig_pypi_index": "https://example.com/\ndeb evil"},
        {"rig_data_mirror": "mnist"},
        {"rig_proxy": "example.com:3128"},
        {"rig_reboot": True},
        {"rig_assume_gpu": ["2330"]},
        {"rig_assume_gpu": ["8086:1234"]},
    ],
    ids=str,
)
def test_a_wrong_value_is_one_sentence_with_an_example(data):
    error = refused(data)
    assert error.code == "setting-wrong"
    (key,) = data
    assert f"for example {in_inventory(TABLE[key])}" in str(error)


@pytest.mark.parametrize("setting", TABLE.values(), ids=lambda it: it.key)
def test_the_example_of_an_error_is_right_where_the_value_was(setting, tmp_path, monkeypatch):
    """Python in an inventory, TOML in a `gpurig.toml`, and a shell's words after --set."""
    key = setting.key
    example = str(refused({key: object()})).partition("for example ")[2]
    (checked_there,) = (setting.check(value) for value in ast.literal_eval(example).values())

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    file = tmp_path / "gpurig" / "gpurig.toml"
    file.parent.mkdir()
    file.write_text(f"{key} = 2026-01-01")
    with pytest.raises(InputError, match=f"^{file}: {key} must be ") as caught:
        Defaults.of(None)
    file.write_text(str(caught.value).partition("for example ")[2])
    written = Defaults.of(None).data[key]
    if key != "rig_workloads":  # starts at the file's folder
        assert setting.check(written) == checked_there

    with pytest.raises(InputError, match=r"^--set: ") as caught:
        load("gpu01", overrides={key: object()})
    option, wish = shlex.split(str(caught.value).partition("for example ")[2])
    assert option == "--set"
    assert setting.check(parse_set([wish])[key]) == checked_there


@pytest.mark.parametrize("value", ["5", "{", "", "{command = 0}"])
def test_a_wrong_table_after_set_is_told_toml(value):
    """Not a TOML table, no TOML at all, nothing, and a table with a wrong value."""
    with pytest.raises(InputError, match=r"^--set: rig_limits ") as caught:
        parse_set([f"rig_limits={value}"])
    assert "--set 'rig_limits={command = 14400}'" in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        {"rig_driver_source": "none", "rig_components": ["driver"]},
        {"rig_driver_source": "none", "rig_driver_branch": "550"},
        {"rig_components": ["container-toolkit"]},
        {"rig_docker_rootless": True},
        {"rig_docker_rootless": True, "rig_users": ["ada"], "rig_components": ["environments"]},
    ],
    ids=str,
)
def test_settings_that_contradict_each_other_are_refused(data):
    assert refused(data).code == "settings-contradict"


def test_values_are_brought_into_one_form():
    found = validate(
        {
            "rig_assume_gpu": ["10DE:2330", "10de:2330"],
            "rig_venv_root": "/opt//venvs/",
            "rig_users": ("ada", "ada", "bob"),
            "rig_components": ["environments", "docker"],
            "rig_proxy": None,
        },
        "lab.py",
    )
    assert found.assume_gpu == ("10de:2330", "10de:2330")
    assert found.venv_root == "/opt/venvs"
    assert found.users == ("ada", "bob")
    assert found.components == ("docker", "environments")


def test_a_secret_is_in_no_error_and_no_representation():
    for wrong in (f"http://ada:{CANARY}@", f"{CANARY}", f"http://ada:{CANARY} x@h:1"):
        assert CANARY not in str(refused({"rig_proxy": wrong}))
    found = validate({"rig_proxy": f"http://ada:{CANARY}@proxy.example.com:3128"}, "x")
    assert found.proxy is not None
    assert CANARY not in repr(found)


WORDS = st.text('a1:/.\n"{é', max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(TABLE)), VALUES, max_size=4))
def test_whatever_is_given_is_taken_or_is_one_input_error(data):
    with suppress(InputError):
        assert isinstance(validate(data, "lab.py"), Settings)


@pytest.mark.parametrize(
    ("wish", "value"),
    [
        ("rig_python=3.10", "3.10"),
        ("rig_driver_branch=550", "550"),
        ('rig_python="3.10"', "3.10"),
        ("rig_users=ada", ["ada"]),
        ("rig_users=ada, bob", ["ada", "bob"]),
        ('rig_users=["ada"]', ["ada"]),
        ("rig_frameworks=tensorflow==2.21.0", ["tensorflow==2.21.0"]),
        ("rig_jupyter=true", True),
        ('rig_docker_daemon={log-driver = "local"}', {"log-driver": "local"}),
        ("rig_proxy=http://a:b@h:1", "http://a:b@h:1"),
    ],
)
def test_set_reads_toml_and_bare_words(wish, value):
    assert parse_set([wish]) == {wish.partition("=")[0]: value}


@pytest.mark.parametrize(
    "wish", ["rig_users", "rig_users=", "rig_proxy= ", "rig_user=ada", "users=ada",
             "rig_jupyter=yes", 'rig_users=["ada"'],
)  # fmt: skip
def test_set_says_what_is_wrong_in_one_sentence(wish):
    with pytest.raises(InputError, match=r"^--set: ") as caught:
        parse_set([wish])
    assert "\n" not in str(caught.value)


def test_a_later_set_replaces_an_earlier_one():
    assert parse_set(["rig_reboot=never", "rig_reboot=ask"]) == {"rig_reboot": "ask"}


def test_every_setting_appears_exactly_once_in_the_example_inventory():
    text = (ROOT / "inventories" / "lab.py").read_text()
    named = re.findall(r'"(rig_\w+)":', text)
    assert sorted(named) == sorted(TABLE)


def test_what_the_example_inventory_comments_out_is_right_and_the_default():
    """Unless a comment calls it an example, in its line or above its block."""
    block, defaults, lines = False, {}, []
    for line in (ROOT / "inventories" / "lab.py").read_text().splitlines():
        given = re.match(r'\s*# ( *)("[\w-]+": |\},)', line)
        if line.strip().startswith("#") and not given:
            block = "xample" in line
        if given and not given[1] and not block and "example" not in line and '"' in given[2]:
            defaults |= ast.literal_eval("{" + line.strip().removeprefix("# ") + "\n}")
        lines.append(line.replace("# ", "", 1) if given else line)
    assert len(defaults) > 10
    assert defaults == {key: TABLE[key].default for key in defaults}

    groups = {}
    exec("\n".join(lines), groups)
    data = [groups["gpus"][1], groups["cpus"][0][1], groups["all"][1]]
    for each in data:
        validate(each, "lab.py")
    assert {key for each in data for key in each if key.startswith("rig_")} == set(TABLE)


@pytest.mark.parametrize(
    "folder", ["/opt/venvs", "/usr/local/venvs", "/etcetera", "/data", "/home/ada/venvs", "/var/x"]
)
def test_environments_may_be_in_any_folder_of_their_own(folder):
    """A name that begins like one of the system's is another folder."""
    assert validate({"rig_venv_root": folder}, "here").venv_root == folder


@pytest.mark.parametrize("name", ["ada@corp.example.com", "CORP\\ada", "a" * 40, "ada+lab"])
def test_names_of_directories_are_names_of_users(name: str) -> None:
    """Whether there is such a user is for the host to tell."""
    assert validate({"rig_users": [name]}, "x").users == (name,)
