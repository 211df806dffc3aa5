"""The pictures that a workload drew, as the report shows them."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

from testinfra.host import Host


def plots(host: Host, user: str, scratch: str, paths: Iterable[str]) -> dict[str, str]:
    """
    Name -> base64 PNG.

    + user: as whom they are read: a program must not show by root what it cannot read itself
    + scratch: the folder that they lie in, or from which their paths are meant
    + paths: where they lie on the host; those that are not there are left out
    """
    found = {}
    for path in paths:
        file = posixpath.join(scratch, path)
        told = host.run("runuser -u %s -- base64 -w0 %s", user, file)
        if told.rc == 0 and told.stdout.startswith("iVBOR"):  # the signature of PNG
            found[file.rsplit("/", 1)[-1]] = told.stdout.strip()
    return found
