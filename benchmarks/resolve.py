"""How long the resolver takes for one host, and for a lab of a thousand; no host is needed."""

from __future__ import annotations

import statistics
import time

from gpurig.settings.checks import validate
from gpurig.stack.described import Given, described
from gpurig.stack.resolver import resolve

GPUS = ("10de:2330", "10de:20b5", "10de:1eb8", "10de:1b06", "10de:2b85")
KERNEL = "6.12.117+deb13-amd64"


def main() -> None:
    """Print milliseconds for one host, and seconds for 1,000 hosts of five kinds."""
    wishes = validate({"rig_frameworks": ["tensorflow", "pytorch"], "rig_cuda": "system"}, "bench")
    hosts = [
        described(Given(os="debian:13", kernel=KERNEL, gpus=[GPUS[n % len(GPUS)]] * 8))
        for n in range(1000)
    ]
    resolve(wishes, hosts[0])  # reads the tables
    singly = []
    started = time.perf_counter()
    for host in hosts:
        before = time.perf_counter()
        resolve(wishes, host)
        singly.append(time.perf_counter() - before)
    together = time.perf_counter() - started
    print(f"one host: median {1000 * statistics.median(singly):.2f} ms")
    print(f"1,000 hosts: {together:.2f} s")


if __name__ == "__main__":
    main()
