"""Places that settings may name, checked as in `kinds`: folders, addresses, repositories."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

_PRINTABLE = re.compile(r"[!#-&(-~]+")  # no space, no quote, nothing that ends a line
_NO_SCRIPT = "without a quote, dollar, backtick, backslash or colon"
# Folders of the system: in the first nothing of a user's belongs, the others are no environments'.
_SYSTEM = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/run", "/sbin",
           "/sys", "/usr")  # fmt: skip
_SHARED = ("/home", "/media", "/mnt", "/opt", "/root", "/srv", "/tmp", "/usr/local", "/var",
           "/var/lib", "/var/tmp")  # fmt: skip
_FINGERPRINT = re.compile(r"[0-9A-F]{40}|[0-9A-F]{64}")
# Vendors' repositories that the tables know; only these can be moved.
SIGNED = ("nvidia-container-toolkit", "nvidia", "docker")
REPOSITORIES = (*SIGNED, "pytorch", "python")
REPOSITORY_FIELDS = ("url", "key_url", "fingerprint")


def absolute_path(value: Any) -> str:
    """An absolute path without ``.``, ``..``, a trailing slash or a line end."""
    right = isinstance(value, str) and value.startswith("/") and value.isprintable()
    if not right or {".", ".."} & set(value.split("/")) or not value.strip("/"):
        raise ValueError("an absolute path other than /, without . and ..")
    return "/" + "/".join(part for part in value.split("/") if part)


def venv_root(value: Any) -> str:
    """A folder of environments: scripts in these name it, within quotes, and PATH does."""
    try:
        path = absolute_path(value)
    except ValueError as error:
        raise ValueError(f"{error}, and {_NO_SCRIPT}") from error
    if set(path) & set("'\"$`\\:"):
        raise ValueError(f"an absolute path {_NO_SCRIPT}")
    inside = [one for one in _SYSTEM if f"{path}/".startswith(f"{one}/")]
    if inside and not path.startswith("/usr/local/"):
        raise ValueError(f"a folder for environments alone, and {inside[0]} is the system's")
    if path in _SHARED:
        raise ValueError(f"a folder for environments alone, such as {path}/venvs")
    return path


def url(value: Any) -> str:
    """An http, https or file URL without user or password: it ends up in files and argv."""
    if _is_url(value, "http", "https", "file") and "@" not in urlsplit(value).netloc:
        return str(value)
    raise ValueError("an http, https or file URL without spaces, quotes, user or password")


def url_or_path(value: Any) -> str:
    """A URL, or an absolute path on the host."""
    if isinstance(value, str) and value.startswith("/"):
        return absolute_path(value)
    try:
        return url(value)
    except ValueError as error:
        raise ValueError(f"an absolute path or {error}") from error


def proxy(value: Any) -> str:
    """The URL of a proxy; it may hold user and password."""
    if not _is_url(value, "http", "https"):
        raise ValueError("an http or https URL without spaces or quotes")
    return str(value)


def repositories(value: Any) -> dict[str, dict[str, str]]:
    """Where vendors' repositories are: per name url, key_url and fingerprint, each optional."""
    if not isinstance(value, Mapping):
        raise ValueError(f"a table with some of {', '.join(REPOSITORIES)}")
    if unknown := [name for name in value if name not in REPOSITORIES]:
        raise ValueError(
            f"a table with some of {', '.join(REPOSITORIES)}; there is no repository {unknown[0]}"
        )
    return {name: _repository(name, given) for name, given in value.items()}


def _repository(name: str, given: Any) -> dict[str, str]:
    known = REPOSITORY_FIELDS if name in SIGNED else REPOSITORY_FIELDS[:1]
    if not isinstance(given, Mapping) or any(key not in known for key in given):
        raise ValueError(f"a table whose {name} has only {', '.join(known)}")
    place: dict[str, str] = {}
    for key, item in given.items():
        if key == "fingerprint":
            place[key] = str(item).replace(" ", "").upper()
            if not _FINGERPRINT.fullmatch(place[key]):
                raise ValueError(f"a table whose {name}.fingerprint has 40 hexadecimal digits")
            continue
        try:
            place[key] = url(item).rstrip("/")
        except ValueError as error:
            raise ValueError(f"a table whose {name}.{key} is {error}") from error
    return place


def _is_url(value: Any, *schemes: str) -> bool:
    if not isinstance(value, str) or not _PRINTABLE.fullmatch(value):
        return False
    try:
        parts = urlsplit(value)
        _ = parts.port  # read for its ValueError
    except ValueError:
        return False
    place = parts.path if parts.scheme == "file" else parts.hostname
    return parts.scheme in schemes and bool(place)
