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
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("textual", reason="needs the extra tui")

from audio.events import Event, Partial, Seed, Triggered
from daemon.control.client import ask
from daemon.loop.main_loop import MainLoop
from daemon.tui.app import WatchApp
from daemon.tui.view_state import Scene
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


async def picture() -> str:
    app = WatchApp(live=False)
    async with app.run_test(size=(96, 26)) as pilot:
        scene = Scene().begin(STATUS)
        for event in events():
            scene = scene.on(event)
        app.show(scene)
        await pilot.pause()
        return app.export_screenshot(title="afterword watch")


def words(svg: str) -> list[str]:
    """The text in a picture, as it is read."""
    return [html.unescape(text).strip("\xa0 ") for text in re.findall(r">([^<>]+)</text>", svg)]


def test_the_picture_in_the_readme_is_what_it_shows() -> None:
    svg = asyncio.run(picture())
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


async def until(pilot: Any, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, pilot.app.scene
        await pilot.pause(0.02)


def test_it_shows_a_running_daemon_and_its_keys_work() -> None:
    script: list[Event] = [Triggered("hey computer", 0.1), Partial("a"), Seed("a fox", 0.2)]
    speaker = SpeechOutput(0.3)
    source = Source(1_000_000, live=True, seconds_each=0.08)  # as a microphone is
    service = MainLoop(source, Recognition({20: script}), Generator(), speaker, options=options())

    async def run() -> None:
        app = WatchApp()
        async with app.run_test() as pilot:
            assert not app.scene.is_running
            with serving(service):
                await until(pilot, lambda: app.scene.in_a_word == "listening")
                await until(pilot, lambda: app.scene.turn is not None)
                await until(pilot, lambda: app.scene.turn.sounding == 1)
                await until(pilot, lambda: app.scene.turn.outcome == "completed")
                assert app.scene.turn.sentences == ("One.", "Two.")
                assert app.scene.heard == "a fox"
                await pilot.press("m")
                await until(pilot, lambda: app.scene.is_muted)
                assert ask("status")["microphone"] == "muted"
                await pilot.press("m")
                await until(pilot, lambda: app.scene.in_a_word == "listening")
                speaker.seconds_each = 30.0
                ask("say", seed="an owl")
                await until(pilot, lambda: app.scene.in_a_word == "speaking")
                await pilot.press("h")
                await until(pilot, lambda: app.scene.turn.outcome == "cancelled")
            await until(pilot, lambda: not app.scene.is_running)

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
    assert "pipx inject afterword textual" in done.stderr
