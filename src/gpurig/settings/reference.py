"""The reference page of settings, written from the table itself."""

from __future__ import annotations

from gpurig.settings.checks import describe
from gpurig.settings.table import Setting

_HEAD = """\
# Settings

Settings are host or group data of an inventory, or `--set rig_key=value`. All are optional; a
later, more particular one replaces. Values given with `--set` are TOML; a bare word or a list with
commas is text. An unknown key or a wrong value is one sentence, before any host is contacted.

This page is written from the table in the code: `python -m gpurig.settings.reference`.

| setting | type | default | meaning | example |
|---|---|---|---|---|
"""


def page() -> str:
    """The page as Markdown."""
    return _HEAD + "".join(f"{_row(setting)}\n" for setting in describe())


def _row(setting: Setting) -> str:
    meaning = setting.doc
    if setting.secret:
        meaning += " **Secret:** shown nowhere."
    default = "" if setting.default is None or setting.default == () else f"`{_shown(setting)}`"
    return f"| `{setting.key}` | {setting.kind} | {default} | {meaning} | `{setting.example}` |"


def _shown(setting: Setting) -> str:
    value = setting.default
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(value) if isinstance(value, tuple) else str(value)


if __name__ == "__main__":
    print(page(), end="")
