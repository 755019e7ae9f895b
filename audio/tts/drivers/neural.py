"""Driver for the neural voices, through pyttsx3; espeak-ng speaks what a voice cannot read."""

import io
import time
import unicodedata
from typing import Any

from audio.tts.drivers import pyttsx3_neural
from audio.tts.drivers.espeak import EspeakDriver
from audio.tts.neural.synthesizer import Synthesizer

TRIAL_TEXTS = ("The little fox went home.", "小狐狸回家了。")
EMPTY_WAV_BYTES = 44
# espeak-ng's voice for each script, by the first word of the Unicode names of its letters.
SCRIPT_VOICES = {
    "ARABIC": "ar",
    "ARMENIAN": "hy",
    "BENGALI": "bn",
    "CJK": "cmn-latn-pinyin",
    "CYRILLIC": "ru",
    "DEVANAGARI": "hi",
    "GEORGIAN": "ka",
    "GREEK": "el",
    "HANGUL": "ko",
    "HEBREW": "he",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "TAMIL": "ta",
    "TELUGU": "te",
}
OTHER_VOICE = "en-us"


class NeuralDriver:
    """A neural voice with one rate and volume for the life of the process.

    Attributes:
        seconds_per_character: how long the synthesis of a short text takes here.
    """

    def __init__(self, voice: str, rate_wpm: int, volume: float, *, bundled: bool = False) -> None:
        """Load the voice, and synthesize, so that the first sentence is fast.

        Args:
            voice: a name that audio/tts/neural/engines.py knows.
            rate_wpm: words per minute, 80 to 450; the caller clamps (config.settings).
            volume: 0 to 1.
            bundled: for espeak-ng: use espeakng-loader's library.

        Raises:
            ConfigError: there is no such voice.
            SpeechError: the engine cannot work.
        """
        import pyttsx3

        self._espeak_settings = (rate_wpm, volume, bundled)
        self._espeak: EspeakDriver | None = None  # started by the first piece that needs it
        self._espeak_voice = ""
        self._errors: list[Exception] = []
        pyttsx3_neural.register()
        self._engine = pyttsx3.init("neural")
        self._engine.connect("error", self._note_error)
        self._engine.setProperty("rate", rate_wpm)
        self._engine.setProperty("volume", volume)
        self._engine.setProperty("voice", voice)
        self._run()
        self._voice: Synthesizer = self._engine.getProperty("synthesizer")
        self.seconds_per_character = self._try_out()

    def _note_error(self, exception: Exception, **_: Any) -> None:
        self._errors.append(exception)

    def _run(self) -> None:
        """Carry out what pyttsx3 has queued; raise the first error of it."""
        self._engine.runAndWait()
        if self._errors:
            errors, self._errors = self._errors, []
            raise errors[0]

    def _try_out(self) -> float:
        text = next(filter(self._voice.can_read, TRIAL_TEXTS), TRIAL_TEXTS[0])
        self._neural(text)  # the first run is slower: graphs and word lists are loaded
        begin = time.monotonic()
        self._neural(text)
        return (time.monotonic() - begin) / len(text)

    def split(self, text: str) -> list[str]:
        """Cut a text into pieces; each is read as a whole by the voice, or by espeak-ng."""
        pieces: list[str] = []
        for piece in self._voice.split(text):
            readable = self._voice.can_read(piece)
            pieces += [piece] if readable else self._espeak_for(piece).split(piece)
        return pieces

    def synthesize(self, text: str) -> bytes:
        """The speech of a piece as a WAV file."""
        if any(map(str.isalnum, text)) and self._voice.can_read(text):
            sound = self._neural(text)
            if len(sound) > EMPTY_WAV_BYTES:
                return sound
        return self._espeak_for(text).synthesize(text)

    def _neural(self, text: str) -> bytes:
        file = io.BytesIO()
        self._engine.save_to_file(text, file)
        self._run()
        return file.getvalue()

    def _espeak_for(self, text: str) -> EspeakDriver:
        """espeak-ng, with the voice that speaks the first letter that has one of its own."""
        scripts = (unicodedata.name(character, "").split(" ")[0] for character in text)
        voice = next((SCRIPT_VOICES[one] for one in scripts if one in SCRIPT_VOICES), OTHER_VOICE)
        if self._espeak is None:
            rate_wpm, volume, bundled = self._espeak_settings
            self._espeak = EspeakDriver(voice, rate_wpm, volume, bundled=bundled)
        elif voice != self._espeak_voice:
            self._espeak.change_voice(voice)
        self._espeak_voice = voice
        return self._espeak
