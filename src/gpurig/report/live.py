"""The live view: what each host does now, in as many lines as there is room for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len
from rich.text import Text

from gpurig.contract.progress import Progress
from gpurig.report.shown import shown_line
from gpurig.report.units import count, elapsed, size, size_of

LEAST = 20  # columns of a step's name that are worth showing beside what moves
# Who comes first where not all hosts have room: those that change something.
_BUSY = ("changing", "rebooting", "proving", "reading again", "reading facts", "connecting")
_IDLE = ("waiting", "finished")


@dataclass
class Row:
    """
    What one host is doing now.

    + stage: of the run, ``changing``; layer: of the promise at work, ``docker``
    + number, of: the how-manieth step of how many, or proof; 0 where not counted
    + step: what is done, as a sentence; moving: what of it moves now
    + began, since: when the run and the step began, as `time.monotonic` has it
    """

    stage: str = "waiting"
    layer: str = ""
    number: int = 0
    of: int = 0
    step: str = ""
    moving: str = ""
    began: float = field(default_factory=time.monotonic)
    since: float = field(default_factory=time.monotonic)
    tells: bool = False  # whether the step says how far it is; its lines count for less

    def enter(self, stage: str) -> None:
        """A stage of the run begins."""
        self.stage, self.number, self.of = stage, 0, 0
        self.begin()

    def begin(self, step: str = "", layer: str = "") -> None:
        """A step of the stage begins."""
        self.step, self.layer, self.moving, self.tells = step, layer, "", False
        self.since = time.monotonic()

    def line(self, text: str) -> None:
        """The step printed this."""
        text = text.strip().rpartition("\r")[2].strip()  # as a terminal shows progress
        if text and not self.tells:
            self.moving = text

    def progress(self, progress: Progress) -> None:
        """The step is this far."""
        self.tells, self.moving = True, progress_told(progress)


def progress_told(progress: Progress) -> str:
    """``38 of 92 packages, 1.1 of 2.5 GB``; ``Unpacking docker.io, 40 %``; ``waiting for apt``."""
    if progress.percent is not None:
        return f"{progress.what}, {progress.percent:.0f} %"
    if not progress.total:
        return progress.what
    told = f"{progress.done:,} of {progress.total:,} {progress.what}"
    if progress.size:
        room = progress.room
        told += f", {size_of(progress.size, room) if room else size(progress.size)}"
    return told


def view(rows: dict[str, Row], width: int, height: int) -> list[Text]:
    """
    The lines, none wider than this, and no more than this many.

    Two a host, one where there are too many hosts for that; the busy ones first, the rest counted.
    """
    shown = [(shown_line(host), row) for host, row in _by_business(rows) if row.stage not in _IDLE]
    if not shown:
        return []
    foot = [_total(rows, width)] if len(rows) > 1 else []
    room = max(1, height - len(foot))
    if 2 * len(shown) <= room:
        lines = [line for host, row in shown for line in _two_lines(host, row, width)]
    else:
        lines = _one_line_each(shown[:room], width)
    return lines + foot


def _by_business(rows: dict[str, Row]) -> list[tuple[str, Row]]:
    order = {stage: number for number, stage in enumerate(_BUSY)}
    return sorted(rows.items(), key=lambda item: order.get(item[1].stage, len(order)))


def _stage(row: Row) -> str:
    """``changing 3 of 12``, which never has less room than it needs."""
    stage = shown_line(row.stage)
    return f"{stage} {row.number} of {row.of}" if row.of else stage


def _two_lines(host: str, row: Row, width: int) -> list[Text]:
    """
    Host, stage and the time of the run; below it the step, what moves, and the time of the step.

        gpu01  changing 3 of 12: environments  4 min 2 s
          install TensorFlow 2.21.0 for CPU…: 38 of 92 packages, 1.1 of 2.5 GB  58 s
    """
    stage = _stage(row) + (f": {row.layer}" if row.layer else "")
    first = _aligned([(host, "bold"), (stage, "cyan"), (_since(row.began), "")], width)
    spent = _since(row.since)
    told = told_in(row.step, row.moving, width - cell_len(spent) - 4)
    if not told:
        return [first]
    return [first, Text(f"  {told}  ", "dim") + Text(spent)]


def _one_line_each(rows: Sequence[tuple[str, Row]], width: int) -> list[Text]:
    """``gpu01  changing 3 of 12  58 s  install TensorFlow…: 38 of 92 packages``."""
    hosts = _padded([host for host, _ in rows], max(8, width // 4))
    stages = _padded([_stage(row) for _, row in rows], width)
    times = _padded([_since(row.since) for _, row in rows], width, right=True)
    lines = []
    for (_, row), host, stage, spent in zip(rows, hosts, stages, times, strict=True):
        line = _aligned([(host, "bold"), (stage, "cyan"), (spent, "")], width)
        told = told_in(row.step, row.moving, width - cell_len(line.plain) - 2)
        lines.append(line + Text(f"  {told}", "dim") if told else line)
    return lines


def _aligned(parts: Sequence[tuple[str, str]], width: int) -> Text:
    """The parts in a row; where they are too wide the first one, the host's name, gives way."""
    name, *rest = parts
    room = width - sum(2 + cell_len(text) for text, _ in rest)
    line = Text(fitted(name[0], max(1, room)), name[1])
    for text, style in rest:
        line += Text("  ") + Text(text, style)
    return line


def _padded(texts: Sequence[str], most: int, right: bool = False) -> list[str]:
    """As wide as the widest of them, at most this wide."""
    texts = [fitted(text, most) for text in texts]
    width = max(map(cell_len, texts))
    blanks = [" " * (width - cell_len(text)) for text in texts]
    return [b + t if right else t + b for t, b in zip(texts, blanks, strict=True)]


def _total(rows: dict[str, Row], width: int) -> Text:
    """``50 hosts: 12 changing, 30 waiting, 8 finished  4 min 2 s``."""
    counts = Counter(shown_line(row.stage) for row in rows.values())
    order = list(dict.fromkeys((*_BUSY, *_IDLE, *counts)))
    told = ", ".join(f"{counts[stage]} {stage}" for stage in order if counts[stage])
    spent = _since(min(row.began for row in rows.values()))
    text = fitted(f"{count(len(rows), 'host')}: {told}", width - cell_len(spent) - 2)
    return Text(text, "bold") + Text(f"  {spent}")


def _since(moment: float) -> str:
    return elapsed(time.monotonic() - moment)


def told_in(step: str, moving: str, width: int) -> str:
    """
    A step and what moves of it, in this width.

    The step's name gives way first, and what moves where it would leave no name.
    """
    step, moving = shown_line(step), shown_line(moving)
    if not moving or not step:
        return fitted(step or moving, width)
    whole = f"{step}: {moving}"
    if cell_len(whole) <= width:
        return whole
    if width < 2 * LEAST:
        return fitted(moving, width)
    named = fitted(step, max(LEAST, width - cell_len(moving) - 2))
    return f"{named}: {fitted(moving, width - cell_len(named) - 2)}"


def fitted(text: str, width: int) -> str:
    """
    The text, or as many whole words of its beginning as there is room for.

    Only a first word that is too long by itself is cut.
    """
    if cell_len(text) <= width:
        return text
    kept = ""
    for word in text.split(" "):
        more = f"{kept} {word}" if kept else word
        if cell_len(more) + 1 > width:
            break
        kept = more
    while not kept and text and cell_len(text) + 1 > width:
        text = text[:-1]
    return f"{(kept or text).rstrip(' ,:;')}…" if width > 0 else ""
