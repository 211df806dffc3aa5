"""`gpurig trust` over real connections on loopback: each key on the way, once, after a yes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as serial
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gpurig.engine.runner import prepare_engine
from gpurig.engine.trust import trust
from gpurig.errors import HostError
from gpurig.hosts.hostkeys import fingerprint
from gpurig.hosts.inventory import HostSpec
from ssh_server import Served, key_file, serving


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Served]]:
    """A host and the hop on the way to it."""
    prepare_engine()
    folder = tmp_path_factory.mktemp("keys")
    with serving(key_file(folder, "host")) as host, serving(key_file(folder, "hop")) as hop:
        yield host, hop


def spec_of(home: Path, servers: tuple[Served, Served], **data: str) -> HostSpec:
    """The host behind its hop, with an empty known_hosts of the inventory's."""
    host, hop = servers
    (home / "config").write_text(
        f"Host gpu01\n HostName 127.0.0.1\n Port {host.port}\n ProxyJump hop\n"
        f"Host hop\n HostName 127.0.0.1\n Port {hop.port}\n"
        f"Host *\n User somebody\n IdentityFile {key_file(home, 'user')}\n"
    )
    given = {
        "ssh_config_file": str(home / "config"), "ssh_known_hosts_file": str(home / "known_hosts")
    }  # fmt: skip
    return HostSpec.of("gpu01", "ssh", "gpu01", given | data)


def test_each_key_on_the_way_is_shown_and_written_once(
    tmp_path: Path, servers: tuple[Served, Served]
) -> None:
    """The hop's first, then the host's; the next time nothing is asked."""
    asked: list[tuple[str, str]] = []

    def confirm(host: str, kind: str, seen: str) -> bool:
        asked.append((host, seen))
        return True

    spec = spec_of(tmp_path, servers)
    assert trust(spec, confirm).outcome == "added"
    host, hop = servers
    names = [(f"gpu01 ({one.name})", fingerprint(one.keys[0])) for one in (hop, host)]
    assert asked == names
    lines = (tmp_path / "known_hosts").read_text().splitlines()
    assert lines == [f"{one.name} {one.words}" for one in (hop, host)]
    assert (tmp_path / "known_hosts").stat().st_mode & 0o777 == 0o600
    assert trust(spec, confirm).outcome == "known"
    assert asked == names


def test_after_a_no_nothing_is_written(tmp_path: Path, servers: tuple[Served, Served]) -> None:
    """The hop is declined, so the host behind it is not asked."""
    told = trust(spec_of(tmp_path, servers), lambda *_: False)
    assert (told.outcome, told.fingerprint) == ("declined", fingerprint(servers[1].keys[0]))
    assert not (tmp_path / "known_hosts").exists()


def test_a_revoked_key_is_never_written(tmp_path: Path, servers: tuple[Served, Served]) -> None:
    """Nobody is asked whether to trust it after all."""
    host, hop = servers
    text = f"{hop.name} {hop.words}\n@revoked * {host.words}\n"
    spec = spec_of(tmp_path, servers)
    (tmp_path / "known_hosts").write_text(text)
    with pytest.raises(HostError, match=r"is revoked in .*known_hosts:2"):
        trust(spec, lambda *_: pytest.fail("asked"))
    assert (tmp_path / "known_hosts").read_text() == text


def test_a_file_that_keeps_nothing_ends_in_a_sentence(
    tmp_path: Path, servers: tuple[Served, Served]
) -> None:
    """/dev/null takes each line; the key is asked about once and stays unknown."""
    spec = spec_of(tmp_path, servers, ssh_known_hosts_file="/dev/null")
    asked: list[str] = []
    with pytest.raises(HostError, match="is not known"):
        trust(spec, lambda host, *_: not asked.append(host))
    assert len(asked) == 1


def test_a_key_with_a_passphrase_is_a_sentence_not_a_question(
    tmp_path: Path, servers: tuple[Served, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several hosts connect at once, in --json and without a terminal: nobody is asked."""
    monkeypatch.setattr("pyinfra.connectors.ssh_util.getpass", lambda _: pytest.fail("asked"))
    locked = tmp_path / "locked"
    locked.write_bytes(
        Ed25519PrivateKey.generate().private_bytes(
            serial.Encoding.PEM, serial.PrivateFormat.OpenSSH, serial.BestAvailableEncryption(b"p")
        )
    )
    for file, why in ((locked, "ssh_key_password"), (tmp_path / "none", "No such private key")):
        with pytest.raises(HostError, match=why) as error:
            trust(spec_of(tmp_path, servers, ssh_key=str(file)), lambda *_: True)
        assert "\n" not in str(error.value)
