"""`afterword watch`: shows a running daemon in the terminal. Needs the extra `tui` (Textual)."""

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
from config.languages import sentence_gap
from daemon.control import client
from daemon.tui.view_state import TurnView, ViewState

RETRY_SECONDS = 1.0  # between attempts to connect to a daemon
SEED_CELLS = 28  # width of the seed in the table
TIMES = {  # title of a column, field of TurnTimings
    "last voice": "last_voice_seconds",
    "token": "first_token_seconds",
    "sentence": "first_sentence_seconds",
    "sound": "first_sound_seconds",
    "over": "seconds",
}
QUIETEST_DB = -60.0  # left end of the level bar
BAR_CELLS = 40
LOUD_DB, SPEECH_DB = -6.0, -45.0  # above: nearly distorted, likely speech

# Textual shows ANSI red and magenta at a contrast of 4.47, below the 4.5 of WCAG AA.
RED, MAGENTA = "#ff6b81", "#ff79c6"
_COLOURS = {
    "waiting": RED,
    "listening": "green",
    "capturing": "yellow",
    "thinking": "cyan",
    "speaking": MAGENTA,
    "muted": RED,
    "not running": RED,
}


class WatchApp(App[None]):
    """Shows a ViewState; a thread reads the daemon's events."""

    TITLE = "Afterword"
    CSS = """
    Screen { layout: vertical; }
    Static, VerticalScroll, DataTable {
        border: round $primary 50%; border-title-color: $foreground;
    }
    Static, VerticalScroll { padding: 0 1; }
    VerticalScroll Static { border: none; padding: 0; }
    #state { height: 4; }
    #heard { height: 4; }
    #reply { height: 1fr; min-height: 5; }
    DataTable { height: 8; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("m", "mute", "Mute or unmute"),
        ("h", "hush", "Hush"),
        ("q", "quit", "Quit"),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, *, live: bool = True) -> None:
        """`live`: connect to a daemon; otherwise only `show` changes the screen."""
        super().__init__()
        self.view = ViewState()
        self._live = live
        self._done = threading.Event()

    def compose(self) -> ComposeResult:
        """Lay out state and level, the seed, the reply, the last turns."""
        yield Static(id="state")
        yield Static(id="heard")
        with VerticalScroll(id="reply"):
            yield Static(id="words")
        yield DataTable(id="turns", cursor_type="none", zebra_stripes=True)
        yield Footer()

    def on_mount(self) -> None:
        """Set the titles, and start the reading thread."""
        self.query_one("#state").border_title = "Afterword"
        self.query_one("#heard").border_title = "Heard"
        self.query_one("#reply").border_title = "Reply"
        table = self.query_one(DataTable)
        table.border_title = "Last turns, in seconds from the moment your words were taken as over"
        table.add_columns("turn", "your words", *TIMES, "outcome")
        self.show(self.view)
        if self._live:
            threading.Thread(target=self._read, name="watch", daemon=True).start()

    def on_unmount(self) -> None:
        """End the reading thread at its next event."""
        self._done.set()

    def show(self, view: ViewState) -> None:
        """Put a view on the screen; turns are redrawn only if they have changed."""
        before, self.view = self.view, view
        self.query_one("#state", Static).update(_state(view))
        self.query_one("#heard", Static).update(_heard(view))
        if view.turns != before.turns or not self.query_one(DataTable).row_count:
            self.query_one("#words", Static).update(_reply(view.turn))
            self.query_one("#reply").scroll_end(animate=False)
            table = self.query_one(DataTable)
            table.clear()
            for turn in reversed(view.turns):
                table.add_row(*_row(turn))

    def action_mute(self) -> None:
        """Mute or unmute the microphone."""
        self._ask("unmute" if self.view.is_muted else "mute")

    def action_hush(self) -> None:
        """Stop the reply."""
        self._ask("hush")

    def _ask(self, command: str) -> None:
        """Send a command in a thread, so that the screen does not wait for the answer."""

        def ask() -> None:
            try:
                client.ask(command)
            except AfterwordError as error:
                message = str(error)
                self._on_ui_thread(lambda: self.notify(message, severity="error"))

        threading.Thread(target=ask, daemon=True).start()

    def _read(self) -> None:
        """Follow the daemon and reconnect when it ends; the reading thread's function."""
        while not self._done.is_set():
            with contextlib.suppress(AfterwordError, OSError, ValueError):
                self._follow()
            self._update(ViewState.after_disconnect)
            self._done.wait(RETRY_SECONDS)

    def _follow(self) -> None:
        self._refresh()
        for number, line in enumerate(client.follow("watch")):
            if self._done.is_set():
                return
            event = json.loads(line)
            if number == 0 or event["event"] == "renewed":  # 0: earlier events were missed
                self._refresh()
            self._update(partial(ViewState.after_event, event=event))

    def _refresh(self) -> None:
        self._update(partial(ViewState.after_status, status=client.status()))

    def _update(self, step: Callable[[ViewState], ViewState]) -> None:
        self._on_ui_thread(lambda: self.show(step(self.view)))

    def _on_ui_thread(self, call: Callable[[], None]) -> None:
        """Call a function in Textual's thread; dropped once the app has ended."""
        with contextlib.suppress(RuntimeError):
            self.call_from_thread(call)


def _state(view: ViewState) -> Text:
    text = Text().append(f"{view.label}   ", f"bold {_COLOURS.get(view.label, RED)}")
    if view.status is None or not view.is_running:
        return text.append("`afterword run` or `afterword service install` starts it", "dim")
    phrases = " or ".join(f"“{phrase}”" for phrase in view.status.get("phrases", []))
    text.append(f"say {phrases}   voice {view.status.get('voice', '')}", "dim")
    if view.microphone not in ("open", "muted"):  # missing, or open and silent
        return text.append(f"\n{view.microphone}", RED)
    return text.append("\n").append(_level(view.level_db))


def _level(level_db: float) -> Text:
    """The level as a bar, dim below `SPEECH_DB`."""
    share = min(1.0, max(0.0, 1 - level_db / QUIETEST_DB))
    filled = round(BAR_CELLS * share)
    colour = RED if level_db > LOUD_DB else "green" if level_db > SPEECH_DB else "dim"
    text = Text().append("█" * filled, colour)
    return text.append("·" * (BAR_CELLS - filled) + f" {level_db:.0f} dB", "dim")


def _heard(view: ViewState) -> Text:
    words = view.heard + (" …" if view.state == "capturing" else "")
    return Text().append(words, "bold").append(f"\n{view.note}", "dim")


def _reply(turn: TurnView | None) -> Text:
    """The reply: played sentences plain, the one being played marked, the rest dim."""
    text = Text()
    if turn is None:
        return text
    for number, sentence in enumerate(turn.sentences, 1):
        text.append(sentence_gap(text.plain, sentence))
        is_over = turn.is_over or number < turn.sounding
        style = "reverse bold" if number == turn.sounding else "" if is_over else "dim"
        text.append(sentence, style)
    return text


def _row(turn: TurnView) -> tuple[str | Text, ...]:
    words = Text(turn.seed)
    words.truncate(SEED_CELLS, overflow="ellipsis")
    times = (turn.times.get(name) for name in TIMES.values())
    texts = ("" if seconds is None else f"{seconds:.2f}" for seconds in times)
    return (str(turn.number), words, *texts, turn.outcome)
