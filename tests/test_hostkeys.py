"""SSH host keys: as ssh-keygen shows them, and never accepted unseen."""

from __future__ import annotations

import shlex
from base64 import b64decode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paramiko import Ed25519Key, PKey, RSAKey

from gpurig.errors import HostError
from gpurig.hosts.hostkeys import (
    UntrustedHostKey,
    fingerprint,
    known_hosts_line,
    untrusted_key_error,
)
from gpurig.hosts.inventory import load
from gpurig.hosts.known_hosts import Answer, Line, Verdict, judge, known_hosts_name, read_lines

# Keys of ssh-keygen, and what `ssh-keygen -l` showed of them.
ED25519 = Ed25519Key(
    data=b64decode("AAAAC3NzaC1lZDI1NTE5AAAAIG/Pl3hdUljF9k0SKb0fODMy3UE82fl2xqUqfEVi2RPQ")
)
RSA = RSAKey(
    data=b64decode(
        "AAAAB3NzaC1yc2EAAAADAQABAAABAQCyPOxKaxfpCySOpIRko8s+tvNGT2ApYmc09zhHDrHIsUKAMm6bGaL/7F9w"
        "FdW1iXbAMrgNf9oLFgLU67XbUTcoP4UmRNfG3syfmF3YBs1H8Qjo/qHLoiovDoNS0SUTc+PPJ4pBrwUpgUPhI+9m"
        "GHFjEEcDVeYsg3B5IiSQYMUIBy7O2gZTxXkHAypuy+ZomI4S2uNt+M2CpirrqpNoamL51IgAGex5ULjcQ8w07iAn"
        "KasoM+Sh3z6/IX5xwBO0bfJ++2arxVih7CG3CidkYrbLdOnOHAC0vLbPJlha2Wlz1N9vqQaJ/+ZS9mDUkKRuGB3X"
        "9SoaJZ3EdshwPmmqORy7"
    )
)
ED25519_SHOWN = "SHA256:KuHIcUCv1n0RaSNM+IKmXdtb5PSXKZfzuEWXjSBHvng"
RSA_SHOWN = "SHA256:YTOTmbEFLqNWv7M+d33VHREF7pt1w5DGIwRhRv9ABTw"


@pytest.mark.parametrize(("key", "shown"), [(ED25519, ED25519_SHOWN), (RSA, RSA_SHOWN)])
def test_a_fingerprint_is_the_one_of_ssh_keygen(key: PKey, shown: str) -> None:
    """A person compares it with what the host's console says."""
    assert fingerprint(key) == shown


@pytest.mark.parametrize(
    ("host", "port", "name"),
    [("gpu01", 22, "gpu01"), ("gpu01", 2222, "[gpu01]:2222"), ("::1", 2222, "[::1]:2222")],
)
def test_a_line_of_known_hosts_is_found_under_its_name(host: str, port: int, name: str) -> None:
    """Written as OpenSSH writes it, read back as the same key; another key is not trusted."""
    assert known_hosts_name(host, port) == name
    lines = read_lines(known_hosts_line(name, ED25519), "f")
    assert judge(lines, host, port, "", ED25519.asbytes()).verdict is Verdict.KNOWN
    assert judge(lines, host, port, "", RSA.asbytes()).verdict is Verdict.CHANGED
    assert judge(lines, "elsewhere", port, "", ED25519.asbytes()).verdict is Verdict.NEW


def untrusted(host: str, name: str, key: PKey, *known: PKey) -> HostError:
    """The sentence about a key that is new, or another than those that are known."""
    lines = tuple(Line(f"f:{n}", "", name, k.get_name(), k.asbytes()) for n, k in enumerate(known))
    verdict = Verdict.CHANGED if known else Verdict.NEW
    return untrusted_key_error(host, UntrustedHostKey(name, key, Answer(verdict, lines), "f"))


def test_a_new_host_is_one_sentence_with_its_fingerprint() -> None:
    """What is shown, and the two ways to trust it."""
    error = untrusted("gpu01", "[gpu01]:2222", ED25519)
    assert (error.code, error.host) == ("host-key-unknown", "gpu01")
    for part in (ED25519_SHOWN, "gpurig trust gpu01", known_hosts_line("[gpu01]:2222", ED25519)):
        assert part in str(error)
    assert "\n" not in str(error)


def test_the_command_names_the_inventory_and_the_program_as_they_were_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A host that only an inventory can name is trusted through it, from a clone by ./gpurig."""
    file = tmp_path / "my lab.py"
    file.write_text("lab = [('newcomer', {'ssh_hostname': '10.77.0.13'})]\n")
    (spec,) = load(str(file))
    monkeypatch.setenv("GPURIG_CALLED", "./gpurig")
    error = UntrustedHostKey("10.77.0.13", ED25519, Answer(Verdict.NEW, ()), "f")
    told = untrusted_key_error(spec.name, error, spec.target).do
    assert f"run: ./gpurig trust '{file}' --limit newcomer (" in told
    monkeypatch.setenv("GPURIG_CALLED", "")
    (named,) = load("ada@gpu01")
    assert "run: gpurig trust gpu01 (" in untrusted_key_error("gpu01", error, named.target).do


def test_a_changed_key_names_both_and_how_to_replace_it() -> None:
    """The old one has to be removed under the name that known_hosts has for it."""
    error = untrusted("gpu01", "[gpu01]:2222", RSA, ED25519)
    assert (error.code, error.host) == ("host-key-changed", "gpu01")
    assert f"{RSA_SHOWN} instead of {ED25519_SHOWN}" in str(error)
    assert "ssh-keygen -R '[gpu01]:2222'" in str(error)
    assert known_hosts_line("[gpu01]:2222", RSA) in str(error)


@given(st.text(st.characters(exclude_categories=["C"]), min_size=1))
def test_a_name_from_an_inventory_is_one_word_of_the_command(name: str) -> None:
    """What is offered for copying runs nothing that stands in a host's name."""
    errors: list[HostError] = [
        untrusted(name, name, ED25519),
        untrusted(name, name, RSA, ED25519),
    ]
    for error in errors:
        assert f"gpurig trust {shlex.quote(name)}" in error.do
    assert f"ssh-keygen -R {shlex.quote(name)}" in errors[1].do
