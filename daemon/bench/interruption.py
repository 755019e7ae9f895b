"""Latency of cues and of barge-ins: `python -m daemon.bench --interruptions 8`.

Both are measured outside the daemon, in recordings of the virtual microphone and loudspeaker.
"""

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from config.errors import AfterwordError
from daemon.bench.speech import write_speech
from daemon.bench.virtual_audio import SoundServer
from daemon.control import client

TRIGGER = "hey computer"
VOICES = ("en-us+f3", "en-us", "en-gb-scotland")
STOPS = ("stop", "be quiet")
SEED = "once upon a time there was a little fox who lived in a big forest"
REPLY_SECONDS = 20.0  # at most, until a reply begins or a phrase is recognised
TALK_SECONDS = (1.5, 2.2, 2.9)  # of a reply before it is interrupted
CALM_SECONDS = 1.0  # after a reply, until it is silent in the recording

# Settings of the two daemons that are measured: cues alone, and long replies alone.
CUE_SETTINGS = ("cues.nothing=false", "seed.timeout_seconds=1.5")
REPLY_SETTINGS = (
    *("cues.trigger=false", "cues.nothing=false", "seed.timeout_seconds=1.5"),
    *("model.max_sentences=30", "model.max_new_tokens=400", "conversation.follow_up_seconds=0"),
)


def measure_cues(server: SoundServer, count: int, quiet_seconds: float) -> dict[str, list[float]]:
    """Say the trigger phrase alone, `count` times; the first time after `quiet_seconds`.

    Returns:
        "decision_to_cue" and "trigger_to_cue" (from the phrase's last voiced sample), in seconds;
        phrases that were not detected are missing.
    """
    found: dict[str, list[float]] = {"decision_to_cue": [], "trigger_to_cue": []}
    with _following() as events:
        for number in range(count):
            time.sleep(quiet_seconds if number == 0 else CALM_SECONDS)
            wav = phrase_wav(server, TRIGGER, number)
            begin = time.monotonic()
            with server.recording("mic") as microphone, server.recording() as loudspeaker:
                server.play_into_microphone(wav)
                decided = _event_time(events, begin, "triggered")
                time.sleep(CALM_SECONDS)
                voiced, sounded = microphone.sounding(begin), loudspeaker.sounding(begin)
            _event_time(events, begin, "nothing")
            if decided is not None and len(sounded) and len(voiced):
                found["decision_to_cue"].append(round(float(sounded[0]) - decided, 3))
                found["trigger_to_cue"].append(round(float(sounded[0] - voiced[-1]), 3))
    return found


def measure_interruptions(server: SoundServer, count: int) -> dict[str, list[float]]:
    """Interrupt replies, `count` times with each kind of phrase.

    Returns:
        "trigger_to_silence" and "stop_to_silence", from the phrase's last voiced sample to the
        reply's last one, in seconds; below 0 if the reply was paused before the phrase was over.
        Phrases that were not detected are missing.
    """
    found: dict[str, list[float]] = {"trigger_to_silence": [], "stop_to_silence": []}
    with _following() as events:
        for number in range(count):
            for kind, text in (("trigger", TRIGGER), ("stop", STOPS[number % len(STOPS)])):
                wav = phrase_wav(server, text, number)
                if (took := _interruption(server, events, wav, number)) is not None:
                    found[f"{kind}_to_silence"].append(took)
    return found


def _interruption(
    server: SoundServer, events: list[dict[str, Any]], wav: Path, number: int
) -> float | None:
    begin = time.monotonic()
    client.ask("say", seed=SEED)
    with server.recording("mic") as microphone, server.recording() as loudspeaker:
        if _event_time(events, begin, "sounding") is None:
            return None
        time.sleep(TALK_SECONDS[number % len(TALK_SECONDS)])
        spoke = time.monotonic()
        server.play_into_microphone(wav)
        ended = _event_time(events, spoke, "ended", seconds=1.5)
        time.sleep(CALM_SECONDS)
        voiced, sounded = microphone.sounding(spoke), loudspeaker.sounding(begin)
    client.ask("hush")
    time.sleep(CALM_SECONDS)
    if ended is None or not len(voiced) or not len(sounded):
        return None
    return round(float(sounded[-1] - voiced[-1]), 3)


def phrase_wav(server: SoundServer, text: str, number: int) -> Path:
    """A WAV file with these words, in one of several voices."""
    voice = VOICES[number % len(VOICES)]
    path = server.folder / f"{text} {voice}.wav"
    if not path.exists():
        write_speech(path, voice, [text], volume=0.9)
    return path


@contextmanager
def _following() -> Iterator[list[dict[str, Any]]]:
    """A list that a thread extends by the daemon's events as they come."""
    events: list[dict[str, Any]] = []

    def read() -> None:
        with suppress(AfterwordError, OSError):
            for line in client.follow():
                events.append(json.loads(line))

    threading.Thread(target=read, daemon=True).start()  # it ends with the daemon
    yield events


def _event_time(
    events: Sequence[Mapping[str, Any]], since: float, name: str, seconds: float = REPLY_SECONDS
) -> float | None:
    """The monotonic time of the first event of this name after `since`; None if none comes."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        offset = time.time() - time.monotonic()
        for event in list(events):
            if event["event"] == name and event["time"] - offset > since:
                return float(event["time"] - offset)
        time.sleep(0.02)
    return None
