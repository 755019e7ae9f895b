"""What the server tells of its services: the message `info`."""

import importlib.metadata
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from wyoming.info import (
    AsrModel,
    AsrProgram,
    Attribution,
    HandleModel,
    HandleProgram,
    Info,
    TtsProgram,
    TtsVoice,
    WakeModel,
    WakeProgram,
)

from audio.tts.neural.engines import engine_of
from audio.tts.voices import ESPEAK, Voice, find_voice
from config.languages import LANGUAGES
from daemon.wyoming.services.languages import find_language
from daemon.wyoming.services.offer import Offer

ENGINE_PAGES: Mapping[str, str] = MappingProxyType(
    {
        ESPEAK: "https://github.com/espeak-ng/espeak-ng",
        "hibari": "https://pypi.org/project/hibari-tts/",
        "kokoro": "https://huggingface.co/hexgrad/Kokoro-82M",
        "piper": "https://github.com/OHF-Voice/piper1-gpl",
    }
)
"""The page of each voice engine, by its name."""

LANGUAGE_NAMES: Mapping[str, str] = MappingProxyType({"en": "English", "zh": "Chinese"})
"""The name of each language, for the names of entities."""

_MODEL_PAGES = {
    "en": "https://huggingface.co/datasets/roneneldan/TinyStories",
    "zh": "https://github.com/chinese-poetry/chinese-poetry",
}
_VOSK_PAGE = "https://alphacephei.com/vosk/models"
_SPEECH_PAGE = "https://github.com/nateshmbhat/pyttsx3"


def describe(offer: Offer) -> Info:
    """The services that the server offers, for the message `info`."""
    version = importlib.metadata.version("afterword")
    return Info(
        handle=[_handle(offer, version)] if "handle" in offer.services else [],
        tts=[_tts(offer, version)] if "tts" in offer.services else [],
        asr=[_asr(offer)] if offer.hearing else [],
        wake=[_wake(offer, version)] if offer.phrases else [],
    )


def _names(languages: Sequence[str]) -> str:
    return ", ".join(LANGUAGE_NAMES[code] for code in languages)


def _handle(offer: Offer, version: str) -> HandleProgram:
    models = [
        HandleModel(
            f"afterword-{code}",
            Attribution("Afterword", _MODEL_PAGES[code]),
            True,
            f"carries on a text in {LANGUAGE_NAMES[code]}",
            version,
            [code],
        )
        for code in offer.languages
    ]
    return HandleProgram(
        f"Afterword ({_names(offer.languages)})",
        models[0].attribution,
        True,
        "carries on what is said",
        version,
        models,
        supports_handled_streaming=True,
    )


def _asr(offer: Offer) -> AsrProgram:
    maker = Attribution("Vosk", _VOSK_PAGE)
    models = [
        AsrModel(model.name, maker, True, f"{LANGUAGE_NAMES[code]} (Vosk)", model.version, [code])
        for code, model in offer.hearing.items()
    ]
    return AsrProgram(
        f"Afterword speech-to-text ({_names([*offer.hearing])})",
        maker,
        True,
        "recognises speech",
        importlib.metadata.version("vosk"),
        models,
        supports_transcript_streaming=True,
    )


def _wake(offer: Offer, version: str) -> WakeProgram:
    maker = Attribution("Vosk", _VOSK_PAGE)
    models = [
        WakeModel(one.name, maker, True, one.text, version, [one.language], one.text)
        for one in offer.phrases
    ]
    languages = [*dict.fromkeys(one.language for one in offer.phrases)]
    return WakeProgram(
        f"Afterword trigger phrases ({_names(languages)})",
        maker,
        True,
        "detects the trigger phrases",
        version,
        models,
    )


def _tts(offer: Offer, version: str) -> TtsProgram:
    return TtsProgram(
        f"Afterword text-to-speech ({_names([*offer.voices.defaults])})",
        Attribution("pyttsx3", _SPEECH_PAGE),
        True,
        "speaks with the voices of several engines",
        version,
        [*_voices(offer)],
        supports_synthesize_streaming=True,
    )


def _voices(offer: Offer) -> list[TtsVoice]:
    """All voices; those that speak where none is asked for come first."""
    listed = [*offer.voices.listed]
    told = []
    for code, name in offer.voices.defaults.items():
        voice = find_voice(name, listed)
        if voice is None:  # of a file, or a variant
            told.append(_voice(Voice(name, name, code, engine_of(name)), code))
            continue
        listed.remove(voice)
        told.append(_voice(voice, find_language(voice.language, [code])))
    codes = [*LANGUAGE_NAMES]
    return [*told, *(_voice(voice, _main_language(voice, codes)) for voice in listed)]


def _main_language(voice: Voice, codes: Sequence[str]) -> str | None:
    """The code of a voice's language; None for a relative, such as Cantonese of Chinese.

    A client that lists the voices of a language would offer it first, by its name.
    """
    code = find_language(voice.language, codes)
    if code is None:
        return None
    primary = voice.language.partition("-")[0]
    return code if primary in (code, LANGUAGES[code].voice_prefixes[0]) else None


def _voice(voice: Voice, code: str | None) -> TtsVoice:
    """A voice with its language: that of Afterword, by which it is chosen, and its own."""
    tag = _cased(voice.language)
    return TtsVoice(
        voice.short,
        Attribution(voice.engine, ENGINE_PAGES[voice.engine]),
        True,
        f"{voice.name} ({voice.engine}, {tag})",
        voice.version or None,
        [*dict.fromkeys([code or tag, tag])],
    )


def _cased(tag: str) -> str:
    """A language tag with its region in capitals, as Home Assistant writes it: "en-GB"."""
    language, *rest = tag.split("-")
    return "-".join([language, *(part.upper() if len(part) == 2 else part for part in rest)])
