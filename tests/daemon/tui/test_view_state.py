"""The screen's content follows the events."""

from typing import Any

from daemon.tui.view_state import SILENCE_DB, TURNS, Scene

STATUS = {"state": "listening", "microphone": "open", "phrases": ["hey computer"]}


def after(scene: Scene, *events: dict[str, Any]) -> Scene:
    for event in events:
        scene = scene.on({"time": 0.0, **event})
    return scene


def test_before_a_daemon_answers_there_is_none() -> None:
    assert (Scene().is_running, Scene().in_a_word) == (False, "not running")
    assert Scene().begin(STATUS).in_a_word == "listening"


def test_an_exchange_from_the_first_word_to_the_end() -> None:
    scene = after(
        Scene().begin(STATUS),
        {"event": "triggered", "phrase": "hey computer", "audio_seconds": 1.0},
        {"event": "state", "state": "capturing"},
        {"event": "partial", "text": "once upon"},
    )
    assert (scene.in_a_word, scene.heard) == ("capturing", "once upon")
    scene = after(
        scene,
        {"event": "seed", "turn": 7, "text": "once upon a time", "time": 10.0},
        {"event": "sentence", "turn": 7, "text": "One.", "time": 10.02},
        {"event": "sounding", "turn": 7, "number": 1, "time": 10.1},
        {"event": "sentence", "turn": 7, "text": "Two.", "time": 10.2},
    )
    assert scene.turn
    assert (scene.heard, scene.turn.sentences) == ("once upon a time", ("One.", "Two."))
    assert (scene.turn.sounding, scene.turn.outcome) == (1, "under way")
    scene = after(
        scene,
        {"event": "sounding", "turn": 7, "number": 2, "time": 12.0},
        {"event": "ended", "turn": 7, "outcome": "completed", "time": 13.5},
    )
    assert scene.turn
    assert scene.turn.sounding == 0
    seen = {"first_sentence_seconds": 0.02, "first_sound_seconds": 0.1, "seconds": 3.5}
    assert (scene.turn.times, scene.turn.outcome) == (seen, "completed")
    own = {"last_voice_seconds": -0.4, "first_sound_seconds": 0.08, "seconds": 3.4}
    scene = after(scene, {"event": "timed", "turn": 7, "prepared": False, **own})
    assert scene.turn
    assert scene.turn.times == own  # the daemon knows better than those who follow it


def test_the_late_end_of_an_earlier_turn_is_its_own() -> None:
    seeds = [{"event": "seed", "turn": n, "text": "a fox", "time": n} for n in (1, 2)]
    scene = after(Scene().begin(STATUS), *seeds)
    scene = after(scene, {"event": "ended", "turn": 1, "outcome": "cancelled", "time": 3})
    assert [turn.outcome for turn in scene.turns] == ["cancelled", "under way"]


def test_only_the_newest_turns_stay() -> None:
    seeds = [{"event": "seed", "turn": n, "text": "a fox"} for n in range(1, TURNS + 4)]
    scene = after(Scene().begin(STATUS), *seeds)
    assert [turn.number for turn in scene.turns] == list(range(4, TURNS + 4))


def test_a_muted_microphone_has_no_level() -> None:
    scene = after(Scene().begin(STATUS), {"event": "level", "db": -20.0})
    assert scene.level_db == -20.0
    scene = after(scene, {"event": "microphone", "microphone": "muted"})
    assert (scene.is_muted, scene.in_a_word, scene.level_db) == (True, "muted", SILENCE_DB)
    assert after(scene, {"event": "microphone", "microphone": "open"}).in_a_word == "listening"


def test_a_silent_microphone_is_open_all_the_same() -> None:
    silent = "open, but it gives digital silence"
    scene = after(Scene().begin(STATUS), {"event": "microphone", "microphone": silent})
    assert (scene.in_a_word, scene.microphone) == ("listening", silent)


def test_a_missing_microphone_is_waited_for() -> None:
    scene = after(Scene().begin(STATUS), {"event": "microphone", "microphone": "No microphone."})
    assert scene.in_a_word == "waiting"


def test_what_we_do_not_know_changes_nothing() -> None:
    scene = Scene().begin(STATUS)
    assert after(scene, {"event": "danced", "steps": 3}, {"event": "sentence", "turn": 9}) == scene


def test_the_turns_stay_when_the_daemon_goes() -> None:
    scene = after(Scene().begin(STATUS), {"event": "seed", "turn": 1, "text": "a fox"}).end()
    assert (scene.is_running, len(scene.turns), scene.heard) == (False, 1, "")
