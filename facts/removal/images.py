"""The container images that gpurig noted as its own, as Docker has them now."""

from __future__ import annotations

from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, framed
from gpurig.contract.values import Unknown
from gpurig.facts.docker.engine import CLIENT, DOCKER, RUNS
from gpurig.facts.images import NOTES


class Noted(TypedDict):
    """
    One image.

    + id: the one that gpurig noted; there: whether ``gpurig/NAME`` is that image now
    + containers: names of those that stand on it, running or not
    """

    id: str
    there: bool
    containers: list[str]


class NotedImages(Always[dict[str, Noted]]):
    """
    By its name in rig_images, each image that gpurig built or loaded here.

    ``{"tensorflow": {"id": "sha256:3f0c…", "there": True, "containers": []}}``; Unknown while
    docker.service does not run although there are notes.
    """

    def command(self) -> StringCommand:
        return framed(
            f'for n in {NOTES}/*.id; do [ -e "$n" ] || continue;'
            f" {CLIENT} || exit 0; {RUNS} || exit 3;"
            ' i=$(cat "$n"); t=${n##*/}; t=${t%.id};'
            f" now=$(LC_ALL=C timeout 20 {DOCKER} image inspect --format '{{{{.Id}}}}' --"
            ' "gpurig/$t" 2>&1) || case $now in *"o such image"*) now=none ;; *) exit 4 ;; esac;'
            ' c=; if [ "$now" = "$i" ]; then'
            f' c=$(timeout 20 {DOCKER} ps --all --filter "ancestor=$i" --format "{{{{.Names}}}}")'
            " || exit 4; c=$(printf '%s\\n' \"$c\" | tr '\\n' ' '); fi;"
            ' echo "$t $i $now $c"; done'
        )

    def parse(self, lines: list[str], code: int) -> dict[str, Noted] | Unknown:
        if code == 4:
            return Unknown("docker does not say which images there are")
        if code:
            return Unknown("docker.service is not running, so images cannot be listed")
        rows = [line.split() for line in lines if line]
        return {
            name: Noted(id=id, there=now == id, containers=containers)
            for name, id, now, *containers in rows
        }
