"""The indexes that the user has told pip of, on this machine; uv reads none of that by itself."""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

ETC = Path("/etc")
_OPTIONS = ("index-url", "extra-index-url", "trusted-host")
_UV = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL")


@dataclass(frozen=True)
class Indexes:
    """
    What pip is told of indexes; addresses may hold passwords, so none is ever printed.

    + url: the index; extra: those beside it, trusted: hosts without a certificate; empty where pip
      is not told of any
    + origin: where that stands, such as ``PIP_INDEX_URL`` or a file
    """

    url: str = field(default="", repr=False)
    extra: tuple[str, ...] = field(default=(), repr=False)
    trusted: tuple[str, ...] = ()
    origin: str = ""

    @property
    def variables(self) -> dict[str, str]:
        """The same for uv and for pip, as variables of their environment."""
        told: dict[str, str] = {}
        if self.url:
            told |= {"UV_DEFAULT_INDEX": self.url, "PIP_INDEX_URL": self.url}
        if self.extra:
            every = " ".join(self.extra)
            told |= {"UV_INDEX": every, "PIP_EXTRA_INDEX_URL": every}
            # As pip does. Every file is compared with its hash, wherever it is from.
            told["UV_INDEX_STRATEGY"] = "unsafe-best-match"
        if self.trusted:
            hosts = " ".join(self.trusted)
            told |= {"UV_INSECURE_HOST": hosts, "PIP_TRUSTED_HOST": hosts}
        return told

    @property
    def shown(self) -> str:
        """The addresses, for people."""
        return ", ".join(without_password(url) for url in (self.url, *self.extra) if url)


def without_password(url: str) -> str:
    """An address without user and password."""
    place = urlsplit(url)
    return place._replace(netloc=place.netloc.rpartition("@")[2]).geturl()


def indexes() -> Indexes:
    """
    What this machine's pip is told of indexes; nothing where uv is told of some itself.

    Read as pip does: /etc, the user's file, that of this environment, then the variables; the
    last one counts. What cannot be read is passed over, as pip would say more of it.
    """
    if any(name in os.environ for name in _UV) or any(file.exists() for file in _uv_files()):
        return Indexes()
    found: dict[str, tuple[str, str]] = {}
    for file in _files():
        found |= {option: (words, str(file)) for option, words in _told(file)}
    for option in _OPTIONS:
        name = f"PIP_{option.upper().replace('-', '_')}"
        if words := os.environ.get(name):
            found[option] = words, name
    url, extra, trusted = (found.get(option, ("", ""))[0].split() for option in _OPTIONS)
    origin = next((found[option][1] for option in _OPTIONS[:2] if option in found), "")
    return Indexes(url[0] if url else "", tuple(extra), tuple(trusted), origin)


def _configuration() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def _uv_files() -> tuple[Path, ...]:
    named = os.environ.get("UV_CONFIG_FILE")
    usual = ETC / "uv/uv.toml", _configuration() / "uv/uv.toml"
    return (Path(named),) if named else usual


def _files() -> Iterator[Path]:
    named = os.environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:  # pip then reads no file at all
        return
    home = Path.home()
    user = _configuration() / "pip/pip.conf"
    for place in reversed(os.environ.get("XDG_CONFIG_DIRS", f"{ETC}/xdg").split(":")):
        yield Path(place) / "pip/pip.conf"
    yield from (ETC / "pip.conf", home / ".pip/pip.conf", user, Path(sys.prefix) / "pip.conf")
    if named:
        yield Path(named)


def _told(file: Path) -> Iterator[tuple[str, str]]:
    parser = configparser.RawConfigParser()
    try:
        parser.read(file, encoding="utf-8")
    except (configparser.Error, OSError, UnicodeDecodeError):
        return
    for section in ("global", "install"):  # the later one wins
        if parser.has_section(section):
            for option, words in parser.items(section):
                key = option.replace("_", "-")
                if key in _OPTIONS:
                    yield key, words
