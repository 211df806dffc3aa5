"""A whole run over all hosts: plan, ask, change, read again, reboot if told to, prove."""

from __future__ import annotations

import getpass
import socket
import time
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Protocol

import gevent
import gevent.event
from pyinfra import logger

from gpurig.contract.fact import read
from gpurig.contract.finding import Finding, Verdict
from gpurig.contract.progress import Progress
from gpurig.contract.values import ABSENT
from gpurig.deploy.removal import removal
from gpurig.deploy.workstation import workstation
from gpurig.engine import disk, lost, proven, proving, sources
from gpurig.engine.result import HostResult, Proof
from gpurig.engine.runner import Link
from gpurig.errors import GpurigError, HostError, InternalError
from gpurig.facts.host.footing import Footing
from gpurig.facts.host.proven import ProvenRecord
from gpurig.facts.registry import look
from gpurig.hosts import host_lock
from gpurig.hosts.inventory import HostSpec
from gpurig.hosts.passwords import Passwords
from gpurig.settings.options import Options
from gpurig.stack.model import Refusal, Stack
from gpurig.stack.observed import Observed
from gpurig.wheels import locks

REBOOT_PROMISES = ("driver.loaded",)  # what only a reboot can bring about
REBOOT_SECONDS = 600


class Listener(Protocol):
    """Who is told how the run goes; the screen is one."""

    def stage(self, host: str, text: str) -> None: ...
    def line(self, host: str, text: str) -> None: ...
    def progress(self, host: str, progress: Progress) -> None: ...
    def finding(self, host: str, finding: Finding) -> None: ...
    def done(self, host: str, finding: Finding) -> None: ...
    def planned(self, result: HostResult) -> None: ...
    def proving(self, host: str, title: str, number: int, of: int) -> None: ...
    def proof(self, host: str, proof: Proof) -> None: ...
    def finished(self, result: HostResult) -> None: ...
    def asked(self, results: list[HostResult]) -> bool: ...
    def asked_to_reboot(self, host: str) -> bool: ...
    def password(self, prompt: str) -> str | None: ...


# What a person is told of a host whose run they end: when that was, what came of it, what to do.
_AGAIN = "run gpurig {} again to finish"
_ENDED = {
    "waiting": ("before it began", "nothing was changed", "run it again"),
    "connecting": ("while connecting", "nothing was changed", "run it again"),
    "reading facts": ("while reading facts", "nothing was changed", "run it again"),
    "checking sources": ("while checking sources", "nothing was changed", "run it again"),
    "asking": ("at the question", "nothing was changed", "run it again"),
    "changing": ("while changing the host", "changes so far stay", _AGAIN),
    "rebooting": ("while the host rebooted", "changes so far stay", _AGAIN),
    "reading again": ("before the host was read again", "changes so far stay", _AGAIN),
    "proving": ("while proving", "the host is not proven", "gpurig verify runs the proofs again"),
}

_COMING = ("connecting", "reading facts")  # keys of `_ENDED`: until then it is not reached


class _Stopped(Exception):
    """The person said no."""


class Interrupted(KeyboardInterrupt):
    """A run that a person ended; what is known of its hosts until then."""

    def __init__(self, results: list[HostResult]) -> None:
        super().__init__()
        self.results = results


def run(specs: list[HostSpec], options: Options, listener: Listener) -> list[HostResult]:
    """Take every host through the run, side by side; one host's end is nobody else's."""
    options = replace(options, share_wheels=len(specs) > 1)
    results = [HostResult(spec.name) for spec in specs]
    answer: gevent.event.AsyncResult = gevent.event.AsyncResult()
    if not options.ask:
        answer.set(True)
    passwords = Passwords(listener.password)
    planned = [gevent.event.Event() for _ in specs]
    hosts = [
        _HostRun(spec, result, options, listener, ready, answer, passwords)
        for spec, result, ready in zip(specs, results, planned, strict=True)
    ]
    greenlets = [gevent.spawn(host.run) for host in hosts]
    try:
        if options.ask:
            gevent.wait(planned)
            changing = [result for result in results if _may_change(result)]
            answer.set(not changing or listener.asked(changing))
        gevent.joinall(greenlets, raise_error=True)
    except KeyboardInterrupt:
        gevent.killall(greenlets)  # each lets go of its host
        raise Interrupted(results) from None
    except BaseException:
        gevent.killall(greenlets)
        raise
    return results


def _may_change(result: HostResult) -> bool:
    """Whether a person is asked about a host: one that has failed already changes nothing."""
    return bool(result.planned(Verdict.DRIFTED, Verdict.FOLLOWS)) and not result.errors


class _HostRun:
    """One host's way through a run."""

    def __init__(
        self,
        spec: HostSpec,
        result: HostResult,
        options: Options,
        listener: Listener,
        ready: gevent.event.Event,
        answer: gevent.event.AsyncResult,
        passwords: Passwords,
    ) -> None:
        self.spec, self.result, self.options, self.listener = spec, result, options, listener
        self.ready, self.answer = ready, answer  # set once planned; True when it may go on
        self.link = Link(
            spec,
            on_finding=lambda finding: listener.finding(spec.name, finding),
            on_done=lambda finding: listener.done(spec.name, finding),
            on_line=lambda line: listener.line(spec.name, line),
            on_progress=lambda progress: listener.progress(spec.name, progress),
            batch=options.prefetch,
            passwords=passwords,
            on_waiting=self._waiting,
        )
        self.origin = sources.Origin.of(spec, options)
        self.deploy = partial(workstation, options)
        self.record: proven.Record = ABSENT  # of what was proven on the host
        self.there = lost.NOTHING  # what its set-up stands on
        self.lost: list[HostError] = []  # and what of that is gone
        self.waited = ""  # what the screen said last that it waits for
        self.doing = "waiting"  # a key of _ENDED

    def run(self) -> None:
        started = time.monotonic()
        try:
            self._run()
        except _Stopped:
            self.result.notes.append("nothing was changed: you did not confirm")
        except GpurigError as error:
            error.host = self.spec.name
            self.result.errors.append(error)
            if error.code in ("sudo-refused", "host-shell") and self.doing in _COMING:
                self.result.connected = False  # whoever is not let in has not reached the host
        except gevent.GreenletExit:
            self._interrupted()
        except OSError as error:
            self._lost(error)
        except Exception as error:  # a bug on one host must not take the others with it
            logger.exception("%s: internal error", self.spec.name)
            self.result.errors.append(
                InternalError(
                    "internal",
                    f"internal error: {type(error).__name__}: {error}",
                    where=self.spec.name,
                    do="please report it with the log",
                    host=self.spec.name,
                )
            )
        finally:
            self.link.close()
            self.result.seconds = time.monotonic() - started
            self.ready.set()
            self.listener.finished(self.result)

    def _interrupted(self) -> None:
        when, what, do = _ENDED[self.doing]
        do = do.format(self.options.command)
        self.result.errors.append(
            HostError(
                "interrupted",
                f"interrupted {when}; {what}",
                where=self.spec.name,
                do=do,
                host=self.spec.name,
            )
        )

    def _stage(self, doing: str) -> None:
        self.doing = doing
        self.listener.stage(self.spec.name, doing)

    def _waiting(self, holder: str, alive: bool) -> None:
        """What a run that has ended left at work is waited for; a run that is alive is not."""
        if alive and self.options.command in ("up", "remove"):
            raise host_lock.at_work(self.spec.name, holder)
        told = f"waiting while the host works for {holder or 'another run'}"
        if told != self.waited:
            self.listener.stage(self.spec.name, told)
        self.waited = told

    def _lost(self, error: OSError) -> None:
        self.result.errors.append(
            HostError(
                "connection-lost",
                f"the connection broke ({error})",
                where=self.spec.name,
                do="run it again; changes so far stay",
                host=self.spec.name,
            )
        )

    def _run(self) -> None:
        options = self.options
        self._stage("connecting")
        self.link.open()
        self.result.connected = True
        self._stage("reading facts")
        if options.command == "facts":
            self.result.facts = self.link.plan(look).answer
            return
        if options.command == "remove":
            self._remove()
            return
        plan = self.link.plan(self._look)
        self.result.plan = list(plan.findings.values())
        observed = self._keep(plan.answer)
        self._refuse_lost()
        self.result.notes += self.origin.notes(self.result.plan)
        self.listener.planned(self.result)
        changes = options.command == "up" and self.result.planned(Verdict.DRIFTED, Verdict.FOLLOWS)
        if changes and not self.result.refused:
            self._check_room(observed)
            self._check_sources()
        self.ready.set()  # nothing is asked of the host from here on until a person has answered
        if options.command not in ("up", "verify") or self.result.refused:
            return
        if changes:
            self.doing = "asking"
            if not self.answer.get():
                raise _Stopped
            self._change()
        elif options.command == "up" and self.lost:  # a person accepts that
            self._forget()
        if options.command == "up":
            locks.keep()
        if self._wants_proofs():
            self._prove()

    def _refuse_lost(self) -> None:
        """What a host has lost is no wish to do without it: nothing is planned for that."""
        if not self.lost or self.options.accept_hardware:
            return
        if not self.result.final:
            self.result.plan = []
        if self.result.refused:
            self.result.answer = None
        for error in self.lost:
            error.where = error.host = self.spec.name
        self.result.errors += self.lost[:-1]
        raise self.lost[-1]

    def _remove(self) -> None:
        """Take away what gpurig made; without a person to ask, and without a yes, only the plan."""
        deploy, options = partial(removal, self.options), self.options
        self.result.plan = list(self.link.plan(deploy).findings.values())
        self.listener.planned(self.result)
        self.ready.set()
        if not self.result.planned(Verdict.DRIFTED):
            return
        if not (options.person or options.yes):
            self.result.notes.append("nothing was removed: no terminal to ask on; -y removes")
            return
        self.doing = "asking"
        if not self.answer.get():
            raise _Stopped
        self._lock()
        self._stage("changing")
        self.link.apply(deploy)
        self._stage("reading again")
        self.result.final = list(self.link.plan(deploy).findings.values())
        self._refuse_left()

    def _look(self) -> tuple[Observed, Stack | Refusal, lost.Host]:
        """The whole deploy, and what the host was set up with and stands on now."""
        settings = self.spec.settings
        observed, answer = self.deploy()
        record = read(ProvenRecord)
        footing = read(Footing, users=settings.users, venv_root=settings.venv_root)
        return observed, answer, lost.Host(record, observed, footing, settings)

    def _prove(self) -> None:
        name, deferred = self.spec.name, self._deferred()
        self._stage("proving")
        if not deferred and self._has_proofs():
            self._forget()  # what is interrupted now has not passed
        self.result.proofs = proving.prove(
            replace(self.spec, data=self.link.data),  # with the password of sudo that was typed
            self.result,
            deferred=deferred,
            on_begin=partial(self.listener.proving, name),
            on_proof=lambda proof: self.listener.proof(name, proof),
            on_line=lambda line: self.listener.line(name, line),
        )
        record = proven.joined(self.record, self._state(), self.result.proofs, self.there)
        if proven.differs(self.record, record):
            self.link.run(proven.remember(record))
        self.record = record
        self.result.standing = proven.standing(record, self._state())

    def _has_proofs(self) -> bool:
        """Whether a record may say that proofs have passed; one that cannot be read may."""
        if isinstance(self.record, dict):
            return bool(self.record["proofs"])
        return self.record is not ABSENT

    def _forget(self) -> None:
        """What is there is remembered from here on, and no proof of it."""
        record = proven.joined(ABSENT, self._state(), (), self.there)
        if record != self.record:
            self.link.run(proven.unproven(record))
            self.record = record
            self.result.standing = proven.standing(record, self._state())

    def _state(self) -> dict[str, str]:
        assert isinstance(self.result.answer, Stack)
        return proven.state(self.result.answer, self.spec.settings, self.result.facts)

    def _check_room(self, observed: Observed) -> None:
        answer = self.result.answer
        if isinstance(answer, Stack):
            disk.check(self.spec.name, answer, self.spec.settings, observed, self.result.plan)

    def _check_sources(self) -> None:
        """HostError where a place does not answer that the plan needs; one sentence for each."""
        assert isinstance(self.result.answer, Stack)
        fetched = sources.needed(self.result.answer, self.origin, self.result.plan)
        if fetched:
            self._stage("checking sources")
            codename = self.result.answer.archive.codename
            _, output = self.link.run(sources.script(fetched, codename))
            errors = sources.unreached(self.spec.name, fetched, output.stdout_lines)
            self.result.errors += errors[:-1]
            for last in errors[-1:]:
                raise last

    def _change(self) -> None:
        self._lock()
        self._forget()
        self._stage("changing")
        if self._apply():
            return
        self._converged()
        if self._reboot_is_due() and self._may_reboot():
            self._reboot()
            self._lock()
            self._read_again()
            self._refuse_lost()  # what does not come back from a reboot
            if not self._apply():
                self._converged()

    def _lock(self) -> None:
        self.link.lock(f"{getpass.getuser()} on {socket.gethostname()} since {_now()}")

    def _apply(self) -> list[HostError]:
        """Bring everything about that can be; what failed is among the errors of the result."""
        failed = self._applied()
        if failed and self._learnt(failed[0]):
            failed = self._applied()
            if failed:
                self._known_again()
        self.result.errors += failed
        return failed

    def _applied(self) -> list[HostError]:
        self.result.final = []  # what was read before says nothing of what comes now
        failed: list[HostError] = []
        try:
            self.link.apply(self.deploy, on_failure=failed.append)
        except HostError as error:
            if error.code != "operation-failed":  # the host is lost, or lets nobody in
                self.result.errors += failed
                raise
            failed.append(error)
        return failed

    def _known_again(self) -> Observed | None:
        """How everything stands after a failure, for its report; None where that cannot be read."""
        try:
            return self._read_again()
        except (GpurigError, OSError):
            return None  # the failure is what tells

    def _learnt(self, error: HostError) -> bool:
        """
        Whether the failure told what makes the resolver choose another driver, which then is tried.

        So a module that does not build on this kernel ends no run where another would do. What is
        read for that is what the report of a failed run says of the host.
        """
        before = self.result.answer
        observed = self._known_again()
        if observed is None:
            return False
        again = self.result.answer
        if not (isinstance(again, Stack) and isinstance(before, Stack)):
            return False
        if again.driver == before.driver:
            return False
        failed = observed.dkms_failures
        why = [
            f"{one['module']} {one['version']} does not build for {one['kernel']}: {one['error']}"
            for one in (failed if isinstance(failed, list) else [])
        ]
        self.result.notes.append(f"{'; '.join(why) or error.what}; gpurig took another driver")
        self._stage("changing")
        return True

    def _read_again(self) -> Observed:
        """How everything stands now."""
        self._stage("reading again")
        final = self.link.plan(self._look)
        self.result.final = list(final.findings.values())
        return self._keep(final.answer)

    def _converged(self) -> None:
        """`up` ends with a fresh plan; it must be empty but for what is due, and nothing lost."""
        self._read_again()
        self._refuse_lost()
        self._refuse_left()

    def _refuse_left(self) -> None:
        """What should hold by now and does not is an error."""
        left = [f for f in self.result.final if f.verdict in (Verdict.DRIFTED, Verdict.FOLLOWS)]
        for finding in left:
            self.result.errors.append(
                HostError(
                    "not-converged",
                    f"{finding.id} does not hold after the changes"
                    f" ({finding.reason or f'{finding.actual} instead of {finding.wanted}'})",
                    where=self.spec.name,
                    do="see the log",
                    host=self.spec.name,
                )
            )

    def _keep(self, told: tuple[Observed, Stack | Refusal, lost.Host]) -> Observed:
        observed, self.result.answer, host = told
        self.record, self.there, self.lost = host.record, host.there(), host.lost()
        self.result.facts = observed.as_json()
        if isinstance(self.result.answer, Stack):
            self.result.standing = proven.standing(self.record, self._state())
        return observed

    def _wants_proofs(self) -> bool:
        if not isinstance(self.result.answer, Stack) or self.result.errors:
            return False
        return self.options.prove != "never"

    def _deferred(self) -> str:
        """Why no training is run: it costs minutes, and passed for this very state. Or empty."""
        standing = self.result.standing
        asked = self.options.command == "verify" or self.options.prove == "always"
        if asked or standing is None or not standing.proven:
            return ""
        return f"passed {standing.since}, unchanged since; `gpurig verify` runs it again"

    def _reboot_is_due(self) -> bool:
        return any(f.verdict is Verdict.DUE and f.id in REBOOT_PROMISES for f in self.result.final)

    def _may_reboot(self) -> bool:
        if self.spec.transport == "local":
            return False  # this machine is told, never rebooted under its own user
        wish = self.options.reboot or self.spec.settings.reboot
        if wish == "ask":
            return self.options.person and self.listener.asked_to_reboot(self.spec.name)
        return wish == "if-needed"

    def _reboot(self) -> None:
        name = self.spec.name
        self._stage("rebooting")
        before = self._boot_id()
        self.link.run("systemd-run --on-active=1 systemctl reboot || reboot")
        self.link.close()
        deadline = time.monotonic() + REBOOT_SECONDS
        while time.monotonic() < deadline:
            gevent.sleep(2)
            try:
                self.link.reopen()
                if self._boot_id() != before:
                    return
            except (HostError, OSError):
                continue  # its SSH does not answer yet
        raise HostError(
            "reboot-lost",
            f"the host did not come back within {REBOOT_SECONDS // 60} minutes of its reboot",
            where=name,
            do="check its console",
            host=name,
        )

    def _boot_id(self) -> str:
        return self.link.run("cat /proc/sys/kernel/random/boot_id")[1].stdout


def _now() -> str:
    return datetime.now().astimezone().strftime("%H:%M:%S %Z")
