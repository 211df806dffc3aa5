"""What `gpurig settings` does; it answers its exit code."""

from __future__ import annotations

import shutil
import textwrap

from gpurig.report.frame import as_text, frame
from gpurig.report.shown import say
from gpurig.settings.checks import as_option, in_inventory, unknown
from gpurig.settings.table import PREFIX, TABLE, Setting

_WIDTH = 100  # columns at most: longer lines are hard to read


def show_settings(name: str | None, as_json: bool) -> int:
    """One setting, or all; InputError with the nearest names where there is none of this name."""
    found = list(TABLE.values())
    if name is not None:
        key = PREFIX + name.lower().replace("-", "_").removeprefix(PREFIX)
        if key not in TABLE:
            raise unknown(key, "", names=3)
        found = [TABLE[key]]
    if as_json:
        say(as_text(frame("settings", settings=list(map(_as_json, found)))))
        return 0
    say("\n\n".join(map(_explained, found)))
    return 0


def _explained(setting: Setting) -> str:
    width = min(_WIDTH, shutil.get_terminal_size().columns)
    meaning = setting.doc + " gpurig shows it nowhere." * setting.secret
    lines = textwrap.wrap(meaning, width - 4, break_on_hyphens=False)
    lines += [
        f"default: {setting.default_shown or 'none'}",
        f'in an inventory: hosts = (["gpu01"], {in_inventory(setting)})',
        f"as an option: {as_option(setting)}",
    ]
    return "\n    ".join([f"{setting.key}: {setting.kind}", *lines])


def _as_json(setting: Setting) -> dict[str, object]:
    return {
        "setting": setting.key,
        "type": setting.kind,
        "default": setting.default,
        "meaning": setting.doc,
        "example": setting.example,
        "secret": setting.secret,
    }
