"""Check of the voice: which one speaks, how soon, and whether it fits the language."""

import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audio.tts.choice import fetch_command
from audio.tts.neural import voice_files
from audio.tts.neural.engines import engine_of
from audio.tts.voices import Voice, find_voice, of_language
from config.errors import AfterwordError, SpeechError
from config.installation import install_again_command
from config.languages import LANGUAGES
from config.settings import Settings
from daemon.doctor.finding import Finding, fault

if TYPE_CHECKING:  # it imports numpy
    from audio.tts.engine import SpeechEngine

# Seconds of work for a second of sound. Above it, gaps come between the pieces of a reply as soon
# as recogniser and language model need the processor, too.
SLOW_FACTOR = 0.8
OTHER_VOICE = "choose another one with voice.name; `afterword voices` lists them"


@dataclass(frozen=True)
class Measurement:
    """How an engine did on one sentence.

    Attributes:
        first_sound: seconds from the text to the first samples.
        work: seconds from the text to the last samples.
        sound: seconds of speech.
    """

    first_sound: float
    work: float
    sound: float


def voice(settings: Settings) -> Finding:
    """Start the voice, and measure it on a sentence of eight words."""
    from daemon.components import open_engine

    try:
        began = time.perf_counter()
        with closing(open_engine(settings)) as engine:
            start = time.perf_counter() - began
            measured = _measure(engine, LANGUAGES[settings.language].doctor_sentence)
            failure = engine.failure
            if engine.restarts and not failure:
                failure = SpeechError("it failed at a sentence, and the log tells how")
            return judge(settings, engine.voice, failure, start, measured)
    except AfterwordError as error:
        return fault("voice", error)


def _measure(engine: "SpeechEngine", sentence: str) -> Measurement:
    began = time.perf_counter()
    first_sound = 0.0
    samples = 0
    for _, piece in engine.stream(sentence):
        if samples == 0:
            first_sound = time.perf_counter() - began
        samples += len(piece)
    return Measurement(first_sound, time.perf_counter() - began, samples / engine.rate)


def judge(
    settings: Settings,
    speaking: str,
    failure: SpeechError | None,
    start: float,
    measured: Measurement,
) -> Finding:
    """Judge the voice that speaks.

    Args:
        settings: the settings in force.
        speaking: the voice in force.
        failure: why the voice of the settings did not speak, or not every piece.
        start: how long the engine took to start, in seconds.
        measured: how it did on a sentence of eight words.
    """
    wanted = settings.voice.name
    if not measured.sound:
        return Finding("voice", "fault", f"{speaking} speaks no word", OTHER_VOICE)
    seen = (
        f"{speaking} (engine {engine_of(speaking)}), {settings.voice.rate_wpm} words a minute, "
        f"started in {start:.1f} s, "
        f"first sound of eight words after {measured.first_sound * 1000:.0f} ms"
    )
    if failure:
        reason, _, remedy = str(failure).rstrip(".").partition("; ")
        detail = f"{seen}; {wanted} does not work: {reason}"
        return Finding("voice", "warning", detail, remedy or _repair(wanted))
    if speaking != wanted:
        remedy = f"`{fetch_command(wanted)}` brings {wanted}, which is far easier to understand"
        return Finding("voice", "ok", f"{seen}; {wanted} is not fetched", remedy)
    factor = measured.work / measured.sound
    if factor > SLOW_FACTOR:
        detail = f"{seen}; it takes {factor:.1f} s for a second of speech, so replies have gaps"
        quick = LANGUAGES[settings.language].espeak_voice
        remedy = f"set voice.name to {quick}, or run fewer programs beside it"
        return Finding("voice", "warning", detail, remedy)
    tag = _language_of(speaking)
    if tag and not of_language([Voice("", "", tag)], settings.language):
        detail = f"{seen}; it speaks {tag}, but language is {settings.language}"
        return Finding("voice", "warning", detail, _fitting(settings.language))
    return Finding("voice", "ok", seen)


def _repair(voice: str) -> str:
    """What may mend a voice that does not start."""
    if files := voice_files.catalogue().get(engine_of(voice)):
        return f"`afterword voices fetch {files.language}` checks its files and mends them"
    return f"install Afterword again: `{install_again_command()}`"


def _language_of(voice: str) -> str:
    """The tag of the language that an installed voice speaks; empty where it is not known."""
    from audio.tts.engine import installed_voices

    found = find_voice(voice, installed_voices()[0])
    return found.language if found else ""


def _fitting(language: str) -> str:
    default = LANGUAGES[language].default_voice
    return f"set voice.name to {default}, or see `afterword voices --language {language}`"
