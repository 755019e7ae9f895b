"""The status as text, and the keys that programs read."""

from typing import Any

import pytest

from daemon.control.status import Status, in_lines, last_turn
from daemon.timings import TurnRecord, TurnTimings

TIMINGS = TurnTimings(-0.48, -0.12, -0.1, 0.06, 2.31, True)
TURN = last_turn(TurnRecord(7, 2, "completed", TIMINGS, "large"))


def status(**changed: Any) -> Status:
    found: Status = {
        "state": "listening",
        "pid": 42,
        "uptime_seconds": 75.3,
        "microphone": "open",
        "triggers": 3,
        "replies": 2,
        "failures": 1,
        "last_turn": None,
        "drops": 5,
        "restarts": {"daemon": 1, "speech": 0, "microphone": 2},
        "speech": "ready",
        "reloading": False,
        "refused": None,
        "language": "en",
        "phrases": ["hey computer", "okay computer"],
        "devices": {"input": None, "output": "usb", "model": "cpu"},
        "models": {"hearing": "/vosk", "weights": "/en.safetensors"},
        "weights": {"name": "shipped", "made_at": 1, "bits_per_byte": 0.5},
        "voice": "en-us",
    }
    return {**found, **changed}  # type: ignore[typeddict-item]


def lines(**changed: Any) -> list[str]:
    return list(in_lines(status(**changed)))


def test_the_status_of_a_working_daemon() -> None:
    assert lines() == [
        "listening",
        '  trigger     "hey computer" or "okay computer"',
        "  running     1 min 15 s, process 42",
        "  microphone  default: open",
        "  speaker     usb, voice en-us",
        "  hearing     /vosk",
        "  weights     /en.safetensors",
        "              (shipped, 0.5 bits/byte on its held-out texts)",
        "  device      cpu",
        "  so far      3 triggers, 2 replies, 1 failed, 5 blocks of sound dropped",
        "  restarts    daemon 1, speech 0, microphone 2",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 min 0 s"), (59.9, "0 min 59 s"), (3599.9, "59 min 59 s"), (3600.0, "1 h 0 min"),
     (90_061.0, "25 h 1 min")],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    assert f"  running     {text}, process 42" in lines(uptime_seconds=seconds)


def test_each_adapter_is_told_with_its_weights() -> None:
    models = {"hearing": "/vosk", "weights": "/en.safetensors", "large": "/large.safetensors"}
    told = lines(models=models, adapters={"large": "large-7"})
    assert told[6:10] == [
        "  weights     /en.safetensors",
        "              (shipped, 0.5 bits/byte on its held-out texts)",
        "  large       /large.safetensors",
        "              (with the adapter large-7)",
    ]
    weights = {"name": "large", "made_at": 1, "bits_per_byte": None}
    told = lines(weights=weights, adapters={"weights": "large-7"})
    assert "              (large with the adapter large-7)" in told


def test_weights_without_a_known_loss() -> None:
    weights = {"name": "mine", "made_at": 1, "bits_per_byte": None}
    assert "              (mine)" in lines(weights=weights)


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"speech": "The speech engine failed."}, "  speech      The speech engine failed."),
        ({"reloading": True}, "  reload      under way"),
        ({"refused": "No such voice."}, "  refused     No such voice."),
        (
            {"last_turn": TURN},
            "  last reply  completed, 2 sentences by large, prepared; from the decision: "
            "last voice -0.48 s, first token -0.12 s, first sentence -0.10 s, "
            "first sound +0.06 s, end +2.31 s",
        ),
    ],
)
def test_exceptional_states_add_a_line(changed: dict[str, Any], line: str) -> None:
    assert line not in lines()
    assert lines(**changed)[-1] == line


def test_a_loop_that_was_given_no_components() -> None:
    bare: Any = status()
    for key in ("language", "phrases", "devices", "models", "weights"):
        del bare[key]
    assert list(in_lines(bare)) == [
        "listening",
        "  trigger     ",
        "  running     1 min 15 s, process 42",
        "  microphone  default: open",
        "  speaker     default, voice en-us",
        "  device      None",
        "  so far      3 triggers, 2 replies, 1 failed, 5 blocks of sound dropped",
        "  restarts    daemon 1, speech 0, microphone 2",
    ]


def test_the_keys_of_the_last_turn() -> None:
    assert TURN == {
        "number": 7,
        "sentences": 2,
        "outcome": "completed",
        "weights": "large",
        "last_voice_seconds": -0.48,
        "first_token_seconds": -0.12,
        "first_sentence_seconds": -0.1,
        "first_sound_seconds": 0.06,
        "seconds": 2.31,
        "prepared": True,
    }


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (TurnRecord(1), "under way, 0 sentences; from the decision: nothing"),
        (TurnRecord(1, 1), "under way, 1 sentence; from the decision: nothing"),
        (
            TurnRecord(1, 2, "cancelled", TurnTimings(first_token_seconds=0.5)),
            "cancelled, 2 sentences; from the decision: first token +0.50 s",
        ),
        (
            TurnRecord(1, 3, "completed", weights="shipped"),
            "completed, 3 sentences by shipped; from the decision: nothing",
        ),
    ],
)
def test_the_summary_of_a_turn(record: TurnRecord, text: str) -> None:
    assert record.summary() == text
