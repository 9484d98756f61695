"""A headless Chromium driven over the WebDriver protocol with nothing but the standard library."""

import base64
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

FLAGS = ["headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking"]
FLAGS += ["disable-component-update", "disable-sync", "hide-scrollbars", "disable-dev-shm-usage"]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
KEYS = {"right": "\ue014", "left": "\ue012", "end": "\ue010", "home": "\ue011", "escape": "\ue00c"}
OPENER = build_opener(ProxyHandler({}))
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


@dataclass(frozen=True)
class Browser:
    """One window of a browser."""

    session: str

    def open(self, url: str) -> None:
        """Go to a page and wait until it has loaded."""
        self._command("POST", "url", url=url)

    def run(self, script: str) -> Any:
        """Result of the body of a JavaScript function."""
        return self._command("POST", "execute/sync", script=script, args=[])

    def keys(self, selector: str, *names: str) -> None:
        """Type keys into an element."""
        self._element_command(selector, "value", text="".join(KEYS[name] for name in names))

    def click(self, selector: str) -> None:
        """Click on an element."""
        self._element_command(selector, "click")

    def devtools(self, command: str, **params: Any) -> Any:
        """A command of the DevTools protocol."""
        return self._command("POST", "goog/cdp/execute", cmd=command, params=params)

    def window(self, width: int, height: int, dark: bool = False) -> None:
        """Size of the page in CSS pixels, and whether the user prefers dark pages."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        wishes = {"prefers-color-scheme": "dark" if dark else "light", "prefers-reduced-motion": "reduce"}
        features = [{"name": name, "value": value} for name, value in wishes.items()]
        self.devtools("Emulation.setEmulatedMedia", features=features)

    def log(self, kind: str) -> list[dict[str, Any]]:
        """New entries of the log `browser` (console) or `performance` (network)."""
        return self._command("POST", "se/log", type=kind)

    def picture(self, path: Path, whole: bool = False) -> None:
        """A screenshot of the window, or of the whole page."""
        shot = self.devtools("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _element_command(self, selector: str, action: str, **values: Any) -> None:
        found = self._command("POST", "element", using="css selector", value=selector)
        self._command("POST", f"element/{found[ELEMENT]}/{action}", **values)

    def _command(self, method: str, path: str, **values: Any) -> Any:
        return call(method, f"{self.session}/{path}", values)


def call(method: str, url: str, values: dict[str, Any]) -> Any:
    """Value of the answer to one WebDriver command."""
    data = None if method == "DELETE" else json.dumps(values).encode()
    request = Request(url, data=data, method=method, headers={"Content-Type": "application/json"})
    try:
        with OPENER.open(request, timeout=60) as answer:
            return json.load(answer)["value"]
    except HTTPError as error:
        raise RuntimeError(f"{url}: {json.load(error)['value']['message']}") from error


@contextmanager
def browser() -> Iterator[Browser]:
    """A fresh browser with a fresh profile; both are gone afterwards."""
    assert DRIVER is not None and CHROMIUM is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        environment = {**os.environ, "no_proxy": "127.0.0.1,localhost"}
        command = [DRIVER, f"--port={port}", "--log-level=OFF"]
        driver = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait(port)
            options = {"binary": CHROMIUM, "args": [f"--{flag}" for flag in (*FLAGS, f"user-data-dir={profile}")]}
            wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
            found = call("POST", f"{server}/session", {"capabilities": {"alwaysMatch": wanted}})
            session = f"{server}/session/{found['sessionId']}"
            try:
                yield Browser(session)
            finally:
                call("DELETE", session, {})
        finally:
            driver.terminate()
            driver.wait(timeout=20)


def _wait(port: int, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"chromedriver did not listen on port {port} within {seconds} s")
