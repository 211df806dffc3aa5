"""The frame around a command: what tells its answer from all else that a host prints."""

from __future__ import annotations

import re
import secrets
from base64 import b64encode
from gzip import compress
from shlex import quote

# The folders of sudo's secure_path, as Debian's and Ubuntu's sudoers have them together. A host's
# own PATH may lack the folders of root's tools, or have somebody's own tools in front of them.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin"

# What stays of a host's environment: for whom a command runs, the proxies, and what its
# administrator tells programs of indexes and certificates, in /etc/environment for example.
_PROXIES = [f"{one}_proxy" for one in ("http", "https", "ftp", "all", "no")]
_SOURCES = (
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT",
    "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX", "UV_INSECURE_HOST",
    "UV_PYTHON_INSTALL_MIRROR", "UV_PYTHON_DOWNLOADS_JSON_URL",
)  # fmt: skip
KEPT = (
    "HOME", "USER", "LOGNAME", "SHELL", "SSH_CONNECTION", *_PROXIES, *map(str.upper, _PROXIES),
    *_SOURCES,
)  # fmt: skip

# Between single quotes these stand for themselves in every login shell: backslashes are special to
# fish there, exclamation marks to csh, which also wants no line to end.
_PLAIN = re.compile(r"[^\\'!\x00-\x1f\x7f-\U0010ffff]")

# `mark` prints what no copy of this script has in it, so a shell that shows what it runs prints no
# mark. The input begins with a mark as well: a profile may have read lines of it.
_BEGIN = 'g=gpurig- t={token}; mark() {{ printf "%s%s%s\\n" "$g" "$t" "$1"; }}; mark; mark >&2'
_INPUT = 'while IFS= read -r l && [ "$l" != "$t" ]; do :; done; [ "$l" = "$t" ] || exit 1'
# By their names: the value of a proxy or of an index holds a password, and every user may read the
# words of a command.
_UNKEPT = (
    'w=$1; set -f; set --; for n in $(tr "\\0\\n" "\\n " </proc/$$/environ | sed "s/=.*//"); do'
    ' case " {kept} " in *" $n "*) ;; *) set -- "$@" -u "$n" ;; esac; done'
)
_CLEAN = 'env "$@" LC_ALL=C PATH="$PATH" /bin/sh -c {start} sh "$g$t" "$w"'
_ENDS = '({clean}); s=" $?"; mark "$s"; mark "$s" >&2'
_TALKS = "exec {clean}"

_UNPACKED = 'eval "$(printf %s {word} | base64 -d | gzip -dc)"'
SHORT = 16_000  # bytes of a line that is sent as it is; longer ones are packed

_SETTINGS = "umask 022; LC_ALL=C PATH={path}; export LC_ALL PATH"


class Frame:
    """
    One command's frame: a mark of its own before and after its answer, on both streams.

    The mark at the end has the exit status, which a wrapper of the host's would hide.
    """

    def __init__(self) -> None:
        self.token = secrets.token_hex(8)

    @property
    def mark(self) -> bytes:
        """What a line that is a mark begins with."""
        return b"gpurig-" + self.token.encode()

    @property
    def input_mark(self) -> bytes:
        """The line after which the command's own input begins."""
        return self.token.encode() + b"\n"

    def around(self, line: str, reads: bool, talks: bool = False) -> str:
        """
        The line for a login shell, of whatever sort, that runs a line of ``/bin/sh``.

        + reads: whether it has an input
        + talks: whether it is talked with, and so has no mark at its end
        """
        start, word = _carried(line)
        clean = _CLEAN.format(start=quote(start))
        run = (_TALKS if talks else _ENDS).format(clean=clean)
        unkept = _UNKEPT.format(kept=" ".join((*KEPT, "LC_ALL", "PATH")))
        parts = [_settings(), _BEGIN.format(token=self.token), *[_INPUT] * reads, unkept, run]
        script = encoded("; ".join(parts))
        return f"/bin/sh -c 'eval \"$(printf %b \"$0\")\"' '{script}' '{word}'"


def under_sudo(line: str) -> str:
    """The words after ``sudo --``: a second mark is where sudo's words end and the line's begin."""
    mark = 'printf "%s\\n" "$1"'
    start, word = _carried(line)
    return f"""sh -c {quote(f"{_settings()}; {mark}; {mark} >&2; {start}")} sh "$1" '{word}'"""


def _carried(line: str) -> tuple[str, str]:
    """
    A script that runs a line, given as a word in its second argument, and the word.

    An argument has at most 131,072 bytes (MAX_ARG_STRLEN), and each quote takes five at least.
    """
    word = encoded(line)
    if len(word) < SHORT:
        return 'eval "$(printf %b "$2")"', word
    return _UNPACKED.format(word='"$2"'), _packed(line)


def in_one_word(script: str) -> str:
    """A script that runs a longer one: `sh -c` takes its words in one argument, too."""
    return _UNPACKED.format(word=_packed(script))


def _packed(text: str) -> str:
    return b64encode(compress(text.encode("utf-8", "surrogateescape"), mtime=0)).decode()


def encoded(text: str) -> str:
    """Text as printf's ``%b`` has it, which stands between the single quotes of every shell."""
    return "".join(one if _PLAIN.fullmatch(one) else _octal(one) for one in text)


def _octal(character: str) -> str:
    return "".join(f"\\0{byte:03o}" for byte in character.encode("utf-8", "surrogateescape"))


def _settings() -> str:
    return _SETTINGS.format(path=PATH)
