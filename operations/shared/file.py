"""Writing one file on a host so that no reader ever sees half of it."""

from __future__ import annotations

from io import BytesIO

from pyinfra.api import FileUploadCommand, QuoteString, StringCommand

from gpurig.contract.promise import Commands
from gpurig.contract.staged import STAGED

HEADER = "# Written by gpurig; it writes it anew when it differs.\n"

# What root may not do to a file is nearly always this; lsattr, which would show it, may be missing.
_IMMUTABLE = (
    'why=; case $said in *"Operation not permitted"*)'
    ' why="; if the file or its folder is immutable, run chattr -i on it" ;; esac;'
)


def written(
    path: str, content: str | bytes, mode: str | None = "644", owner: str = "root:root"
) -> Commands:
    """
    The commands that make `path` hold `content`.

    + mode: octal, as chmod takes it; ``None`` keeps owner and mode of the file that is there
      (644 and root where there is none)

    Staged beside the file and renamed: killed anywhere, the old file or the new one is there. What
    is staged goes when it cannot get to its place.
    """
    data = content.encode() if isinstance(content, str) else content
    staged = f"{path}{STAGED}"
    folder = path.rsplit("/", 1)[0] or "/"
    yield StringCommand("mkdir -p", QuoteString(folder))
    yield FileUploadCommand(BytesIO(data), staged)
    if mode is None:
        yield StringCommand(
            "if [ -e", QuoteString(path), "]; then",
            "chown --reference", QuoteString(path), QuoteString(staged), "&&",
            "chmod --reference", QuoteString(path), QuoteString(staged), "; else",
            "chown root:root", QuoteString(staged), "&& chmod 644", QuoteString(staged), "; fi",
        )  # fmt: skip
    else:
        yield StringCommand(
            "chown", owner, QuoteString(staged), "&& chmod", mode, QuoteString(staged),
        )  # fmt: skip
    yield StringCommand(
        "said=$(LC_ALL=C mv -f", QuoteString(staged), QuoteString(path), "2>&1) || {",
        "rm -f", QuoteString(staged), ';', _IMMUTABLE, 'echo "E: ${said#mv: }$why" >&2; exit 1; }',
    )  # fmt: skip
