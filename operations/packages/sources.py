"""apt's sources: the components of the distribution's archive, beside what the user has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pyinfra.api import QuoteString, StringCommand

from gpurig.contract.known import known
from gpurig.contract.promise import Commands, drift, holds, keeps, unknown
from gpurig.contract.values import ABSENT
from gpurig.facts.packages.apt import Origins, Source, Sources, address
from gpurig.operations.shared.apt import accepted, conflict, stanza
from gpurig.operations.shared.file import HEADER
from gpurig.stack.model import Archive

COMPONENTS_FILE = "/etc/apt/sources.list.d/gpurig-components.sources"
# Last part of the archive's address, on every mirror, and of the list of mirrors in cloud images.
ARCHIVES = ("debian", "debian-security", "debian.list", "debian-security.list")
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
    sources = _without_strangers(sources, archive)
    others = [source for source in sources if source["file"] != COMPONENTS_FILE]
    wanted = _missing(others, components, distribution, mirror)
    ours = [source for source in sources if source["file"] == COMPONENTS_FILE]
    if why := conflict(others):
        return unknown(why)
    if not any(_suites(source, distribution) for source in others):
        return unknown(f"apt has no source of {distribution} main")
    if ours == wanted:
        return holds(f"apt sees {', '.join(components) or 'main'} of {distribution}")
    if wanted:
        lacks = f"apt's sources lack {_components(wanted)}"
        drift(
            actual=f"{COMPONENTS_FILE} differs" if ours else lacks,
            wanted=", ".join(components),
            will=f"write {COMPONENTS_FILE}",
            leaves="every other source",
        )
    else:
        drift(
            actual=f"{COMPONENTS_FILE} has what other sources have as well",
            wanted=f"no {COMPONENTS_FILE}",
            will=f"remove {COMPONENTS_FILE}",
            leaves="every other source",
        )
        yield StringCommand("rm -f", QuoteString(COMPONENTS_FILE))
        return
    yield from accepted(COMPONENTS_FILE, HEADER + "\n".join(map(stanza, wanted)))


def _without_strangers(sources: list[Source], archive: Archive) -> list[Source]:
    """
    These sources but for those of other archives that call their suite like the distribution's.

    Their Release files tell; where apt never fetched one, the address does: ``…/debian``.
    """
    unclear = [s for s in sources if _suites(s, archive.codename) and not _is_archive(s)]
    if not unclear:
        return sources
    fetched = known(Origins)
    origins = {} if fetched is ABSENT else fetched
    told = {id(s): [origins[p] for p in _places(s["uris"]) if p in origins] for s in unclear}
    known_ones = any(map(_is_archive, sources)) or any(archive.origin in o for o in told.values())
    strangers = {
        place
        for place, origin in told.items()
        if archive.origin not in origin and (origin or known_ones)
    }
    return [source for source in sources if id(source) not in strangers]


def _is_archive(source: Source) -> bool:
    """Whether an address of the source ends as the archive's does, on every mirror."""
    return any(place.rsplit("/", 1)[-1] in ARCHIVES for place in _places(source["uris"]))


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
            signed_by=_key(others, uris, suite) or source["signed_by"],
            architectures=source["architectures"],
            options=_options(others, uris, suite),
        )
        if lacking and not _has(wanted, lacking[0], suite, _places(uris)):
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


def _key(sources: Iterable[Source], uris: Iterable[str], suite: str) -> str:
    """What apt verifies a suite of these places with: one line's Signed-By counts for all lines."""
    same = _alike(sources, uris, suite)
    return next((source["signed_by"] for source in same if source["signed_by"]), "")


def _options(sources: Iterable[Source], uris: Iterable[str], suite: str) -> dict[str, str]:
    """What apt is told of a suite of these places besides: it refuses two lines that differ."""
    same = _alike(sources, uris, suite)
    return next((source["options"] for source in same if source["options"]), {})


def _alike(sources: Iterable[Source], uris: Iterable[str], suite: str) -> list[Source]:
    """Those of the same suite from one of the same places."""
    places = _places(uris)
    return [s for s in sources if suite in s["suites"] and _places(s["uris"]) & places]


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
    names = (distribution, *RANKS) if _is_archive(source) else (distribution,)
    known = {f"{name}{pocket}" for name in names for pocket in POCKETS}
    return [suite for suite in source["suites"] if suite in known]


def _places(uris: Iterable[str]) -> set[str]:
    return {address(uri) for uri in uris}
