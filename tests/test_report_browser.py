"""The report in a real browser: nothing is cut off, all can be read, nothing is fetched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from browser import Browser
from gpurig.engine.result import exit_code
from gpurig.report.html import page
from lab import bases
from lab.errors import LabError
from lab.lab import Lab
from reports import SCENES

pytestmark = pytest.mark.lab

NEEDED = {
    "chromium": "chromium",
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf": "fonts-dejavu-core",
}
LOG = "/home/ada/.local/state/gpurig/runs/20261129-212337-352965/log"
PAPER = 690  # pixels between the margins of A4
# Width, colours and medium.
SCREENS = [
    (1400, "light", "screen"),
    (1400, "dark", "screen"),
    (900, "light", "screen"),
    (740, "light", "screen"),
    (420, "light", "screen"),
    (420, "dark", "screen"),
    (PAPER, "light", "print"),
]

# What is wrong on the page, a line each: text beyond its box, a number without its unit, contrast
# below 4.5 (WCAG 2, AA).
FAULTS = r"""
(() => {
  const faults = [];
  const wide = document.documentElement.scrollWidth;
  if (wide > innerWidth) faults.push(`the page is ${wide} pixels wide`);
  const colour = (text) => text.match(/[\d.]+/g).map(Number);
  const luminance = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((part) => part / 255)
      .map((part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (; element; element = element.parentElement) {
      const found = colour(getComputedStyle(element).backgroundColor);
      if (found.length < 4 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const quantity = /\d[\d.,]* (%|s|min|GB|GiB|images\/s)(?![\w\/])/g;
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  while (texts.nextNode()) {
    const node = texts.currentNode, element = node.parentElement;
    const words = node.data.trim().slice(0, 40);
    range.selectNodeContents(node);
    const boxes = [...range.getClientRects()].filter((box) => box.width);
    if (!words || !boxes.length || !element.checkVisibility()) continue;
    const around = element.closest("td, th, dd, dt, li, p, summary, .tiles > div, section, header,"
      + " footer").getBoundingClientRect();
    if (boxes.some((box) => box.right > around.right + 1 || box.left < around.left - 1))
      faults.push(`beyond its box: ${words}`);
    const [dark, bright] = [getComputedStyle(element).color, null].map((text) =>
      luminance(text ? colour(text) : behind(element))).sort((a, b) => a - b);
    const contrast = (bright + 0.05) / (dark + 0.05);
    if (contrast < 4.5) faults.push(`contrast ${contrast.toFixed(2)}: ${words}`);
    if (element.closest("pre, code")) continue;
    for (const found of node.data.matchAll(quantity)) {
      range.setStart(node, found.index);
      range.setEnd(node, found.index + found[0].length);
      if (new Set([...range.getClientRects()].map((box) => box.top)).size > 1)
        faults.push(`in two lines: ${found[0]}`);
    }
  }
  return faults;
})()
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium, installed if it is missing. Cannot be had: the test fails."""
    try:
        bases.install_packages(Lab().folder, NEEDED)
    except LabError as error:
        pytest.fail(f"there is no browser: {error}", pytrace=False)
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(params=SCENES)
def report(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The report of each scene, as a file."""
    command, make = SCENES[request.param]
    results = make()
    file = tmp_path / "report.html"
    file.write_text(page(command, results, exit_code(command, results), LOG), "utf-8")
    return file


@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: "-".join(map(str, screen)))
def test_all_of_it_can_be_read(
    report: Path, browser: Browser, screen: tuple[int, str, str]
) -> None:
    """On wide and narrow screens, light and dark, and on paper; folded and opened."""
    width, scheme, medium = screen
    browser.show(report, width, scheme, medium)
    assert browser.evaluate(FAULTS) == []
    browser.evaluate("document.querySelectorAll('details').forEach((one) => one.open = true)")
    assert browser.evaluate(FAULTS) == []


def test_nothing_is_fetched(report: Path, browser: Browser) -> None:
    """The page is one file, whatever a host put into it; and no script runs in it."""
    browser.show(report, 1400)
    outside = [url for url in browser.requested() if not url.startswith("data:image/png;base64,")]
    assert outside == [report.as_uri()]
    assert browser.evaluate("document.scripts.length") == 0


def test_it_prints(report: Path, browser: Browser) -> None:
    """As a PDF with pages."""
    browser.show(report, 1400)
    assert browser.paper().startswith(b"%PDF-")


def test_what_is_wrong_is_found(browser: Browser, tmp_path: Path) -> None:
    """The measuring itself sees each of the faults that it looks for."""
    file = tmp_path / "wrong.html"
    file.write_text(
        "<!doctype html><meta charset=utf-8><body style='width: 200px'>"
        "<p style='color: #999'>pale</p><p style='white-space: nowrap'>" + "long " * 100 + "</p>"
        "<p style='width: 2em'>took 493 s</p>"
    )
    browser.show(file, 420)
    kinds = {fault.partition(":")[0] for fault in browser.evaluate(FAULTS)}
    assert {"in two lines", "beyond its box", "contrast 2.85"} <= kinds
    assert any(kind.startswith("the page is") for kind in kinds)
