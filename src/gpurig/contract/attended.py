"""Commands of operations that do not outlive the run that started them."""

from __future__ import annotations

from pyinfra.api import StringCommand


class Attended(StringCommand):
    """
    A command that ends, with all that it started, when its run ends or loses its connection.

    For what takes minutes and leaves nothing half done that a later run could not do again, such as
    a build. A package manager
    in it comes to its end, if what it prints goes into a file.
    """
