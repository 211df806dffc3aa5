"""A law over all tests of operations: no script that is sent to a host leaves a word unquoted."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from pyinfra import logger

from shell_check import complaints


class _Sent(logging.Handler):
    """Each command that the connector sends to a host."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.commands: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg == "%s: %s" and isinstance(record.args, tuple):
            command = record.args[1]
            if hasattr(command, "get_raw_value"):
                self.commands.add(command.get_raw_value())


@pytest.fixture(scope="module", autouse=True)
def _nothing_is_left_unquoted(request: pytest.FixtureRequest) -> Iterator[None]:
    """By the distribution's shellcheck, over each command that a module's tests sent."""
    if not request.config.getoption("lab"):
        yield  # no host is there, and perhaps no shellcheck
        return
    sent, level = _Sent(), logger.level
    logger.addHandler(sent)
    logger.setLevel(logging.DEBUG)
    yield
    logger.removeHandler(sent)
    logger.setLevel(level)
    said = [f"{said}\n{command}" for command in sent.commands for said in complaints(command)]
    assert not said, "\n\n".join(said)
