"""Inventories: hosts with their data, and one sentence for each thing that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpurig.errors import InputError
from gpurig.hosts.inventory import HostSpec, load
from gpurig.hosts.target import joined

ROOT = Path(__file__).parents[1]
HOSTS = """\
gpus = [("gpu01", {"rig_users": ["bob"]}), "@ssh/gpu02"]
cpus = (["cpu01"], {"rig_reboot": "never"})
"""


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """An inventory of three hosts with group data beside it."""
    (tmp_path / "group_data").mkdir()
    data = 'rig_users = ["ada"]\nrig_reboot = "if-needed"\n'
    (tmp_path / "group_data" / "all.py").write_text(data)
    inventory = tmp_path / "lab.py"
    inventory.write_text(HOSTS)
    return inventory


def written(folder: Path, text: str) -> str:
    path = folder / "inventory.py"
    path.write_text(text)
    return str(path)


def by_name(hosts: list[HostSpec]) -> dict[str, HostSpec]:
    return {host.name: host for host in hosts}


def test_the_more_particular_data_replaces(lab):
    hosts = by_name(load(str(lab)))
    assert list(hosts) == ["gpu01", "@ssh/gpu02", "cpu01"]
    assert hosts["gpu01"].settings.users == ("bob",)
    assert hosts["@ssh/gpu02"].settings.users == ("ada",)
    assert hosts["cpu01"].settings.reboot == "never"
    assert hosts["gpu01"].settings.reboot == "if-needed"
    assert hosts["gpu01"].groups == ("gpus", "lab")


def test_wishes_of_the_command_line_replace_everything(lab):
    hosts = load(str(lab), overrides={"rig_users": ["eve"]})
    assert {host.settings.users for host in hosts} == {("eve",)}


def test_names_say_how_a_host_is_reached(lab):
    hosts = by_name(load(str(lab)))
    assert (hosts["gpu01"].transport, hosts["gpu01"].address) == ("ssh", "gpu01")
    assert (hosts["@ssh/gpu02"].transport, hosts["@ssh/gpu02"].address) == ("ssh", "gpu02")


@pytest.mark.parametrize("source", [None, "@local"])
def test_this_machine_is_meant_where_nothing_is_named(source):
    (host,) = load(source)
    assert (host.name, host.transport) == ("@local", "local")


def test_hosts_can_be_named_with_their_user():
    hosts = load("ada@gpu01,10.77.0.5,fe80::1,@local")
    assert [host.name for host in hosts] == ["gpu01", "10.77.0.5", "fe80::1", "@local"]
    assert hosts[0].data == {"ssh_user": "ada"}


@pytest.mark.parametrize(
    ("limit", "names"),
    [
        ("gpu01", ["gpu01"]),
        ("cpus, gpu01", ["gpu01", "cpu01"]),
        ("gpu*", ["gpu01", "@ssh/gpu02"]),
        ("@ssh/gpu02", ["@ssh/gpu02"]),
    ],
)
def test_limit_takes_hosts_and_groups(lab, limit, names):
    assert [host.name for host in load(str(lab), limit)] == names


def test_a_limit_that_matches_nothing_is_told_the_nearest(lab):
    with pytest.raises(InputError, match=r"^--limit: 'gpu03' matches no host.*did you mean gpu01"):
        load(str(lab), "cpu01,gpu03")


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("", "inventory-empty", "names no host"),
        ("hosts = []", "inventory-empty", r"names no host \(hosts: empty\); write hosts = "),
        ("a = []\nb = ([], {})", "inventory-empty", r"names no host \(a, b: empty\)"),
        ('hosts = {"gpu01": {}}', "inventory-group", "hosts must be a list, and it is a dict;"),
        ('hosts = {"gpu01"}', "inventory-group", "hosts must be a list, and it is a set;"),
        ('hosts = "gpu01"', "inventory-group", "hosts must be a list, and it is a str;"),
        ("def hosts(): ...", "inventory-group", "hosts must be a list, and it is a function;"),
        ("hosts = [", "inventory-python", "line 1: the inventory cannot run"),
        ("x = 1\ny = 1 / 0", "inventory-python", "line 2: .*ZeroDivisionError"),
        ("import no_such_module", "inventory-python", "line 1: .*no_such_module"),
        ('hosts = ["gpu01", 5]', "inventory-group", "hosts is neither a list of hosts"),
        ('hosts = ("gpu01", "gpu02")', "inventory-group", "hosts is neither a list of hosts"),
        ('hosts = ["gpu01", "gpu01"]', "inventory-duplicate", "has gpu01 twice"),
        ('hosts = ["gpu01", "@ssh/gpu01"]', "", "name the same host"),
        ('hosts = ["@docker/debian"]', "inventory-connector", "does not support; use @local"),
        ('hosts = ["gpu 01"]', "inventory-host", "neither an inventory nor a host name"),
        (
            'gpus = ["gpu01"]\nall = ["cpu01"]',
            "inventory-host",
            "gpu01 is missing in the group all",
        ),
        ("rig_lab = ['gpu01']", "inventory-group", r"rig_lab is at the top level.*; rename it, or"),
        ('hosts = ["@ssh/ada@gpu01"]', "inventory-host", "neither an inventory nor a host name"),
        ('hosts = ["gpu01", "ada@gpu01"]', "inventory-duplicate", "gpu01 is named twice"),
        ('hosts = [("gpu01", {"rig_user": ["a"]})]', "setting-unknown", "gpu01: .*rig_users"),
        ('hosts = [("gpu01", {"rig_users": "a"})]', "setting-wrong", "gpu01: rig_users must be"),
    ],
)
def test_what_is_wrong_in_a_file_is_one_sentence_that_names_it(tmp_path, text, code, said):
    file = written(tmp_path, text)
    with pytest.raises(InputError, match=said) as caught:
        load(file)
    assert file in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    if code:
        assert caught.value.code == code


@pytest.mark.parametrize("value", ['"none"', '["docker"]', "None", '(["gpu01"], {})'])
@pytest.mark.parametrize("key", ["rig_driver_source", "rig_components"])
def test_a_setting_at_the_top_level_is_told_where_settings_are(tmp_path, key, value):
    """With what can be copied; a list there was a group of hosts."""
    file = written(tmp_path, f'hosts = ["gpu01"]\n{key} = {value}')
    with pytest.raises(InputError) as caught:
        load(file)
    assert str(caught.value).startswith(f"{file}: {key} is at the top level, but ")
    right = str(caught.value).partition("; write ")[2]
    (tmp_path / "right.py").write_text(right)
    (host,) = load(str(tmp_path / "right.py"))
    assert key in host.data


def test_group_data_has_settings_at_the_top_level(lab):
    """The folder group_data, as pyinfra has it, is no inventory."""
    assert by_name(load(str(lab)))["cpu01"].settings.users == ("ada",)


@pytest.mark.parametrize(
    "host",
    [
        '("gpu01", "gpu02")',
        '("gpu01", None)',
        '("gpu01",)',
        "()",
        '("gpu01", ["a"])',
        '("gpu01", {}, 3)',
        '(["gpu01"], {})',
        "(5, {})",
    ],
)
@pytest.mark.parametrize("data", ["", ", {}"], ids=["list", "with data"])
def test_a_host_in_parentheses_is_a_name_and_a_dict(tmp_path, host, data):
    """Anything else is one sentence with the file, the group and an example."""
    file = written(tmp_path, f'gpus = (["gpu00", {host}]{data})')
    with pytest.raises(InputError, match="host 2 of gpus is in parentheses, but") as caught:
        load(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert str(caught.value).endswith('write "gpu01", or ("gpu01", {"rig_users": ["ada"]})')


def test_a_file_names_hosts_with_their_user_as_the_command_line_does(tmp_path):
    """The user is no part of the host's name, and counts more than the group's."""
    text = (
        'gpus = (["ada@gpu01", ("bob@gpu02", {"rig_reboot": "never"}), "gpu03"], {"ssh_user": "c"})'
    )
    file = written(tmp_path, text)
    hosts = load(file)
    assert [host.name for host in hosts] == ["gpu01", "gpu02", "gpu03"]
    assert [host.address for host in hosts] == ["gpu01", "gpu02", "gpu03"]
    assert [host.data["ssh_user"] for host in hosts] == ["ada", "bob", "c"]
    assert hosts[1].settings.reboot == "never"
    assert hosts[0].groups == ("gpus", "inventory")
    for limit in ("gpu01", "ada@gpu01"):
        assert [host.name for host in load(file, limit)] == ["gpu01"]


def test_a_connector_is_no_user():
    """Also where a name with a user is right."""
    (host,) = load("@gpurig/@local")
    assert (host.transport, host.data) == ("local", {})
    with pytest.raises(InputError, match="neither an inventory nor a host name"):
        load("@ssh/ada@gpu01")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("missing.py", "the inventory does not exist"),
        ("labs/missing", "the inventory does not exist"),
        ("", "the target is empty"),
        (" ", "the target is empty"),
        ("gpu 01", "neither an inventory nor a host name"),
        ("gpu01,,gpu02", "neither an inventory nor a host name"),
        ("gpu01,gpu01", "named twice"),
        ("@vagrant/x", "does not support"),
        ("-oProxyCommand=x", "neither an inventory nor a host name"),
    ],
)
def test_a_source_that_is_none_is_one_sentence(source, said):
    with pytest.raises(InputError, match=said):
        load(source)


@pytest.mark.parametrize("name", ["lab", "lab.py", "./lab"])
def test_a_folder_is_called_one(tmp_path, monkeypatch, name):
    """It names an inventory in it, if there is one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    if name == "lab":
        name = f"{tmp_path}/lab"
    with pytest.raises(InputError, match="it is a folder, not an inventory; name an inventory or"):
        load(name)
    for file in ("__init__.py", "gpus.py"):
        (tmp_path / name / file).touch()
    with pytest.raises(InputError, match=r"such as \S*gpus\.py$"):
        load(name)


WORDS = {
    "none": ([], None),
    "one": (["gpu01"], "gpu01"),
    "one that is empty": ([""], ""),
    "two": (["gpu01", "ada@gpu02"], "gpu01,ada@gpu02"),
    "with commas": (["gpu01,", "gpu02,gpu03", "@local"], "gpu01,gpu02,gpu03,@local"),
    "an inventory": (["lab.py"], "lab.py"),
}


@pytest.mark.parametrize(("words", "meant"), WORDS.values(), ids=WORDS)
def test_hosts_are_words_or_joined_by_commas(words, meant):
    """Both ways mean the same hosts; one word stays what it is."""
    assert joined(words) == meant


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lab.py", "gpu01", "gpu02"], "for some of its hosts write lab.py --limit gpu01,gpu02"),
        (["gpu01", "labs/a"], "labs/a is an inventory, which takes no other hosts;"),
        (["a.py", "b.py"], "a.py and b.py are two inventories; run gpurig once for each"),
        (["gpu01", ""], "one of the hosts is an empty word"),
        ([" ", ""], "one of the hosts is an empty word"),
    ],
)
def test_words_that_do_not_go_together_are_one_sentence(words, said):
    """An empty word is a variable of the caller's that is not set."""
    with pytest.raises(InputError, match=said):
        joined(words)


def test_a_wrong_wish_is_told_of_the_option(lab):
    with pytest.raises(InputError, match=r"^--set: rig_reboot must be one of"):
        load(str(lab), overrides={"rig_reboot": "maybe"})


def test_one_wrong_host_stops_all_before_any_is_contacted(tmp_path):
    file = written(tmp_path, 'hosts = ["gpu01", ("gpu02", {"rig_reboot": "x"})]')
    with pytest.raises(InputError) as caught:
        load(file)
    assert caught.value.host == "gpu02"


def test_the_example_inventories_are_right():
    lab = by_name(load(str(ROOT / "inventories" / "lab.py")))
    assert list(lab) == ["gpu01", "gpu02", "cpu01"]
    assert lab["gpu01"].settings.reboot == "if-needed"
    assert lab["cpu01"].settings.reboot == "ask"
    (host,) = load(str(ROOT / "inventories" / "local.py"))
    assert host.transport == "local"
