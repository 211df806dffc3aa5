"""
Hosts that speak SSH and misbehave, on the loopback: ``python misbehaving_hosts.py BEHAVIOUR…``.

Each prints its port and its host key, in the form of known_hosts, and lets anybody in. What it is
asked to run it runs with the shell of this machine, except where its behaviour is another one.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Any

import paramiko

FOR_EVER = 3600

# Shells that end without running anything, and the last that they print.
MUTE = {
    "has no login shell": "This account is currently not available.",
    "exits in its profile": "",
    "is a menu": "1) status  2) reboot\nyour choice: invalid",
}


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
        if self.behaviour == "runs no command":
            return False
        told = self.behaviour, channel, command.decode()
        threading.Thread(target=run, args=told, daemon=True).start()
        return True


def run(behaviour: str, channel: Any, command: str) -> None:
    """What a command of ours becomes there."""
    found = re.search(r" t=(\w+);", command)
    assert found
    mark = f"gpurig-{found[1]}"
    if behaviour == "begins no command":
        return
    if behaviour in MUTE:
        time.sleep(0.2)  # the answer that it will run goes first
        channel.sendall(f"{MUTE[behaviour]}\n")
        channel.send_exit_status(0)
        channel.close()
        return
    if behaviour == "prints for ever":
        while True:
            channel.sendall("loading\n")
            time.sleep(0.1)
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
    merged = subprocess.STDOUT if behaviour == "mixes errors in" else subprocess.PIPE
    process = subprocess.Popen(
        ["sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=merged
    )
    flows = [(channel.recv, process.stdin), (process.stdout, channel.sendall)]
    if process.stderr:
        flows.append((process.stderr, channel.sendall_stderr))
    pumps = [threading.Thread(target=pump, args=flow, daemon=True) for flow in flows]
    for one in pumps:
        one.start()
    for one in pumps[1:]:
        one.join()
    code = process.wait()
    channel.sendall(f"bye\n{mark[:-1]}" if behaviour == "has a talkative .bashrc" else "")
    channel.send_exit_status(0 if behaviour == "has a talkative .bashrc" else code)
    channel.close()


def pump(source: Any, sink: Any) -> None:
    """From a channel to a process's input, or from its output to a channel, until it ends."""
    with suppress(OSError):
        while data := source.read1(9999) if hasattr(source, "read1") else source(9999):
            if hasattr(sink, "write"):
                sink.write(data)
                sink.flush()
            else:
                sink(data)
        if hasattr(sink, "close"):
            sink.close()


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
