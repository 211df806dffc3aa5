"""What a plan fetches is looked at before the first change; what does not answer is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpurig.contract.finding import Finding, Verdict
from gpurig.engine.sources import ARCHIVE, Origin, Source, needed, script, unreached
from gpurig.hosts.inventory import HostSpec
from gpurig.settings import pip
from gpurig.settings.options import Options
from gpurig.settings.pip import Indexes
from gpurig.settings.table import Settings
from gpurig.stack.model import Archive, Docker, Environment, Repository, Stack
from gpurig.wheels.uv_compile import usual_index
from shell_check import complaints

KEY = "0" * 40
DOCKER = Repository("docker", "https://d.example/linux/debian", "trixie", ("stable",),
                    "https://d.example/gpg", KEY)  # fmt: skip
TORCH = Environment("torch", "pytorch", None, "2.9.0", "3.13", "cpu", (), "lock",
                    gigabytes=1.0, index="https://torch.example/whl/cpu")  # fmt: skip
KERAS = Environment("keras", "keras", None, "3", "3.13", "cpu", (), "lock", gigabytes=1.0)
STACK = Stack(
    "debian 13",
    "x86_64",
    package_manager="apt",
    archive=Archive("Debian", "trixie"),
    environments=(TORCH, KERAS),
    docker=Docker("docker", ("docker-ce",), False, DOCKER),
)
RELEASE = "https://d.example/linux/debian/dists/trixie/InRelease"
PYPI, TORCHS = f"{usual_index()}/six/", "https://torch.example/whl/cpu/pytorch/"


def _urls(*drifted: str, stack: Stack = STACK, **given: object) -> list[str]:
    plan = [Finding(one, Verdict.DRIFTED) for one in drifted]
    plan.append(Finding("docker.service", Verdict.HOLDS))
    settings, own = given.get("settings", Settings()), given.get("own", Indexes())
    origin = Origin(settings, own, bool(given.get("handed")))  # type: ignore[arg-type]
    return [source.url for source in needed(stack, origin, plan)]


@pytest.mark.parametrize(
    ("drifted", "urls"),
    [
        ((), []),
        (("docker.daemon-config", "users.docker-group"), []),
        (("docker.packages",), [RELEASE, ARCHIVE]),
        (("docker.keyring", "docker.repository"), [RELEASE, "https://d.example/gpg"]),
        (("docker.source",), [RELEASE, ARCHIVE]),
        (("environments.packages",), [ARCHIVE]),
        (("kernel.headers",), [ARCHIVE]),
        (("environments.tools",), [PYPI]),
        (("environment.keras.packages",), [PYPI]),
        (("environment.torch.interpreter",), [PYPI, TORCHS]),
        (("environment.gone.packages",), []),
    ],
)
def test_only_what_the_plan_needs_is_looked_at(drifted: tuple[str, ...], urls: list[str]) -> None:
    """A run that installs nothing looks at nothing."""
    assert _urls(*drifted) == urls


def test_uv_names_its_usual_index() -> None:
    """The uv of today; gpurig itself names none."""
    assert usual_index().startswith("https://")


def test_what_others_bring_is_not_looked_at() -> None:
    """Wheels that are handed over, what a proxy with a password hides, hosts without apt."""
    made = "environment.keras.packages"
    assert _urls(made, handed=True) == []
    assert _urls(made, settings=Settings(proxy="http://a:b@proxy.example")) == []
    assert _urls(made, own=Indexes(url="file:///srv/simple")) == []
    assert _urls("docker.packages", stack=Stack("rhel 9", "x86_64", package_manager="dnf")) == []


def test_no_password_is_asked_with() -> None:
    """The address of pip's index is cut; every user of a host sees command lines."""
    own = Indexes(url="https://ada:geheim@pypi.example:8443/simple")
    assert _urls("environments.tools", own=own) == ["https://pypi.example:8443/simple/six/"]
    assert "geheim" not in own.shown + repr(own)


@pytest.mark.parametrize(
    ("suite", "url"),
    [
        ("/", "https://r.example/deb/InRelease"),
        ("stable/deb/", "https://r.example/deb/stable/deb/InRelease"),
        ("trixie", "https://r.example/deb/dists/trixie/InRelease"),
    ],
)
def test_flat_repositories(suite: str, url: str) -> None:
    """deb822's three forms of a suite."""
    repository = Repository("docker", "https://r.example/deb/", suite, (), "", KEY)
    stack = Stack("debian 13", "x86_64", package_manager="apt",
                  docker=Docker("docker", (), False, repository))  # fmt: skip
    assert _urls("docker.repository", stack=stack) == [url]


SOURCES = [
    Source("https://pypi.example/simple/six/", "set rig_pypi_index", "uv"),
    Source(ARCHIVE, "check the host's network", "apt"),
]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("0 https://pypi.example/simple/six/  Could not resolve 'pypi.example'",
         "gpu01: this host cannot fetch https://pypi.example/simple/six/ (the name does not"
         " resolve); nothing was changed; set rig_pypi_index"),
        ("1 http://deb.example/dists/trixie/InRelease  404  Not Found [IP: 10.0.0.1 80]",
         "gpu01: this host cannot fetch http://deb.example/dists/trixie/InRelease (it has nothing"
         " there); nothing was changed; check the host's network"),
        ("1 http://deb.example/InRelease  Could not connect to cache:3142 (10.0.0.1). - connect"
         " (111: Connection refused)",
         "gpu01: this host cannot fetch http://deb.example/InRelease through cache:3142 (it refuses"
         " connections); nothing was changed; check the host's network"),
        ("1 http://[fd00::1]:80/InRelease  Could not connect to [fd00::1]:80 - connect (113: No"
         " route to host)",
         "gpu01: this host cannot fetch http://[fd00::1]:80/InRelease (the network has no way to"
         " it); nothing was changed; check the host's network"),
        ("0 https://pypi.example/simple/six/  404  Not Found", None),
        ("0 https://pypi.example/simple/six/  401  Unauthorized", None),
        ("0 https://pypi.example/simple/six/  503  Service Unavailable",
         "gpu01: this host cannot fetch https://pypi.example/simple/six/ (it reports an error of"
         " its own); nothing was changed; set rig_pypi_index"),
        ("sh: 1: something else", None),
        ("7 http://x/  no such number", None),
        ("", None),
    ],
)  # fmt: skip
def test_what_does_not_answer_is_one_sentence(line: str, told: str | None) -> None:
    """An index that wants a password, or lacks this page, answers."""
    errors = unreached("gpu01", SOURCES, [line])
    assert [str(error) for error in errors] == ([told] if told else [])


def test_the_script_quotes_what_it_is_given() -> None:
    """An address is data."""
    evil = Source("http://x/'; touch /tmp/evil; '", "", "uv")
    assert [*complaints(script([*SOURCES, evil], "tri'xie"))] == []
    assert """fetch 2 'http://x/'"'"'; touch""" in script([*SOURCES, evil], "tri'xie")


def test_pip_s_indexes_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where they count: on this machine and for what it hands over, without rig_pypi_index."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "https://ada:geheim@pypi.example/simple")
    monkeypatch.setattr(pip, "ETC", tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    plan = [Finding("environment.keras.packages", Verdict.FOLLOWS)]

    def notes(transport: str, share: bool = False, **data: str) -> list[str]:
        spec = HostSpec.of("h", transport, "h", data)  # type: ignore[arg-type]
        return Origin.of(spec, Options("up", share_wheels=share)).notes(plan)

    told = ["wheels come from https://pypi.example/simple (PIP_INDEX_URL); rig_pypi_index replaces"
            " that"]  # fmt: skip
    assert notes("local") == notes("ssh", share=True) == told
    assert notes("ssh") == notes("local", rig_pypi_index="https://other.example/simple") == []
