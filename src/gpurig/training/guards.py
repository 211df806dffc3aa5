"""The guards of all hosts of one training: told what to do together, heard together, ended."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import gevent
import gevent.queue

from gpurig.errors import GpurigError, HostError
from gpurig.training import engines, relay
from gpurig.training.agent_client import Told, Watched
from gpurig.training.inspection import Node
from gpurig.training.wish import ALONE, WORK, Wish
from gpurig.training.workload import source

QUEUED = 32  # words of all hosts that wait to be read


class Guards:
    """
    One guard a host, by the host's name.

    + folder: the private one, the same on each host. Results may be large, and /tmp is memory on
      some distributions.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes
        self.folder = f"/var/tmp/gpurig-{secrets.token_hex(8)}"
        # Bounded: a program that says more than is read here waits, as for any pipe.
        self.queue: gevent.queue.Queue[Told] = gevent.queue.Queue(QUEUED)
        self.hosts: dict[str, Watched] = {}
        self.ready = False  # whether every host has all files

    def prepare(self, wish: Wish) -> None:
        """Start them, and give every host its folder with the program, all at once."""
        for node in self.nodes:
            self.hosts[node.name] = Watched(node.link, node.python, self.queue)
        at_work = [gevent.spawn(self._give, *one, wish) for one in enumerate(self.nodes)]
        waiting = set(self.hosts)
        try:
            while waiting:
                told = self.next()
                if told and "begun" in told[1]:
                    waiting.discard(told[0].name)
                for one in at_work:
                    if one.exception:
                        raise one.exception
        finally:
            gevent.killall(at_work)
        self.ready = True

    def _give(self, index: int, node: Node, wish: Wish) -> None:
        horovod, guard = wish.engine == "horovod", self.hosts[node.name]
        files = {"rank": engines.rank_script(wish.engine, node, index, wish.variables)}
        files["results.py"] = source("gpurig.training", "results.py")
        if horovod:
            files["relay.py"] = source("gpurig.training", "relay.py")
            files["bin/ssh"] = engines.ssh_script(node, self.folder)
        guard.prepare(
            user=node.user,
            folder=self.folder,
            folders=[WORK, "home", "tmp"],
            files=files,
            copies=[ALONE] if wish.baseline and index == 0 else [],
            relay=relay.SOCKET if horovod else "",
            hosts=engines.hosts_lines(self.nodes) if horovod else "",
        )
        for name, file in wish.workload.files.items():
            try:
                data = file.read_bytes()
            except OSError as error:
                what = f"{file} cannot be read ({error.strerror})"
                raise GpurigError("workload-wrong", what, node.name) from error
            guard.put(f"{WORK}/{name}", data, 0o755 if data.startswith(b"#!") else 0o644)
        guard.begin()

    def next(self) -> tuple[Watched, dict[str, Any]] | None:
        """What a host tells next, None where none does soon; HostError, once, where one is gone."""
        self.refuse_lost()
        try:
            host, told = self.queue.get(timeout=0.5)
        except gevent.queue.Empty:
            return None
        if told is None and not host.gone:
            raise host.lost()
        return None if told is None else (host, told)

    def refuse_lost(self) -> None:
        """HostError, once, for a host that is silent."""
        for host in self.there():
            if not host.alive:
                raise host.lost()

    def there(self) -> list[Watched]:
        """The hosts that are not gone."""
        return [host for host in self.hosts.values() if not host.gone]

    def end(self) -> list[GpurigError]:
        """Nothing is left on any host that is still there; an error for each that does not say."""
        for host in self.hosts.values():
            host.close()
        hosts, self.hosts = list(self.hosts.values()), {}
        waiting = [gevent.spawn(host.wait) for host in hosts]
        unread = gevent.spawn(lambda: [None for _ in self.queue])  # or they could not say the last
        gevent.joinall(waiting)
        unread.kill()
        what = "the host did not confirm in time that the training has ended"
        do = "check the host for processes of the training"
        return [
            HostError("training-left", what, host.name, do, host=host.name)
            for host, done in zip(hosts, waiting, strict=True)
            if not (done.value or host.gone)
        ]
