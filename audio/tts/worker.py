"""The speech engine's own process: frames of text come in, WAV files go out.

`python -m audio.tts.worker --voice en-us --rate 150 --volume 0.9` speaks until its input ends;
`python -m audio.tts.worker --voices` lists the voices as JSON. The parent is audio/tts/engine.py.

A process of its own, because pyttsx3's espeak driver can hang, can be initialised only once, and
cannot be stopped from another thread: whoever is fed up with it kills it.
"""

import argparse
import ctypes
import json
import os
import struct
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, BinaryIO

from audio.tts.voices import Voices, resolve_voice
from config.errors import AfterwordError, ConfigError, SpeechError

# A frame is a header and a body. The magic word tells an answer from stray output.
HEADER = struct.Struct("<4scI")  # magic, kind, length of the body in bytes
MAGIC = b"ftwd"
TEXT = b"T"  # parent to child: UTF-8 text to render
PING = b"P"  # parent to child: are you there? The answer is another READY
READY = b"R"  # child to parent, at first: the settings are in force
SOUND = b"S"  # the text as a WAV file
REFUSED = b"C"  # a setting is wrong; the body is the sentence to show
FAILED = b"F"  # the engine cannot work; the body is the sentence to show

SLOWEST_WPM, FASTEST_WPM = 80, 450  # espeak clamps below 80 by itself
SETTING_ATTEMPTS = 20  # espeak loses about one setting in 200 to a race with its own thread


def frame(kind: bytes, body: bytes) -> bytes:
    """One message, ready to be written."""
    return HEADER.pack(MAGIC, kind, len(body)) + body


def load_espeak(bundled: bool) -> None:
    """Make sure that pyttsx3 finds an espeak-ng library.

    pyttsx3 asks the linker for `libespeak-ng.so.1`. Where the system has none (or `bundled` asks
    for it) the one of the espeakng-loader package is loaded first, by its path: the linker knows
    it by the same name from then on.

    Raises:
        SpeechError: there is no such library at all.
    """
    if not bundled:
        with suppress(OSError):
            ctypes.CDLL("libespeak-ng.so.1")
            return
    try:
        import espeakng_loader

        # The path to its data is compiled into the library; without this it aborts the process.
        os.environ["ESPEAK_DATA_PATH"] = espeakng_loader.get_data_path()
        ctypes.CDLL(espeakng_loader.get_library_path())
    except (ImportError, OSError, RuntimeError) as error:
        raise SpeechError(
            "No speech engine was found; install the Python package espeakng-loader, or "
            f"libespeak-ng (Debian and Ubuntu: `sudo apt-get install libespeak-ng1`) ({error})."
        ) from error


def list_voices(espeak: Any) -> Voices:
    """The voices of pyttsx3's espeak binding, which must be initialised."""
    # Each listing frees the one before, so copy the names out of it at once.
    ids = [voice.identifier.decode() for voice in espeak.ListVoices(None)]
    wanted = espeak.VOICE(languages=b"variant")
    variants = [voice.identifier.decode() for voice in espeak.ListVoices(ctypes.byref(wanted))]
    return Voices(tuple(ids), tuple(name.removeprefix("!v/") for name in variants))


def describe_voices(espeak: Any) -> list[dict[str, str]]:
    """Id, name and language of each voice; likewise."""
    return [
        {
            "id": voice.identifier.decode(),
            "name": voice.name.decode(),
            "language": voice.languages[1:].decode(),  # a byte of priority goes before it
        }
        for voice in espeak.ListVoices(None)
    ]


class Engine:
    """pyttsx3 with one voice, rate and volume for the life of the process.

    Setting them between utterances races with the synthesis, so they are set once, before it.
    """

    def __init__(self, voice: str, rate_wpm: int, volume: float) -> None:
        """Start the engine.

        Raises:
            ConfigError: there is no such voice.
            SpeechError: the engine did not take the settings.
        """
        import pyttsx3
        from pyttsx3.drivers import _espeak

        self._engine = pyttsx3.init("espeak")
        self._finished = threading.Event()
        self._engine.connect("finished-utterance", lambda **_: self._finished.set())
        # pyttsx3 only writes to named files. This one is in memory: nothing spoken touches the
        # disk, and nothing is left behind by a process that is killed.
        self._file = os.memfd_create("speech.wav")
        self._set(_espeak, voice, rate_wpm, volume)

    def _set(self, espeak: Any, voice: str, rate_wpm: int, volume: float) -> None:
        name = resolve_voice(voice, list_voices(espeak))
        rate = min(max(int(rate_wpm), SLOWEST_WPM), FASTEST_WPM)
        percent = round(min(max(volume, 0.0), 1.0) * 100)  # espeak distorts above 100
        wanted = (name, rate, percent)
        for _ in range(SETTING_ATTEMPTS):
            self._engine.setProperty("voice", name)
            self._engine.setProperty("rate", rate)
            self._engine.setProperty("volume", percent / 100)
            self._engine.runAndWait()  # the first one returns at once; it must not be a sentence
            espeak.Synchronize()
            if _in_force(espeak) == wanted:
                return
        raise SpeechError(
            f"The speech engine was asked for {wanted} but keeps to {_in_force(espeak)}."
        )

    def render(self, text: str) -> bytes:
        """The spoken text as a WAV file; `text` holds more than blanks."""
        self._finished.clear()
        self._engine.save_to_file(text, f"/proc/self/fd/{self._file}")
        self._engine.runAndWait()
        self._finished.wait()  # if this never ends, the parent ends us
        sound = os.pread(self._file, os.fstat(self._file).st_size, 0)
        os.ftruncate(self._file, 0)
        return sound


def _in_force(espeak: Any) -> tuple[str, int, int]:
    """Voice, words per minute and volume in percent; pyttsx3's getProperty tells the defaults."""
    current = 1  # as opposed to default
    voice = espeak.GetCurrentVoice().contents.identifier.decode()
    ask = espeak.dll.espeak_GetParameter
    return voice, ask(espeak.RATE, current), ask(espeak.VOLUME, current)


def serve(engine: Engine, requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer each text with its sound until the parent closes the pipe or dies."""
    answers.write(frame(READY, b""))
    answers.flush()
    while len(header := requests.read(HEADER.size)) == HEADER.size:
        magic, kind, length = HEADER.unpack(header)
        text = requests.read(length)
        if magic != MAGIC or kind not in (TEXT, PING) or len(text) != length:
            return
        if kind == PING:
            answers.write(frame(READY, b""))
        else:
            answers.write(frame(SOUND, engine.render(text.decode())))
        answers.flush()


def main(arguments: Sequence[str]) -> None:
    """Serve or list, as the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m audio.tts.worker", description=__doc__)
    parser.add_argument("--voices", action="store_true", help="list the voices as JSON and end")
    parser.add_argument("--bundled", action="store_true", help="use espeakng-loader's library")
    parser.add_argument("--voice", default="en-us")
    parser.add_argument("--rate", type=int, default=150, help="words per minute")
    parser.add_argument("--volume", type=float, default=1.0, help="0 to 1")
    options = parser.parse_args(arguments)

    # pyttsx3 prints to standard output, which is ours: keep it for the frames alone.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    try:
        load_espeak(options.bundled)
        if options.voices:
            answers.write(_voices_as_json())
        else:
            engine = Engine(options.voice, options.rate, options.volume)
            serve(engine, sys.stdin.buffer, answers)
    except AfterwordError as error:
        kind = REFUSED if isinstance(error, ConfigError) else FAILED
        answers.write(frame(kind, str(error).encode()))
    answers.flush()


def _voices_as_json() -> bytes:
    """What `--voices` prints."""
    import pyttsx3
    from pyttsx3.drivers import _espeak

    engine = pyttsx3.init("espeak")  # held: it is what keeps the driver alive
    voices = list_voices(_espeak)
    details = describe_voices(_espeak)
    del engine
    listing = {"voices": voices.ids, "variants": voices.variants, "details": details}
    return (json.dumps(listing, indent=2) + "\n").encode()


if __name__ == "__main__":
    with suppress(BrokenPipeError):  # the parent died
        main(sys.argv[1:])
    os._exit(0)  # espeak's threads and pyttsx3's destructors are better not waited for
