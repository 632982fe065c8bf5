"""A headless Chromium spoken to through two pipes (the DevTools protocol): what a page logs, loads, holds and looks like."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
PATIENCE_S = 60


class Browser:
    """Use with `with`; one page at a time. Raises AssertionError if Chromium does not answer."""

    def __init__(self, profile: Path) -> None:
        self._profile = profile
        self.events: list[dict[str, Any]] = []
        self._number, self._pending, self._session = 0, b"", ""

    def __enter__(self) -> Browser:
        program = shutil.which("chromium")
        assert program is not None, "missing apt package: chromium"
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        # Chromium reads commands from descriptor 3 and answers on 4; from 10 up nothing is in the way of these two.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (commands, answers)]
        command = (program, *FLAGS, f"--user-data-dir={self._profile}")
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{ends[0]} 4>&{ends[1]}', "bash", *command],
            pass_fds=ends,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (commands, answers, *ends):
            os.close(end)
        try:
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Network", "Log", "Runtime"):
                self.call(f"{domain}.enable")
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        try:
            self._session = ""
            self.call("Browser.close")
            self._process.wait(10)
        except (AssertionError, OSError, subprocess.TimeoutExpired):
            self._process.kill()
        finally:
            self._process.wait()
            os.close(self._commands)
            os.close(self._answers)

    def open(self, page: Path, *, width: int, dark: bool = False) -> None:
        """Load the file in a window ``width`` CSS pixels wide; ``events`` begin anew."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.events = []
        self.call("Page.navigate", url=page.as_uri())
        self._read_until(lambda: any(event["method"] == "Page.loadEventFired" for event in self.events))

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screenshot(self, path: Path) -> None:
        """The whole page as PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(answer["data"]))

    def pdf(self) -> bytes:
        """The page as it prints."""
        return base64.b64decode(self.call("Page.printToPDF", printBackground=True)["data"])

    def complaints(self) -> list[str]:
        """Everything that the console said, and every exception."""
        kinds = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
        return [json.dumps(event["params"]) for event in self.events if event["method"] in kinds]

    def requests(self) -> list[str]:
        """Addresses that the page asked for, also those that were then blocked."""
        return [sent["request"]["url"] for sent in self._network("requestWillBeSent")]

    def blocked(self) -> list[str]:
        """Those of `requests` that the page's own policy stopped."""
        stopped = {
            end["requestId"] for end in self._network("loadingFailed") if end.get("blockedReason") == "csp"
        }
        return [s["request"]["url"] for s in self._network("requestWillBeSent") if s["requestId"] in stopped]

    def _network(self, name: str) -> list[dict[str, Any]]:
        return [event["params"] for event in self.events if event["method"] == f"Network.{name}"]

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        answers: list[dict[str, Any]] = []
        self._read_until(lambda: bool(answers), answers)
        assert "error" not in answers[0], answers[0]
        result: dict[str, Any] = answers[0]["result"]
        return result

    def _read_until(self, done: Any, answers: list[dict[str, Any]] | None = None) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            ready, _, _ = select.select([self._answers], [], [], max(0, deadline - time.monotonic()))
            assert ready, "Chromium does not answer"
            received = os.read(self._answers, 1 << 20)
            assert received, "Chromium ended"
            *messages, self._pending = (self._pending + received).split(b"\0")
            for message in map(json.loads, messages):
                if "method" in message:
                    self.events.append(message)
                elif message["id"] == self._number and answers is not None:
                    answers.append(message)
