"""Trigger phrases in the sounds of clients, as satellites and Home Assistant send them."""

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from wyoming.audio import AudioChunk, AudioStart
from wyoming.client import AsyncClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.wake import Detect, Detection

from audio.trigger.spotting import PhraseSpotter, open_spotter
from config.errors import HearingModelError
from config.load import load
from daemon.wyoming.events import Limits
from daemon.wyoming.services.answers import ANSWERS
from daemon.wyoming.services.offer import WakePhrase
from daemon.wyoming.services.shared import Shared
from tests.daemon.wyoming.peers import OFFER, FakeSpotter, ask, served
from tests.daemon.wyoming.test_hearing import SECOND, recording, sound_events

PHRASES = (
    WakePhrase("hey_computer", "hey computer", "en"),
    WakePhrase("okay_computer", "okay computer", "en"),
    WakePhrase("你好电脑", "你好电脑", "zh"),
)
WAKING = replace(OFFER, phrases=PHRASES)
SAID = np.concatenate([SECOND, np.ones(1, np.int16), SECOND])  # as FakeSpotting hears it


async def detected(uri: str, request: Detect, pcm: bytes, **format: int) -> list[Event]:
    """All answers to a sound that waits for a phrase."""
    async with AsyncClient.from_uri(uri) as client:
        for event in (request.event(), *sound_events(pcm, **format), Describe().event()):
            await client.write_event(event)
        answers = []
        while (answer := await asyncio.wait_for(client.read_event(), 200)) is not None:
            if answer.type == "info":
                return answers
            answers.append(answer)
        raise AssertionError(f"the server left after {[e.type for e in answers]}")


def test_the_phrases_are_told(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        (event,) = await ask(uri, Describe().event(), "info")
        (program,) = Info.from_event(event).wake
        assert [(m.name, m.phrase, m.languages) for m in program.models] == [
            (phrase.name, phrase.text, [phrase.language]) for phrase in PHRASES
        ]

    served(test, tmp_path, offer=WAKING)


@pytest.mark.parametrize(
    "names", [None, [], ["hey_computer"], ["Hey computer"], ["okay_computer", "hey_computer"]]
)
def test_a_phrase_is_detected_while_the_sound_goes_on(
    names: list[str] | None, tmp_path: Path
) -> None:
    async def test(shared: Shared, uri: str) -> None:
        begin, *chunks, end = sound_events(SAID.tobytes())
        async with AsyncClient.from_uri(uri) as client:
            request = Detect(names, {"id": 7})
            for event in (request.event(), begin, *chunks, *chunks):
                await client.write_event(event)
            for _ in range(2):
                detection = Detection.from_event(await client.read_event())
                assert (detection.name, detection.context) == ("hey_computer", {"id": 7})
                assert detection.timestamp is not None
            assert 3000 < detection.timestamp < 4200  # milliseconds
            await client.write_event(end)
            await client.write_event(Describe().event())
            assert (await client.read_event()).type == "info"  # no not-detected
        assert set(shared.spotters) == {"en"}
        assert not shared.watchers.locked()

    served(test, tmp_path, offer=WAKING)


def test_a_detection_has_the_time_of_its_chunk(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        async with AsyncClient.from_uri(uri) as client:
            chunk = AudioChunk(16_000, 2, 1, SAID.tobytes(), timestamp=70_000)
            for event in (Detect(), AudioStart(16_000, 2, 1), chunk):
                await client.write_event(event.event())
            assert Detection.from_event(await client.read_event()).timestamp == 70_000

    served(test, tmp_path, offer=WAKING)


@pytest.mark.parametrize("names", [["okay_computer"], ["你好电脑"]])
def test_a_phrase_that_was_not_asked_for_is_none(names: list[str], tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        (answer,) = await detected(uri, Detect(names, {"id": 7}), SAID.tobytes())
        assert answer == Event("not-detected", {"context": {"id": 7}})

    served(test, tmp_path, offer=WAKING)


def test_what_cannot_be_detected_is_told(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        error, end = await detected(uri, Detect(["alexa"]), SAID.tobytes())
        assert Error.from_event(error) == Error(
            "This trigger phrase is not detected; those are: hey_computer, okay_computer, "
            "你好电脑.",
            "name",
        )
        assert end.type == "not-detected"

        def fail(language: str) -> FakeSpotter:
            raise HearingModelError("The Vosk model is damaged.")

        shared.source.open_spotter = fail
        error, end = await detected(uri, Detect(), SAID.tobytes())
        assert Error.from_event(error).text == "The Vosk model is damaged."
        assert end.type == "not-detected"

    served(test, tmp_path, offer=WAKING)


def test_wake_can_be_switched_off(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        (error,) = await detected(uri, Detect(), SAID.tobytes())
        assert Error.from_event(error) == Error("The service wake is switched off.", "off")

    served(test, tmp_path, offer=replace(WAKING, phrases=(), services=frozenset({"tts"})))


def test_too_many_are_refused_and_one_that_pauses_is_not_ended(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        async with AsyncClient.from_uri(uri) as first:
            for event in (Detect(), AudioStart(16_000, 2, 1)):
                await first.write_event(event.event())
            while not shared.watchers.locked():
                await asyncio.sleep(0.01)
            error, end = await detected(uri, Detect(), SAID.tobytes())
            assert Error.from_event(error) == Error(ANSWERS["en"].busy, "busy")
            assert end.type == "not-detected"
            await asyncio.sleep(1)  # longer than a sound that is recognised may pause
            await first.write_event(AudioChunk(16_000, 2, 1, SAID.tobytes()).event())
            assert Detection.is_type((await first.read_event()).type)
        while shared.watchers.locked():
            await asyncio.sleep(0.01)

    limits = Limits(watches=1, event_seconds=0.5)
    served(test, tmp_path, limits=limits, offer=WAKING)


def test_a_bug_leaves_no_client_without_an_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(shared: Shared, uri: str) -> None:
        shared.spotters["en"] = spotter = FakeSpotter()
        spotter.begin = object
        error, end = await detected(uri, Detect(), SAID.tobytes())
        assert Error.from_event(error).code == "internal"
        assert end.type == "not-detected"
        assert not shared.watchers.locked()

    served(test, tmp_path, offer=WAKING)
    assert "A sound could not be heard" in caplog.text


# Real speech


@pytest.fixture(scope="module")
def spotter(vosk_en: Path) -> PhraseSpotter:
    return open_spotter(vosk_en, load(environment={}).settings.trigger)


@pytest.mark.parametrize(
    ("name", "count"), [("one-breath-man.wav", 1), ("stereo-44100.wav", 1), ("no-trigger.wav", 0)]
)
def test_the_trigger_phrase_is_detected_in_a_recording(
    name: str, count: int, tmp_path: Path, spotter: PhraseSpotter
) -> None:
    async def test(shared: Shared, uri: str) -> None:
        shared.spotters["en"] = spotter
        pcm, rate, channels = recording(name)
        answers = await detected(uri, Detect(), pcm, rate=rate, channels=channels)
        names = [event.data.get("name") for event in answers]
        assert names == (["hey_computer"] * count or [None])
        assert answers[0].type == ("detection" if count else "not-detected")

    served(test, tmp_path, offer=WAKING, seconds=300)
