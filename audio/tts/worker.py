"""The speech engine's process: frames of text come in, WAV files go out.

`python -m audio.tts.worker --voice en-us --rate 150 --volume 0.9` speaks until its input ends;
with `--say TEXT` espeak-ng speaks that alone; `python -m audio.tts.worker --voices` lists the
voices as JSON. The parent is audio/tts/engine.py.

This file is the protocol alone; what it speaks with is a driver of audio/tts/drivers/.
"""

import argparse
import json
import os
import struct
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from audio.tts.drivers import espeak
from audio.tts.neural.engines import installed, is_neural
from config.errors import AfterwordError, ConfigError

# A frame is a header and a body. The magic word tells an answer from stray output.
HEADER = struct.Struct("<4scI")  # magic, kind, length of the body in bytes
MAGIC = b"ftwd"
SPLIT = b"L"  # parent to worker: UTF-8 text to cut into pieces
PIECES = b"L"  # worker to parent: the pieces as a JSON list
TEXT = b"T"  # parent to worker: UTF-8 text to synthesize, a piece
PING = b"P"  # parent to worker: health check, answered by another READY
READY = b"R"  # worker to parent, at first: the settings are in force; its pace as JSON
SOUND = b"S"  # worker to parent: the speech as a WAV file
REFUSED = b"C"  # a setting is wrong; the body is the error message
FAILED = b"F"  # the engine cannot work; the body is the error message


class Driver(Protocol):
    """A voice engine with one voice, rate and volume for the life of the process."""

    @property
    def seconds_per_character(self) -> float:
        """How long the synthesis takes on this machine, measured at the start."""

    def split(self, text: str) -> list[str]:
        """Cut a text into pieces that the engine speaks whole, and soon."""

    def synthesize(self, text: str) -> bytes:
        """The speech of a piece as a WAV file, mono and 16-bit; it holds more than blanks."""


def frame(kind: bytes, body: bytes) -> bytes:
    """One message, ready to be written."""
    return HEADER.pack(MAGIC, kind, len(body)) + body


def serve(driver: Driver, requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer each text with its pieces or its speech until the parent closes the pipe or dies."""
    pace = {"seconds_per_character": driver.seconds_per_character}
    answers.write(frame(READY, json.dumps(pace).encode()))
    answers.flush()
    while len(header := requests.read(HEADER.size)) == HEADER.size:
        magic, kind, length = HEADER.unpack(header)
        text = requests.read(length)
        if magic != MAGIC or kind not in (SPLIT, TEXT, PING) or len(text) != length:
            return
        answers.write(_answer(driver, kind, text.decode()))
        answers.flush()


def _answer(driver: Driver, kind: bytes, text: str) -> bytes:
    """The answer to a request; a fault of the engine ends the process."""
    try:
        if kind == PING:
            return frame(READY, b"")
        if kind == SPLIT:
            return frame(PIECES, json.dumps(driver.split(text)).encode())
        return frame(SOUND, driver.synthesize(text))
    except AfterwordError:
        raise
    except Exception as error:
        # The message itself may hold what was to be spoken, and the parent logs the last line.
        place = traceback.extract_tb(error.__traceback__)[-1]
        fault = f"{type(error).__name__} in {Path(place.filename).name}, line {place.lineno}"
        print(fault, file=sys.stderr, flush=True)
        os._exit(1)


def open_driver(options: argparse.Namespace) -> Driver:
    """The driver of the engine that has the voice.

    Raises:
        ConfigError: there is no such voice.
        SpeechError: the engine cannot work.
    """
    settings = (options.voice, options.rate, options.volume)
    if is_neural(options.voice):
        from audio.tts.drivers.neural import NeuralDriver

        return NeuralDriver(*settings, bundled=options.bundled)
    return espeak.EspeakDriver(*settings, bundled=options.bundled)


def list_voices(bundled: bool) -> dict[str, Any]:
    """The voices of all engines, and the variants of espeak-ng's; for JSON.

    Raises:
        SpeechError: there is no library of espeak-ng.
    """
    neural = [vars(voice) for voice in installed()]
    listing = espeak.voice_listing(bundled=bundled)
    return {**listing, "details": neural + listing["details"]}


def main(arguments: Sequence[str]) -> None:
    """Serve or list, as the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m audio.tts.worker", description=__doc__)
    parser.add_argument("--voices", action="store_true", help="list the voices as JSON and end")
    parser.add_argument("--bundled", action="store_true", help="use espeakng-loader's library")
    parser.add_argument("--say", help="write this, spoken by espeak-ng, as a WAV file")
    parser.add_argument("--voice", default="en-us")
    parser.add_argument("--rate", type=int, default=150, help="words per minute")
    parser.add_argument("--volume", type=float, default=1.0, help="0 to 1")
    options = parser.parse_args(arguments)

    # Standard output carries frames alone; pyttsx3 prints to it, so it gets /dev/null instead.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    try:
        if options.voices:
            answers.write((json.dumps(list_voices(options.bundled), indent=2) + "\n").encode())
        elif options.say:
            settings = (options.voice, options.rate, options.volume)
            driver = espeak.EspeakDriver(*settings, bundled=options.bundled)
            answers.write(driver.synthesize(options.say))
        else:
            serve(open_driver(options), sys.stdin.buffer, answers)
    except AfterwordError as error:
        kind = REFUSED if isinstance(error, ConfigError) else FAILED
        answers.write(frame(kind, str(error).encode()))
    answers.flush()


if __name__ == "__main__":
    with suppress(BrokenPipeError):  # the parent died
        main(sys.argv[1:])
    os._exit(0)  # without waiting for espeak's threads and pyttsx3's destructors
