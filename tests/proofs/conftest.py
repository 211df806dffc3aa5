"""What a proof may ask for. Run by `gpurig verify`, not by the project's own test suite."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from testinfra.host import Host

from gpurig.contract.frameworks import proofs
from gpurig.proofs.image import TAR
from gpurig.proofs.plugin import PROVING, Deferred, LinkBackend, Subject, not_applicable
from gpurig.proofs.probing import Environment, Probing
from gpurig.proofs.training import MATMUL, MNIST
from gpurig.settings.programs import OwnProgram, own_programs


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Proofs of environments and of own programs are run for each, so that a failure names it."""
    proving = metafunc.config.stash[PROVING]
    if "environment" in metafunc.fixturenames:
        found = proving.stack["environments"] or [None]
        metafunc.parametrize(
            "environment", found, ids=[e["name"] if e else "" for e in found], indirect=True
        )
    if "program" in metafunc.fixturenames:
        own = own_programs(proving.link.spec.settings) or (None,)
        metafunc.parametrize("program", own, ids=[p.label if p else "" for p in own], indirect=True)
    if "special" in metafunc.fixturenames:
        some = tuple(
            (environment, name)
            for environment in proving.stack["environments"]
            for name in proofs(environment["framework"], environment["base"])
            if name not in (MATMUL, *MNIST)
        ) or (None,)
        ids = [f"{one[0]['name']}:{one[1]}.py" if one else "" for one in some]
        metafunc.parametrize("special", some, ids=ids, indirect=True)


@pytest.fixture
def environment(request: pytest.FixtureRequest) -> Environment:
    """One environment of the stack."""
    if request.param is None:
        not_applicable("no environment is set up on this host")
    found: Environment = request.param
    return found


@pytest.fixture
def program(request: pytest.FixtureRequest) -> OwnProgram:
    """One program of the user's."""
    if request.param is None:
        not_applicable("rig_workloads names no program of yours")
    found: OwnProgram = request.param
    return found


@pytest.fixture
def special(request: pytest.FixtureRequest) -> tuple[Environment, str]:
    """An environment, and a program of gpurig's that shows what only its framework does."""
    if request.param is None:
        not_applicable("no framework of this host has a program of its own")
    found: tuple[Environment, str] = request.param
    return found


@pytest.fixture(scope="session")
def private(pytestconfig: pytest.Config) -> str:
    """Where proofs make folders for users; it goes with the run, also when that is killed."""
    return pytestconfig.stash[PROVING].link.folder()


@pytest.fixture
def scratch(host: Host, subject: Subject, private: str) -> Iterator[str]:
    """A folder of the user whom workloads are run as, and of nobody else."""
    # A name that cannot be foreseen, made as the user.
    folder: str = host.check_output("runuser -u %s -- mktemp -d %s/XXXXXXXX", subject.user, private)
    yield folder
    host.run("rm -rf %s", folder)


@pytest.fixture(scope="session")
def probing(host: Host, private: str, pytestconfig: pytest.Config) -> Iterator[Probing]:
    """The environments, each asked once."""
    subject = pytestconfig.stash[PROVING].item_subject
    made = Probing(host, subject.user, subject.settings.venv_root, private)
    yield made
    made.close()


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


@pytest.fixture
def training(subject: Subject) -> None:
    """Left out where nothing has changed since it passed; the last thing that a proof asks for."""
    if subject.deferred:
        raise Deferred(subject.deferred)


@pytest.fixture(scope="session")
def needs_docker(stack: dict[str, Any]) -> None:
    """End a proof where Docker is left out."""
    if not stack["docker"]:
        not_applicable("Docker is not set up on this host")


@pytest.fixture(scope="session")
def image(host: Host, needs_docker: None) -> Iterator[str]:
    """A small image of the proofs' own; it is removed afterwards."""
    name = f"gpurig-proof:{secrets.token_hex(4)}"
    made = host.run(f"({TAR.strip()}) | docker import - {name}")
    assert made.rc == 0, f"docker import failed: {made.stderr.strip()}"
    yield name
    host.run("docker rmi --force %s", name)
