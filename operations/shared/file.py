"""Writing one file on a host so that no reader ever sees half of it."""

from __future__ import annotations

from io import BytesIO

from pyinfra.api import FileUploadCommand, QuoteString, StringCommand

from gpurig.contract.promise import Commands

HEADER = "# Written by gpurig; it writes it anew when it differs.\n"


def written(
    path: str, content: str | bytes, mode: str | None = "644", owner: str = "root:root"
) -> Commands:
    """
    The commands that make `path` hold `content`.

    + mode: octal, as chmod takes it; ``None`` keeps owner and mode of the file that is there
      (644 and root where there is none)

    Staged beside the file and renamed: killed anywhere, the old file or the new one is there.
    """
    data = content.encode() if isinstance(content, str) else content
    staged = f"{path}.gpurig-new"
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
            "chown", owner, QuoteString(staged), "&& chmod", mode, QuoteString(staged)
        )
    yield StringCommand("mv -f", QuoteString(staged), QuoteString(path))
