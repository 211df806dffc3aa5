"""Chromium without a screen, spoken to in DevTools' protocol over two pipes."""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

LIMIT = 120  # seconds that an answer may take on a busy machine


class Browser:
    """
    One browser with one page in it.

    + folder: for its profile; it is the caller's to remove
    """

    def __init__(self, folder: Path) -> None:
        program = shutil.which("chromium")
        assert program, "there is no chromium: apt-get install chromium"
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        options = [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--hide-scrollbars", "--remote-debugging-pipe", f"--user-data-dir={folder}",
        ]  # fmt: skip
        # The protocol's own numbers: 3 is read, 4 is written. (dash knows no number above 9.)
        line = f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}'
        self._process = subprocess.Popen(
            ["bash", "-c", line, program, *options], pass_fds=(to_browser, from_browser),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_browser)
        os.close(from_browser)
        self._numbers = itertools.count(1)
        self._rest = b""
        self.events: list[dict[str, Any]] = []
        self._session = ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        os.close(self._out)  # which ends it
        os.close(self._in)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        """What the browser answers; events that come before are kept in `events`."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": arguments}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        for told in self._messages():
            if told.get("id") == number:
                assert "error" not in told, f"{method}: {told['error']}"
                answer: dict[str, Any] = told["result"]
                return answer
            self.events.append(told)
        raise AssertionError  # `_messages` ends with an error or not at all

    def show(self, file: Path, width: int, scheme: str = "light", medium: str = "screen") -> None:
        """Open a file as a screen or paper of this width shows it; `events` has what it loads."""
        self.events.clear()
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900,
                  deviceScaleFactor=1, mobile=width < 600)  # fmt: skip
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=medium, features=features)
        self.call("Page.navigate", url=file.as_uri())
        while not any(told["method"] == "Page.loadEventFired" for told in self.events):
            self.events.append(next(self._messages()))

    def evaluate(self, script: str) -> Any:
        """The value of an expression of JavaScript in the page, as JSON."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def requested(self) -> list[str]:
        """The addresses that the page asked for."""
        sent = [told for told in self.events if told["method"] == "Network.requestWillBeSent"]
        return [told["params"]["request"]["url"] for told in sent]

    def picture(self) -> bytes:
        """The page as PNG, but for what is below 12,000 pixels."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        height = min(size["height"], 12_000)
        clip = {"x": 0, "y": 0, "width": size["width"], "height": height, "scale": 1}
        told = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        return base64.b64decode(told["data"])

    def paper(self) -> bytes:
        """The page as PDF, on A4 or what it asks for."""
        self.call("Emulation.setEmulatedMedia", media="")
        told = self.call("Page.printToPDF", paperWidth=8.27, paperHeight=11.69,
                         preferCSSPageSize=True)  # fmt: skip
        return base64.b64decode(told["data"])

    def _messages(self) -> Iterator[dict[str, Any]]:
        while True:
            line, found, rest = self._rest.partition(b"\0")
            if found:
                self._rest = rest
                yield json.loads(line)
                continue
            assert select.select([self._in], [], [], LIMIT)[0], "the browser does not answer"
            read = os.read(self._in, 1 << 20)
            assert read, "the browser has ended"
            self._rest += read
