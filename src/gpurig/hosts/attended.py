"""What a host's shell runs so that a command ends, with all that it started, when its run ends."""

from __future__ import annotations

from shlex import quote

BEAT = 20  # seconds between two signs of life of the control machine
PATIENCE = 4 * BEAT  # seconds without one after which it is gone
GRACE = 3  # seconds between being asked to end and being killed

# It is there as long as lines come on standard input. `read` is a process of its own, since not
# every shell's own knows a time limit.
_THERE = f"while timeout {PATIENCE} sh -c 'read -r _' <&3 7>&-; do :; done"

# Children are ended by their parents' lists: `timeout` and `su` leave the process group, and what
# asks them to end must not end before it asks to the last. The reaper is no child of this shell,
# which ends with the command. A package manager is left to come to its end.
_SCRIPT = """
exec 3<&0 </dev/null
tree() {{
  case $(cat /proc/$1/comm 2>/dev/null) in apt-get|dpkg|dnf) return ;; esac
  for child in $(cat /proc/$1/task/*/children 2>/dev/null); do tree $child; done
  echo $1
}}
setsid sh -c {line} 3<&- & job=$!
(
  {there}
  all=$(echo $(tree $job))  # in one line
  setsid sh -c "kill -TERM $all; sleep {grace}; kill -KILL $all" 3<&- &
) >/dev/null 2>&1 &
watch=$!
wait $job
code=$?
kill $watch 2>/dev/null
exit $code
"""

# A shell that is asked to end ends: what it has in its trap for EXIT is done, which dash leaves out
# at a signal. Files with passwords of an index go that way.
_ENDS = "trap 'exit 143' HUP INT TERM\n"

# Everybody may make a folder in it, and see no other's, as in /tmp.
_FOLDER = """
exec 3<&0 </dev/null
umask 022
folder=$(mktemp -d /tmp/gpurig-XXXXXXXXXX) && chmod 1733 "$folder" || exit 1
echo "$folder"
{there}
rm -rf "$folder"
sleep {later}
rm -rf "$folder"
"""


def script(line: str) -> str:
    """A shell script that runs a command line for as long as lines come on its input."""
    return _SCRIPT.format(line=quote(_ENDS + line), there=_THERE, grace=GRACE).strip()


def folder() -> str:
    """A shell script that makes a folder, prints its path, and removes it when its input ends."""
    return _FOLDER.format(there=_THERE, later=2 * GRACE).strip()
