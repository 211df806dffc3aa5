"""dnf: repositories in files of our own, each with its key by fingerprint."""

from __future__ import annotations

import re

from pyinfra.api import QuoteString, StringCommand

from gpurig.contract.known import known
from gpurig.contract.promise import Commands, drift, follows, holds, keeps
from gpurig.facts.packages.dnf import DnfRepositories, DnfRepository
from gpurig.operations.shared import repository_key
from gpurig.operations.shared.file import HEADER, written
from gpurig.operations.shared.packages import DNF
from gpurig.stack.model import Repository


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
    state = _trusted(known(DnfRepositories), repository)
    download = StringCommand(
        "{ proxy=$(sed -n 's/^ *proxy *= *//p' /etc/dnf/dnf.conf 2>/dev/null);"
        ' [ -z "$proxy" ] || export http_proxy="$proxy" https_proxy="$proxy";'
        " curl -fsSL --retry 2 --connect-timeout 20 -o",
        QuoteString(repository_key.staged(repository)), QuoteString(repository.key_url), "; }",
    )  # fmt: skip
    yield from repository_key.held(
        state, download, key_path(repository), repository, repository_key.ARMOUR
    )


def _trusted(repositories: list[DnfRepository], repository: Repository) -> repository_key.State:
    """How the key file stands that dnf checks this repository with: the user's, else ours."""
    if theirs := _theirs(repositories, repository):
        told = f"{theirs['file']} has this repository with its own key"
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
    repositories = known(DnfRepositories)
    theirs = _theirs(repositories, repository)
    if theirs:
        checked = theirs["gpgcheck"] or theirs["repo_gpgcheck"]
        return holds(f"{theirs['file']} has it" + ("" if checked else ", without any signature"))
    if _trusted(repositories, repository).verdict != "holds":
        return follows(keyring, f"gpurig sets up {repository.uri} after {keyring} holds")
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
    drift(actual=_actual(file, ours, wanted), wanted=repository.uri, will=f"write {file}")
    text = "".join(f"{key}={value}\n" for key, value in _keys(wanted).items())
    yield from written(file, f"{HEADER}[{name}]\nname={repository.name} (gpurig)\n{text}")
    # Its metadata, and of no other; the key of the metadata is taken from our file here.
    yield StringCommand(
        f"{DNF} --disablerepo='*' --enablerepo={name}"
        f" --setopt={name}.skip_if_unavailable=0 makecache --refresh"
    )


def _actual(file: str, ours: list[DnfRepository], wanted: DnfRepository) -> str:
    """What stands in our file instead, in words."""
    if not ours:
        return "dnf does not know it"
    pairs = (pair for each in ours for pair in _keys(each).items())
    differs = [f"{key} is {value}" for key, value in pairs if value != _keys(wanted)[key]]
    return f"{file} differs: {', '.join(differs) or 'sections'}"


def _keys(repository: DnfRepository) -> dict[str, str]:
    """What a section of the file says, but for its name."""
    return {
        key: str(int(value)) if isinstance(value, bool) else str(value)
        for key, value in repository.items()
        if key not in ("file", "id")
    }


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
