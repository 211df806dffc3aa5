"""Quantities as people read them."""

from __future__ import annotations


def size(count: float) -> str:
    """Bytes: ``83.1 GB``, ``611 MB`` (powers of ten, as disks are sold)."""
    amount, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "B" or amount >= 99.95 else f"{amount:.1f} {unit}"


def size_of(part: float, whole: float) -> str:
    """A part of so many bytes: ``412 of 611 MB``, ``83.1 MB of 2.5 GB``."""
    done, total = size(min(part, whole)), size(whole)
    same = done.rpartition(" ")[2] == total.rpartition(" ")[2]
    return f"{done.rpartition(' ')[0] if same else done} of {total}"


def duration(seconds: float) -> str:
    """Seconds: ``< 0.1 s``, ``0.4 s``, ``38 s``, ``8 min 13 s``, ``2 h 5 min``."""
    if seconds < 0.1:
        return "< 0.1 s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    return elapsed(round(seconds))


def elapsed(seconds: float) -> str:
    """What a clock that runs shows: ``0 s``, ``38 s``, ``8 min 13 s``, ``2 h 5 min``."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def share(part: float) -> str:
    """A part of one: ``97.53 %``, ``97 %``."""
    return f"{100 * part:.2f}".rstrip("0").rstrip(".") + " %"


def count(number: int, word: str) -> str:
    """``1 proof``, ``13 proofs``."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def memory(count: float) -> str:
    """Bytes of main memory: ``62.7 GiB`` (powers of two, as memory is sold)."""
    return f"{count / 2**30:.1f} GiB"


def moment(time: str) -> str:
    """A moment that gpurig keeps (``2026-11-29T21:48Z``): ``2026-11-29 21:48 UTC``."""
    return time.replace("T", " ").replace("Z", " UTC")
