"""Seeds are given the careful recogniser's words, and Vosk's where it is late or fails."""

import threading
import time
from collections.abc import Iterator

import pytest

from audio.events import Event, NoSpeech, Partial, Paused, Resumed, Seed, VoiceCommand
from audio.stt.careful import rehearing
from audio.stt.careful.rehearing import CapturedSound, SeedRehearing
from audio.stt.careful.whisper import MAX_SECONDS

SEED = Seed("the old saylor", 1.2)


class Slow:
    """Hears the length of a sound as a word, once it is let; keeps what it was given."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.heard: list[int] = []
        self.error: Exception | None = None

    def hear(self, pcm: bytes) -> str:
        self.heard.append(len(pcm))
        self.let.wait(5)
        if self.error is not None:
            raise self.error
        return f"sound {len(pcm)}" if pcm else ""


@pytest.fixture
def slow() -> Iterator[Slow]:
    recognizer = Slow()
    yield recognizer
    recognizer.let.set()


def filtered(seeds: SeedRehearing, *events: Event, now: float, pcm: int = 0) -> list[Event]:
    sound = CapturedSound(bytes(pcm), voiced_seconds=1.0)
    return list(seeds.filter(events, sound, now))


def after_words(seeds: SeedRehearing, slow: Slow, now: float) -> list[Event]:
    slow.let.set()
    deadline = time.monotonic() + 5
    while not (events := filtered(seeds, now=now)) and time.monotonic() < deadline:
        time.sleep(0.005)
    return events


def test_a_seed_waits_for_the_words_begun_at_its_first_pause(slow: Slow) -> None:
    seeds = SeedRehearing(slow)
    assert filtered(seeds, Partial("the"), Paused("the old"), now=1.0, pcm=10) == [Partial("the")]
    assert filtered(seeds, SEED, now=1.3, pcm=12) == []
    assert after_words(seeds, slow, 1.4) == [Seed("sound 10", 1.2)]
    assert slow.heard == [10]  # once: there was no voice since


def test_a_reply_is_prepared_to_the_words_of_a_pause(slow: Slow) -> None:
    seeds = SeedRehearing(slow)
    assert filtered(seeds, Paused("the old"), now=1.0, pcm=10) == []
    assert after_words(seeds, slow, 1.1) == [Paused("sound 10")]
    assert filtered(seeds, SEED, now=1.3, pcm=12) == [Seed("sound 10", 1.2)]


def test_words_of_an_earlier_pause_are_no_whole_seed(slow: Slow) -> None:
    seeds = SeedRehearing(slow)
    filtered(seeds, Paused("the"), now=1.0, pcm=10)
    more = CapturedSound(bytes(20), voiced_seconds=1.5)
    slow.let.set()
    events = list(seeds.filter([SEED], more, 2.0))
    deadline = time.monotonic() + 5
    while not events and time.monotonic() < deadline:
        events = list(seeds.filter([], more, 2.1))
    assert events == [Seed("sound 20", 1.2)]


def test_vosk_goes_first_where_the_words_are_late(
    slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearing, "WAIT_SECONDS", 0.2)
    seeds = SeedRehearing(slow)
    began = time.monotonic()
    assert filtered(seeds, SEED, now=1.0, pcm=10) == []
    assert filtered(seeds, now=1.1) == []
    assert filtered(seeds, now=1.25) == [SEED]  # of a file, which waits on the clock, too
    assert 0.1 < time.monotonic() - began < 2


def test_vosk_goes_first_where_the_recogniser_fails(slow: Slow) -> None:
    seeds = SeedRehearing(slow)
    slow.error = RuntimeError("no memory")
    filtered(seeds, SEED, now=1.0, pcm=10)
    assert after_words(seeds, slow, 1.1) == [SEED]


def test_vosk_goes_first_where_nothing_is_heard_or_the_sound_is_too_long(slow: Slow) -> None:
    seeds = SeedRehearing(slow)
    filtered(seeds, SEED, now=1.0)
    assert after_words(seeds, slow, 1.1) == [SEED]
    assert filtered(seeds, SEED, now=1.0, pcm=round(2 * 16_000 * (MAX_SECONDS + 1))) == [SEED]


def test_a_user_who_goes_on_takes_back_a_seed_that_nobody_was_told(slow: Slow) -> None:
    seeds = SeedRehearing(slow)
    assert filtered(seeds, SEED, now=1.0, pcm=10) == []
    assert filtered(seeds, Resumed(), now=1.2) == []
    slow.let.set()
    assert list(seeds.finish()) == []
    assert filtered(seeds, Resumed(), now=1.3) == [Resumed()]  # of one that was told


@pytest.mark.parametrize("event", [NoSpeech("noise"), VoiceCommand("again", "again", True, 1.0)])
def test_what_is_no_seed_ends_the_waiting(slow: Slow, event: Event) -> None:
    seeds = SeedRehearing(slow)
    filtered(seeds, Paused("a"), now=1.0, pcm=10)
    assert filtered(seeds, event, now=1.3) == [event]
    slow.let.set()
    assert filtered(seeds, now=1.4) == []


def test_the_end_of_the_sound_waits_for_the_words(slow: Slow) -> None:
    seeds = SeedRehearing(slow)
    filtered(seeds, SEED, now=1.0, pcm=10)
    threading.Timer(0.1, slow.let.set).start()
    assert list(seeds.finish()) == [Seed("sound 10", 1.2)]
