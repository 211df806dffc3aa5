"""apt's sources: the components of the distribution's archive, beside what the user has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pyinfra.api import QuoteString, StringCommand

from gpurig.contract.known import known
from gpurig.contract.promise import Commands, drift, holds, keeps, unknown
from gpurig.facts.packages.apt import Source, Sources
from gpurig.operations.shared.apt import refreshed, stanza
from gpurig.operations.shared.file import HEADER, written
from gpurig.stack.model import Archive

COMPONENTS_FILE = "/etc/apt/sources.list.d/gpurig-components.sources"
ARCHIVES = ("debian", "debian-security")  # last part of the archive's address, on every mirror
RANKS = ("stable", "oldstable", "testing")  # names of a suite that move on with each release
POCKETS = ("", "-updates", "-security", "-backports", "-proposed-updates")


@keeps("packages.sources")
def components(components: Sequence[str], archive: Archive, mirror: str | None = None) -> Commands:
    """
    apt sees these components of the distribution's archive, beside what the user has enabled.

    + components: ``contrib``, ``non-free`` …; archive: whose they are
    + mirror: another mirror of the archive than the one the host uses
    """
    sources, distribution = known(Sources), archive.codename
    others = [source for source in sources if source["file"] != COMPONENTS_FILE]
    wanted = _missing(others, components, distribution, mirror)
    ours = [source for source in sources if source["file"] == COMPONENTS_FILE]
    if not any(_suites(source, distribution) for source in others):
        return unknown(f"apt has no source of {distribution} main")
    if ours == wanted:
        return holds(f"apt sees {', '.join(components) or 'main'} of {distribution}")
    drift(
        actual="differs" if ours else f"apt's sources lack {_components(wanted)}",
        wanted=", ".join(components),
        will=f"write {COMPONENTS_FILE}",
        leaves="every other source",
    )
    if not wanted:
        yield StringCommand("rm -f", QuoteString(COMPONENTS_FILE))
        return
    yield from written(COMPONENTS_FILE, HEADER + "\n".join(map(stanza, wanted)))
    yield refreshed(COMPONENTS_FILE)


def _components(sources: Iterable[Source]) -> str:
    return ", ".join(sorted({name for source in sources for name in source["components"]}))


def _missing(
    others: Iterable[Source], components: Sequence[str], distribution: str, mirror: str | None
) -> list[Source]:
    """Ours for each of the host's sources of main, with the components that it does not name."""
    others = [source for source in others if "deb" in source["types"]]
    wanted: list[Source] = []
    for source, suite in ((s, suite) for s in others for suite in _suites(s, distribution)):
        uris = [mirror] if mirror and not suite.endswith("-security") else source["uris"]
        places = _places([*uris, *source["uris"]])
        lacking = [name for name in components if not _has(others, name, suite, places)]
        entry = Source(
            file=COMPONENTS_FILE,
            types=["deb"],
            uris=uris,
            suites=[],
            components=lacking,
            signed_by=source["signed_by"],
            architectures=source["architectures"],
        )
        if lacking:
            _added(wanted, entry)["suites"].append(suite)
    return wanted


def _has(sources: Iterable[Source], component: str, suite: str, places: set[str]) -> bool:
    """Whether one of these sources brings the component of a suite, from one of these places."""
    return any(
        component in source["components"]
        and suite in source["suites"]
        and _places(source["uris"]) & places
        for source in sources
    )


def _added(wanted: list[Source], entry: Source) -> Source:
    """The one among these that is the same but for its suites; added where there is none."""
    for one in wanted:
        if one | {"suites": []} == entry:
            return one
    wanted.append(entry)
    return entry


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
