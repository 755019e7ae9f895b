"""`afterword watch` on a real daemon's loop, in a real terminal, and as a picture.

AFTERWORD_TEST_PICTURE=write lets the test write docs/watch.svg, which the README shows.
"""

import asyncio
import html
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("textual", reason="needs the extra tui")

from audio.events import Event, Partial, Seed, Triggered
from config.installation import add_extra_command
from daemon.control.client import ask
from daemon.loop.main_loop import MainLoop
from daemon.tui.app import WatchApp
from daemon.tui.view_state import ViewState
from tests.daemon.control.test_control import options, serving
from tests.daemon.fakes import Generator, Recognition, Source, SpeechOutput
from tests.support.program import ROOT, afterword

PICTURE = ROOT / "docs" / "watch.svg"
WRITE = os.environ.get("AFTERWORD_TEST_PICTURE") == "write"  # read before the tests' own home
SECONDS = 60.0

STATUS = {
    "state": "listening",
    "microphone": "open",
    "phrases": ["hey computer"],
    "voice": "en-us",
}
REPLY = (
    "named Fred.",
    "He had a very important job - to find food for his family.",
    "One day, he was walking in the forest when he saw a big tree with a full pear on it.",
)
TIMES = {
    "last_voice_seconds": -0.48,
    "first_token_seconds": -0.12,
    "first_sentence_seconds": -0.1,
    "first_sound_seconds": 0.06,
    "seconds": 2.31,
    "prepared": True,
}


def events() -> list[dict[str, Any]]:
    """A turn that is over, and one whose second sentence is being heard."""
    return [
        {"event": "seed", "time": 0.0, "turn": 1, "text": "why is the sea salt"},
        {"event": "sentence", "time": 0.02, "turn": 1, "text": "because the fish cried."},
        {"event": "sounding", "time": 0.09, "turn": 1, "number": 1},
        {"event": "ended", "time": 2.31, "turn": 1, "outcome": "completed"},
        {"event": "timed", "time": 2.31, "turn": 1, **TIMES},
        {"event": "triggered", "time": 9.0, "phrase": "hey computer", "audio_seconds": 60.0},
        {
            "event": "seed",
            "time": 9.0,
            "turn": 2,
            "text": "once upon a time there was a little fox",
        },
        {"event": "state", "time": 9.0, "state": "speaking"},
        {"event": "sentence", "time": 9.01, "turn": 2, "text": REPLY[0]},
        {"event": "sounding", "time": 9.08, "turn": 2, "number": 1},
        {"event": "sentence", "time": 9.2, "turn": 2, "text": REPLY[1]},
        {"event": "sentence", "time": 9.3, "turn": 2, "text": REPLY[2]},
        {"event": "sounding", "time": 10.0, "turn": 2, "number": 2},
        {"event": "level", "time": 10.1, "db": -38.0},
    ]


def view_of_two_turns() -> ViewState:
    view = ViewState().after_status(STATUS)
    for event in events():
        view = view.after_event(event)
    return view


async def picture(view: ViewState) -> str:
    app = WatchApp(live=False)
    async with app.run_test(size=(96, 26)) as pilot:
        app.show(view)
        await pilot.pause()
        return app.export_screenshot(title="afterword watch")


def words(svg: str) -> list[str]:
    """The text in a picture, as it is read."""
    return [html.unescape(text).strip("\xa0 ") for text in re.findall(r">([^<>]+)</text>", svg)]


def test_the_picture_in_the_readme_is_what_it_shows() -> None:
    svg = asyncio.run(picture(view_of_two_turns()))
    shown = " ".join(words(svg)).replace("\xa0", " ")
    for text in (
        "speaking",
        "say “hey computer”",
        "-38 dB",
        "little fox",
        "completed",
        "2.31",
        "-0.48",
    ):
        assert text in shown
    (marked,) = re.findall(r'<text class="([^"]+)"[^>]*>He&#160;had', svg)
    (before,) = re.findall(r'<text class="([^"]+)"[^>]*>named', svg)
    assert marked != before  # the sentence that is heard looks different
    if WRITE:
        offline = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.S)  # fonts from a server
        PICTURE.write_text(offline, "utf-8")
    assert words(PICTURE.read_text("utf-8")) == words(svg), "AFTERWORD_TEST_PICTURE=write mends it"


CONTRAST = 4.5  # of text, WCAG 2.1 level AA
BORDERS = "╭╮╰╯─│▔▁▏▕ \xa0\n"  # and blanks: no text


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb: https://www.w3.org/TR/WCAG21/#dfn-relative-luminance."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def coloured_texts(svg: str) -> Iterator[tuple[str, str, str]]:
    """Each text in a picture with its own colour and that of its background."""
    colours = dict(re.findall(r"\.(\S+-r\d+) \{ fill: (#\w{6})", svg))
    rectangles = [
        (float(x), float(y), float(width), float(height), fill)
        for fill, x, y, width, height in re.findall(
            r'<rect fill="(#\w{6})" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"',
            svg,
        )
    ]
    for style, x, y, text in re.findall(
        r'<text class="(\S+-r\d+)" x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]+)<', svg
    ):
        if words := html.unescape(text).strip(BORDERS):
            at_x, at_y = float(x) + 1, float(y) - 5  # inside the first character
            under = [
                fill
                for left, top, width, height, fill in rectangles
                if left <= at_x <= left + width and top <= at_y <= top + height
            ]
            yield words, colours[style], under[-1]


STATES = ("listening", "capturing", "thinking", "speaking", "muted", "not running")


@pytest.mark.parametrize(
    "changed",
    [{"state": state, "microphone": "open", "level_db": 0.0} for state in STATES]
    + [{"state": "listening", "microphone": microphone} for microphone in ("muted", "No device.")],
)
def test_every_text_can_be_read(changed: dict[str, Any]) -> None:
    texts = list(coloured_texts(asyncio.run(picture(replace(view_of_two_turns(), **changed)))))
    assert {"Heard", "Reply", "Afterword"} <= {text for text, _, _ in texts}
    for text, colour, background in texts:
        assert contrast(colour, background) >= CONTRAST, (text, colour, background)


async def until(pilot: Any, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, pilot.app.view
        await pilot.pause(0.02)


@pytest.mark.slow
def test_it_shows_a_running_daemon_and_its_keys_work() -> None:
    script: list[Event] = [Triggered("hey computer", 0.1), Partial("a"), Seed("a fox", 0.2)]
    speaker = SpeechOutput(0.3)
    source = Source(1_000_000, live=True, seconds_each=0.08)  # as a microphone is
    service = MainLoop(source, Recognition({20: script}), Generator(), speaker, options=options())

    async def run() -> None:
        app = WatchApp()
        async with app.run_test() as pilot:
            assert not app.view.is_running
            with serving(service):
                await until(pilot, lambda: app.view.label == "listening")
                await until(pilot, lambda: app.view.turn is not None)
                await until(pilot, lambda: app.view.turn.sounding == 1)
                await until(pilot, lambda: app.view.turn.outcome == "completed")
                assert app.view.turn.sentences == ("One.", "Two.")
                assert app.view.heard == "a fox"
                await pilot.press("m")
                await until(pilot, lambda: app.view.is_muted)
                assert ask("status")["microphone"] == "muted"
                await pilot.press("m")
                await until(pilot, lambda: app.view.label == "listening")
                speaker.seconds_each = 30.0
                ask("say", seed="an owl")
                await until(pilot, lambda: app.view.label == "speaking")
                await pilot.press("h")
                await until(pilot, lambda: app.view.turn.outcome == "cancelled")
            await until(pilot, lambda: not app.view.is_running)

    asyncio.run(run())


def test_a_key_without_a_daemon_says_so() -> None:
    async def run() -> None:
        app = WatchApp()
        async with app.run_test() as pilot:
            await pilot.press("h")
            await until(pilot, lambda: len(app._notifications) > 0)
            assert "Afterword is not running" in next(iter(app._notifications)).message

    asyncio.run(run())


def test_in_a_real_terminal_q_ends_it() -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "daemon", "watch"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"},
    )
    os.close(theirs)
    shown = b""
    deadline = time.monotonic() + SECONDS
    try:
        while process.poll() is None and time.monotonic() < deadline:
            if select.select([ours], [], [], 0.5)[0]:
                shown += read(ours)
            elif b"not running" in shown:  # it is quiet, so it takes keys
                os.write(ours, b"q")
        assert process.poll() == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert b"not running" in shown


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other side is closed
        return b""


def test_without_a_terminal_it_names_follow() -> None:
    done = afterword("watch")
    assert done.code == 2
    assert "afterword follow" in done.err


WITHOUT_TEXTUAL = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "textual" else find(name, *rest)
sys.stdout.isatty = lambda: True
sys.argv[1:] = ["watch"]
from daemon.cli.main import main
main()
"""


def test_without_textual_one_sentence_says_what_to_install() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TEXTUAL], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode not in (0, 1, 2)
    assert done.stderr.count("\n") == 1
    assert f"`{add_extra_command('tui')}` brings it" in done.stderr
