"""The lock of a host, which one run of gpurig at a time holds: what the host's own shell does."""

from __future__ import annotations

from shlex import quote

from gpurig.contract.staged import RUNS
from gpurig.errors import HostError
from gpurig.hosts import attended

LOCK = "/run/gpurig.lock"

BEAT = 5  # seconds between two signs of life of the run that holds it
PATIENCE = 3600  # seconds for what a run that has ended left at work
BUSY = "gpurig-busy"  # what `asked` prints where something is at work
_EACH = 5  # seconds after which a wait says again what it waits for

# flock(2) asks for no more than an open file, so nobody else may ever open it: it is made with mode
# 600, in a folder that only its owner writes to, and what lies there already must be such a file.
_OWN = """
umask 077
export LC_ALL=C
lock={lock} work={work}
folder=${{lock%/*}}
told() {{ printf '%s\\n' "$@"; exit; }}
command -v flock >/dev/null || told 'the command flock is not found; install util-linux'
is() {{ stat -c "$1" "$2"; }}
own() {{
  if [ -L "$1" ] || [ -e "$1" ]; then
    case "$(is %u:%F "$1")" in
      $(id -u):regular*) chmod 600 "$1" ;;
      *) told foreign "$1" "is no lock of gpurig's but a $(is '%F of %U' "$1")" ;;
    esac
  fi
}}
"""

# A process that has it open holds it (/proc/locks names flock(1), which has ended): the shell whose
# number stands in the file, as it does while a run is at work, or something that is no run of ours.
# A run that is cut off silently holds it until its signs of life are missed, and is waited for.
_TAKEN = """
case "$(is %u:%A "$folder")" in
  0:?????-??-?|$(id -u):?????-??-?) ;;
  *) told foreign "$lock" "is in $folder, which others can write to" ;;
esac
own "$lock"
own "$work"
exec 9>>"$lock"
open_by_a_run() {{
  written=$(sed -n 2p "$lock") stranger=
  for process in /proc/[0-9]*; do
    number=${{process#/proc/}}
    [ "$number" != $$ ] || continue
    for file in "$process"/fd/*; do
      [ "$file" -ef "$lock" ] || continue
      [ "$number" != "$written" ] || return 0
      stranger="process $number ($(cat "$process/comm")) of $(is %U "$process")"
    done
  done
  return 1
}}
seen= tried=0 waited=0
until flock -n 9; do
  if open_by_a_run; then
    now=$(is %y "$lock")
    [ "$now" = "${{seen:=$now}}" ] && [ $waited -lt {silent} ] || told held "$(sed -n 1p "$lock")"
    echo "waiting cut $(sed -n 1p "$lock")"
    waited=$((waited + 1))
    sleep 1
  else  # a run that has just got it has not written yet
    [ $tried = 0 ] || told stranger "${{stranger:-a process that this host does not show}}"
    tried=1
    sleep 0.3
  fi
done
printf '%s\\n%s\\n' {holder} $$ >"$lock"
"""

# Whether the run is there whose work goes on: it gives signs of life, and holds its lock.
_ALIVE = '[ "$(is %y "$lock")" = "$before" ] || flock -n "$lock" true || alive=alive'

# Whatever a run changes is done by a shell that holds this one meanwhile, and so does what outlives
# the run. In the file is whose work it is.
_SETTLED = """
working() {{
  by=
  for process in /proc/[0-9]*; do
    for file in "$process"/fd/*; do
      [ "$file" -ef "$work" ] && grep -qs 'FLOCK.*WRITE' "$process/fdinfo/${{file##*/}}" || continue
      by=", process ${{process#/proc/}} ($(cat "$process/comm"))"
    done
  done
}}
exec 8>>"$work"
waited=0 before=$(is %y "$lock")
until flock -s -w {each} 8; do
  alive=left
  {look}
  echo "waiting $alive $(sed -n 1p "$work")"
  waited=$((waited + {each}))
  [ $waited -lt {patience} ] || {{ working; told busy "$(sed -n 1p "$work")$by"; }}
  {meanwhile}
done
exec 8>&-
"""

_KEPT = """
rm -rf "$folder"/{runs}*
echo "locked $$"
while timeout {silent} sh -c 'read -r _'; do touch "$lock"; done
"""

# The shell of a change. Files of 600 and their lock are there: the run has taken both.
_WORK = """
exec 7>>{work}
flock 7
[ "$(sed -n 2p {lock})" = {number} ] && [ -e /proc/{number} ] ||
  {{ echo "E: this run has lost the host's lock, since nothing was heard of it for {silent} s" >&2
     exit 1; }}
printf '%s\\n' {holder} >{work}
"""

# It comes to its end though nobody reads what it prints any more: SIGPIPE would stop dpkg between
# two packages. What it leaves running may keep its streams open, and is not waited for.
_DRAINED = """
trap '' HUP
line={line}
if ! d=$(mktemp -d {runs}XXXXXXXXXX) || ! mkfifo "$d/1" "$d/2"; then
  # /run is full: the command matters more than that it outlives its readers.
  sh -c "$line" 7>&-
  exit
fi
tee -p /dev/null <"$d/1" 7>&- & one=$!
tee -p /dev/null <"$d/2" >&2 7>&- & two=$!
sh -c "$line" >"$d/1" 2>"$d/2" 7>&-
code=$?
rm -rf "$d"
(sleep 2; kill $one $two) >/dev/null 2>&1 7>&- & late=$!
wait $one $two
kill $late
exit $code
"""


def at_work(host: str, holder: str) -> HostError:
    """The sentence for a run that does not go where another one is at work."""
    return HostError(
        "host-locked",
        f"another run of gpurig works there: {holder or 'another user'}",
        where=host,
        do="wait until that run has ended",
        host=host,
    )


def _filled(script: str, **words: object) -> str:
    return script.format(
        lock=quote(LOCK), work=quote(_work()), silent=attended.PATIENCE, patience=PATIENCE,
        each=_EACH, **words,
    )  # fmt: skip


def _work() -> str:
    return f"{LOCK.removesuffix('.lock')}.work"


def script(holder: str) -> str:
    """
    What a host's shell runs, as root, to take its lock for as long as lines come on its input.

    + holder: who holds it, in one line

    It prints ``locked`` and its number, before that ``waiting`` and for what; or what is missing;
    or one of four words and then a line. ``held``: by a run, with that run's holder; ``busy``: what
    a run left there is at work for longer than is waited, with its holder; ``stranger``: by what is
    no run, with the process; ``foreign``: a file, and why no lock could be trusted there.
    """
    parts = _OWN + _TAKEN + _SETTLED + _KEPT
    # A run that has the lock does not look for another one: only one run at a time has it.
    whole = _filled(parts, holder=quote(holder), look=":", meanwhile='touch "$lock"', runs=RUNS)
    return whole.strip()


def asked() -> str:
    """Shell, before facts are read: `BUSY` and the end where somebody's changes go on there."""
    work = quote(_work())
    return f"[ ! -w {work} ] || flock -s -n {work} true || {{ echo {BUSY}; exit 1; }}; "


def settled() -> str:
    """
    A script that ends when no changes go on; until then it says whose it waits for.

    Each line is ``waiting left`` and a holder, or ``waiting alive`` where that run is there; the
    last is ``settled``, or ``busy`` and the holder in a line of its own.
    """
    return _filled(_OWN + _SETTLED + "echo settled", look=_ALIVE, meanwhile=":").strip()


def changing(line: str, holder: str, number: str, ends: bool) -> str:
    """
    A script that runs a command line under the lock of work, as part of the run that has the lock.

    + holder, number: of that run; ends: whether the line ends with its run, see `attended`
    """
    words = {"holder": quote(holder), "number": number}
    if ends:
        return _filled(_WORK, **words).strip() + "\n" + attended.script(line)
    runs = quote(f"{LOCK.rpartition('/')[0]}/{RUNS}")
    return _filled(_WORK + _DRAINED, **words, line=quote(line), runs=runs).strip()
