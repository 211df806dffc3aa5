"""The pictures that a workload drew, as the report shows them."""

from __future__ import annotations

from collections.abc import Iterable

from testinfra.host import Host


def plots(host: Host, paths: Iterable[str]) -> dict[str, str]:
    """
    Name -> base64 PNG.

    + paths: where they lie on the host
    """
    names = {path.rsplit("/", 1)[-1]: path for path in paths}
    return {name: host.check_output("base64 -w0 %s", path) for name, path in names.items()}
