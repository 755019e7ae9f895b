"""A headless Chromium for tests of pages: what they ask for, how wide they are, how legible.

It is driven through the DevTools protocol over two pipes (--remote-debugging-pipe), which needs no
further package: https://chromedevtools.github.io/devtools-protocol/. No host can be reached from
it: every name is unknown and the proxy is a closed port.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
PHONE = 360  # CSS pixels, the width of common phones
SCHEMES = ("light", "dark")

_ANSWER_SECONDS = 60.0
_OFFLINE = (
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--proxy-server=http://127.0.0.1:9",
    "--proxy-bypass-list=<-loopback>",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

# [[text, ratio], …] of the text that is seen; WCAG 2.2, relative luminance and contrast ratio.
_CONTRASTS = """
(() => {
  const context = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => {
    const mixed = [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
    return [...mixed, 1];
  };
  const luminance = (colour) => [0.2126, 0.7152, 0.0722].reduce((sum, weight, i) => {
    const c = colour[i] / 255;
    return sum + weight * (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  }, 0);
  const probe = document.createElement('div');
  probe.style.backgroundColor = 'Canvas';
  document.body.append(probe);
  const canvas = rgba(getComputedStyle(probe).backgroundColor);
  probe.remove();
  const behind = (element) => {
    if (!element) return canvas;
    return over(rgba(getComputedStyle(element).backgroundColor), behind(element.parentElement));
  };
  const opacity = (element) =>
    element ? getComputedStyle(element).opacity * opacity(element.parentElement) : 1;
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement;
    if (!text || !element.checkVisibility() || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const colour = rgba(element instanceof SVGElement ? style.fill : style.color);
    colour[3] *= opacity(element);
    const below = behind(element);
    const [a, b] = [luminance(over(colour, below)), luminance(below)].sort((x, y) => y - x);
    found.push([text.slice(0, 60), (a + 0.05) / (b + 0.05)]);
  }
  return found;
})()
"""


def find_chromium() -> str | None:
    """The program; AFTERWORD_TEST_CHROMIUM names another one."""
    named = os.environ.get("AFTERWORD_TEST_CHROMIUM")
    return named or next(filter(None, map(shutil.which, PROGRAMS)), None)


@dataclass
class Page:
    """An open page.

    Attributes:
        requests: the addresses that it has asked for, itself and `data:` left out.
        complaints: errors and warnings of its console, such as what its own policy forbids.
    """

    _browser: "Browser"
    _session: str
    _address: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, or of what its promise resolves to."""
        asked = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        done = self.command("Runtime.evaluate", **asked)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def width(self) -> int:
        """CSS pixels that it takes; more than those of the screen make it scroll sideways."""
        return int(self.evaluate("document.documentElement.scrollWidth"))

    def contrasts(self) -> list[tuple[str, float]]:
        """Each piece of visible text, and its contrast with what is behind it, 1 to 21."""
        return [(text, ratio) for text, ratio in self.evaluate(_CONTRASTS)]

    def faint(self, ratio: float = 4.5) -> list[tuple[str, float]]:
        """The text whose contrast is lower: WCAG's level AA asks for 4.5."""
        return [found for found in self.contrasts() if found[1] < ratio]

    def screenshot(self) -> bytes:
        """The whole page (PNG)."""
        taken = self.command("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(taken["data"])

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask the page something in the DevTools protocol."""
        return self._browser.ask(method, parameters, self._session)

    def note(self, event: Mapping[str, Any]) -> None:
        """Take in what the browser tells of the page."""
        told = event["params"]
        match event["method"]:
            case "Network.requestWillBeSent":
                address = told["request"]["url"]
                if address != self._address and not address.startswith("data:"):
                    self.requests.append(address)
            case "Log.entryAdded" if told["entry"]["level"] in ("error", "warning"):
                self.complaints.append(told["entry"]["text"])
            case "Runtime.exceptionThrown":
                details = told["exceptionDetails"]
                self.complaints.append(details.get("exception", details).get("description", ""))


class Browser:
    """A running Chromium that is asked through pipes."""

    def __init__(self, asked: int, answered: int) -> None:
        """With the file descriptors to write to and to read from."""
        self._asked, self._answered = asked, answered
        self._rest, self._number = b"", 0
        self._pages: dict[str, Page] = {}
        self._loaded: set[str] = set()

    @contextmanager
    def open(self, file: Path, *, width: int = PHONE, scheme: str = "light") -> Iterator[Page]:
        """Load a file on a screen of this width (CSS pixels), light or dark; a phone up to 600."""
        target = self.ask("Target.createTarget", {"url": "about:blank"})["targetId"]
        attached = {"targetId": target, "flatten": True}
        session = self.ask("Target.attachToTarget", attached)["sessionId"]
        page = self._pages[session] = Page(self, session, file.as_uri())
        for domain in ("Page", "Network", "Log", "Runtime"):
            page.command(f"{domain}.enable")
        size = {"width": width, "height": 800, "deviceScaleFactor": 2 if width <= 600 else 1}
        page.command("Emulation.setDeviceMetricsOverride", **size, mobile=width <= 600)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        page.command("Emulation.setEmulatedMedia", features=features)
        page.command("Page.navigate", url=file.as_uri())
        while session not in self._loaded:
            self._take(self._receive())
        page.evaluate("document.fonts.ready.then(() => true)")
        try:
            yield page
        finally:
            del self._pages[session]
            self.ask("Target.closeTarget", {"targetId": target})

    def ask(
        self, method: str, parameters: Mapping[str, Any], session: str | None = None
    ) -> dict[str, Any]:
        """Send a command and wait for its result; events that come meanwhile are taken in."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        message |= {"sessionId": session} if session else {}
        os.write(self._asked, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != self._number:
            self._take(answer)
        assert "error" not in answer, f"{method}: {answer['error']['message']}"
        result: dict[str, Any] = answer["result"]
        return result

    def _take(self, event: Mapping[str, Any]) -> None:
        page = self._pages.get(event.get("sessionId", ""))
        if page is None:
            return
        if event["method"] == "Page.loadEventFired":
            self._loaded.add(event["sessionId"])
        page.note(event)

    def _receive(self) -> dict[str, Any]:
        end = time.monotonic() + _ANSWER_SECONDS
        while b"\0" not in self._rest:
            ready, *_ = select.select([self._answered], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"Chromium has told nothing for {_ANSWER_SECONDS:.0f} s."
            data = os.read(self._answered, 2**16)
            assert data, "Chromium has ended."
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        told: dict[str, Any] = json.loads(message)
        return told


@contextmanager
def running_browser(program: str, folder: Path) -> Iterator[Browser]:
    """A Chromium with an empty profile in this folder."""
    asked, our_asking = os.pipe()
    our_hearing, answered = os.pipe()
    command = [program, "--headless", "--remote-debugging-pipe", f"--user-data-dir={folder}"]
    command += [*_OFFLINE, "--disable-gpu", "--no-first-run", "--hide-scrollbars"]
    command += ["--no-sandbox"] if os.geteuid() == 0 else []  # it refuses root otherwise
    in_places = ["bash", "-c", f'exec "$0" "$@" 3<&{asked} 4>&{answered}', *command]
    with (folder / "errors").open("wb") as errors:
        process = subprocess.Popen(in_places, pass_fds=(asked, answered), stderr=errors)
    os.close(asked)
    os.close(answered)
    try:
        yield Browser(our_asking, our_hearing)
    finally:
        os.close(our_asking)  # it ends by itself then
        os.close(our_hearing)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
