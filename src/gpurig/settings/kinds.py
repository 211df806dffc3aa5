"""
What a setting's value may be: each check makes the value of what was given.

A check raises ValueError with what the value must be, as it follows "must be": `` "a list of …"``.
No check repeats the value: it may be secret.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from gpurig.contract.frameworks import programs as shipped
from gpurig.contract.limits import KEYS as LIMITS
from gpurig.settings.places import absolute_path

# Portable user names (POSIX, 3.437), and those of directories (ada@corp.example.com, CORP\ada), as
# long as the kernel lets them be (LOGIN_NAME_MAX): but not all digits, which tools take for a uid,
# and without a dot in front, which makes them `.` or `..`. Whether there is one, the host tells.
_USER = re.compile(r"(?![0-9]+$)[A-Za-z0-9_][A-Za-z0-9._@+\\-]{0,254}")
# What is secret by the name of its key, whoever reads it: pyinfra, an SSH key, a driver of logs.
_SECRET = re.compile(r"password|passphrase|passwd|secret|token", re.IGNORECASE)
_PCI_ID = re.compile(r"10de:[0-9a-f]{4}")
# One component of an image's name, and the whole with registry, tag and digest, as
# github.com/distribution/reference has them.
_IMAGE = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_REFERENCE = re.compile(
    rf"(?:[A-Za-z0-9.-]+(?::[0-9]+)?/)?{_IMAGE.pattern}(?:/{_IMAGE.pattern})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)
# gpurig's own training programs, and a user's: the environment that runs it, and its file.
PROGRAMS = shipped()
OWN_PROGRAM = re.compile(r"(?:[a-z]+:)?(?:[^:]*/)?[A-Za-z0-9][A-Za-z0-9._-]*\.py")


def is_secret(name: str) -> bool:
    """Whether a key of this name has a secret for its value."""
    return bool(_SECRET.search(name))


def switch(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def text(value: Any) -> str:
    """One line of text."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError("one line of text in quotes")
    return value


def programs(value: Any) -> tuple[str, ...]:
    """Training programs: gpurig's by name, a user's own by environment and file."""
    given = [text(item) for item in _list(value)]
    wanted = (
        f"a list with some of {', '.join(PROGRAMS)} and your own programs as ENVIRONMENT:PATH.py"
    )
    files: dict[str, str] = {}
    for item in given:
        if item in PROGRAMS:
            continue
        if not OWN_PROGRAM.fullmatch(item):
            near = difflib.get_close_matches(item.lower(), PROGRAMS, n=1, cutoff=0.5)
            raise ValueError(wanted + (f"; did you mean {near[0]}?" if near else ""))
        path = item.rpartition(":")[2]
        if files.setdefault(path.rpartition("/")[2], path) != path:
            raise ValueError(f"{wanted}, each file with a different name")
    return tuple(dict.fromkeys(given))


def one_of(*words: str) -> Callable[[Any], str]:
    """One of a few words."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return value

    return check


def some_of(*words: str) -> Callable[[Any], tuple[str, ...]]:
    """At least one of a few words, each once, in the order of the words."""

    def check(value: Any) -> tuple[str, ...]:
        given = _list(value)
        if not given or any(item not in words for item in given):
            raise ValueError(f"a list with some of {', '.join(words)}")
        return tuple(word for word in words if word in given)

    return check


def branch(value: Any) -> str:
    """A driver branch."""
    if not isinstance(value, str) or not re.fullmatch(r"auto|[1-9][0-9]{2}", value):
        raise ValueError("auto or a driver branch of three digits, in quotes")
    return value


def version_or(*words: str) -> Callable[[Any], str]:
    """One of a few words, or a version."""

    def check(value: Any) -> str:
        if isinstance(value, str) and (value in words or re.fullmatch(r"[0-9]+(\.[0-9]+)*", value)):
            return value
        raise ValueError(f"{', '.join(words)} or a version in quotes")

    return check


def python_version(value: Any) -> str:
    """A Python by its major and minor version."""
    if not isinstance(value, str) or not re.fullmatch(r"auto|3\.[0-9]{1,2}", value):
        raise ValueError("auto or a version of two numbers in quotes")
    return value


def frameworks(
    *names: str, bases: Mapping[str, tuple[str, ...]]
) -> Callable[[Any], tuple[str, ...]]:
    """
    Requirement specifiers of known frameworks, each named once.

    + bases: what a framework may stand on, one of which is named as its extra
    """

    def check(value: Any) -> tuple[str, ...]:
        wanted = f"a list with some of {', '.join(names)}, each once, with or without a version"
        try:
            given = [Requirement(text(item)) for item in _list(value)]
        except (InvalidRequirement, ValueError) as error:
            raise ValueError(wanted) from error
        found = [requirement.name.lower() for requirement in given]
        for name in found:
            if name not in names:
                near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
                raise ValueError(wanted + (f"; did you mean {near[0]}?" if near else ""))
        if len(set(found)) < len(found) or any(r.url or r.marker for r in given):
            raise ValueError(wanted)
        for requirement in given:
            known = bases.get(requirement.name.lower(), ())
            if len(requirement.extras) > 1 or not requirement.extras <= set(known):
                raise ValueError(f"{wanted}; {needs(bases)}")
        return tuple(str(requirement) for requirement in given)

    return check


def needs(bases: Mapping[str, tuple[str, ...]]) -> str:
    """Which framework needs which other, in words."""
    told = [f"{name} needs one of {', '.join(known)}" for name, known in bases.items()]
    return " and ".join(told)


def images(*names: str) -> Callable[[Any], tuple[str, ...]]:
    """Images that are built, by name, and saved ones, by their file on the control machine."""

    def check(value: Any) -> tuple[str, ...]:
        wanted = (
            f"a list with some of {', '.join(names)} and paths of saved images (/….tar), each once"
        )
        given = [text(item) for item in _list(value)]
        for item in given:
            if item in names or (item.startswith("/") and absolute_path(item)):
                continue
            near = difflib.get_close_matches(item.lower(), names, n=1, cutoff=0.5)
            raise ValueError(wanted + (f"; did you mean {near[0]}?" if near else ""))
        found = [image_name(item) for item in given]
        if not all(_IMAGE.fullmatch(name) for name in found) or len(set(found)) < len(found):
            raise ValueError(
                f"{wanted}, with only small letters, digits, dots and dashes in file names"
            )
        return tuple(given)

    return check


def image_name(given: str) -> str:
    """What an image is called on hosts: its own name, or its file's without the ending."""
    name = given.rpartition("/")[2]
    for ending in (".gz", ".tar", ".tgz"):
        name = name.removesuffix(ending)
    return name


def image_reference(value: Any) -> str:
    """The name of an image as Docker takes it."""
    if not isinstance(value, str) or not _REFERENCE.fullmatch(value):
        raise ValueError("the name of an image, such as debian:trixie, without spaces")
    return value


def users(value: Any) -> tuple[str, ...]:
    """Names of users, each once; never root, as whom no workload runs."""
    given = _list(value)
    if not all(isinstance(item, str) and _USER.fullmatch(item) for item in given):
        raise ValueError("a list of user names")
    if "root" in given:
        raise ValueError("a list of user names other than root (workloads never run as root)")
    return tuple(dict.fromkeys(given))


def pci_ids(value: Any) -> tuple[str, ...]:
    """PCI ids of NVIDIA's devices in lower case; the same one twice means two of them."""
    given = [item.lower() if isinstance(item, str) else item for item in _list(value)]
    if not all(isinstance(item, str) and _PCI_ID.fullmatch(item) for item in given):
        raise ValueError("a list of NVIDIA's PCI ids (10de: and four hexadecimal digits)")
    return tuple(given)


def gpu_words(value: Any) -> tuple[str, ...]:
    """PCI ids, slots or names of GPUs, as `lspci -nn` or nvidia-smi print them."""
    given = [item.strip() if isinstance(item, str) else item for item in _list(value)]
    if not all(isinstance(item, str) and item.isprintable() and item for item in given):
        raise ValueError("a list of PCI ids, slots or names of GPUs")
    return tuple(given)


def limits(value: Any) -> dict[str, int]:
    """Bounds by their name, each a whole number of seconds or megabytes."""
    if not isinstance(value, Mapping) or any(key not in LIMITS for key in value):
        raise ValueError(f"a table with some of {', '.join(LIMITS)}")
    for key, given in value.items():
        if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= 10**7:
            raise ValueError(f"a table whose {key} is a whole number from 1 to 10000000")
    return dict(value)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise ValueError("a list")
    return list(value)
