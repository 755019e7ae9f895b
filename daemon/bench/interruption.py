"""How soon a running daemon sounds a cue, and falls silent: a part of `python -m daemon.bench`.

Everything is measured from outside, in what the virtual microphone gives and what the virtual
loudspeaker plays.
"""

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from config.errors import AfterwordError
from daemon.bench.virtual_audio import SoundServer
from daemon.control import client

TRIGGER = "hey computer"
STOPS = ("stop", "be quiet")
VOICES = ("en-us+f3", "en-us", "en-gb-scotland")
SEED = "once upon a time there was a little fox who lived in a big forest"
REPLY_SECONDS = 20.0  # for a reply to begin, or a phrase to be understood
TALK_SECONDS = (1.5, 2.2, 2.9)  # how long a reply sounds before it is interrupted
CALM_SECONDS = 1.0  # after a reply, until nothing of it is heard any more

# Of the daemons that are measured: the cues alone; and long replies alone.
CUE_SETTINGS = ("cues.nothing=false", "seed.timeout_seconds=1.5")
REPLY_SETTINGS = (
    *("cues.trigger=false", "cues.nothing=false", "seed.timeout_seconds=1.5"),
    *("model.max_sentences=30", "model.max_new_tokens=400", "conversation.follow_up_seconds=0"),
)


def measure_cues(server: SoundServer, count: int, quiet_seconds: float) -> dict[str, list[float]]:
    """Say the trigger phrase alone so many times; the first time after so much silence.

    Returns:
        "decision_to_cue" and "trigger_to_cue", from the phrase's last voiced sample, in seconds;
        those that were not heard are missing.
    """
    found: dict[str, list[float]] = {"decision_to_cue": [], "trigger_to_cue": []}
    with _followed() as events:
        for number in range(count):
            time.sleep(quiet_seconds if number == 0 else CALM_SECONDS)
            wav = spoken(server, TRIGGER, number)
            begin = time.monotonic()
            with server.recording("mic") as said, server.recording() as heard:
                server.play_into_microphone(wav)
                decided = _moment(events, begin, "triggered")
                time.sleep(CALM_SECONDS)
                voiced, sounded = said.sounding(begin), heard.sounding(begin)
            _moment(events, begin, "nothing")
            if decided is not None and len(sounded) and len(voiced):
                found["decision_to_cue"].append(round(float(sounded[0]) - decided, 3))
                found["trigger_to_cue"].append(round(float(sounded[0] - voiced[-1]), 3))
    return found


def measure_interruptions(server: SoundServer, count: int) -> dict[str, list[float]]:
    """Let it talk, and interrupt it so many times with each kind of phrase.

    Returns:
        "trigger_to_silence" and "stop_to_silence", from the phrase's last voiced sample to the
        reply's last one, in seconds; below 0 where it held its breath before the phrase was over.
        Phrases that it did not hear are missing.
    """
    found: dict[str, list[float]] = {"trigger_to_silence": [], "stop_to_silence": []}
    with _followed() as events:
        for number in range(count):
            for kind, text in (("trigger", TRIGGER), ("stop", STOPS[number % len(STOPS)])):
                wav = spoken(server, text, number)
                if (took := _interruption(server, events, wav, number)) is not None:
                    found[f"{kind}_to_silence"].append(took)
    return found


def _interruption(
    server: SoundServer, events: list[dict[str, Any]], wav: Path, number: int
) -> float | None:
    begin = time.monotonic()
    client.ask("say", seed=SEED)
    with server.recording("mic") as said, server.recording() as heard:
        if _moment(events, begin, "sounding") is None:
            return None
        time.sleep(TALK_SECONDS[number % len(TALK_SECONDS)])
        spoke = time.monotonic()
        server.play_into_microphone(wav)
        ended = _moment(events, spoke, "ended", seconds=1.5)
        time.sleep(CALM_SECONDS)
        voiced, sounded = said.sounding(spoke), heard.sounding(begin)
    client.ask("hush")
    time.sleep(CALM_SECONDS)
    if ended is None or not len(voiced) or not len(sounded):
        return None
    return round(float(sounded[-1] - voiced[-1]), 3)


def spoken(server: SoundServer, text: str, number: int) -> Path:
    """A sound file with these words, by one of several voices."""
    import soundfile

    from audio.tts.engine import SpeechEngine

    voice = VOICES[number % len(VOICES)]
    path = server.folder / f"{text} {voice}.wav"
    if not path.exists():
        with closing(SpeechEngine(voice, 150, 0.9)) as engine:
            soundfile.write(path, engine.synthesize(text), engine.rate)
    return path


@contextmanager
def _followed() -> Iterator[list[dict[str, Any]]]:
    """The daemon's events as they come; a line is there for good once it was told."""
    events: list[dict[str, Any]] = []

    def read() -> None:
        with suppress(AfterwordError, OSError):
            for line in client.follow():
                events.append(json.loads(line))

    threading.Thread(target=read, daemon=True).start()  # it ends with the daemon
    yield events


def _moment(
    events: Sequence[Mapping[str, Any]], since: float, name: str, seconds: float = REPLY_SECONDS
) -> float | None:
    """The monotonic time at which the first event of this name after `since` happened."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        offset = time.time() - time.monotonic()
        for event in list(events):
            if event["event"] == name and event["time"] - offset > since:
                return float(event["time"] - offset)
        time.sleep(0.02)
    return None
