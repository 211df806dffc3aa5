"""How a command ends: its exit code, and one sentence, or a frame of JSON, for what went wrong."""

from __future__ import annotations

import os
import signal
import traceback

import click

from gpurig import store
from gpurig.cli.usage import sentence
from gpurig.errors import GpurigError, InternalError
from gpurig.hosts.greenlets import heard
from gpurig.report import runs
from gpurig.report.frame import as_text, frame
from gpurig.report.shown import say, shown_line
from gpurig.report.streams import settled

# Verbs that change something, on hosts or here.
_CHANGING = ("up", "remove", "train", "trust", "image", "tables")


def ended(group: click.Group, words: list[str]) -> int:
    """The exit code of a command line, once everything of it is told."""
    # sudo, a ProxyCommand of ssh's, this machine's own shell: none comes from a folder of others.
    os.environ["PATH"] = store.search_path(os.environ.get("PATH", os.defpath))
    if "_GPURIG_COMPLETE" in os.environ:
        from gpurig.cli import completion  # noqa: F401  # its import tells click of our bash

    for number in heard():  # as Ctrl-C: what is half done is put away
        signal.signal(number, signal.default_int_handler)
    own = words[: words.index("--")] if "--" in words else words
    code, lost = settled(_run(group, words, own))
    runs.ended(code)
    if lost:
        say(f"gpurig: the output could not be written ({shown_line(lost)})", err=True)
    return code


def _run(group: click.Group, words: list[str], own: list[str]) -> int:
    try:
        return int(group.main(args=words, prog_name="gpurig", standalone_mode=False) or 0)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except GpurigError as error:
        if "--debug" in own:
            say(traceback.format_exc().rstrip(), err=True)
        return _tell(error, own)
    except click.exceptions.NoArgsIsHelpError as error:
        say(error.format_message(), err=True)
        return 2
    except click.ClickException as error:
        return _tell(sentence(error, _verb(own)), own)
    except (KeyboardInterrupt, click.Abort):
        stays = " Changes so far stay. Run it again to finish." * (_verb(own) in _CHANGING)
        say(f"gpurig: interrupted.{stays}", err=True)
        return 130
    except Exception as error:  # a bug: with --json it gets its frame, and then its traceback
        what = f"internal error: {type(error).__name__}: {error}"
        _frame(InternalError("internal", what, do="please report it with the traceback"), own)
        raise


def _tell(error: GpurigError, own: list[str]) -> int:
    _frame(error, own)
    say(f"gpurig: {shown_line(str(error))}", err=True)
    return error.exit_code


def _frame(error: GpurigError, own: list[str]) -> None:
    """What ``--json`` promises of every end: docs/reference/json.md."""
    if "--json" not in own:
        return
    say(as_text(frame(_verb(own), errors=[error])))


def _verb(own: list[str]) -> str:
    return next((word for word in own if not word.startswith("-")), "")
