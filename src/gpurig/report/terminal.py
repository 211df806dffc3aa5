"""What the screen and tables are drawn on; apart from `shown`, since rich takes time to import."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Span, Text

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
        return text
    made = text.blank_copy(told)
    made.spans = [
        Span(len(shown(plain[: span.start])), len(shown(plain[: span.end])), span.style)
        for span in text.spans
    ]
    return made
