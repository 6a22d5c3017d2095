"""A headless Chromium of the tests: driven over its own pipe, nothing downloaded.

The DevTools protocol over file descriptors 3 and 4: JSON, each followed by a zero byte.
The browser gets an empty profile in a folder of its own, and no request of its own leaves
the machine. Bounds: every wait has a deadline.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

ANSWER_S = 30.0
POLL_S = 0.05
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
)
_NAMES = ("chromium", "chromium-browser", "google-chrome")


class ChromiumUnavailableError(Exception):
    """There is no browser on this machine."""


class BrowserError(Exception):
    """The browser did not answer, or refused; or the page threw."""


class Chromium:
    """The process; ``with`` starts and ends it."""

    def __init__(self) -> None:
        found = [path for name in _NAMES if (path := shutil.which(name))]
        if not found:
            raise ChromiumUnavailableError(f"none of {', '.join(_NAMES)} is on the PATH")
        self._program = found[0]
        self._last_id = 0
        self._buffer = b""
        self.heard: deque[dict[str, Any]] = deque(maxlen=2_000)
        """What the browser said without being asked, the oldest first."""

    def __enter__(self) -> Self:
        self._folder = TemporaryDirectory(prefix="spanmill-chromium-", ignore_cleanup_errors=True)
        to_browser, self._write = _pipe()
        self._read, from_browser = _pipe()
        shell = f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}'
        profile = f"--user-data-dir={Path(self._folder.name, 'profile')}"
        command = ["bash", "-c", shell, self._program, *FLAGS, profile, "about:blank"]
        self._process = subprocess.Popen(
            command,
            pass_fds=(to_browser, from_browser),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": self._folder.name},
        )
        os.close(to_browser)
        os.close(from_browser)
        return self

    def __exit__(self, *_exception: object) -> None:
        try:
            self.call("Browser.close")
            self._process.wait(10)
        except (BrowserError, OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait(10)
        os.close(self._write)
        os.close(self._read)
        self._folder.cleanup()

    def call(
        self, method: str, parameters: Mapping[str, Any] | None = None, session: str = ""
    ) -> dict[str, Any]:
        """Ask for something and return the answer."""
        self._last_id += 1
        asked = {"id": self._last_id, "method": method, "params": dict(parameters or {})}
        if session:
            asked["sessionId"] = session
        os.write(self._write, json.dumps(asked).encode() + b"\0")
        deadline_s = time.monotonic() + ANSWER_S
        while True:
            heard = self._hear(deadline_s)
            if heard.get("id") != self._last_id:
                self.heard.append(heard)
            elif "error" in heard:
                raise BrowserError(f"{method}: {heard['error']}")
            else:
                answer: dict[str, Any] = heard["result"]
                return answer

    def _hear(self, deadline_s: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or not select.select([self._read], [], [], left_s)[0]:
                raise BrowserError(f"no answer within {ANSWER_S} s")
            part = os.read(self._read, 1 << 20)
            if not part:
                raise BrowserError("the browser is gone")
            self._buffer += part
        text, _, self._buffer = self._buffer.partition(b"\0")
        heard: dict[str, Any] = json.loads(text)
        return heard


def _pipe() -> tuple[int, int]:
    """A pipe far from the descriptors 3 and 4, which the shell makes of it for the browser."""
    ends = os.pipe()
    moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20) for end in ends]
    for end in ends:
        os.close(end)
    return moved[0], moved[1]


class Tab:
    """A tab of its own, with a context of its own: no cache, no storage shared with others."""

    def __init__(
        self, browser: Chromium, *, width: int = 1280, height: int = 900, scheme: str = "light"
    ) -> None:
        self._browser = browser
        context = browser.call("Target.createBrowserContext")["browserContextId"]
        made = {"url": "about:blank", "browserContextId": context}
        target = browser.call("Target.createTarget", made)["targetId"]
        attach = {"targetId": target, "flatten": True}
        self._session: str = browser.call("Target.attachToTarget", attach)["sessionId"]
        self._target = target
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._call(f"{domain}.enable")
        self.resize(width, height)
        self.prefer(scheme)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the tab."""
        self._browser.call("Target.closeTarget", {"targetId": self._target})

    def resize(self, width: int, height: int, *, scale: float = 1.0, mobile: bool = False) -> None:
        """Give the tab this size, in CSS pixels."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": mobile},
        )

    def prefer(self, scheme: str, *, motion: str = "reduce") -> None:
        """Say what the user prefers: ``light`` or ``dark``, and how much motion."""
        features = {"prefers-color-scheme": scheme, "prefers-reduced-motion": motion}
        listed = [{"name": name, "value": value} for name, value in features.items()]
        self._call("Emulation.setEmulatedMedia", {"features": listed})

    def open(self, url: str) -> None:
        """Go to ``url``."""
        self._call("Page.navigate", {"url": url})
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    def run(self, script: str) -> Any:
        """The value of an expression in the page; a promise is waited for."""
        asked = {"expression": script, "returnByValue": True, "awaitPromise": True}
        answer = self._call("Runtime.evaluate", asked)
        if "exceptionDetails" in answer:
            raise BrowserError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait_for(self, script: str, timeout_s: float = 15.0) -> None:
        """Return as soon as the expression is true."""
        deadline_s = time.monotonic() + timeout_s
        while not self.run(script):
            if time.monotonic() > deadline_s:
                raise BrowserError(f"not within {timeout_s} s: {script}")
            time.sleep(POLL_S)

    def press(self, *keys: str) -> None:
        """Press keys by name, one after the other: ``Tab``, ``ArrowRight``, ``Enter`` …"""
        for key in keys:
            code = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38}
            code |= {"ArrowRight": 39, "ArrowDown": 40}
            pressed = {"key": key, "code": key, "windowsVirtualKeyCode": code[key]}
            text = {"text": "\r"} if key == "Enter" else {}
            self._call("Input.dispatchKeyEvent", {"type": "keyDown", **pressed, **text})
            self._call("Input.dispatchKeyEvent", {"type": "keyUp", **pressed})

    def accessible(self, role: str) -> Sequence[str]:
        """The names of everything that assistive technology finds with this role."""
        nodes = self._call("Accessibility.getFullAXTree")["nodes"]
        found = [node for node in nodes if not node.get("ignored")]
        return [
            node.get("name", {}).get("value", "")
            for node in found
            if node.get("role", {}).get("value") == role
        ]

    def requests(self) -> Sequence[str]:
        """The address of every request that the tab made so far."""
        return [
            heard["params"]["request"]["url"] for heard in self._heard("Network.requestWillBeSent")
        ]

    def complaints(self) -> Sequence[str]:
        """What the page threw, and what the browser had to complain about."""
        thrown = [str(heard["params"]) for heard in self._heard("Runtime.exceptionThrown")]
        logged = [heard["params"]["entry"] for heard in self._heard("Log.entryAdded")]
        return thrown + [each["text"] for each in logged if each["level"] == "error"]

    def picture(self, file: Path, *, whole: bool = True) -> None:
        """Write a PNG of the page, the whole of it or what is visible."""
        answer = self._call("Page.captureScreenshot", {"captureBeyondViewport": whole})
        file.write_bytes(base64.b64decode(answer["data"]))

    def _heard(self, method: str) -> list[dict[str, Any]]:
        self._call("Runtime.evaluate", {"expression": "1"})
        said = [heard for heard in self._browser.heard if heard.get("sessionId") == self._session]
        return [heard for heard in said if heard.get("method") == method]

    def _call(self, method: str, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return self._browser.call(method, parameters, self._session)
