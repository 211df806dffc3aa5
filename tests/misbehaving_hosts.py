"""
Hosts that speak SSH and misbehave, on the loopback: ``python misbehaving_hosts.py BEHAVIOUR…``.

Each prints its port and its host key, in the form of known_hosts, and lets anybody in. What it is
asked to run it runs with the shell of this machine, except where its behaviour is another one.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from typing import Any

import paramiko

FOR_EVER = 3600


class Server(paramiko.ServerInterface):
    """What is asked of a host before a command runs."""

    def __init__(self, behaviour: str) -> None:
        self.behaviour = behaviour

    def check_auth_none(self, username: str) -> int:
        return self.check_auth_password(username, "")

    def check_auth_password(self, username: str, password: str) -> int:
        if self.behaviour == "answers no login":
            time.sleep(FOR_EVER)
        return paramiko.common.AUTH_SUCCESSFUL

    def get_allowed_auths(self, username: str) -> str:
        return "none,password"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        if self.behaviour == "opens no channel":
            time.sleep(FOR_EVER)
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: Any, command: bytes) -> bool:
        if self.behaviour == "answers no exec":
            time.sleep(FOR_EVER)
        told = self.behaviour, channel, command.decode()
        threading.Thread(target=run, args=told, daemon=True).start()
        return True


def run(behaviour: str, channel: Any, command: str) -> None:
    """What a command of ours becomes there."""
    mark = command.split(";")[0].removeprefix("echo ")
    if behaviour == "begins no command":
        return
    if behaviour == "is silent":
        channel.sendall(f"{mark}\n")
        return
    if behaviour == "ends without status":
        channel.sendall(f"{mark}\n")
        channel.shutdown_write()
        return
    if behaviour in ("floods", "floods before it begins", "floods one line", "floods errors"):
        if behaviour != "floods before it begins":
            channel.sendall(f"{mark}\n")
        send = channel.sendall_stderr if behaviour == "floods errors" else channel.sendall
        while True:
            send(b"y" * 9999 if behaviour == "floods one line" else b"y\n" * 5000)
    if behaviour == "reads no input":
        channel.sendall(f"{mark}\n")
        time.sleep(FOR_EVER)
    if behaviour == "has a talkative .bashrc":
        channel.sendall("hello\n\x1b]0;title\x07{}\nenter your name: ")
        channel.sendall_stderr("mesg: ttyname failed\n")
    done = subprocess.run(["sh", "-c", command], capture_output=True, check=False)
    channel.sendall(done.stdout)
    channel.sendall_stderr(done.stderr)
    channel.send_exit_status(done.returncode)
    channel.close()


def listen(behaviour: str) -> None:
    """One connection after another."""
    listening = socket.create_server(("127.0.0.1", 0))
    key = paramiko.ECDSAKey.generate()
    port = listening.getsockname()[1]
    print(port, f"[127.0.0.1]:{port} {key.get_name()} {key.get_base64()}", flush=True)
    threading.Thread(target=accept, args=(behaviour, listening, key)).start()


def accept(behaviour: str, listening: socket.socket, key: paramiko.PKey) -> None:
    """Let in whoever comes."""
    kept = []
    while True:
        client, _ = listening.accept()
        kept.append(client)
        if behaviour == "says no banner":
            continue
        transport = paramiko.Transport(client)
        transport.add_server_key(key)
        kept.append(transport)
        transport.start_server(server=Server(behaviour), event=threading.Event())


if __name__ == "__main__":
    for one in sys.argv[1:]:
        listen(one)
