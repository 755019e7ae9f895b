"""Sounds of clients: their formats, their words while they come, real recorded speech."""

import asyncio
import wave
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from wyoming.asr import Transcribe, Transcript, TranscriptChunk
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.tts import Synthesize

from audio.turn.transcription import Transcriber, open_transcriber
from config.errors import HearingModelError
from daemon.wyoming.events import InvalidEventError, Limits
from daemon.wyoming.services.answers import ANSWERS
from daemon.wyoming.services.info import describe
from daemon.wyoming.services.offer import HearingModel
from daemon.wyoming.services.shared import Shared
from daemon.wyoming.services.sounds.converter import Converter
from tests.daemon.wyoming.peers import COMMANDS, FakeTranscriber, ask, served
from tests.daemon.wyoming.test_voices import BOTH, CHINESE
from tests.support.program import ROOT

MODELS = {"en": HearingModel("small-en-0.15", "0.15"), "zh": HearingModel("small-cn-0.22", "0.22")}
HEARING = replace(BOTH, hearing=MODELS)
RECORDINGS = ROOT.parent / "shared" / "recordings" / "sentences"
SECOND = np.zeros(16_000, np.int16)


def sound_events(
    pcm: bytes, rate: int = 16_000, width: int = 2, channels: int = 1, size: int = 2048
) -> Iterator[Event]:
    yield AudioStart(rate, width, channels).event()
    for at in range(0, len(pcm), size):
        yield AudioChunk(rate, width, channels, pcm[at : at + size]).event()
    yield AudioStop().event()


async def heard(uri: str, events: list[Event]) -> list[Event]:
    """The answer to a sound, up to `transcript-stop`."""
    async with AsyncClient.from_uri(uri) as client:
        for event in events:
            await client.write_event(event)
        answers = []
        while not answers or answers[-1].type != "transcript-stop":
            answer = await asyncio.wait_for(client.read_event(), 200)
            assert answer, f"the server left after {[e.type for e in answers]}"
            answers.append(answer)
        return answers


def test_the_words_come_while_the_sound_does(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        begin, *chunks, end = sound_events(SECOND.tobytes())
        async with AsyncClient.from_uri(uri) as client:
            asked = Transcribe(language="en-GB", context={"id": 7})
            for event in (asked.event(), begin, *chunks):
                await client.write_event(event)
            first = await client.read_event()
            assert first == Event("transcript-start", {"context": {"id": 7}, "language": "en"})
            assert TranscriptChunk.from_event(await client.read_event()).text == "sound"
            await client.write_event(end)
            assert TranscriptChunk.from_event(await client.read_event()).text == " sound"
            transcript = Transcript.from_event(await client.read_event())
            assert transcript == Transcript("sound sound", {"id": 7}, "en")
            assert (await client.read_event()).type == "transcript-stop"
            await client.write_event(Synthesize("A fox.").event())  # all else on the same one
            assert (await client.read_event()).type == "audio-start"
        assert not shared.listeners.locked()

    served(test, tmp_path, offer=HEARING)


@pytest.mark.parametrize(
    ("language", "code"), [(None, "en"), ("en_US", "en"), ("zh-CN", "zh"), ("zh", "zh")]
)
def test_the_language_chooses_the_model(language: str | None, code: str, tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        asked = Transcribe(language=language).event()
        *_, transcript, _ = await heard(uri, [asked, *sound_events(SECOND.tobytes())])
        assert transcript.data["language"] == code
        assert set(shared.transcribers) == {"en", code}  # the default one is loaded at the start

    served(test, tmp_path, offer=HEARING)


def test_what_cannot_be_heard_is_told_and_ends_in_an_empty_transcript(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        asked = Transcribe(language="de").event()
        error, _, transcript, _ = await heard(uri, [asked, *sound_events(SECOND.tobytes())])
        assert Error.from_event(error).text == "Sorry, I understand English and Chinese only."
        assert Transcript.from_event(transcript).text == ""

        def fail(language: str) -> FakeTranscriber:
            raise HearingModelError("The Vosk model is damaged.")

        shared.source.open_transcriber = fail
        asked = Transcribe(language="zh").event()
        error, _, transcript, _ = await heard(uri, [asked, *sound_events(SECOND.tobytes())])
        assert Error.from_event(error).text == "The Vosk model is damaged."
        assert Transcript.from_event(transcript).text == ""
        assert not shared.listeners.locked()

    served(test, tmp_path, Limits(sounds=1), HEARING)


def test_a_bug_in_mid_sound_is_told(tmp_path: Path) -> None:
    class Faulty(FakeTranscriber):
        def accept(self, pcm: bytes) -> str:
            raise RuntimeError("a bug with a fox")

        def begin(self) -> "Faulty":
            return self

    async def test(shared: Shared, uri: str) -> None:
        shared.transcribers["en"] = Faulty()
        events = await heard(uri, [*sound_events(SECOND.tobytes())])
        types = [event.type for event in events]
        assert types == ["transcript-start", "error", "transcript", "transcript-stop"]

    served(test, tmp_path, offer=HEARING)


def test_sounds_at_the_same_time_are_bounded_and_given_back(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        begin, *chunks, end = sound_events(SECOND.tobytes())
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(AsyncClient.from_uri(uri)) for _ in range(2)]
            for client in clients:
                for event in (begin, *chunks):
                    await client.write_event(event)
                assert (await client.read_event()).type == "transcript-start"
            error, _, transcript, _ = await heard(uri, [begin, *chunks, end])
            assert Error.from_event(error) == Error(ANSWERS["en"].busy, "busy")
            assert transcript.data["text"] == ""
        while shared.listeners.locked():  # the two have left in mid-sound
            await asyncio.sleep(0.01)
        *_, transcript, _ = await heard(uri, [begin, *chunks, end])
        assert transcript.data["text"] == "sound sound"
        events = [begin, *chunks, begin, *chunks, end]  # begun anew
        *_, transcript, _ = await heard(uri, events)
        assert transcript.data["text"] == "sound sound"
        assert len(shared.transcribers["en"].begun) == 5

    served(test, tmp_path, Limits(sounds=2), HEARING)


def test_a_silent_sound_does_not_last(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        async with AsyncClient.from_uri(uri) as client:
            await client.write_event(AudioStart(16_000, 2, 1).event())
            assert (await client.read_event()).type == "transcript-start"
            assert await client.read_event() is None
        assert not shared.listeners.locked()

    served(test, tmp_path, Limits(sounds=1, event_seconds=0.3), HEARING)


def test_of_an_endless_sound_a_part_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.wyoming.services.sounds.hearing.SOUND_SECONDS", 2)

    async def test(shared: Shared, uri: str) -> None:
        *_, transcript, _ = await heard(uri, [*sound_events(5 * SECOND.tobytes(), size=20_000)])
        assert transcript.data["text"] == "sound sound sound sound"

    served(test, tmp_path, offer=HEARING)


@pytest.mark.parametrize(
    "data",
    [
        {"rate": 16_000, "width": 2, "channels": 0},
        {"rate": 16_000, "width": 5, "channels": 1},
        {"rate": 100, "width": 2, "channels": 1},
        {"rate": "16000", "width": 2, "channels": 1},
        {"rate": True, "width": 2, "channels": 1},
        {},
    ],
)
def test_a_format_that_is_none_is_named(data: dict[str, object]) -> None:
    with pytest.raises(InvalidEventError, match=r"sound with a (rate|width|channels) that is not"):
        Converter().convert(Event("audio-chunk", data, b"\0" * 8))


def encoded(samples: np.ndarray, width: int) -> bytes:
    """Samples from -1 to 1 in so many bytes each."""
    if width == 1:
        return np.rint(samples * 127 + 128).astype(np.uint8).tobytes()
    whole = np.rint(samples * (2 ** (8 * width - 1) - 1)).astype("<i4")
    return whole.view(np.uint8).reshape(-1, 4)[:, :width].tobytes()


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (48_000, 2), (8_000, 1), (22_050, 3)])
def test_sound_of_any_format_is_converted(width: int, rate: int, channels: int) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 300 * np.arange(rate) / rate)
    frames = np.repeat(tone[:, None], channels, 1).ravel()
    converter = Converter()
    pcm = b""
    for event in list(sound_events(encoded(frames, width), rate, width, channels, 997))[1:-1]:
        pcm += converter.convert(event)  # frames are cut between two events
    pcm += converter.rest()
    found = np.frombuffer(pcm, "<i2") / 32768
    wanted = 0.5 * np.sin(2 * np.pi * 300 * np.arange(16_000) / 16_000)
    assert abs(len(found) - 16_000) <= 2
    inner = slice(500, 15_500)  # a resampler has edges
    assert np.abs(found[inner] - wanted[inner]).max() < 0.02


def test_the_service_is_told_where_there_is_a_model(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        (event,) = await ask(uri, Describe().event(), "info")
        (program,) = Info.from_event(event).asr
        assert program.name == "Afterword speech-to-text (English, Chinese)"
        assert program.supports_transcript_streaming
        told = [(model.name, model.version, model.languages) for model in program.models]
        assert told == [("small-en-0.15", "0.15", ["en"]), ("small-cn-0.22", "0.22", ["zh"])]

    served(test, tmp_path, offer=HEARING)
    assert describe(BOTH).asr == []


def test_services_that_are_off_are_not_told_and_refused_in_the_protocol(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        (event,) = await ask(uri, Describe().event(), "info")
        info = Info.from_event(event)
        assert (len(info.handle), len(info.tts), len(info.asr)) == (0, 0, 1)
        (event,) = await ask(uri, Synthesize("A fox.").event(), "error")
        assert Error.from_event(event) == Error("The service tts is switched off.", "off")
        (event,) = await ask(uri, Transcript("a fox").event(), "not-handled")
        assert event.data["text"] == "The service handle is switched off."
        *_, transcript, _ = await heard(uri, [*sound_events(SECOND.tobytes())])
        assert transcript.data["text"] == "sound sound"

    served(test, tmp_path, offer=replace(HEARING, services=frozenset({"asr"})))


def test_recognition_that_is_off_is_refused(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        (event,) = await ask(uri, Transcribe(language="en").event(), "error")
        assert Error.from_event(event) == Error("The service asr is switched off.", "off")

    served(test, tmp_path, offer=replace(BOTH, services=frozenset({"tts"})))


# Real speech


@pytest.fixture(scope="module")
def english(vosk_en: Path) -> Transcriber:
    return open_transcriber(vosk_en, "en", COMMANDS)


def real(test, tmp_path: Path, transcriber: Transcriber, language: str = "en") -> None:
    """Run a test against a server that hears with a real recogniser."""

    async def with_recogniser(shared: Shared, uri: str) -> None:
        shared.transcribers[language] = transcriber
        await test(shared, uri)

    served(with_recogniser, tmp_path, offer=HEARING, seconds=300)


def words_of(events: list[Event]) -> tuple[str, str]:
    """The text of the chunks, and that of the transcript."""
    chunks = "".join(event.data["text"] for event in events if event.type == "transcript-chunk")
    return chunks, events[-2].data["text"]


def recording(name: str) -> tuple[bytes, int, int]:
    with wave.open(str(ROOT / "tests" / "recordings" / name)) as file:
        assert file.getsampwidth() == 2
        return file.readframes(file.getnframes()), file.getframerate(), file.getnchannels()


@pytest.mark.parametrize("name", ["one-breath-man.wav", "stereo-44100.wav"])
def test_a_recording_of_any_format_is_recognised(
    name: str, tmp_path: Path, english: Transcriber
) -> None:
    async def test(shared: Shared, uri: str) -> None:
        pcm, rate, channels = recording(name)
        events = await heard(uri, [*sound_events(pcm, rate, 2, channels, 8192)])
        chunks, text = words_of(events)
        assert "once upon a time there" in text
        assert text.endswith("little fox")
        assert len(chunks.split()) > 5  # told while it came; the end may change them

    real(test, tmp_path, english)


@pytest.mark.parametrize("name", ["empty.wav", "silence"])
def test_nothing_is_heard_in_silence(name: str, tmp_path: Path, english: Transcriber) -> None:
    async def test(shared: Shared, uri: str) -> None:
        pcm = recording(name)[0] if name.endswith("wav") else bytes(96_000)
        assert words_of(await heard(uri, [*sound_events(pcm)])) == ("", "")

    real(test, tmp_path, english)


def test_chinese_words_are_joined(tmp_path: Path, vosk_zh: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        pcm, rate, channels = recording("chinese-reader.wav")
        asked = Transcribe(language="zh").event()
        _, text = words_of(await heard(uri, [asked, *sound_events(pcm, rate, 2, channels)]))
        assert len(text) > 5
        assert " " not in text

    real(test, tmp_path, open_transcriber(vosk_zh, "zh", CHINESE), "zh")


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="needs ../shared/recordings")
def test_real_people_are_understood(tmp_path: Path, english: Transcriber) -> None:
    lines = (RECORDINGS / "transcripts.tsv").read_text("utf-8").splitlines()
    spoken = dict(line.split("\t") for line in lines)
    names = sorted(spoken, key=lambda name: len(spoken[name]))[::12]  # short ones

    async def test(shared: Shared, uri: str) -> None:
        wrong = total = 0
        for name in names:
            samples, rate = soundfile.read(_file(name), dtype="int16")
            narrow = soxr.resample(samples, rate, 48_000) if name == names[0] else samples
            rate = 48_000 if name == names[0] else rate
            _, text = words_of(await heard(uri, [*sound_events(narrow.tobytes(), rate, size=9600)]))
            wrong += distance(text.split(), spoken[name].lower().split())
            total += len(spoken[name].split())
        assert wrong / total < 0.4, (wrong, total)

    real(test, tmp_path, english)


def _file(name: str) -> Path:
    return next(path for path in RECORDINGS.rglob("*.flac") if path.stem == Path(name).stem)


def distance(one: list[str], other: list[str]) -> int:
    """The least number of words to put, leave out or replace (Levenshtein)."""
    row = list(range(len(other) + 1))
    for at, word in enumerate(one, 1):
        before, row[0] = row[0], at
        for to, wanted in enumerate(other, 1):
            before, row[to] = row[to], min(row[to] + 1, row[to - 1] + 1, before + (word != wanted))
    return row[-1]
