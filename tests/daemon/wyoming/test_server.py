import asyncio
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from wyoming.asr import Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.handle import Handled, HandledChunk, HandledStart, HandledStop, NotHandled
from wyoming.info import Describe, Info
from wyoming.tts import Synthesize

from config.errors import MissingPackageError, SpeechError, WeightsError
from daemon.wyoming.library import OLDEST_LIBRARY, check_library
from daemon.wyoming.services.answers import ANSWERS
from daemon.wyoming.services.offer import SERVICES
from daemon.wyoming.services.shared import Shared
from tests.daemon.wyoming.peers import (
    SENTENCES,
    FakeEngine,
    FakeGenerator,
    ask,
    free_port,
    served,
    warnings,
)
from tests.support.program import ROOT, afterword


def test_it_tells_what_it_can_do(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        (event,) = await ask(uri, Describe().event(), "info")
        info = Info.from_event(event)
        assert [p.name for p in info.handle] == ["Afterword (English)"]
        assert info.handle[0].models[0].languages == ["en"]
        assert info.handle[0].supports_handled_streaming
        assert [v.name for v in info.tts[0].voices] == ["hibari"]
        assert info.asr == []

    served(test, tmp_path)


def test_a_text_is_continued_sentence_by_sentence(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        asked = Transcript("the old sailor", context={"id": 7})
        events = await ask(uri, asked.event(), "handled-stop")
        assert HandledStart.is_type(events[0].type)
        chunks = [HandledChunk.from_event(e).text for e in events[1:-2]]
        assert chunks == ["was old.", " He smiled.", " The end."]
        handled = Handled.from_event(events[-2])
        assert handled == Handled("was old. He smiled. The end.", {"id": 7})
        assert HandledStop.is_type(events[-1].type)
        assert isinstance(shared.generators["en"], FakeGenerator)
        assert shared.generators["en"].seeds == ["the old sailor"]

    served(test, tmp_path)


def test_a_text_is_spoken(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        events = await ask(uri, Synthesize("A fox.").event(), "audio-stop")
        assert AudioStart.from_event(events[0]) == AudioStart(22050, 2, 1)
        chunks = [AudioChunk.from_event(e) for e in events[1:-1]]
        assert b"".join(c.audio for c in chunks) == FakeEngine().synthesize("A fox.").tobytes()
        assert {(c.rate, c.width, c.channels) for c in chunks} == {(22050, 2, 1)}
        assert AudioStop.is_type(events[-1].type)

    served(test, tmp_path)


def test_clients_are_served_one_after_another(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        asked = [ask(uri, Transcript(f"fox {n}").event(), "handled-stop") for n in range(8)]
        spoken = [ask(uri, Synthesize("A fox.").event(), "audio-stop") for _ in range(4)]
        answers = await asyncio.gather(*asked, *spoken)
        assert all(Handled.from_event(a[-2]).text for a in answers[:8])
        assert isinstance(shared.generators["en"], FakeGenerator)
        assert shared.generators["en"].most_at_once == 1
        assert sorted(shared.generators["en"].seeds) == [f"fox {n}" for n in range(8)]

    served(test, tmp_path)


@pytest.mark.parametrize("seed", ["", " … ", "fail"])
def test_what_cannot_be_continued_is_told(seed: str, tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        events = await ask(uri, Transcript(seed).event(), "not-handled")
        told = NotHandled.from_event(events[-1]).text
        assert told in (ANSWERS["en"].no_words, ANSWERS["en"].failed)
        await ask(uri, Transcript("a fox").event(), "handled-stop")  # others are still served

    served(test, tmp_path)


def test_of_a_long_text_the_end_is_continued(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        await ask(uri, Transcript("Once " + "upon " * 500 + "a time").event(), "handled-stop")
        (seed,) = shared.generators["en"].seeds
        assert seed == ("upon " * 500 + "a time")[-1996:]  # from a whole word

    served(test, tmp_path)


def test_a_long_text_is_spoken(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        spoken = []
        shared.engine.stream = lambda text: iter([(spoken.append(text), np.ones(9, np.int16))])
        text = "A fox. " * 5000
        await ask(uri, Synthesize(text).event(), "audio-stop")
        assert spoken == [text]

    served(test, tmp_path)


@pytest.mark.parametrize("text", ["", "..."])
def test_a_text_without_sound_is_a_moment_of_silence(text: str, tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        shared.engine.stream = lambda text: iter([(text, np.zeros(0, np.int16))] if text else [])
        begin, *chunks, end = await ask(uri, Synthesize(text).event(), "audio-stop")
        assert (begin.type, end.type) == ("audio-start", "audio-stop")
        sound = b"".join(AudioChunk.from_event(event).audio for event in chunks)
        assert sound == bytes(2 * 22050 // 5)

    served(test, tmp_path)


def test_messages_of_other_services_are_passed_over(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        async with AsyncClient.from_uri(uri) as client:
            await client.write_event(Event("audio-chunk", {"rate": 1}, b"\0" * 1000))
            await client.write_event(Describe().event())
            answer = await client.read_event()
            assert answer is not None
            assert answer.type == "info"

    served(test, tmp_path)


def test_a_peer_that_leaves_does_not_hold_up_the_next(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        async with AsyncClient.from_uri(uri) as client:
            await client.write_event(Transcript("first").event())
            await client.read_event()
        await ask(uri, Transcript("second").event(), "handled-stop")

    served(test, tmp_path)


@contextmanager
def program(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "daemon", "wyoming", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield process
        finally:
            process.terminate()


@pytest.mark.slow
def test_a_conversation_with_the_real_program() -> None:
    port = free_port()

    async def talk() -> None:
        uri = f"tcp://127.0.0.1:{port}"
        events = await ask(uri, Transcript("the old sailor").event(), "handled-stop")
        text = Handled.from_event(events[-2]).text
        assert text
        assert len(re.findall(r"\w+", text)) > 5
        spoken = await ask(uri, Synthesize(text).event(), "audio-stop")
        sound = b"".join(AudioChunk.from_event(e).audio for e in spoken[1:-1])
        samples = np.frombuffer(sound, np.int16)
        assert len(samples) > 22050  # over a second
        assert np.abs(samples).max() > 3000

    deaf = ("--without", "asr", "--without", "wake")
    with program("--uri", f"tcp://127.0.0.1:{port}", *deaf) as process:
        assert process.stderr is not None
        assert f"tcp://127.0.0.1:{port}" in process.stderr.readline()
        asyncio.run(talk())
        process.terminate()
        assert process.wait(20) == 0
        assert process.stderr.read() == ""


def test_a_server_without_a_service_is_refused() -> None:
    done = afterword("wyoming", *[f"--without={service}" for service in SERVICES])
    assert (done.code, done.out) == (2, "")
    assert "--without leaves no service." in done.err


def test_an_open_door_is_refused_by_the_program() -> None:
    done = afterword("wyoming", "--uri", "tcp://0.0.0.0:10750")
    assert (done.code, done.out) == (77, "")
    assert "--expose" in done.err


def test_after_a_device_error_the_next_text_is_continued_on_the_cpu(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        on_gpu = shared.generators["en"]
        *_, answer, _ = await ask(uri, Transcript("gpu").event(), "handled-stop")
        assert (answer.type, answer.data["text"]) == ("not-handled", ANSWERS["en"].failed)
        assert shared.generators["en"] is not on_gpu
        *_, answer, _ = await ask(uri, Transcript("the fox").event(), "handled-stop")
        assert answer.data["text"] == " ".join(SENTENCES)

    served(test, tmp_path)


def test_a_model_that_cannot_be_loaded_on_the_cpu_either_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> FakeGenerator:
        raise WeightsError("The weights are gone.")

    async def test(shared: Shared, uri: str) -> None:
        shared.source.load_generator = fail
        *_, answer, _ = await ask(uri, Transcript("gpu").event(), "handled-stop")
        assert (answer.type, answer.data["text"]) == ("not-handled", ANSWERS["en"].failed)

    served(test, tmp_path)
    assert "The weights are gone." in warnings(caplog)[-1]


def test_an_error_of_our_own_leaves_no_peer_without_an_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> NoReturn:
        raise RuntimeError("a bug with a fox")

    async def test(shared: Shared, uri: str) -> None:
        shared.generators["en"].continue_text = fail
        shared.engine.stream = fail
        events = await ask(uri, Transcript("a fox").event(), "handled-stop")
        assert [event.type for event in events] == ["handled-start", "not-handled", "handled-stop"]
        (event,) = await ask(uri, Synthesize("A fox.").event(), "error")
        assert "its log has more" in Error.from_event(event).text

    served(test, tmp_path)
    logged = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
    assert [line.partition(",")[0] for line in logged] == [
        f"A text could not be continued: RuntimeError in {__file__}",
        f"A text could not be spoken: RuntimeError in {__file__}",
    ]
    assert not any(r.exc_info for r in caplog.records if r.levelname != "DEBUG")  # no words


def test_speech_that_fails_is_told(tmp_path: Path) -> None:
    def fail(text: str) -> NoReturn:
        raise SpeechError("The speech engine is gone.")

    async def test(shared: Shared, uri: str) -> None:
        shared.engine.stream = fail
        event, *silence = await ask(uri, Synthesize("A fox.").event(), "audio-stop")
        assert Error.from_event(event) == Error("The speech engine is gone.", "SpeechError")
        assert len(silence) > 2

    served(test, tmp_path)


def test_speech_that_fails_in_mid_stream_is_told_and_ends(tmp_path: Path) -> None:
    def speak(text: str) -> Iterator[tuple[str, np.ndarray]]:
        yield text, np.zeros(10, np.int16)
        raise SpeechError("The speech engine is gone.")

    async def test(shared: Shared, uri: str) -> None:
        shared.engine.stream = speak
        events = await ask(uri, Synthesize("A fox.").event(), "audio-stop")
        types = [event.type for event in events]
        assert types == ["audio-start", "audio-chunk", "error", "audio-stop"]

    served(test, tmp_path)


def test_an_older_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for version, accepted in {
        "1.5.4": False,
        "1.7.1": False,
        "1.7.2": True,
        "2.0rc1": True,
    }.items():
        monkeypatch.setattr("importlib.metadata.version", lambda _, version=version: version)
        if accepted:
            check_library()
            continue
        with pytest.raises(MissingPackageError) as refused:
            check_library()
        assert f"in version 1.7.2 or newer, and {version} is installed" in str(refused.value)


def test_the_oldest_library_is_the_declared_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    oldest = ".".join(map(str, OLDEST_LIBRARY))
    assert project["optional-dependencies"]["wyoming"] == [f"wyoming>={oldest}"]
