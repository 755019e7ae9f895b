"""Driver for espeak-ng, through pyttsx3.

pyttsx3's driver can hang, can be initialised only once in a process, and cannot be stopped from
another thread, so it runs in the worker process, which the parent kills when it hangs.
"""

import ctypes
import os
import re
import threading
from contextlib import suppress
from typing import Any

from audio.tts.english import spoken_form
from audio.tts.neural.engines import known_names
from audio.tts.text import split_until
from audio.tts.voices import Voices, resolve_voice
from config.errors import SpeechError
from config.languages import HAN

# espeak-ng silently leaves out the rest of a clause or word beyond the sizes of its buffers
# (translate.h, synthesize.h); these limits keep a whole piece below them.
MAX_SOURCE_BYTES = 750  # N_TR_SOURCE is 800; counted with a blank after each character
MAX_WORDS = 250  # N_CLAUSE_WORDS is 300
MAX_PHONEMES = 700  # N_PHONEME_LIST is 1000, with pauses and switches of language
MAX_WORD_PHONEMES = 100  # N_WORD_PHONEMES is 200, with stress marks; the name of an emoji is a word
LONG_WORD = re.compile(rf"[^\s{HAN}]{{81}}")  # N_WORD_BYTES is 160
_UTF8 = 1  # text mode
_SEPARATOR = b"_"
_SEPARATED = ord(_SEPARATOR) << 8  # phoneme mode

SETTING_ATTEMPTS = 20  # in case that espeak loses one to a race with its own thread
SYNTHESIS_ATTEMPTS = 5  # in case that pyttsx3 cancels one in such a race


class EspeakDriver:
    """pyttsx3 with one voice, rate and volume, until `change_voice`."""

    seconds_per_character = 0.0  # less than can be measured

    def __init__(self, voice: str, rate_wpm: int, volume: float, *, bundled: bool = False) -> None:
        """Start the engine.

        Args:
            voice: a name that `resolve_voice` knows.
            rate_wpm: words per minute, 80 to 450; the caller clamps (config.settings).
            volume: 0 to 1; espeak distorts above that.
            bundled: use espeakng-loader's library even where the system has one.

        Raises:
            ConfigError: there is no such voice.
            SpeechError: there is no library, or it did not take the settings.
        """
        load_library(bundled)
        self._engine, self._espeak = _start_pyttsx3()
        self._finished = threading.Event()
        self._cancelled = False
        self._engine.connect("finished-utterance", self._note_end)
        # pyttsx3 only writes to named files. This one is in memory: no speech touches the disk,
        # and a killed process leaves nothing behind.
        self._file = os.memfd_create("speech.wav")
        self._rate_wpm = rate_wpm
        self._percent = round(volume * 100)
        # The first loop of pyttsx3 must not be a sentence: it returns at once. It cancels what
        # espeak's thread is doing, so it comes before the settings, and it is not repeated:
        # a second one without a sentence never returns.
        self._espeak.Synchronize()
        self._engine.runAndWait()
        self.change_voice(voice)

    def change_voice(self, voice: str) -> None:
        """Speak with another voice from now on; between utterances only.

        Raises:
            ConfigError: there is no such voice.
            SpeechError: the library did not take the settings.
        """
        found = resolve_voice(voice, list_voices(self._espeak), known_names)
        self._is_english = _language_of(self._espeak, found).partition("-")[0] == "en"
        wanted = (found, self._rate_wpm, self._percent)
        self._espeak.Synchronize()  # settings race with the thread of the synthesis
        for _ in range(SETTING_ATTEMPTS):
            self._engine.setProperty("voice", found)
            self._engine.setProperty("rate", self._rate_wpm)
            self._engine.setProperty("volume", self._percent / 100)
            self._espeak.Synchronize()
            if _settings_in_force(self._espeak) == wanted:
                return
        raise SpeechError(
            f"The speech engine was asked for {wanted} but keeps to "
            f"{_settings_in_force(self._espeak)}."
        )

    def _note_end(self, completed: bool, **_: Any) -> None:
        self._cancelled = self._cancelled or not completed  # a cancelled one may end twice
        self._finished.set()

    def split(self, text: str) -> list[str]:
        """Cut a text into pieces of up to 375 characters, every word of which is spoken.

        English is written out before, for espeak-ng reads "$3.50" and "Henry VIII" wrongly.
        """
        spoken = spoken_form(text).strip() if self._is_english else text
        return split_until(spoken, self._fits)

    def _fits(self, text: str) -> bool:
        """True if espeak-ng's buffers hold all of the text."""
        if len(text.encode()) + len(text) > MAX_SOURCE_BYTES or LONG_WORD.search(text):
            return False
        words = _phonemes_of_words(self._espeak, text)
        return (
            len(words) <= MAX_WORDS
            and sum(words) <= MAX_PHONEMES
            and max(words, default=0) <= MAX_WORD_PHONEMES
        )

    def synthesize(self, text: str) -> bytes:
        """The speech as a WAV file; `text` must hold more than blanks."""
        for _ in range(SYNTHESIS_ATTEMPTS):
            # pyttsx3 cancels an utterance that it begins while espeak's thread is still busy.
            self._espeak.Synchronize()
            self._cancelled = False
            self._finished.clear()
            self._engine.save_to_file(text, f"/proc/self/fd/{self._file}")
            self._engine.runAndWait()
            self._finished.wait()  # without a timeout: the parent kills a process that hangs
            if not self._cancelled:
                break
        sound = os.pread(self._file, os.fstat(self._file).st_size, 0)
        os.ftruncate(self._file, 0)
        return sound


def load_library(bundled: bool) -> None:
    """Load an espeak-ng library that pyttsx3 then finds.

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
    """Ids and variants that pyttsx3's espeak binding reports; it must be initialised."""
    # Each listing frees the one before, so copy the names out of it at once.
    ids = [voice.identifier.decode() for voice in espeak.ListVoices(None)]
    wanted = espeak.VOICE(languages=b"variant")
    variants = [voice.identifier.decode() for voice in espeak.ListVoices(ctypes.byref(wanted))]
    return Voices(tuple(ids), tuple(name.removeprefix("!v/") for name in variants))


def voice_listing(*, bundled: bool = False) -> dict[str, Any]:
    """All voices and variants, and id, name and language of each voice; for JSON.

    Raises:
        SpeechError: there is no library.
    """
    load_library(bundled)
    engine, espeak = _start_pyttsx3()  # the reference keeps the driver alive
    voices = list_voices(espeak)
    version = _version(espeak)
    details = [
        {
            "version": version,
            "id": voice.identifier.decode(),
            "name": voice.name.decode(),
            "language": voice.languages[1:].decode(),  # a byte of priority goes before it
        }
        for voice in espeak.ListVoices(None)
    ]
    del engine
    return {"voices": voices.ids, "variants": voices.variants, "details": details}


def _start_pyttsx3() -> tuple[Any, Any]:
    """pyttsx3's engine, and its ctypes binding of espeak."""
    import pyttsx3
    from pyttsx3.drivers import _espeak

    return pyttsx3.init("espeak"), _espeak


def _version(espeak: Any) -> str:
    """The library's version, such as "1.51"."""
    tell = espeak.dll.espeak_Info
    tell.restype = ctypes.c_char_p
    return str(tell(None).decode().partition(" ")[0])


def _language_of(espeak: Any, voice: str) -> str:
    """The language of a resolved voice, such as "en-us"."""
    name = voice.partition("+")[0].encode()
    voices = (one for one in espeak.ListVoices(None) if one.identifier == name)
    return next((str(one.languages[1:].decode()) for one in voices), "")  # a priority before it


def _phonemes_of_words(espeak: Any, text: str) -> list[int]:
    """The number of phonemes of each word, as espeak-ng would speak it."""
    translate = espeak.dll.espeak_TextToPhonemes
    translate.restype = ctypes.c_char_p
    source = ctypes.create_string_buffer(text.encode())
    rest = ctypes.c_void_p(ctypes.addressof(source))  # null at the end of the text
    words: list[bytes] = []
    while rest.value and (clause := translate(ctypes.byref(rest), _UTF8, _SEPARATED)) is not None:
        words += clause.split()
    return [word.count(_SEPARATOR) + 1 for word in words]


def _settings_in_force(espeak: Any) -> tuple[str, int, int]:
    """Voice, words per minute and volume in percent; pyttsx3's getProperty gives the defaults."""
    current = 1  # as opposed to default
    voice = espeak.GetCurrentVoice().contents.identifier.decode()
    parameter = espeak.dll.espeak_GetParameter
    return voice, parameter(espeak.RATE, current), parameter(espeak.VOLUME, current)
