"""What is secret among hosts' data, and text without it."""

from __future__ import annotations

import base64
import json
import shlex
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpurig.engine.runner import Link
from gpurig.hosts.inventory import HostSpec
from gpurig.settings.redaction import Redaction, secrets_of

# Host data, and what of them must stand nowhere.
SECRETS: dict[str, tuple[dict[str, object], list[str]]] = {
    "a password": ({"ssh_password": "geheim"}, ["geheim"]),
    "a number": ({"ssh_password": 48151623}, ["48151623"]),
    "a fraction": ({"_sudo_password": 4815.1623}, ["4815.1623"]),
    "bytes": ({"ssh_password": b"geheim"}, ["geheim"]),
    "a passphrase": ({"ssh_key_passphrase": "geheim"}, ["geheim"]),
    "a key in capitals": ({"MY_PASSWORD": "geheim"}, ["geheim"]),
    "a token of somebody's": ({"registry_token": "geheim"}, ["geheim"]),
    "a table of secrets": ({"secrets": {"one": "geheim", "two": ["auch"]}}, ["geheim", "auch"]),
    "a key of daemon.json": (
        {"rig_docker_daemon": {"log-opts": {"splunk-token": "geheim"}}}, ["geheim"]),
    "a proxy": ({"rig_proxy": "http://ann:geheim@proxy.example:3128"},
        ["http://ann:geheim@proxy.example:3128", "geheim"]),
    "a proxy, encoded": (
        {"rig_proxy": "http://ann:ge%2Fhe%40im@proxy.example:3128"},
        ["ge%2Fhe%40im", "ge/he@im", base64.b64encode(b"ann:ge/he@im").decode().rstrip("=")]),
    "any address": ({"mirror": "https://ann:geheim@mirror.example/"}, ["geheim"]),
    "an address without a scheme": ({"mirror": "ann:geheim@mirror.example"}, ["geheim"]),
    "an address in a command": ({"ssh_x": "connect -H http://a:geheim@b %h"}, ["geheim"]),
}  # fmt: skip


@pytest.mark.parametrize(("data", "words"), SECRETS.values(), ids=SECRETS)
def test_what_is_secret_is_found(data: dict[str, object], words: list[str]) -> None:
    """By the name of its key, however deep, of any kind; in addresses by its place."""
    hidden = Redaction(secrets_of([data]))
    for word in words:
        assert word not in hidden(f"before {word} after")


def test_what_is_not_secret_stays() -> None:
    """A switch is no password, and users, hosts and mirrors are no secrets."""
    data = {
        "_use_sudo_password": True,
        "ssh_password": None,
        "ssh_user": "ann",
        "mirror": "http://m/",
    }
    assert secrets_of([data]) == []


def test_an_index_of_this_machine_s_own_is_secret_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """uv and pip are told of it by the environment, and may name it when they fail."""
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://ann:geheim@index.example/simple/")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://a.example/ https://bob:auch@b.example/")
    assert {"geheim", "auch"} <= set(secrets_of([]))


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_no_form_of_a_secret_is_left(secret: str) -> None:
    """As it is, and as Python, JSON, a shell, an address and HTTP's headers have it."""
    hidden = Redaction([secret])
    encoded = base64.b64encode(secret.encode()).decode()
    for form in (repr(secret), json.dumps(secret), shlex.quote(secret), quote(secret, ""), encoded):
        assert set(hidden(form)) <= set("*'\"=")


def test_what_a_host_prints_is_shown_without_secrets() -> None:
    """The screen shows lines of commands, which name the proxy when they fail."""
    data = {"rig_proxy": "http://ann:geheim@proxy.example:3128"}
    shown: list[str] = []
    link = Link(HostSpec.of("@local", "local", "@local", data), on_line=shown.append)
    link.open()
    link.run("echo cannot reach http://ann:geheim@proxy.example:3128", as_root=False)
    link.close()
    assert shown == ["cannot reach *****"]
