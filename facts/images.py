"""Container images of the host's Docker."""

from __future__ import annotations

from typing import TypedDict

from pyinfra.api import QuoteString, StringCommand

from gpurig.contract.fact import Always, Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown
from gpurig.facts.docker.engine import CLIENT, DOCKER, RUNS, first_object, within

NOTES = "/var/lib/gpurig/images"  # NAME.id: the image that gpurig made there under NAME


class Found(TypedDict):
    """
    An image.

    + id: with ``sha256:``; tags: all its names, ``gpurig/tensorflow:latest``
    + created: as its maker wrote it; layers: their sums, the lowest first
    + labels: its own and those of its base
    """

    id: str
    tags: list[str]
    created: str
    layers: list[str]
    labels: dict[str, str]


class ContainerImage(Fact[Found]):
    """
    One image by its name.

    + reference: the name, ``python:3.13-slim``

    ``{"id": "sha256:3f0c…", "tags": ["gpurig/tensorflow:latest"], "created": "2026-11-25T16:…",
    "layers": ["sha256:9a1b…"], "labels": {"gpurig.recipe": "77e0…"}}``; ABSENT when there is no
    such image; Unknown while docker.service does not run, since a question would start it.
    """

    def command(self, reference: str) -> StringCommand:
        return framed(
            StringCommand(
                f"{RUNS} || exit 3; {CLIENT} || exit 4;",
                f"told=$(timeout 20 {DOCKER} image inspect --format '{{{{json .}}}}' --",
                QuoteString(reference),
                "2>&1); code=$?; printf '%s\\n' \"$told\"; exit $code",
            )
        )

    def parse(self, lines: list[str], code: int) -> Found | Absent | Unknown:
        if code == 3:
            return Unknown("docker.service is not running")
        if code == 4:
            return Unknown("the host has no command docker")
        if code and any("no such image" in line.lower() for line in lines):
            return ABSENT
        if code:
            return Unknown(f"docker image inspect: {(lines or ['no output'])[-1]}")
        said = first_object(lines)
        return Found(
            id=said["Id"],
            tags=said.get("RepoTags") or [],
            created=said.get("Created") or "",
            layers=within(said, "RootFS", "Layers") or [],
            labels=within(said, "Config", "Labels") or {},
        )


class OwnImages(Always[list[str]]):
    """
    The ids of the images that gpurig built or loaded here, ``["sha256:3f0c…"]``.

    A label does not tell: ``docker commit`` and ``FROM`` hand labels on to a user's own images.
    """

    def command(self) -> StringCommand:
        return framed(f'for f in {NOTES}/*.id; do [ ! -e "$f" ] || cat "$f"; done')

    def parse(self, lines: list[str], code: int) -> list[str] | Unknown:
        return sorted({line for line in lines if line})
