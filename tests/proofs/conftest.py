"""What a proof may ask for. Run by `gpurig verify`, not by the project's own test suite."""

from __future__ import annotations

from typing import Any

import pytest
from testinfra.host import Host

from gpurig.proofs.plugin import PROVING, LinkBackend, Subject


@pytest.fixture(scope="session")
def host(pytestconfig: pytest.Config) -> Host:
    """The host, as testinfra sees it."""
    return Host(LinkBackend(pytestconfig.stash[PROVING].link))


@pytest.fixture(scope="session")
def stack(pytestconfig: pytest.Config) -> dict[str, Any]:
    """What the host was resolved to have."""
    return pytestconfig.stash[PROVING].stack


@pytest.fixture
def subject(pytestconfig: pytest.Config) -> Subject:
    """What is proven about the host."""
    return pytestconfig.stash[PROVING].item_subject
