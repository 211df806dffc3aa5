"""Secrets among hosts' data, and text in which none of them stands, in whichever form."""

from __future__ import annotations

import base64
import html
import json
import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar
from urllib.parse import quote, unquote, urlsplit

from gpurig.settings import pip
from gpurig.settings.kinds import is_secret
from gpurig.settings.table import TABLE

# Secret as a whole, as a proxy is with the address of its server.
_WHOLE = {key for key, setting in TABLE.items() if setting.secret}


def secrets_of(data: Iterable[Mapping[str, Any]]) -> list[str]:
    """
    The values that must be printed nowhere: by their names, and users' parts of addresses.

    Also those of indexes that this machine's pip and uv are told of.

    + data: of each host, ``{"ssh_password": …, "rig_proxy": …}``
    """
    found = [word for host in data for key, value in host.items() for word in _in(key, value)]
    told = [value for name, value in os.environ.items() if "INDEX" in name]
    told += pip.indexes().variables.values()
    return list(dict.fromkeys(word for word in (*found, *_in_addresses(told)) if word))


def _in(key: str, value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield from _in(f"{key} {name}" if is_secret(key) else str(name), one)
    elif isinstance(value, list | tuple | set):
        for one in value:
            yield from _in(key, one)
    elif value is not None and not isinstance(value, bool):
        text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
        yield from [text] * (is_secret(key) or key in _WHOLE)
        yield from _in_addresses([text])


def _in_addresses(texts: Iterable[str]) -> Iterator[str]:
    """Passwords in addresses, and with their users as HTTP's basic authentication has them."""
    for text in texts:
        for word in text.split():
            try:
                place = urlsplit(word if "://" in word else f"//{word}")
                user, password = place.username or "", place.password or ""
            except ValueError:
                continue
            if password:
                yield from (password, unquote(password), f"{unquote(user)}:{unquote(password)}")


class Redaction:
    """
    Text without secrets.

    + secrets: as of `secrets_of`
    """

    _learnt: ClassVar[list[str]] = []  # what was typed since; no redaction shows it

    def __init__(self, secrets: Iterable[str]) -> None:
        written = {form for secret in secrets for form in _forms(secret)}
        self._secrets = sorted(written, key=len, reverse=True)

    @classmethod
    def learn(cls, secret: str) -> None:
        """Have every redaction of this process hide one more secret."""
        cls._learnt = sorted({*cls._learnt, *_forms(secret)}, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """The text with five stars in the place of each secret."""
        for secret in (*self._learnt, *self._secrets):
            text = text.replace(secret, "*****")
        return text

    def within(self, data: Any) -> Any:
        """Data of JSON with its texts so; what is not text stays, so that it can be read."""
        if isinstance(data, Mapping):
            return {self(str(key)): self.within(value) for key, value in data.items()}
        if isinstance(data, list | tuple):
            return [self.within(one) for one in data]
        return self(data) if isinstance(data, str) else data


def _forms(secret: str) -> set[str]:
    """A secret in each form in which it may be written; none of an empty one."""
    return {form(secret) for form in _FORMS} - {""} if secret else set()


def _as_python(secret: str) -> str:
    return repr(secret)[1:-1]


def _as_json(secret: str) -> str:
    return json.dumps(secret)[1:-1]


def _as_shell(secret: str) -> str:
    return shlex.quote(secret).removeprefix("'").removesuffix("'")


def _in_address(secret: str) -> str:
    return quote(secret, safe="", errors="replace")


def _decoded(secret: str) -> str:
    return unquote(secret)


def _base64(secret: str) -> str:
    return base64.b64encode(secret.encode(errors="replace")).decode().rstrip("=")


# As values are written: by Python, JSON, a shell, HTML, in an address, decoded, in HTTP's headers.
_FORMS: tuple[Callable[[str], str], ...] = (
    str, _as_python, _as_json, _as_shell, html.escape, _in_address, _decoded, _base64,
)  # fmt: skip
