"""Texts that come in parts are spoken sentence by sentence."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from wyoming.asr import Transcript
from wyoming.audio import AudioChunk
from wyoming.client import AsyncClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop

from daemon.wyoming.events import Limits
from daemon.wyoming.services.shared import Shared
from tests.daemon.wyoming.peers import ask, served
from tests.daemon.wyoming.test_limits import HeldGenerator

PAUSE = bytes(2 * round(0.35 * 22050))


def speak(shared: Shared) -> list[str]:
    """Let the engine say each text in samples of its length; the texts."""
    spoken = []

    def stream(text: str) -> Iterator[tuple[str, np.ndarray]]:
        spoken.append(text)
        yield text, np.full(len(text), len(text), np.int16)

    shared.engine.stream = stream
    return spoken


async def events_until(client: AsyncClient, last: str) -> list[Event]:
    events = []
    while not events or events[-1].type != last:
        event = await asyncio.wait_for(client.read_event(), 30)
        assert event, f"the server left after {[e.type for e in events]}"
        events.append(event)
    return events


async def send(client: AsyncClient, *texts: str) -> None:
    for text in texts:
        await client.write_event(SynthesizeChunk(text).event())


def sound(events: list[Event]) -> bytes:
    return b"".join(AudioChunk.from_event(e).audio for e in events if e.type == "audio-chunk")


def said(text: str) -> bytes:
    return np.full(len(text), len(text), np.int16).tobytes()


def test_a_text_in_parts_is_told_to_be_possible(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        (event,) = await ask(uri, Describe().event(), "info")
        assert Info.from_event(event).tts[0].supports_synthesize_streaming

    served(test, tmp_path)


def test_a_sentence_is_spoken_before_the_text_has_ended(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        spoken = speak(shared)
        async with AsyncClient.from_uri(uri) as client:
            await client.write_event(SynthesizeStart().event())
            await send(client, "A fox ", "ran. ", "It")
            first = await events_until(client, "audio-chunk")
            assert (sound(first), spoken) == (said("A fox ran."), ["A fox ran."])
            await send(client, " slept. “No", "!” said Mr. ", "Fox. The end")
            whole = "A fox ran. It slept. “No!” said Mr. Fox. The end"
            await client.write_event(Synthesize(whole).event())  # as Home Assistant repeats it
            await client.write_event(SynthesizeStop().event())
            rest = await events_until(client, "synthesize-stopped")
            assert spoken == ["A fox ran.", "It slept.", "“No!” said Mr. Fox.", "The end"]
            assert sound(rest) == b"".join(PAUSE + said(text) for text in spoken[1:])
            types = [e.type for e in (*first, *rest) if e.type != "audio-chunk"]
            assert types == ["audio-start", "audio-stop", "synthesize-stopped"]
            await client.write_event(Synthesize("A hen.").event())  # a text of its own again
            assert sound(await events_until(client, "audio-stop")) == said("A hen.")

    served(test, tmp_path)


def test_a_sentence_with_a_blank_behind_it_waits_for_no_other(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        spoken = speak(shared)
        async with AsyncClient.from_uri(uri) as client:
            await client.write_event(SynthesizeStart().event())
            await send(client, "A fox ran. ")
            assert sound(await events_until(client, "audio-chunk")) == said("A fox ran.")
            await send(client, "So did Mr. ", "Hen in No. ", "5. ")
            await events_until(client, "audio-chunk")
            await send(client, "“Why?” ", "asked the fox. ")
            await client.write_event(SynthesizeStop().event())
            await events_until(client, "synthesize-stopped")
        assert spoken == ["A fox ran.", "So did Mr. Hen in No. 5.", "“Why?” asked the fox."]

    served(test, tmp_path)


@pytest.mark.parametrize("texts", [[], [""], ["...", " …"]])
def test_parts_without_sound_are_a_moment_of_silence(texts: list[str], tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        speak(shared)
        async with AsyncClient.from_uri(uri) as client:
            await client.write_event(SynthesizeStart().event())
            await send(client, *texts)
            await client.write_event(SynthesizeStop().event())
            events = await events_until(client, "synthesize-stopped")
            assert sound(events) == bytes(2 * 22050 // 5)
            assert [events[0].type, events[-2].type] == ["audio-start", "audio-stop"]

    served(test, tmp_path)


def test_parts_without_the_end_of_a_sentence_do_not_pile_up(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        spoken = speak(shared)
        async with AsyncClient.from_uri(uri) as client:
            await client.write_event(SynthesizeStart().event())
            await send(client, *["and on " * 50] * 3)
            await events_until(client, "audio-chunk")
            assert [len(text) for text in spoken] == [3 * 350 - 1]

    served(test, tmp_path)


def test_a_busy_server_ends_a_text_in_parts_in_the_protocol(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        spoken = speak(shared)
        shared.generators["en"] = generator = HeldGenerator(sentences=1)
        asked = asyncio.create_task(ask(uri, Transcript("a fox").event(), "handled-stop"))
        assert await asyncio.to_thread(generator.begun.wait, 60)
        async with AsyncClient.from_uri(uri) as client:
            await client.write_event(SynthesizeStart().event())
            await send(client, "A fox ran. It slept.")
            await client.write_event(SynthesizeStop().event())
            first, *rest = await events_until(client, "synthesize-stopped")
            assert Error.from_event(first).code == "busy"
            assert (sound(rest), spoken) == (bytes(2 * 22050 // 5), [])
        generator.held.set()
        await asked

    served(test, tmp_path, Limits(requests=1))


def test_parts_without_a_beginning_are_passed_over(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        async with AsyncClient.from_uri(uri) as client:
            await send(client, "A fox. It")
            await client.write_event(SynthesizeStop().event())
            await client.write_event(Ping("7").event())
            assert await client.read_event() == Event("pong", {"text": "7"})

    served(test, tmp_path)


@pytest.mark.parametrize("text", ["a", None, 5])
def test_a_ping_is_answered(text: object, tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        (event,) = await ask(uri, Event("ping", {"text": text}), "pong")
        assert event.data == {"text": text if isinstance(text, str) else None}

    served(test, tmp_path)
