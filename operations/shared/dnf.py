"""dnf: repositories in files of our own, each with its key by fingerprint."""

from __future__ import annotations

import re
from collections.abc import Generator

from pyinfra.api import FileUploadCommand, QuoteString, StringCommand

from gpurig.contract.fact import read
from gpurig.contract.promise import drift, follows, holds, keeps, unknown
from gpurig.contract.values import Unknown
from gpurig.facts.packages.dnf import DnfRepositories, DnfRepository
from gpurig.operations.shared import repository_key
from gpurig.operations.shared.file import written
from gpurig.operations.shared.packages import DNF
from gpurig.stack.model import Repository

Commands = Generator[StringCommand | FileUploadCommand, None, None]

HEADER = "# Written by gpurig; it writes it anew when it differs.\n"


def key_path(repository: Repository) -> str:
    """Where the key of a repository lies."""
    return f"/etc/pki/rpm-gpg/gpurig-{repository.name}"


def repository_path(repository: Repository) -> str:
    """The file of a repository."""
    return f"/etc/yum.repos.d/gpurig-{repository.name}.repo"


@keeps("{promise}")
def keyring(promise: str, repository: Repository) -> Commands:
    """
    The repository's key file holds exactly the key of the fingerprint that is accepted.

    + promise: its id, ``docker.keyring``

    The host fetches the key itself, through dnf's proxy if it has one; the key file is written
    from the bytes whose fingerprint was compared, and only from there does dnf import it.
    """
    repositories = read(DnfRepositories)
    if isinstance(repositories, Unknown):
        return unknown(repositories.reason)
    assert isinstance(repositories, list)
    state = _trusted(repositories, repository)
    if state.verdict == "unknown":
        return unknown(state.told)
    if state.verdict == "holds":
        return holds(state.told)
    drift(
        actual=state.told,
        wanted=f"the key {repository.fingerprint}",
        will=f"fetch the key from {repository.key_url} and compare its fingerprint",
    )
    download = StringCommand(
        "{ proxy=$(sed -n 's/^ *proxy *= *//p' /etc/dnf/dnf.conf 2>/dev/null);"
        ' [ -z "$proxy" ] || export http_proxy="$proxy" https_proxy="$proxy";'
        " curl -fsSL --retry 2 --connect-timeout 20 -o",
        QuoteString(repository_key.staged(repository)), QuoteString(repository.key_url), "; }",
    )  # fmt: skip
    yield from repository_key.fetched(
        download, key_path(repository), repository, repository_key.ARMOUR
    )


def _trusted(repositories: list[DnfRepository], repository: Repository) -> repository_key.State:
    """How the key file stands that dnf checks this repository with: the user's, else ours."""
    if theirs := _theirs(repositories, repository):
        told = f"{theirs['file']} has this repository with a key of its own"
        return repository_key.State("holds", told)
    return repository_key.stands(key_path(repository), repository, repository_key.ARMOUR)


@keeps("{promise}")
def repository(
    promise: str, keyring: str, repository: Repository, signed: str = "packages"
) -> Commands:
    """
    dnf knows the repository, once, and checks it against its own key.

    + promise: its id, ``docker.repository``; keyring: that of the keyring's promise
    + signed: what its owner signs: ``packages``, ``metadata`` or ``both``; all of that is checked

    A repository that the user wrote for the same place stays and counts.
    """
    repositories = read(DnfRepositories)
    if isinstance(repositories, Unknown):
        return unknown(repositories.reason)
    assert isinstance(repositories, list)
    theirs = _theirs(repositories, repository)
    if theirs:
        checked = theirs["gpgcheck"] or theirs["repo_gpgcheck"]
        return holds(f"{theirs['file']} has it" + ("" if checked else ", without any signature"))
    if _trusted(repositories, repository).verdict != "holds":
        return follows(keyring, f"{repository.uri} is set up once {keyring} holds")
    file, name = repository_path(repository), f"gpurig-{repository.name}"
    wanted = DnfRepository(
        file=file,
        id=name,
        baseurl=repository.uri,
        gpgkey=f"file://{key_path(repository)}",
        gpgcheck=signed in ("packages", "both"),
        repo_gpgcheck=signed in ("metadata", "both"),
        enabled=True,
    )
    ours = [each for each in repositories if each["file"] == file]
    if ours == [wanted]:
        return holds(f"{file} has {repository.uri}")
    differs = [
        f"{key} is {_told(each[key])}"
        for each in ours
        for key in ("baseurl", "gpgkey", "gpgcheck", "repo_gpgcheck", "enabled")
        if each[key] != wanted[key]
    ]
    drift(
        actual=f"{file} differs: {', '.join(differs) or 'sections'}"
        if ours
        else "not known to dnf",
        wanted=repository.uri,
        will=f"write {file}",
    )
    keys = {key: _told(value) for key, value in wanted.items() if key not in ("file", "id")}
    text = "\n".join(f"{key}={value}" for key, value in keys.items())
    yield from written(file, f"{HEADER}[{name}]\nname={repository.name} (gpurig)\n{text}\n")
    # Its metadata, and of no other; the key of the metadata is taken from our file here.
    yield StringCommand(
        f"{DNF} --disablerepo='*' --enablerepo={name}"
        f" --setopt={name}.skip_if_unavailable=0 makecache --refresh"
    )


def _told(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def _theirs(repositories: list[DnfRepository], repository: Repository) -> DnfRepository | None:
    """The user's own repository of this place, if they have one that is enabled."""
    for each in repositories:
        if each["file"] == repository_path(repository) or not each["enabled"]:
            continue
        for url in each["baseurl"].split():
            # $basearch and its kind are dnf's to fill in; each is one part of the address.
            pattern = re.sub(r"\\\$\w+|\\\$\\\{\w+\\\}", "[^/]+", re.escape(url.rstrip("/")))
            if re.fullmatch(pattern, repository.uri.rstrip("/")):
                return each
    return None
