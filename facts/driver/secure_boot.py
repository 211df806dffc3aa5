"""Whether the firmware only boots signed code, and the kernel only loads signed modules."""

from __future__ import annotations

from typing import Literal

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, framed
from gpurig.contract.values import Unknown

# The two GUIDs are the UEFI specification's global variables and shim's own.
_STATE = r"""
variables=/sys/firmware/efi/efivars
if [ ! -d /sys/firmware ] || [ -z "$(ls /sys/firmware)" ]; then echo hidden
elif [ ! -d /sys/firmware/efi ]; then echo bios
elif [ -r "$variables/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c" ]; then
    for variable in SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c \
        MokSBStateRT-605dab50-e046-4300-abb6-3dd810dd8b23; do
        [ -r "$variables/$variable" ] || continue
        bytes=$(od -An -tu1 "$variables/$variable" | tr -s ' \n' ' ')
        printf 'variable %s %s\n' "${variable%%-*}" "$bytes"
    done
elif [ -d "$variables" ] && [ -n "$(ls "$variables")" ]; then echo no-variable
elif tool mokutil mokutil; then mokutil --sb-state 2>&1
fi
exit 0
"""

State = Literal["enabled", "disabled", "unsupported"]

_SENTENCES: dict[str, State] = {
    "bios": "unsupported",
    "no-variable": "unsupported",
    "SecureBoot enabled": "enabled",
    "SecureBoot disabled": "disabled",
    "EFI variables are not supported on this system": "unsupported",
    "This system doesn't support Secure Boot": "unsupported",
}

_WHY = {
    "hidden": "the firmware is not visible from here",
    "": "the EFI variables cannot be read, and mokutil is not installed",
}


class SecureBoot(Always[State]):
    """
    ``"enabled"``, ``"disabled"``, or ``"unsupported"`` by this firmware.

    Read from the EFI variables, else from mokutil. A shim told not to validate counts as
    disabled: the kernel then loads unsigned modules.
    """

    def command(self) -> StringCommand:
        return framed(_STATE)

    def parse(self, lines: list[str], code: int) -> State | Unknown:
        variables: dict[str, int] = {}
        for line in lines:
            if line in _SENTENCES and not _overruled(lines):
                return _SENTENCES[line]
            if line.startswith("variable "):
                _, variable, *attributes, value = line.split()
                if len(attributes) != 4:
                    return Unknown(f"the EFI variable {variable} has an unexpected length")
                variables[variable] = int(value)
        if "SecureBoot" in variables:
            on = variables["SecureBoot"] == 1 and variables.get("MokSBStateRT") != 1
            return "enabled" if on else "disabled"
        if _overruled(lines):
            return "disabled"
        return Unknown(_WHY.get(lines[0] if lines else "", f"mokutil says {' '.join(lines)}"))


def _overruled(lines: list[str]) -> bool:
    return "SecureBoot validation is disabled in shim" in lines
