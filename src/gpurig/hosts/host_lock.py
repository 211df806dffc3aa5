"""The lock of a host, which one run of gpurig at a time holds: what the host's own shell does."""

from __future__ import annotations

from shlex import quote

LOCK = "/run/gpurig.lock"

# flock(2) asks for no more than an open file, so nobody else may ever open it: it is made with mode
# 600, in a folder that only its owner writes to, and what lies there already must be such a file.
# Who holds it is whoever has it open (/proc/locks names flock(1), which has ended): the shell whose
# number stands in the file, as it does while a run is at work, or something that is no run of ours.
_SCRIPT = """
umask 077
export LC_ALL=C
lock={lock}
told() {{ printf '%s\\n' "$@"; exit; }}
is() {{ stat -c "$1" "$2"; }}
me=$(id -u)
folder=${{lock%/*}}
case "$(is %u:%A "$folder")" in
  0:?????-??-?|$me:?????-??-?) ;;
  *) told foreign "is in $folder, which others can write to" ;;
esac
if [ -L "$lock" ] || [ -e "$lock" ]; then
  case "$(is %u:%F "$lock")" in
    $me:regular*) chmod 600 "$lock" ;;
    *) told foreign "is no lock of gpurig's but a $(is '%F of %U' "$lock")" ;;
  esac
fi
exec 9>>"$lock"
if flock -n 9; then
  printf '%s\\n%s\\n' {holder} $$ >"$lock"
  echo locked
  exec cat >/dev/null
fi
for again in 1 2; do  # a run that has just got it has not written yet
  written=$(sed -n 2p "$lock")
  stranger=
  for process in /proc/[0-9]*; do
    number=${{process#/proc/}}
    [ "$number" != $$ ] || continue
    for file in "$process"/fd/*; do
      [ "$file" -ef "$lock" ] || continue
      [ "$number" != "$written" ] || told held "$(sed -n 1p "$lock")"
      stranger="process $number ($(cat "$process/comm")) of $(is %U "$process")"
    done
  done
  sleep 0.3
done
told stranger "${{stranger:-a process that this host does not show}}"
"""


def script(holder: str) -> str:
    """
    What a host's shell runs, as root, to take its lock for as long as its input is open.

    + holder: who holds it, in one line

    It prints ``locked``, or one of three words and then a line. ``held``: by a run, with that run's
    holder; ``stranger``: by what is no run, with the process; ``foreign``: what is there, or the
    folder, is not such that a lock could be trusted, and why.
    """
    return _SCRIPT.format(lock=quote(LOCK), holder=quote(holder)).strip()
