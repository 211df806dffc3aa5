"""Shell completion: the script of each shell, and bash's answers to a Tab."""

from __future__ import annotations

import os

from click import Command
from click.shell_completion import (
    BashComplete,
    ShellComplete,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

VARIABLE = "_GPURIG_COMPLETE"  # by which a shell asks

_BASH = """\
%(complete_func)s() {
    local reply
    COMPREPLY=()
    while IFS= read -r reply; do
        [[ -z $reply ]] || COMPREPLY+=("$reply")
    done < <(GPURIG_LINE=${COMP_LINE:0:COMP_POINT} GPURIG_BREAKS=$COMP_WORDBREAKS \\
        %(complete_var)s=bash_complete "${1/#\\~/$HOME}" 2>/dev/null </dev/null)
    if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[=/] ]]; then
        compopt -o nospace
    fi
}
complete -o nosort -o bashdefault -o default -F %(complete_func)s %(prog_name)s
"""


class Bash(BashComplete):
    """
    Bash's, by the line itself: bash takes words apart at ``=``, ``:`` and ``@``.

    A reply replaces what stands after the last of these characters. After an ``=`` or a ``/`` comes
    no space. Where there is no reply, bash completes files.
    """

    source_template = _BASH

    def source(self) -> str:
        return self.source_template % self.source_vars()

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ.get("GPURIG_LINE", "")
        words = split_arg_string(line)
        incomplete = "" if line[-1:].isspace() or len(words) < 2 else words.pop()
        return words[1:], incomplete

    def complete(self) -> str:
        args, incomplete = self.get_completion_args()
        breaks = os.environ.get("GPURIG_BREAKS", "")
        kept = max((incomplete.rfind(one) + 1 for one in breaks), default=0)
        found = self.get_completions(args, incomplete)
        return "\n".join(item.value[kept:] for item in found if item.type == "plain")


add_completion_class(Bash)


def script(group: Command, shell: str) -> str:
    """What a shell reads once, so that Tab completes gpurig."""
    kind: type[ShellComplete] | None = get_completion_class(shell)
    assert kind
    return kind(group, {}, "gpurig", VARIABLE).source()
