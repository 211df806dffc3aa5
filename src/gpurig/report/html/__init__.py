"""The report that people open: one self-contained page, no script, nothing from elsewhere."""

from __future__ import annotations

from gpurig.report.html.page import EXITS, page

__all__ = ["EXITS", "page"]
