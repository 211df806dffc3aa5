"""apt: repositories in deb822 files of our own, each with its key by fingerprint."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from pyinfra.api import QuoteString, StringCommand

from gpurig.contract.fact import read
from gpurig.contract.known import known
from gpurig.contract.promise import Commands, drift, follows, holds, keeps, unknown
from gpurig.contract.staged import private
from gpurig.contract.values import ABSENT
from gpurig.facts.packages.apt import Source, Sources
from gpurig.facts.packages.repository_key import Keys
from gpurig.operations.shared import repository_key
from gpurig.operations.shared.apt_get import LOCK_SECONDS
from gpurig.operations.shared.file import HEADER, written
from gpurig.stack.model import Repository

# What apt's verifiers (gpgv, and sqv since Debian 13) say, and what it comes to.
_REFUSED = (
    ("*SHA1*", "SHA-1 certifies its key, which this apt no longer accepts;"
               " use the repository for this release of the distribution"),
    ("*EXPKEYSIG*|*KEYEXPIRED*|*'has expired'*|*'not alive'*|*'xpired on '*",
     "its signing key has expired; only the owner of the repository can renew it"),
    ("*NO_PUBKEY*|*'Missing key'*|*'No good signature'*",
     "another key than the accepted one has signed it"),
)  # fmt: skip


def keyring_path(repository: Repository) -> str:
    """Where the keyring of a repository lies."""
    return f"/usr/share/keyrings/{repository.name}.gpg"


@keeps("{promise}")
def keyring(promise: str, repository: Repository) -> Commands:
    """
    The repository's keyring holds exactly the key of the fingerprint that is accepted.

    + promise: its id, ``docker.keyring``

    The host fetches the key itself with apt's own downloader, so that its proxies and mirrors
    count; the keyring is written from the bytes whose fingerprint was compared.
    """
    state = _trusted(known(Sources), repository)
    download = StringCommand(
        "/usr/lib/apt/apt-helper download-file", QuoteString(repository.key_url),
        QuoteString(repository_key.staged(repository)),
    )  # fmt: skip
    yield from repository_key.held(
        state, download, keyring_path(repository), repository, repository_key.BINARY
    )


def _trusted(sources: list[Source], repository: Repository) -> repository_key.State:
    """How the keyring stands that apt checks this repository with: the user's, else ours."""
    if theirs := _theirs(sources, repository):
        if wrong := _distrusted(theirs[0], repository):
            return repository_key.State("unknown", wrong)
        told = f"{theirs[0]['file']} has this repository with its own key"
        return repository_key.State("holds", told)
    return repository_key.stands(keyring_path(repository), repository, repository_key.BINARY)


@keeps("{promise}")
def repository(promise: str, keyring: str, repository: Repository, architecture: str) -> Commands:
    """
    apt knows the repository, once, signed by its own keyring.

    + promise: its id, ``docker.repository``; keyring: that of the keyring's promise
    + architecture: dpkg's name of the host's architecture

    A source that the user wrote for the same place stays and counts: two of them with different
    keys stop apt.
    """
    sources = known(Sources)
    theirs, file = _theirs(sources, repository), _file(repository)
    ours = [source for source in sources if source["file"] == file]
    if len({source["signed_by"] for source in theirs}) > 1:
        files = " and ".join(dict.fromkeys(source["file"] for source in theirs))
        return unknown(
            f"{files} have {repository.uri} with different Signed-By, so"
            " apt reads neither; remove one of them"
        )
    if theirs and ours:
        drift(
            actual=f"{theirs[0]['file']} and {file} both have {repository.uri}",
            wanted="one of them",
            will=f"remove {file}",
            leaves=theirs[0]["file"],
        )
        yield StringCommand("rm -f", QuoteString(file))
        return
    if _trusted(sources, repository).verdict != "holds":
        return follows(keyring, f"gpurig sets up {repository.uri} after {keyring} holds")
    if theirs:
        return holds(f"{theirs[0]['file']} has it")
    wanted = Source(
        file=file,
        types=["deb"],
        uris=[repository.uri],
        suites=[repository.suite],
        components=list(repository.components),
        signed_by=keyring_path(repository),
        architectures=[architecture],
        options={},
    )
    if ours == [wanted]:
        return holds(f"{file} has {repository.uri}")
    drift(
        actual="not in apt's sources" if not ours else f"{file} differs",
        wanted=repository.uri,
        will=f"write {file}",
    )
    yield from accepted(file, HEADER + stanza(wanted))


def _theirs(sources: list[Source], repository: Repository) -> list[Source]:
    """The user's own sources of this repository."""
    return [
        source
        for source in sources
        if source["file"] != _file(repository)
        and "deb" in source["types"]
        and any(_same(uri, repository.uri) for uri in source["uris"])
        and repository.suite in (suite.removeprefix(".") for suite in source["suites"])
    ]


def _distrusted(source: Source, repository: Repository) -> str:
    """Why a user's source of the repository cannot be verified, in a sentence; else empty."""
    path = source["signed_by"]
    if not path.startswith("/"):  # embedded, or one of all the keys that apt trusts
        return ""
    keys = read(Keys, path=path)
    where = f"{source['file']} has {repository.uri} signed by {path}"
    if keys is ABSENT:
        return f"{where}, which does not exist; remove the source, or restore that file"
    if not isinstance(keys, dict):
        return f"{path} cannot be read"
    if not keys["fingerprints"]:
        return f"{where}, which has no readable key ({keys['refused']}); remove the source"
    if repository.fingerprint not in keys["fingerprints"]:
        told = ", ".join(keys["fingerprints"])
        return f"{where}, which has {told} instead of {repository.fingerprint}; remove the source"
    if int(keys["mode"], 8) & 0o444 != 0o444:
        return f"{where}, which apt cannot read; run chmod 644 {path}"
    return ""


def conflict(sources: Iterable[Source]) -> str:
    """
    Two sources that apt cannot read together, in a sentence; empty where there are none.

    apt refuses a suite of a repository that stands in two places with two Signed-By; one without
    takes over that of the other.
    """
    seen: dict[tuple[str, str], Source] = {}
    for source in sources:
        for uri, suite in product(source["uris"], source["suites"]):
            if not source["signed_by"]:
                continue
            first = seen.setdefault((uri.rstrip("/"), suite), source)
            if first["signed_by"] != source["signed_by"]:
                files = " and ".join(dict.fromkeys([first["file"], source["file"]]))
                return (
                    f"{files} {'has' if first['file'] == source['file'] else 'have'} {uri} {suite}"
                    " with different Signed-By, so apt reads neither; remove one of them"
                )
    return ""


def _same(one: str, other: str) -> bool:
    # NVIDIA's own list says $(ARCH), which apt fills in.
    return one.replace("$(ARCH)", other.rstrip("/").rsplit("/", 1)[-1]).rstrip("/") == other.rstrip(
        "/"
    )


def _file(repository: Repository) -> str:
    return f"/etc/apt/sources.list.d/gpurig-{repository.name}.sources"


def stanza(source: Source) -> str:
    """A source as deb822 writes it."""
    lines = [
        f"Types: {' '.join(source['types'])}",
        f"URIs: {' '.join(source['uris'])}",
        f"Suites: {' '.join(source['suites'])}",
    ]
    if source["components"]:
        lines.append(f"Components: {' '.join(source['components'])}")
    if source["architectures"]:
        lines.append(f"Architectures: {' '.join(source['architectures'])}")
    for name, value in source["options"].items():
        lines.append(f"{name.title()}: {value}".replace("\n", "\n "))
    if source["signed_by"]:
        key = source["signed_by"].replace("\n", "\n ")
        lines.append(f"Signed-By: {key}")
    return "\n".join(lines) + "\n"


# Where a file of sources stands until apt has accepted it; root's alone, gone with a reboot.
_CANDIDATE = private("candidate")


def accepted(file: str, text: str) -> Commands:
    """
    The commands that write a file of sources, ``….sources``, once apt accepts it.

    apt checks it beside all others and fetches its lists first: a file that apt refuses stops
    every apt on the host, so it never gets to its place.
    """
    candidate = f"{_CANDIDATE}/{file.rpartition('/')[2]}"
    yield from written(candidate, text)
    yield _tried(candidate)
    yield from written(file, text)


def _tried(file: str) -> StringCommand:
    """The lists of one file's sources, and of nothing else; what apt refuses, in one sentence."""
    return StringCommand(
        f"all={_CANDIDATE}/all; rm -rf $all; mkdir -p $all;"
        f" cp -a /etc/apt/sources.list.d/. $all; cp {file} $all;"
        " out=$(LC_ALL=C apt-get -q -o Dir::Etc::sourceparts=$all indextargets 2>&1 >/dev/null &&"
        f" LC_ALL=C apt-get -q -o DPkg::Lock::Timeout={LOCK_SECONDS}"
        f" -o Dir::Etc::sourcelist={file} -o Dir::Etc::sourceparts=-"
        " -o APT::Get::List-Cleanup=0 -o APT::Update::Error-Mode=any update 2>&1)"
        " || { printf '%s\\n' \"$out\";"
        f" at=$(sed -n 's/^URIs: //p' {file} | head -n 1); rm -rf {_CANDIDATE};"
        " case $out in"
        + "".join(f' {pattern}) why="{why}" ;;' for pattern, why in _REFUSED)
        + " *) why=$(printf '%s\\n' \"$out\" | grep '^E:' | head -n 1 | cut -c 4-) ;; esac;"
        f' echo "E: apt refuses $at: $why" >&2; exit 1; }}; rm -rf {_CANDIDATE}'
    )
