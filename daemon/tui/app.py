"""`afterword watch`: a running daemon in the terminal, live. Needs the extra `tui` (Textual)."""

import contextlib
import json
import threading
from collections.abc import Callable
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widgets import DataTable, Footer, Static

from config.errors import AfterwordError
from daemon.control import client
from daemon.tui.view_state import Scene, Turn

RETRY_SECONDS = 1.0  # between attempts to find a daemon
WORDS_CELLS = 28  # of the user's words in the table
TIMES = {  # a column's name, and that of the time
    "last voice": "last_voice_seconds",
    "token": "first_token_seconds",
    "sentence": "first_sentence_seconds",
    "sound": "first_sound_seconds",
    "over": "seconds",
}
QUIETEST_DB = -60.0  # the left end of the level's bar
BAR_CELLS = 40
LOUD_DB, SPEECH_DB = -6.0, -45.0  # above one: nearly distorted; above the other: likely speech

_COLOURS = {
    "waiting": "red",
    "listening": "green",
    "capturing": "yellow",
    "thinking": "cyan",
    "speaking": "magenta",
    "muted": "red",
    "not running": "red",
}


class WatchApp(App[None]):
    """Shows a Scene; a thread of its own reads the daemon's events."""

    TITLE = "Afterword"
    CSS = """
    Screen { layout: vertical; }
    Static, VerticalScroll { border: round $primary 50%; padding: 0 1; }
    VerticalScroll Static { border: none; padding: 0; }
    #state { height: 4; }
    #heard { height: 4; }
    #reply { height: 1fr; min-height: 5; }
    DataTable { height: 8; border: round $primary 50%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("m", "mute", "Mute or unmute"),
        ("h", "hush", "Hush"),
        ("q", "quit", "Quit"),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, *, live: bool = True) -> None:
        """`live`: look for a daemon; without it, `show` is the only way in."""
        super().__init__()
        self.scene = Scene()
        self._live = live
        self._over = threading.Event()

    def compose(self) -> ComposeResult:
        """State and level, what is heard, what is spoken, the last turns."""
        yield Static(id="state")
        yield Static(id="heard")
        with VerticalScroll(id="reply"):
            yield Static(id="words")
        yield DataTable(id="turns", cursor_type="none", zebra_stripes=True)
        yield Footer()

    def on_mount(self) -> None:
        """Name the parts, and begin to read."""
        self.query_one("#state").border_title = "Afterword"
        self.query_one("#heard").border_title = "Heard"
        self.query_one("#reply").border_title = "Reply"
        table = self.query_one(DataTable)
        table.border_title = "Last turns, in seconds from the moment your words were taken as over"
        table.add_columns("turn", "your words", *TIMES, "outcome")
        self.show(self.scene)
        if self._live:
            threading.Thread(target=self._read, name="watch", daemon=True).start()

    def on_unmount(self) -> None:
        """Let the reading thread end at its next event."""
        self._over.set()

    def show(self, scene: Scene) -> None:
        """Put a scene on the screen; only what has changed is drawn anew."""
        before, self.scene = self.scene, scene
        self.query_one("#state", Static).update(_state(scene))
        self.query_one("#heard", Static).update(_heard(scene))
        if scene.turns != before.turns or not self.query_one(DataTable).row_count:
            self.query_one("#words", Static).update(_reply(scene.turn))
            self.query_one("#reply").scroll_end(animate=False)
            table = self.query_one(DataTable)
            table.clear()
            for turn in reversed(scene.turns):
                table.add_row(*_row(turn))

    def action_mute(self) -> None:
        """Close or open the microphone."""
        self._ask("unmute" if self.scene.is_muted else "mute")

    def action_hush(self) -> None:
        """Stop the reply."""
        self._ask("hush")

    def _ask(self, command: str) -> None:
        """Send a command without letting the screen wait for the answer."""

        def ask() -> None:
            try:
                client.ask(command)
            except AfterwordError as error:
                told = str(error)
                self._soon(lambda: self.notify(told, severity="error"))

        threading.Thread(target=ask, daemon=True).start()

    def _read(self) -> None:
        """In a thread of its own: follow the daemon, and look for it where there is none."""
        while not self._over.is_set():
            with contextlib.suppress(AfterwordError, OSError, ValueError):
                self._follow()
            self._change(Scene.end)
            self._over.wait(RETRY_SECONDS)

    def _follow(self) -> None:
        self._refresh()
        for number, line in enumerate(client.follow("watch")):
            if self._over.is_set():
                return
            event = json.loads(line)
            if number == 0 or event["event"] == "renewed":  # 0: what came before is not told
                self._refresh()
            self._change(partial(Scene.on, event=event))

    def _refresh(self) -> None:
        status = client.ask("status")
        self._change(partial(Scene.begin, status=status))

    def _change(self, step: Callable[[Scene], Scene]) -> None:
        self._soon(lambda: self.show(step(self.scene)))

    def _soon(self, call: Callable[[], None]) -> None:
        """Let the screen's own thread do it; after the end, nobody does."""
        with contextlib.suppress(RuntimeError):
            self.call_from_thread(call)


def _state(scene: Scene) -> Text:
    word = scene.in_a_word
    text = Text().append(f"{word}   ", f"bold {_COLOURS.get(word, 'red')}")
    if not scene.is_running:
        return text.append("`afterword run` or `afterword service install` starts it", "dim")
    phrases = " or ".join(f"“{phrase}”" for phrase in scene.about.get("phrases", ()))
    text.append(f"say {phrases}   voice {scene.about.get('voice', '')}", "dim")
    if scene.microphone not in ("open", "muted"):  # missing, or open and silent
        return text.append(f"\n{scene.microphone}", "red")
    return text.append("\n").append(_level(scene.level_db))


def _level(level_db: float) -> Text:
    """The level as a bar; one that has only noise in it stays dim."""
    share = min(1.0, max(0.0, 1 - level_db / QUIETEST_DB))
    filled = round(BAR_CELLS * share)
    colour = "red" if level_db > LOUD_DB else "green" if level_db > SPEECH_DB else "dim"
    text = Text().append("█" * filled, colour)
    return text.append("·" * (BAR_CELLS - filled) + f" {level_db:.0f} dB", "dim")


def _heard(scene: Scene) -> Text:
    words = scene.heard + (" …" if scene.state == "capturing" else "")
    return Text().append(words, "bold").append(f"\n{scene.note}", "dim")


def _reply(turn: Turn | None) -> Text:
    """The sentences: spoken ones plain, the one that is heard marked, the rest dim."""
    text = Text()
    if turn is None:
        return text
    for number, sentence in enumerate(turn.sentences, 1):
        is_over = turn.is_over or number < turn.sounding
        style = "reverse bold" if number == turn.sounding else "" if is_over else "dim"
        text.append(sentence, style)
        text.append(" " if sentence[-1:].isascii() else "")
    return text


def _row(turn: Turn) -> tuple[str | Text, ...]:
    words = Text(turn.seed)
    words.truncate(WORDS_CELLS, overflow="ellipsis")
    times = (turn.times.get(name) for name in TIMES.values())
    told = ("" if seconds is None else f"{seconds:.2f}" for seconds in times)
    return (str(turn.number), words, *told, turn.outcome)
