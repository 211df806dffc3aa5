"""An option of a run: one word from the command line to what the deploy asks of operations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner

from gpurig.cli import main
from gpurig.cli.asked import Asked
from gpurig.contract.values import ABSENT, Unknown
from gpurig.deploy import docker, environments, workstation
from gpurig.engine import run
from gpurig.engine.result import HostResult
from gpurig.engine.runner import Pass
from gpurig.errors import HostError
from gpurig.facts.host.footing import Footing
from gpurig.hosts import greenlets
from gpurig.hosts.inventory import HostSpec
from gpurig.report import summary
from gpurig.settings.options import DEFAULTS, Options
from gpurig.settings.table import Settings
from stack.observations import debian, stack

WORDS: dict[str, tuple[str, Options]] = {
    "nothing, as plain pyinfra has it": ("up", DEFAULTS),
    "docker": ("up --restart-docker", Options("up", restart_docker=True)),
    "releases": ("up --upgrade --prune", Options("up", upgrade=True, prune=True)),
    "a plan": ("plan --prune --no-prefetch", Options("plan", prune=True, prefetch=False)),
    "a reboot": ("up --reboot never -y", Options("up", reboot="never", yes=True)),
    "layers": (
        "remove --packages docker,cuda -y",
        Options("remove", packages=("docker", "cuda"), yes=True),
    ),
    "proofs": ("up --prove always --json", Options("up", prove="always", as_json=True)),
    "the log": ("verify --debug", Options("verify", debug=True)),
    "less": ("verify -q", Options("verify", quiet=True)),
    "less, said before": ("-q verify", Options("verify", quiet=True)),
    "more, said before": ("--verbose plan", Options("plan", verbose=True)),
    "the log, said before": ("--debug up", Options("up", debug=True)),
}


@pytest.mark.parametrize(("words", "options"), WORDS.values(), ids=WORDS)
def test_what_the_command_line_says_is_an_option(
    words: str, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its name, and nothing else is."""
    asked: list[Asked] = []
    monkeypatch.setattr("gpurig.cli.work.work", asked.append)
    monkeypatch.setattr(greenlets, "patch", lambda: None)  # this process is not gpurig's own
    CliRunner().invoke(main.gpurig, [*words.split(), "gpu01"], catch_exceptions=False)
    assert [one.options for one in asked] == [options]


def test_no_option_is_lost() -> None:
    """What a run's verbs take is a field of the options, or says which hosts and settings."""
    for verb in ("up", "plan", "verify", "remove", "facts", "trust"):
        params = main.gpurig.commands[verb].params
        given = {param.name for param in params if isinstance(param, click.Option)}
        assert given - set(vars(DEFAULTS)) == {"limit", "wishes"}


@pytest.mark.parametrize(("person", "options", "ask"), [
    (True, Options("up"), True),
    (True, Options("up", yes=True), False),
    (True, Options("plan"), False),
    (True, Options("remove"), True),
    (True, Options("remove", yes=True), False),
    (False, Options("up"), False),
])  # fmt: skip
def test_only_what_changes_a_host_asks_and_only_a_person(
    person: bool, options: Options, ask: bool
) -> None:
    """Without a terminal `up` is the consent, and `remove` ends with its plan."""
    assert replace(options, person=person).ask is ask


@pytest.mark.parametrize(("options", "silent"), [
    (Options("plan"), False),
    (Options("plan", quiet=True), True),
    (Options("up", as_json=True), True),
    (Options("up", quiet=True, person=True), False),
    (Options("up", quiet=True, person=True, yes=True), True),
])  # fmt: skip
def test_a_quiet_run_says_nothing_until_its_end_unless_it_asks(
    options: Options, silent: bool
) -> None:
    """Nobody says yes to a plan that they have not seen."""
    assert options.silent is silent


def test_less_is_the_verdict_and_the_errors() -> None:
    """Of each host one line, and one for each of its errors."""
    result = HostResult("gpu01", errors=[HostError("x", "the disk is full", "gpu01")])
    result.notes = ["a remark"]
    lines = summary.ending(result, Settings(), "plan")
    assert len(lines) > 2
    told = ["gpu01: not reached", "  error: the disk is full"]
    assert summary.verdict(lines) == told


@pytest.mark.parametrize("hosts", [1, 2])
def test_every_pass_of_every_host_has_the_options(
    hosts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come to the deploy as they are; the control machine serves several hosts with wheels."""
    found: list[Options] = []

    class Link:
        def __init__(self, spec: HostSpec, **_: Any) -> None:
            self.plan = lambda deploy: Pass({}, deploy())
            self.open = self.close = lambda: None

    def deploy(options: Options) -> tuple[Any, Any]:
        found.append(options)
        return debian("13"), stack(debian("13"))

    monkeypatch.setattr(run, "Link", Link)
    monkeypatch.setattr(run, "workstation", deploy)
    facts = {Footing: Unknown("not asked")}
    monkeypatch.setattr(run, "read", lambda fact, **_: facts.get(fact, ABSENT))
    given = Options("plan", restart_docker=True, prune=True, upgrade=True)
    specs = [HostSpec.of(f"gpu0{n}", "ssh", f"gpu0{n}", {}) for n in range(hosts)]
    told = SimpleNamespace(
        **dict.fromkeys(("stage", "planned", "finished", "password"), lambda *_: None)
    )
    results = run.run(specs, given, told)  # type: ignore[arg-type]
    assert [result.errors for result in results] == [[]] * hosts
    assert found == [replace(given, share_wheels=hosts > 1)] * hosts


def _body(deploy: Callable[..., Any]) -> Any:
    """A deploy without pyinfra's own part, which wants a host."""
    return deploy._inner  # type: ignore[attr-defined]


@pytest.mark.parametrize("given", [True, False])
def test_the_deploy_of_docker_restarts_it_when_told(
    given: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both of its promises that need a restart hear of it."""
    found: dict[str, Any] = {}
    quiet = SimpleNamespace(**dict.fromkeys(
        ("packages", "daemon_config", "service", "proxy", "socket", "source"), lambda **_: None
    ), running_config=lambda **told: found.update(config=told["restart"]),
       running_proxy=lambda **told: found.update(proxy=told["restart"]))  # fmt: skip
    for name in ("operations", "proxy", "socket", "source"):
        monkeypatch.setattr(docker, name, quiet)
    _body(docker.docker)(stack(debian("13")), Settings(), Options(restart_docker=given))
    assert found == {"config": given, "proxy": given}


@pytest.mark.parametrize("given", [True, False])
def test_the_deploy_of_environments_prunes_when_told(
    given: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left over is deleted, or named."""
    found: list[bool] = []
    monkeypatch.setattr(environments.leftovers, "leftovers", lambda **t: found.append(t["prune"]))
    monkeypatch.setattr(environments.jupyter, "kernels", lambda **_: None)
    nothing = replace(stack(debian("13")), environments=())
    _body(environments.environments)(nothing, Settings(), Options(prune=given))
    assert found == [given]


@pytest.mark.parametrize(("given", "cache", "shelf"), [
    (False, None, False), (True, None, True), (False, "/srv/cache", True),
])  # fmt: skip
def test_wheels_are_shared_for_several_hosts_or_where_a_folder_is_named(
    given: bool, cache: str | None, shelf: bool
) -> None:
    """One host alone downloads its own."""
    settings, options = Settings(cache=cache), Options(share_wheels=given)
    assert (environments._shelf(stack(debian("13")), settings, options) is not None) is shelf


@pytest.mark.parametrize("given", [True, False])
def test_the_deploy_of_a_workstation_renews_locks_when_told(
    given: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then what is installed and what is kept no longer hold the resolver."""
    found: dict[str, Any] = {}

    def resolve(settings: Settings, observed: Any, kept: tuple[str, ...] = ()) -> Any:
        found.update(kept=kept, installed=observed.frameworks)
        return stack(debian("13"))

    def fitted(stack: Any, index: str | None, renew: bool) -> Any:
        found.update(renew=renew)
        raise StopIteration

    installed = debian("13", told={"frameworks": {"tensorflow": {"tensorflow": "2.20.0"}}})
    monkeypatch.setattr(
        workstation, "host", SimpleNamespace(data=SimpleNamespace(dict=dict), name="h")
    )
    monkeypatch.setattr(workstation, "observe", lambda _: installed)
    monkeypatch.setattr(workstation, "resolve", resolve)
    monkeypatch.setattr(workstation, "locks", SimpleNamespace(kept=lambda: ("a",), fitted=fitted))
    with pytest.raises(StopIteration):
        _body(workstation.workstation)(Options(upgrade=given))
    assert (found["renew"], found["kept"]) == (given, () if given else ("a",))
    assert bool(found["installed"]) is not given
