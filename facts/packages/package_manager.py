"""The package manager of the host, and what it has installed."""

from __future__ import annotations

from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown
from gpurig.facts.packages import dpkg, rpm
from gpurig.facts.packages.dpkg import Package

# Fedora packages dpkg and apt as tools: there they manage nothing, not even dpkg itself.
MANAGER = (
    "manager() { if { [ -s /var/lib/dpkg/status ] || [ -e /var/lib/dpkg/info/dpkg.list ]; } &&"
    " tool dpkg-query dpkg && tool apt-get apt;"
    " then m=apt; elif command -v rpm && { command -v dnf || command -v dnf5 || command -v yum; };"
    " then m=dnf; else return 3; fi >/dev/null; }; manager"
)
_NAMED = f'{MANAGER} || exit 3; echo "$m";'


class PackageManager(Fact[str]):
    """What manages the host's packages: ``"apt"``, ``"dnf"``, or ABSENT for anything else."""

    def command(self) -> StringCommand:
        return framed(_NAMED)

    def parse(self, lines: list[str], code: int) -> str | Absent | Unknown:
        if code == 3:
            return ABSENT
        return (
            lines[0]
            if lines[:1] in (["apt"], ["dnf"])
            else Unknown("gpurig cannot tell which one it is")
        )


class Installed(TypedDict):
    """The package manager and those of the packages asked for that it knows, by name."""

    manager: str
    packages: dict[str, Package]


class InstalledPackages(Always[Installed]):
    """
    Those of these packages that are there, on a host of either family, in one question.

    + packages: names, separated by blanks

    ``{"manager": "dnf", "packages": {"tree": {"version": "1.8.0-10.el9", "state": "installed",
    "held": False}}}``; the packages are as `facts.dpkg.Packages` and `facts.rpm.RpmPackages` have
    them.
    """

    def command(self, packages: str) -> StringCommand:
        arguments = {"packages": packages}
        return framed(
            StringCommand(
                _NAMED, "if [ \"$m\" = apt ]; then", dpkg.Packages().command(**arguments),
                "; else", rpm.RpmPackages().command(**arguments), "; fi",
            )
        )  # fmt: skip

    def parse(self, lines: list[str], code: int) -> Installed | Unknown:
        if code == 3:
            return Unknown("this host has neither apt nor dnf")
        manager, *framed_lines = lines
        if manager not in ("apt", "dnf"):
            return Unknown("gpurig cannot tell which package manager the host has")
        fact = dpkg.Packages() if manager == "apt" else rpm.RpmPackages()
        found = fact.process(framed_lines)
        if isinstance(found, Unknown):
            return found
        assert isinstance(found, dict)
        return Installed(manager=manager, packages=found)
