"""A phrase is verified as soon as it is over, by recognisers that have heard it all along."""

import threading
from collections.abc import Iterator

import pytest

from audio.input.file import WavFile
from audio.pcm import AudioRingBuffer
from audio.phrases import Phrase
from audio.stt.vosk_engine import VoskEngine
from audio.trigger.likelihood_ratio import LikelihoodRatio
from audio.trigger.verifier import TriggerVerifier
from tests.audio.conftest import RECORDINGS

HEY_COMPUTER = Phrase("hey computer", ("hey", "computer"))
VIEW_GLASS = Phrase("view glass", ("view", "glass"))
START, END = 0.54, 1.53  # of the phrase in the recording, in seconds


@pytest.fixture
def verifier(engine: VoskEngine) -> Iterator[TriggerVerifier]:
    made = TriggerVerifier(
        engine, [HEY_COMPUTER], ["hey computer", "hey", "[unk]"], LikelihoodRatio(engine)
    )
    yield made
    made.drop()
    for thread in [one for one in threading.enumerate() if one.name.startswith("recognizer")]:
        thread.join(5.0)  # it may have something left to hear
        assert not thread.is_alive()


def heard(
    verifier: TriggerVerifier, phrase: Phrase | None, suspected: float, end: float
) -> AudioRingBuffer:
    """The recording up to `end` seconds; partial results hold the phrase from `suspected` on."""
    sound = AudioRingBuffer(30)
    with WavFile(RECORDINGS / "one-breath.wav").open() as chunks:
        for chunk in chunks:
            if sound.seconds < end:
                sound.add(chunk.pcm)
                verifier.hear(phrase if sound.seconds > suspected else None, sound, chunk.pcm)
    return sound


@pytest.mark.parametrize("suspected", [1.12, 1.5, 9.0])
def test_a_phrase_is_verified_whenever_it_was_noticed(
    verifier: TriggerVerifier, suspected: float
) -> None:
    sound = heard(verifier, HEY_COMPUTER, suspected, END + 0.2)
    assert verifier.verify(HEY_COMPUTER, sound, START, END)


def test_one_that_was_noticed_too_late_is_heard_from_its_beginning(
    verifier: TriggerVerifier,
) -> None:
    sound = heard(verifier, HEY_COMPUTER, 3.0, 3.2)
    assert verifier.verify(HEY_COMPUTER, sound, START, END)


def test_other_words_are_not_verified(verifier: TriggerVerifier) -> None:
    sound = heard(verifier, HEY_COMPUTER, 3.0, 4.0)
    assert not verifier.verify(HEY_COMPUTER, sound, 3.0, 3.9)


def test_what_was_heard_for_another_phrase_is_not_used(verifier: TriggerVerifier) -> None:
    sound = heard(verifier, VIEW_GLASS, 1.12, END + 0.2)
    assert verifier.verify(HEY_COMPUTER, sound, START, END)
    assert not verifier.verify(VIEW_GLASS, sound, START, END)


def test_nothing_is_heard_again_for_a_whole_story(
    verifier: TriggerVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    fed: list[float] = []
    monkeypatch.setattr(
        "audio.stt.vosk_engine.BackgroundRecognizer.hear",
        lambda _, pcm: fed.append(len(pcm) / 32000),
    )
    sound = heard(verifier, HEY_COMPUTER, 1.5, 5.0)
    assert sound.seconds >= 5.0
    assert 3 * 2.5 <= sum(fed) <= 3 * 3.2  # 1.5 s before, as much after, by three
