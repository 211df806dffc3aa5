"""What the screen and tables are drawn on; apart from `shown`, since rich takes time to import."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.prompt import InvalidResponse, PromptBase
from rich.segment import Segment
from rich.text import Span, Text, TextType

from gpurig.report.shown import shown


class Terminal(Console):
    """A rich console on which all text is shown; its own colours and cursor are the only ones."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        if isinstance(renderable, str):
            renderable = shown(renderable)
        elif isinstance(renderable, Text):
            renderable = _shown_text(renderable)
        return super().render(renderable, options)


def _shown_text(text: Text) -> Text:
    plain = text.plain
    if (told := shown(plain)) == plain:
        return text.copy()
    made = text.blank_copy(told)
    made.spans = [
        Span(len(shown(plain[: span.start])), len(shown(plain[: span.end])), span.style)
        for span in text.spans
    ]
    return made


@dataclass(frozen=True)
class Hanging:
    """
    A paragraph whose second line and all below stand further to the right than its first.

    + by: how many columns; end: its last words, which stay in one line
    """

    text: Text
    by: int = 4
    end: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        text = _shown_text(self.text)
        text.expand_tabs(8)  # as `wrap` does, so that both count the same columns
        indent = len(text.plain) - len(text.plain.lstrip(" "))
        wide = max(1, options.max_width - indent)
        width = max(1, wide - self.by)
        first = text[indent:].wrap(console, wide)[0]
        first.rstrip()
        rest = text[indent + len(first) :]
        rest = rest[len(rest) - len(rest.plain.lstrip(" ")) :]
        lines = [first, *(rest.wrap(console, width) if rest else ())]
        if self.end:
            lines[-1].rstrip()
            room = wide if len(lines) == 1 else width
            if cell_len(lines[-1].plain) + 1 + cell_len(self.end) <= room:
                lines[-1].append(f" {self.end}")
            else:
                lines.append(Text(self.end, text.style))
        for number, line in enumerate(lines):
            yield Text(" " * (indent + self.by * (number > 0))) + line


class YesOrNo(PromptBase[bool]):
    """A question that ``y``, ``yes``, ``n`` and ``no`` answer, in either case; enter is no."""

    response_type = bool
    validate_error_message = "[prompt.invalid]Answer yes or no"

    @classmethod
    def get_input(
        cls, console: Console, prompt: TextType, password: bool, stream: TextIO | None = None
    ) -> str:
        """Other hosts go on until there is an answer: what they run ends without a sign of ours."""
        if sys.stdin.isatty():
            from gevent.socket import wait_read  # not for the commands that reach no host

            console.print(prompt, end="")
            wait_read(sys.stdin.fileno())
            prompt = ""
        return super().get_input(console, prompt, password, stream)

    def make_prompt(self, default: object) -> Text:
        return self.prompt.copy().append(" [yes/no] ", "prompt.choices").append("(no): ", "dim")

    def process_response(self, value: str) -> bool:
        word = value.strip().lower()
        if word not in ("y", "yes", "n", "no"):
            raise InvalidResponse(self.validate_error_message)
        return word in ("y", "yes")
