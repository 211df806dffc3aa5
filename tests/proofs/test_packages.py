"""The package system can be used: nothing half done, nothing that contradicts itself."""

from __future__ import annotations

import pytest
from testinfra.host import Host


@pytest.mark.proof("packages.whole")
def test_no_package_is_half_installed(host: Host) -> None:
    """No package is half installed."""
    audit = host.run_expect([0, 1], "dpkg --audit")
    assert not audit.stdout.strip(), f"dpkg --audit: {audit.stdout.strip().splitlines()[0]}"


@pytest.mark.proof("packages.dependencies")
def test_no_dependency_is_missing(host: Host) -> None:
    """Every package has the packages it depends on."""
    check = host.run("apt-get check -qq")
    assert check.rc == 0, f"apt-get check: {check.stderr.strip()}"
