"""Defaults of settings in `gpurig.toml`: beside an inventory, and in the user's configuration."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpurig import store
from gpurig.errors import InputError
from gpurig.settings.checks import checked, in_toml
from gpurig.settings.programs import anchored

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NAME = "gpurig.toml"
_PLACE = re.compile(r" \(at (line (?P<line>[0-9]+), column [0-9]+|end of document)\)")


@dataclass(frozen=True)
class Defaults:
    """
    What holds for every host whose own data say nothing else.

    + data: settings by their keys, as host data has them, ``{"rig_pypi_index": "https://…"}``
    + files: the files that were read, the one that wins last
    """

    data: Mapping[str, Any]
    files: tuple[Path, ...]

    @classmethod
    def of(cls, inventory: Path | None) -> Defaults:
        """
        The user's, and those beside an inventory, which win.

        InputError, one sentence with the file and the key or line: as for an inventory's data, and
        for whatever is no setting.
        """
        places = [store.configuration() / NAME]
        if inventory is not None:
            places.append(inventory.parent / NAME)
        files = [file for file in dict.fromkeys(places) if os.path.lexists(file)]
        data: dict[str, Any] = {}
        for file in files:
            data |= _read(file)
        return cls(data, tuple(files))

    def below(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """A host's data over these; a setting that is None there is as if it were not there."""
        own = {key: value for key, value in data.items() if value is not None}
        return {**data, **self.data, **own}


NONE = Defaults({}, ())


def _read(file: Path) -> dict[str, Any]:
    text = store.read(file)
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        said = str(error) or "too deep"
        place = _PLACE.search(said)
        line = place and (place["line"] or max(len(text.splitlines()), 1))
        where = f"{file}, line {line}" if line else str(file)
        what = f"the file is not TOML ({_PLACE.sub('', said)})"
        raise InputError("defaults-wrong", what, where, 'write lines such as rig_users = ["ada"]') \
            from error  # fmt: skip
    for key, value in data.items():
        checked(key, value, str(file), in_toml)
    return anchored(data, Path(os.path.abspath(file.parent)))
