"""What a refresh has found: rows, and sentences about what is new, the same and not read."""

from __future__ import annotations

from dataclasses import dataclass, field

from gpurig.stack.rows import Row


@dataclass
class Found:
    """
    + rows: with the names of their tables
    + new, same, unread: a sentence each
    """

    rows: list[tuple[str, Row]] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def add(self, table: str, row: Row, sentence: str) -> None:
        """Note a row that is new."""
        self.rows.append((table, row))
        self.new.append(sentence)
