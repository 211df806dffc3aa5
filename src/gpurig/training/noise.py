"""Which lines frameworks print about themselves: the screen counts them, the report has them."""

from __future__ import annotations

import re

# Notes and warnings of C++ code and of torch's own modules. An error is none, and neither is what a
# program of somebody's own logs in the same form (absl, glog): its file is another.
_FROM = r"(?:\S+\.(?:cc|cpp|cu|h)|torch/\S+\.py):\d+\]"
_NOISE = re.compile(
    rf"""
    \d{{4}}-\d\d-\d\d\ [\d:.]+:\ [IW]\ {_FROM}          # TensorFlow
    |\[?[IW]\d{{4}}\ \d\d:\d\d:[\d.]+\s+(?:\d+\s+)?{_FROM}  # absl, c10d, torchrun
    |WARNING:\ All\ log\ messages\ before\ absl::InitializeLog
    |Exception\ raised\ from\ .*\(most\ recent\ call\ first\):$  # below c10d's warnings
    |frame\ \#\d+:\ .*\]$|frame\ \#\d+:\ .*\)$
    |To\ enable\ the\ following\ instructions:
    |\*{{41}}$                                         # around torchrun's note on OMP_NUM_THREADS
    """,
    re.VERBOSE,
)
_RANK = re.compile(r"(\[\d+\]<std(?:out|err)>:|\[(?:rank|default)\d+\]: ?)*")


def is_noise(line: str) -> bool:
    """Whether a framework says it of itself, and it is no error."""
    mark = _RANK.match(line)
    return _NOISE.match(line, mark.end() if mark else 0) is not None
