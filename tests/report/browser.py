"""Drives headless Chromium by its DevTools protocol over a pipe: real clicks and keys, and what they changed.

The protocol (JSON messages that end in a zero byte, on file descriptors 3 and 4) needs no driver program and no
library, and it reports every request and every error of a page.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import select
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

_PATIENCE = 30.0
_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", "--hide-scrollbars", "--window-size=1100,900",
    "--remote-debugging-pipe",
)  # fmt: skip
_KEYS = {"Tab": 9, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Enter": 13, "Space": 32}


class Browser:
    """A browser with one page.

    Args:
        program: Path of Chromium.
        profile: Empty folder for its files.
    """

    def __init__(self, program: str, profile: Path) -> None:
        self._numbers = itertools.count(1)
        self._buffer = b""
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        to_browser, self._write = map(_out_of_the_way, os.pipe())
        self._read, from_browser = map(_out_of_the_way, os.pipe())
        actions = [(os.POSIX_SPAWN_DUP2, to_browser, 3), (os.POSIX_SPAWN_DUP2, from_browser, 4)]
        quiet = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_RDWR, 0) for stream in (0, 1, 2)]
        arguments = [program, *_OPTIONS, f"--user-data-dir={profile}"]
        environment = {**os.environ, "HOME": str(profile)}
        self._process = os.posix_spawn(program, arguments, environment, file_actions=quiet + actions, setpgroup=0)
        os.close(to_browser)
        os.close(from_browser)

    def __enter__(self) -> Self:
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "Accessibility"):
            self.send(f"{domain}.enable")
        return self

    def __exit__(self, *error: object) -> None:
        self._session = None
        with suppress(OSError, RuntimeError, TimeoutError):
            self.send("Browser.close")  # removes what it made outside of its profile
        end = time.monotonic() + _PATIENCE
        while os.waitpid(self._process, os.WNOHANG) == (0, 0):
            if time.monotonic() > end:
                os.killpg(self._process, signal.SIGKILL)
            time.sleep(0.02)
        os.close(self._read)
        os.close(self._write)

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; events on the way are kept."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def _receive(self) -> dict[str, Any]:
        end = time.monotonic() + _PATIENCE
        while b"\0" not in self._buffer:
            if not select.select([self._read], [], [], max(0.0, end - time.monotonic()))[0]:
                raise TimeoutError("the browser does not answer")
            received = os.read(self._read, 1 << 20)
            if not received:
                raise RuntimeError("the browser has ended")
            self._buffer += received
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    # -- what a person does --------------------------------------------------------------------------------------

    def open(self, path: Path) -> None:
        """Load a file and wait until it is there."""
        self.events.clear()
        self.send("Page.navigate", url=path.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._receive())

    def point_at(self, selector: str, index: int = 0) -> None:
        """Move the pointer onto an element."""
        x, y = self.evaluate(
            f"(() => {{ const node = document.querySelectorAll({json.dumps(selector)})[{index}];"
            "node.scrollIntoView({block: 'center'}); const box = node.getBoundingClientRect();"
            "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        self._at = {"x": x, "y": y}
        self.send("Input.dispatchMouseEvent", type="mouseMoved", **self._at)

    def click(self, selector: str, index: int = 0) -> None:
        """Press and release the left button on an element."""
        self.point_at(selector, index)
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **self._at)

    def press(self, key: str) -> None:
        """Press and release a key."""
        for kind in ("rawKeyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=_KEYS[key])

    def write(self, text: str) -> None:
        """Write a text where the focus is."""
        self.send("Input.insertText", text=text)

    # -- what a person, or an assistive program, finds --------------------------------------------------------------

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"]["exception"]["description"])
        return found["result"].get("value")

    def texts(self, selector: str) -> list[str]:
        """Texts of all elements that match."""
        return self.evaluate(f"[...document.querySelectorAll({json.dumps(selector)})].map((node) => node.textContent)")

    def attributes(self, selector: str, name: str) -> list[str | None]:
        """An attribute of all elements that match."""
        nodes = f"[...document.querySelectorAll({json.dumps(selector)})]"
        return self.evaluate(f"{nodes}.map((node) => node.getAttribute({json.dumps(name)}))")

    def names(self, role: str) -> list[str]:
        """Accessible names of everything with a role."""
        nodes = self.send("Accessibility.getFullAXTree")["nodes"]
        return [node["name"]["value"] for node in nodes if not node["ignored"] and node["role"]["value"] == role]

    @property
    def requests(self) -> list[str]:
        """Addresses that were asked for."""
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event.get("method") == "Network.requestWillBeSent"
        ]

    @property
    def complaints(self) -> list[dict[str, Any]]:
        """Uncaught errors, and messages in the console."""
        methods = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        return [event for event in self.events if event.get("method") in methods]


def _out_of_the_way(descriptor: int) -> int:
    """The same pipe under a number that no action of the start uses."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 20)
    os.close(descriptor)
    return moved
