"""apt's sources: the components of the distribution's archive, beside what the user has."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence

from pyinfra.api import FileUploadCommand, QuoteString, StringCommand

from gpurig.contract.fact import read
from gpurig.contract.promise import drift, holds, keeps, unknown
from gpurig.contract.values import Unknown
from gpurig.facts.host.distribution import Distribution
from gpurig.facts.packages.apt import Source, Sources
from gpurig.operations.shared.apt import HEADER, refreshed, stanza
from gpurig.operations.shared.file import written

Commands = Generator[StringCommand | FileUploadCommand, None, None]

COMPONENTS_FILE = "/etc/apt/sources.list.d/gpurig-components.sources"
ARCHIVES = ("debian", "debian-security")  # last part of the archive's address, on every mirror
RANKS = ("stable", "oldstable", "testing")  # names of a suite that move on with each release
POCKETS = ("", "-updates", "-security", "-backports", "-proposed-updates")


@keeps("packages.sources")
def components(components: Sequence[str], mirror: str | None = None) -> Commands:
    """
    apt sees these components of the distribution's archive, beside what the user has enabled.

    + components: ``contrib``, ``non-free`` …
    + mirror: another mirror of the archive than the one the host uses
    """
    sources, system = read(Sources), read(Distribution)
    if isinstance(sources, Unknown):
        return unknown(sources.reason)
    if not isinstance(system, dict):
        return unknown("the distribution's code name cannot be read")
    assert isinstance(sources, list)
    distribution = system["codename"]
    others = [source for source in sources if source["file"] != COMPONENTS_FILE]
    wanted = _missing(others, components, distribution, mirror)
    ours = [source for source in sources if source["file"] == COMPONENTS_FILE]
    if not any(_suites(source, distribution) for source in others):
        return unknown(f"apt has no source of {distribution} main to go by")
    if ours == wanted:
        return holds(f"{', '.join(components) or 'main'} of {distribution} can be seen")
    names = sorted({name for source in wanted for name in source["components"]})
    drift(
        actual=f"{', '.join(names)} not among apt's sources" if not ours else "differs",
        wanted=", ".join(components),
        will=f"write {COMPONENTS_FILE}",
        leaves="every other source",
    )
    if not wanted:
        yield StringCommand("rm -f", QuoteString(COMPONENTS_FILE))
        return
    yield from written(COMPONENTS_FILE, HEADER + "\n".join(map(stanza, wanted)))
    yield refreshed(COMPONENTS_FILE)


def _missing(
    others: Iterable[Source], components: Sequence[str], distribution: str, mirror: str | None
) -> list[Source]:
    """Ours for each of the host's sources of main, with the components that it does not name."""
    others = [source for source in others if "deb" in source["types"]]
    wanted: list[Source] = []
    for source in others:
        for suite in _suites(source, distribution):
            uris = [mirror] if mirror and not suite.endswith("-security") else source["uris"]
            places = _places([*uris, *source["uris"]])
            lacking = [
                name
                for name in components
                if not any(
                    name in other["components"]
                    and suite in other["suites"]
                    and _places(other["uris"]) & places
                    for other in others
                )
            ]
            if not lacking:
                continue
            entry = source | {
                "file": COMPONENTS_FILE, "types": ["deb"], "uris": uris, "suites": [suite],
                "components": lacking,
            }  # fmt: skip
            same = next((w for w in wanted if w | {"suites": []} == entry | {"suites": []}), None)
            if same is not None:
                same["suites"].append(suite)
            else:
                wanted.append(Source(**entry))
    return wanted


def _suites(source: Source, distribution: str) -> list[str]:
    """Those of its suites that are main of the distribution's archive, by code name or by rank."""
    if "main" not in source["components"] or "deb" not in source["types"]:
        return []
    # Other archives have a "stable main", too; only the distribution's own is called like it.
    archive = any(place.rsplit("/", 1)[-1] in ARCHIVES for place in _places(source["uris"]))
    names = (distribution, *RANKS) if archive else (distribution,)
    known = {f"{name}{pocket}" for name in names for pocket in POCKETS}
    return [suite for suite in source["suites"] if suite in known]


def _places(uris: Iterable[str]) -> set[str]:
    return {uri.rstrip("/") for uri in uris}
