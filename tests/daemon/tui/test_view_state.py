"""The view state after statuses and events."""

from typing import Any

from daemon.tui.view_state import SILENCE_DB, TURNS, ViewState

STATUS: Any = {"state": "listening", "microphone": "open", "phrases": ["hey computer"]}
MISSING = {"event": "microphone", "microphone": "No microphone."}


def after(view: ViewState, *events: dict[str, Any]) -> ViewState:
    for event in events:
        view = view.after_event({"time": 0.0, **event})
    return view


def test_before_a_daemon_answers_there_is_none() -> None:
    assert (ViewState().is_running, ViewState().label) == (False, "not running")
    assert ViewState().after_status(STATUS).label == "listening"


def test_an_exchange_from_the_first_word_to_the_end() -> None:
    view = after(
        ViewState().after_status(STATUS),
        {"event": "triggered", "phrase": "hey computer", "audio_seconds": 1.0},
        {"event": "state", "state": "capturing"},
        {"event": "partial", "text": "once upon"},
    )
    assert (view.label, view.heard) == ("capturing", "once upon")
    view = after(
        view,
        {"event": "seed", "turn": 7, "text": "once upon a time", "time": 10.0},
        {"event": "sentence", "turn": 7, "text": "One.", "time": 10.02},
        {"event": "sounding", "turn": 7, "number": 1, "time": 10.1},
        {"event": "sentence", "turn": 7, "text": "Two.", "time": 10.2},
    )
    assert view.turn
    assert (view.heard, view.turn.sentences) == ("once upon a time", ("One.", "Two."))
    assert (view.turn.sounding, view.turn.outcome) == (1, "under way")
    view = after(
        view,
        {"event": "sounding", "turn": 7, "number": 2, "time": 12.0},
        {"event": "ended", "turn": 7, "outcome": "completed", "time": 13.5},
    )
    assert view.turn
    assert view.turn.sounding == 0
    seen = {"first_sentence_seconds": 0.02, "first_sound_seconds": 0.1, "seconds": 3.5}
    assert (view.turn.times, view.turn.outcome) == (seen, "completed")
    own = {"last_voice_seconds": -0.4, "first_sound_seconds": 0.08, "seconds": 3.4}
    view = after(view, {"event": "timed", "turn": 7, "prepared": False, **own})
    assert view.turn
    assert view.turn.times == own  # the daemon knows better than those who follow it


def test_the_late_end_of_an_earlier_turn_is_its_own() -> None:
    seeds = [{"event": "seed", "turn": n, "text": "a fox", "time": n} for n in (1, 2)]
    view = after(ViewState().after_status(STATUS), *seeds)
    view = after(view, {"event": "ended", "turn": 1, "outcome": "cancelled", "time": 3})
    assert [turn.outcome for turn in view.turns] == ["cancelled", "under way"]


def test_only_the_newest_turns_stay() -> None:
    seeds = [{"event": "seed", "turn": n, "text": "a fox"} for n in range(1, TURNS + 4)]
    view = after(ViewState().after_status(STATUS), *seeds)
    assert [turn.number for turn in view.turns] == list(range(4, TURNS + 4))


def test_a_muted_microphone_has_no_level() -> None:
    view = after(ViewState().after_status(STATUS), {"event": "level", "db": -20.0})
    assert view.level_db == -20.0
    view = after(view, {"event": "microphone", "microphone": "muted"})
    assert (view.is_muted, view.label, view.level_db) == (True, "muted", SILENCE_DB)
    assert after(view, {"event": "microphone", "microphone": "open"}).label == "listening"


def test_a_silent_microphone_is_open_all_the_same() -> None:
    silent = "open, but it gives digital silence"
    view = after(ViewState().after_status(STATUS), {"event": "microphone", "microphone": silent})
    assert (view.label, view.microphone) == ("listening", silent)


def test_a_missing_microphone_is_waited_for() -> None:
    view = after(ViewState().after_status(STATUS), MISSING)
    assert view.label == "waiting"


def test_what_we_do_not_know_changes_nothing() -> None:
    view = ViewState().after_status(STATUS)
    assert after(view, {"event": "danced", "steps": 3}, {"event": "sentence", "turn": 9}) == view


def test_the_turns_stay_when_the_daemon_goes() -> None:
    view = after(ViewState().after_status(STATUS), {"event": "seed", "turn": 1, "text": "a fox"})
    view = view.after_disconnect()
    assert (view.is_running, len(view.turns), view.heard) == (False, 1, "")
