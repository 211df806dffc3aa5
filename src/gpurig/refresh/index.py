"""A Python index: which files it has of a project, and what these say of themselves."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.parser import Parser
from functools import cached_property
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from gpurig.errors import GpurigError
from gpurig.refresh.reading import UnreadError, shown, text, wheel_metadata
from gpurig.settings import pip
from gpurig.wheels.uv_compile import uv_compile

_JSON = "application/vnd.pypi.simple.v1+json"
_ACCEPT = f"{_JSON}, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"


@dataclass(frozen=True)
class Wheel:
    """
    One wheel of an index.

    + metadata: whether the index has its METADATA beside it (PEP 658)
    + requires_python: as the index says it, empty where it does not
    """

    project: str
    version: Version
    tags: frozenset[Tag]
    url: str
    metadata: bool
    requires_python: str

    @cached_property
    def _about(self) -> Any:
        if self.metadata:
            return Parser().parsestr(_text(text(f"{self.url}.metadata")), headersonly=True)
        return Parser().parsestr(wheel_metadata(self.url), headersonly=True)

    @property
    def requirements(self) -> list[Requirement]:
        """What it asks for; UnreadError where that cannot be read."""
        try:
            return [Requirement(one) for one in self._about.get_all("Requires-Dist") or ()]
        except InvalidRequirement as error:
            raise UnreadError(f"{shown(self.url)}: its metadata has a wrong requirement") from error

    @property
    def extras(self) -> frozenset[str]:
        """The extras that it has."""
        return frozenset(self._about.get_all("Provides-Extra") or ())

    def allows(self, python: str) -> bool:
        """Whether it is for this Python, ``3.13``, by its tags and by what it requires."""
        try:
            if not SpecifierSet(self.requires_python).contains(f"{python}.99"):
                return False
        except InvalidSpecifier:
            return False
        return any(_runs(tag, python) for tag in self.tags)

    def serves(self, platform: str) -> bool:
        """Whether it is for a platform as the tables name it: ``linux-x86_64``."""
        system, machine = platform.split("-")
        kinds = ("manylinux", "linux") if system == "linux" else ("macosx",)
        return any(
            tag.platform == "any"
            or (tag.platform.startswith(kinds) and tag.platform.endswith(machine))
            for tag in self.tags
        )

    @property
    def for_any_python(self) -> bool:
        """Whether its tags leave open which Python 3 it is for."""
        return any(tag.interpreter == "py3" or tag.abi == "abi3" for tag in self.tags)


def _runs(tag: Tag, python: str) -> bool:
    own = f"cp{python.replace('.', '')}"
    if tag.interpreter == "py3":
        return tag.abi == "none"
    if tag.abi == "abi3":
        first = tag.interpreter.removeprefix("cp3")
        return first.isdecimal() and int(first) <= int(own.removeprefix("cp3"))
    return (tag.interpreter, tag.abi) == (own, own)


@dataclass
class Index:
    """
    An index by its address, or another one where a build has its own; each page is read once.

    + url: ``https://pypi.example.com/simple``
    + mirror: of all the indexes that builds have of their own, ``https://…/whl``, or None
    """

    url: str
    mirror: str | None = None
    _pages: dict[tuple[str, str], list[Wheel] | UnreadError] = field(default_factory=dict)

    def wheels(self, project: str, own: str | None = None) -> list[Wheel]:
        """The wheels of a project that were not withdrawn; UnreadError where that is not known."""
        if own and self.mirror:
            own = f"{self.mirror}/{own.rstrip('/').rpartition('/')[2]}"
        asked = ((own or self.url).rstrip("/"), str(canonicalize_name(project)))
        if asked not in self._pages:
            try:
                self._pages[asked] = _wheels(*asked)
            except UnreadError as error:
                self._pages[asked] = error
        found = self._pages[asked]
        if isinstance(found, UnreadError):
            raise found
        return found


def _wheels(index: str, project: str) -> list[Wheel]:
    page = f"{index}/{project}/"
    if urlsplit(page).scheme == "file":
        page += "index.html"
    answer = _text(text(page, _ACCEPT))
    try:
        files = _of_json(answer) if answer.lstrip()[:1] == "{" else _of_html(answer)
        found = [_wheel(project, page, one) for one in files]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UnreadError(f"{shown(page)}: it is no page of a Python index") from error
    return [wheel for wheel in found if wheel]


def _text(answer: bytes) -> str:
    return answer.decode(errors="replace")


def _of_json(answer: str) -> list[Mapping[str, Any]]:
    return [dict(one) for one in json.loads(answer)["files"]]


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.files: list[Mapping[str, Any]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if tag == "a" and told.get("href"):
            url = str(told["href"])
            self.files.append(
                {
                    "url": url,
                    "filename": unquote(urlsplit(url).path.rpartition("/")[2]),
                    "requires-python": told.get("data-requires-python"),
                    "core-metadata": "data-core-metadata" in told
                    or "data-dist-info-metadata" in told,
                    "yanked": "data-yanked" in told,
                }
            )


def _of_html(answer: str) -> list[Mapping[str, Any]]:
    links = _Links()
    links.feed(answer)
    return links.files


def _wheel(project: str, page: str, file: Mapping[str, Any]) -> Wheel | None:
    """One file of a page; None for what is no wheel of the project, or was withdrawn."""
    if file.get("yanked"):
        return None
    try:
        name, version, _, tags = parse_wheel_filename(str(file["filename"]))
    except (InvalidWheelFilename, InvalidVersion):
        return None
    if str(name) != project:
        return None
    beside = file.get("core-metadata") or file.get("dist-info-metadata")
    url = urljoin(page, str(file["url"])).partition("#")[0]
    if urlsplit(page).scheme == "https" != urlsplit(url).scheme:
        return None
    return Wheel(project, version, tags, url, bool(beside), str(file.get("requires-python") or ""))


def configured() -> str:
    """
    The address of the index from which wheels come on this machine; GpurigError without.

    That of uv's variables, else that which pip was told of, else the one that uv itself has.
    """
    for variable in ("UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        if os.environ.get(variable):
            return os.environ[variable]
    if told := pip.indexes().url:
        return told
    try:
        done = uv_compile(
            "--emit-index-url", "--no-header", "-",
            python="3.12", platform="x86_64-manylinux_2_28", index=None, stdin="", seconds=60,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise _no_index() from error
    found = re.search(r"(?m)^--index-url (\S+)$", done.stdout)
    if found is None:
        raise _no_index()
    return found[1]


def _no_index() -> GpurigError:
    what = "uv does not say where its index is"
    return GpurigError("index-unknown", what, do="set rig_pypi_index")
