"""
An SSH server on 127.0.0.1 that lets everybody in, for tests of what a client says to its key.

`python ssh_server.py KEYFILE…` prints its port and serves these host keys until its input ends.
It runs a command by saying nothing and forwards connections, so that it can be a hop.
"""

from __future__ import annotations

import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization as serial
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from paramiko import (
    AUTH_SUCCESSFUL,
    OPEN_SUCCEEDED,
    Channel,
    PKey,
    ServerInterface,
    SSHException,
    Transport,
)


@dataclass
class Served:
    """A server on loopback: its port and its keys."""

    port: int
    keys: list[PKey]

    @property
    def name(self) -> str:
        """As known_hosts has it."""
        return f"[127.0.0.1]:{self.port}"

    @property
    def words(self) -> str:
        """Its first key, as known_hosts has it."""
        return words(self.keys[0])


def words(key: PKey) -> str:
    """Type and key, as in known_hosts."""
    return f"{key.get_name()} {key.get_base64()}"


def key_file(folder: Path, name: str) -> Path:
    """A new private key without a passphrase; RSA where its name says so."""
    rsa = name.startswith("rsa")
    key = generate_private_key(65537, 2048) if rsa else Ed25519PrivateKey.generate()
    file = folder / name
    file.write_bytes(
        key.private_bytes(serial.Encoding.PEM, serial.PrivateFormat.OpenSSH, serial.NoEncryption())
    )
    file.chmod(0o600)
    return file


@contextmanager
def serving(*files: Path) -> Iterator[Served]:
    """A server with these host keys, in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, __file__, *files], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin
    assert process.stdout
    yield Served(int(process.stdout.readline()), [PKey.from_path(file) for file in files])
    process.stdin.close()
    process.wait()
    process.stdout.close()


class _Server(ServerInterface):
    def __init__(self) -> None:
        self.target: dict[int, tuple[str, int]] = {}

    def get_allowed_auths(self, username: str) -> str:
        return "none,password,publickey"

    def check_auth_none(self, username: str) -> int:
        return AUTH_SUCCESSFUL

    def check_auth_password(self, username: str, password: str) -> int:
        return AUTH_SUCCESSFUL

    def check_auth_publickey(self, username: str, key: PKey) -> int:
        return AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: Channel, command: bytes) -> bool:
        def end() -> None:
            channel.send_exit_status(0)
            channel.close()

        threading.Timer(0.05, end).start()
        return True

    def check_channel_direct_tcpip_request(
        self, chanid: int, origin: tuple[str, int], destination: tuple[str, int]
    ) -> int:
        self.target[chanid] = destination
        return OPEN_SUCCEEDED


def _pumped(channel: Channel, target: tuple[str, int]) -> None:
    with socket.create_connection(target) as there, channel:
        while True:
            ready, _, _ = select.select([channel, there], [], [])
            for source, sink in ((channel, there), (there, channel)):
                if source in ready:
                    data = source.recv(32768)
                    if not data:
                        return
                    sink.sendall(data)


def _served(sock: socket.socket, keys: list[PKey]) -> None:
    transport, server = Transport(sock), _Server()
    for key in keys:
        transport.add_server_key(key)
    try:
        transport.start_server(server=server)
    except (SSHException, EOFError, OSError):
        return  # the client went, having seen the key
    while transport.is_active():
        channel = transport.accept(1)
        if channel is not None and channel.chanid in server.target:
            target = server.target[channel.chanid]
            threading.Thread(target=_pumped, args=(channel, target), daemon=True).start()


def main() -> None:
    """Serve until the input ends."""
    keys = [PKey.from_path(file) for file in sys.argv[1:]]
    listening = socket.create_server(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)

    def accept() -> None:
        while True:
            sock, _ = listening.accept()
            threading.Thread(target=_served, args=(sock, keys), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
