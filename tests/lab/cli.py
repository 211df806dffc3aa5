"""The lab's command: ``tests/lab/lab up trixie gpu01 --gpu h100``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import bases
from .errors import LabError
from .lab import Lab


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; 0, or 1 with one sentence on standard error."""
    given = _parser().parse_args(arguments)
    try:
        given.verb(Lab(), given)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr)
        return 130
    return 0


def _prepare(lab: Lab, given: argparse.Namespace) -> None:
    lab.open()
    for suite in given.suites or bases.SUITES:
        print(bases.base(lab.disk, suite))
    lab.close()


def _up(lab: Lab, given: argparse.Namespace) -> None:
    words = [given.suite_or_name, *([given.name] if given.name else [])]
    suite, name = words if len(words) == 2 else ("", words[0])
    if not suite and not given.snapshot:
        raise LabError("say the suite and the name, as in `lab up trixie gpu01`")
    password = given.password_file.read_text().strip() if given.password_file else ""
    lab.open()
    host = lab.boot(
        suite,
        name,
        snapshot=given.snapshot,
        gpu=given.gpu,
        gpus=given.gpus,
        list_gpu=given.list_gpu,
        python=given.python,
        user=given.user,
        password=password,
    )
    print(f"{host.name} {host.address}")
    options = f"-o UserKnownHostsFile={host.known_hosts} -o StrictHostKeyChecking=yes"
    print(f"ssh -i {host.key} {options} root@{host.address}")


def _list(lab: Lab, given: argparse.Namespace) -> None:
    rows = [("NAME", "SUITE", "ADDRESS", "STATE", "GPU")]
    for host in lab.attach().hosts():
        known = host.description
        state = known.status if host.running or known.status == "starting" else "down"
        shown = f"{known.gpus} x {known.gpu}" if known.gpu else " ".join(known.listed) or "-"
        rows.append((known.name, known.suite, known.address, state, shown))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
    if lab.snapshots():
        print("snapshots:", ", ".join(lab.snapshots()))


def _enter(lab: Lab, given: argparse.Namespace) -> None:
    lab.host(given.name).enter(given.command)


def _down(lab: Lab, given: argparse.Namespace) -> None:
    lab.attach()
    if given.all:
        lab.down_all()
    elif not given.names:
        raise LabError("say which hosts to remove, or --all")
    for name in given.names:
        lab.host(name)
        lab.remove(name)


def _reboot(lab: Lab, given: argparse.Namespace) -> None:
    lab.host(given.name).reboot()


def _start(lab: Lab, given: argparse.Namespace) -> None:
    host = lab.open().host(given.name)
    if host.running:
        raise LabError(f"{given.name} runs already")
    host.start()


def _stop(lab: Lab, given: argparse.Namespace) -> None:
    lab.host(given.name).stop()


def _snapshot(lab: Lab, given: argparse.Namespace) -> None:
    lab.open()
    lab.save(given.name, given.snapshot)


def _forget(lab: Lab, given: argparse.Namespace) -> None:
    lab.attach().forget(given.snapshot)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description="Real Debian hosts for the tests.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    prepare = verbs.add_parser("prepare", help="install what the lab needs, build its bases")
    prepare.add_argument("suites", nargs="*", help="default: trixie bookworm")
    prepare.set_defaults(verb=_prepare)

    up = verbs.add_parser("up", help="make and boot a host")
    up.add_argument("suite_or_name", metavar="SUITE", help="trixie or bookworm")
    up.add_argument("name", nargs="?", metavar="NAME")
    up.add_argument("--from", dest="snapshot", default="", metavar="SNAPSHOT")
    up.add_argument("--gpu", default="", metavar="KIND", help="t4, a100, l40s, h100 or b200")
    up.add_argument("--gpus", type=int, default=1, metavar="N", help="default: 1")
    up.add_argument("--list-gpu", action="append", default=[], metavar="10de:2330",
                    help="list a GPU on PCI that does not compute")  # fmt: skip
    up.add_argument("--python", action="store_true", help="with python3 from the start")
    up.add_argument("--no-python", dest="python", action="store_false", help="the default")
    up.add_argument("--user", default="", help="add a user who may use sudo")
    up.add_argument("--password-file", type=Path, metavar="F", help="that user's password")
    up.set_defaults(verb=_up)

    verbs.add_parser("list", help="show hosts and snapshots").set_defaults(verb=_list)

    enter = verbs.add_parser("enter", help="a root shell, or a command, on a host")
    enter.add_argument("name", metavar="NAME")
    enter.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    enter.set_defaults(verb=_enter)

    down = verbs.add_parser("down", help="remove hosts")
    down.add_argument("names", nargs="*", metavar="NAME")
    down.add_argument("--all", action="store_true", help="all of them, and the services")
    down.set_defaults(verb=_down)

    reboot = verbs.add_parser("reboot", help="restart a host's user space")
    reboot.add_argument("name", metavar="NAME")
    reboot.set_defaults(verb=_reboot)

    for word, verb, said in (("start", _start, "boot a host that is down"),
                             ("stop", _stop, "shut a host down and keep it")):  # fmt: skip
        added = verbs.add_parser(word, help=said)
        added.add_argument("name", metavar="NAME")
        added.set_defaults(verb=verb)

    snapshot = verbs.add_parser("snapshot", help="keep a host's file system under a name")
    snapshot.add_argument("name", metavar="NAME")
    snapshot.add_argument("snapshot", metavar="SNAPSHOT")
    snapshot.set_defaults(verb=_snapshot)

    forget = verbs.add_parser("forget", help="remove a snapshot")
    forget.add_argument("snapshot", metavar="SNAPSHOT")
    forget.set_defaults(verb=_forget)
    return parser
