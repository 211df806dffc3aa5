"""What `gpurig trust` does; it answers its exit code."""

from __future__ import annotations

import sys

from gpurig.cli.asked import Asked
from gpurig.engine import trust as keys
from gpurig.engine.runner import prepare_engine
from gpurig.errors import GpurigError, InputError
from gpurig.report import run_log
from gpurig.report.shown import say, shown_line
from gpurig.report.terminal import YesOrNo
from gpurig.settings.redaction import secrets_of


def trust(asked: Asked) -> int:
    """Each new host key, shown and, after a yes, written to known_hosts."""
    prepare_engine()
    names = [spec.name for spec in asked.hosts]
    run_log.open_run(asked.options, secrets_of(spec.data for spec in asked.hosts), names)

    def confirm(host: str, kind: str, seen: str) -> bool:
        say(f"{host}: {kind} {seen}")
        if asked.options.yes:
            return True
        if not sys.stdin.isatty():
            raise InputError(
                "trust-unasked",
                "there is no terminal to ask whether to trust this key",
                host,
                "use -y",
            )
        return bool(YesOrNo.ask("Does the host itself show this fingerprint?", default=False))

    code = 0
    for spec in asked.hosts:
        try:
            done = keys.trust(spec, confirm)
        except GpurigError as error:
            say(f"gpurig: {shown_line(str(error))}", err=True)
            code = max(code, error.exit_code)
            continue
        where = f" (written to {done.file})" if done.file else ""
        say(f"{done.host}: {done.outcome}{where}")
        code = code or (1 if done.outcome == "declined" else 0)
    return code
