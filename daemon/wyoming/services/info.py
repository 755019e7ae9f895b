"""What the server tells of its services: the message `info`."""

import importlib.metadata
from collections.abc import Mapping
from types import MappingProxyType

from wyoming.info import Attribution, HandleModel, HandleProgram, Info, TtsProgram, TtsVoice

from audio.tts.neural.engines import engine_of
from audio.tts.voices import ESPEAK

ENGINE_PAGES: Mapping[str, str] = MappingProxyType(
    {
        ESPEAK: "https://github.com/espeak-ng/espeak-ng",
        "hibari": "https://pypi.org/project/hibari-tts/",
        "kokoro": "https://huggingface.co/hexgrad/Kokoro-82M",
        "piper": "https://github.com/OHF-Voice/piper1-gpl",
    }
)
"""The page of each voice engine, by its name."""


def describe(language: str, voice: str) -> Info:
    """The services that the server offers, for the message `info`.

    Args:
        language: the setting `language`.
        voice: the voice in force.
    """
    version = importlib.metadata.version("afterword")
    afterword = Attribution("Afterword", "")
    languages = [language]
    model = HandleModel(
        f"afterword-{language}", afterword, True, "continues a text", version, languages
    )
    program = HandleProgram(
        "afterword", afterword, True, "carries on what is said", version, [model], True
    )
    engine = engine_of(voice)
    maker = Attribution(engine, ENGINE_PAGES.get(engine, ""))
    offered = TtsVoice(voice, maker, True, f"a voice of {engine}", None, languages)
    speaker = TtsProgram(
        "afterword", afterword, True, "the voice of Afterword", version, [offered], True
    )
    return Info(handle=[program], tts=[speaker])
