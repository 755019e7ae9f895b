"""Latency through the Wyoming service, as for Home Assistant: `python -m daemon.bench --wyoming`.

    speech ─→ asr ─→ transcript ─→ handle ─→ first sentence … whole text ─→ tts ─→ first sound

The sound is sent as fast as it is spoken. Home Assistant takes a pause for the end of what is said,
and ends the sound then. It waits for the whole text before it has it spoken. So does this client.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audio.pcm import CHUNK_SECONDS, SAMPLE_RATE, Samples
from config.errors import ControlError
from daemon.bench import speech

if TYPE_CHECKING:  # of an extra
    from wyoming.client import AsyncClient
    from wyoming.event import Event

START_SECONDS = 300.0  # at most, to load the models
ANSWER_SECONDS = 120.0  # at most, for an event
SILENCE_SECONDS = 0.7  # Home Assistant's default for "finished speaking"
_VOICED = 300  # of 32,768: samples above it are of the voice


@dataclass(frozen=True)
class Passage:
    """One utterance; all in seconds since its last voiced sample was sent."""

    voice_to_transcript: float
    voice_to_sentence: float
    voice_to_text: float
    voice_to_sound: float


def measure(turns: int, flags: Sequence[str]) -> list[Passage]:
    """Speak `turns` utterances to a service of its own; those that are not answered are left out.

    Raises:
        MissingPackageError: the package `wyoming` is not installed.
        ControlError: the service does not start.
    """
    from daemon.wyoming.library import check_library

    check_library()
    utterances = [
        speech.speak(speech.VOICES[number % len(speech.VOICES)], [seed])[0]
        for number, seed in enumerate(speech.SEEDS)
    ]
    with _service(flags) as uri:
        found = [
            asyncio.run(_passage(uri, utterances[turn % len(utterances)])) for turn in range(turns)
        ]
    return [passage for passage in found if passage]


@contextmanager
def _service(flags: Sequence[str]) -> Iterator[str]:
    """Start a service; yields its URI once it is ready."""
    settings = [part for flag in flags for part in ("--set", flag)]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder) / "wyoming.sock"
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "daemon", "wyoming", "--uri", f"unix://{path}", *settings],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        try:
            _wait_until_served(process)
            yield f"unix://{path}"
        finally:
            process.terminate()
            process.communicate()


def _wait_until_served(process: "subprocess.Popen[str]") -> None:
    said = []
    for line in process.stderr or ():
        said.append(line)
        if "are served" in line:
            return
    raise ControlError(f"The Wyoming service does not come up: {''.join(said).strip()}")


async def _passage(uri: str, utterance: Samples) -> Passage | None:
    """Speak one utterance, have it continued and spoken; None if there is no answer."""
    from wyoming.asr import Transcribe, Transcript
    from wyoming.client import AsyncClient
    from wyoming.tts import SynthesizeChunk, SynthesizeStart, SynthesizeStop

    async with AsyncClient.from_uri(uri) as client:
        await client.write_event(Transcribe(language="en").event())
        last_voice = await _speak(client, utterance)
        text = (await _next(client, "transcript")).data.get("text", "")
        transcribed = time.monotonic()
        await client.write_event(Transcript(text).event())
        answer = await _next(client, "handled-chunk", "handled-stop")
        sentence_at = time.monotonic()
        if answer.type == "handled-stop":
            return None
        whole = (await _next(client, "handled", "not-handled")).data["text"]
        text_at = time.monotonic()
        async with AsyncClient.from_uri(uri) as speaking:
            await speaking.write_event(SynthesizeStart().event())
            await speaking.write_event(SynthesizeChunk(whole).event())
            await speaking.write_event(SynthesizeStop().event())
            await _next(speaking, "audio-chunk")
            return Passage(
                *(
                    round(at - last_voice, 3)
                    for at in (transcribed, sentence_at, text_at, time.monotonic())
                )
            )


async def _speak(client: "AsyncClient", utterance: Samples) -> float:
    """Send a sound and the pause behind it as time goes by; when its last voice was sent."""
    from wyoming.audio import AudioChunk, AudioStart, AudioStop

    size = round(CHUNK_SECONDS * SAMPLE_RATE)
    samples = np.concatenate([utterance, np.zeros(int(SILENCE_SECONDS * SAMPLE_RATE), np.int16)])
    voiced = np.flatnonzero(np.abs(utterance.astype(np.int32)) > _VOICED)
    last = (voiced[-1] if len(voiced) else len(utterance)) / SAMPLE_RATE
    # The pause begins at the last voiced sample; silence of the file belongs to it.
    samples = samples[: int((last + SILENCE_SECONDS) * SAMPLE_RATE)]
    await client.write_event(AudioStart(SAMPLE_RATE, 2, 1).event())
    begin = time.monotonic()
    for at in range(0, len(samples), size):
        chunk = samples[at : at + size].astype("<i2").tobytes()
        await asyncio.sleep(max(0.0, begin + (at + size) / SAMPLE_RATE - time.monotonic()))
        await client.write_event(AudioChunk(SAMPLE_RATE, 2, 1, chunk).event())
    await client.write_event(AudioStop().event())
    return begin + last


async def _next(client: "AsyncClient", *types: str) -> "Event":
    """The next event of one of these types.

    Raises:
        ControlError: the service has left, or says nothing.
    """
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            while (event := await client.read_event()) is not None:
                if event.type in types:
                    return event
    except TimeoutError as error:
        raise ControlError("The Wyoming service does not answer.") from error
    raise ControlError("The Wyoming service has ended.")
