"""Headless Chromium for tests of pages: it opens one, tells what became of it, and what it asked the network for."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-sync"


def start(profile: Path, *flags: str) -> Browser:
    """A browser with a profile of its own; the test is skipped where there is none."""
    program = next((p for p in map(shutil.which, PROGRAMS) if p), None)
    if program is None:
        pytest.skip("no chromium or chrome on the path")
    return Browser(program, profile, flags)


class Browser:
    """Headless Chromium, spoken to over a pipe: JSON messages that end with NUL."""

    def __init__(self, program: str, profile: Path, more: tuple[str, ...] = ()) -> None:
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        arguments = [
            program,
            *FLAGS.split(),
            *more,
            f"--user-data-dir={profile}",
            "--remote-debugging-pipe",
            "about:blank",
        ]
        shell = ["bash", "-c", f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}', "bash", *arguments]
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(shell, pass_fds=(theirs_in, theirs_out), stdout=quiet, stderr=quiet)
        os.close(theirs_in)
        os.close(theirs_out)
        self._number, self._buffer, self.session = 0, b"", ""
        self.events: list[dict[str, Any]] = []
        [target] = [t for t in self.ask("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        self.session = self.ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """The browser's answer; what it says meanwhile goes to `events`."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            part = os.read(self._in, 1 << 16)
            assert part, "the browser has gone"
            self._buffer += part
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def open(self, address: str) -> None:
        """Loads a page, to its end; from an empty one, since a new fragment alone would load nothing."""
        for each in ("about:blank", address):
            self.events.clear()
            self.ask("Page.navigate", url=each)
            while not self.said("Page.loadEventFired"):
                self.events.append(self._next())

    def value(self, expression: str) -> Any:
        """The value of an expression of JavaScript."""
        return self.ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def said(self, method: str) -> list[dict[str, Any]]:
        """The events of a kind since the page was opened."""
        return [e["params"] for e in self.events if e.get("method") == method]

    def screen(self, width: int, height: int, dark: bool = False) -> None:
        """Sets the size of the screen, and whether its owner likes it dark."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        liked = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.ask("Emulation.setEmulatedMedia", features=liked)

    def picture(self, path: Path, whole: bool = False) -> None:
        """Writes what is on the screen, or the whole page, as PNG."""
        taken = self.ask("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(taken["data"]))

    def close(self) -> None:
        """Ends the process that was started."""
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)
