"""A voice is found by any of its names, and never replaced by another."""

import pytest

from audio.tts.neural import engines
from audio.tts.neural.engines import engine_of, find_engine, is_neural
from audio.tts.voices import (
    Voice,
    Voices,
    find_voice,
    of_language,
    resolve_voice,
    sample_sentence,
)
from config.errors import ConfigError
from config.languages import LANGUAGES

VOICES = Voices(("gmw/en", "gmw/en-GB-scotland", "gmw/en-US", "sit/cmn"), ("f3", "Annie", "m1"))


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("gmw/en-US", "gmw/en-US"),
        ("gmw/en-us", "gmw/en-US"),
        ("en-us", "gmw/en-US"),
        (" EN ", "gmw/en"),
        ("cmn", "sit/cmn"),
        ("en-us+f3", "gmw/en-US+f3"),
        ("gmw/en-gb-scotland+annie", "gmw/en-GB-scotland+Annie"),
    ],
)
def test_every_name_of_a_voice_finds_it(wanted: str, found: str) -> None:
    assert resolve_voice(wanted, VOICES) == found


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        ("en-uss", "did you mean 'en-us'"),
        ("gmw/en-su", "did you mean 'gmw/en-us'"),
        ("en-us+f33", "'f33' is no variant of a voice of the speech engine; did you mean 'f3'"),
        ("en-us+", "'' is no variant"),
        ("en-us+f3+m1", "'f3+m1' is no variant"),
        ("xxxxxxxx", "an English voice is 'en-us'"),
        ("", "'' is no voice"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_known(wanted: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=r"^voice\.name: ") as caught:
        resolve_voice(wanted, VOICES)
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        ("hibary", "'hibary' is no voice of the speech engine; did you mean 'hibari'?"),
        ("kokoro:zf_xiaoxia", "did you mean 'kokoro:zf_xiaoxiao'"),
        ("kokorro:zf_xiaoxiao", "did you mean 'kokoro:zf_xiaoxiao'"),
        ("Koko", "did you mean 'kokoro'"),
        ("xxxxxxxx", "`afterword voices` lists all"),
    ],
)
def test_the_nearest_may_be_of_another_engine(wanted: str, hint: str) -> None:
    others = ["hibari", "kokoro:zf_xiaoxiao", "kokoro"]
    with pytest.raises(ConfigError, match=r"^voice\.name: ") as caught:
        resolve_voice(wanted, VOICES, lambda: others)
    assert hint in str(caught.value)


def test_other_engines_are_asked_for_their_names_only_after_a_mistake() -> None:
    def fail() -> list[str]:
        raise AssertionError

    assert resolve_voice("en-us", VOICES, fail) == "gmw/en-US"


@pytest.mark.parametrize(
    ("name", "engine"),
    [
        ("hibari", "hibari"),
        (" Hibari ", "hibari"),
        ("Kokoro : zf_xiaoxiao", "kokoro"),
        ("piper:/home/Ann/voice.onnx", "piper"),
        ("en-us", "espeak-ng"),
        ("gmw/en-US+f3", "espeak-ng"),
        ("hibary", "espeak-ng"),
        ("", "espeak-ng"),
    ],
)
def test_the_engine_of_a_voice(name: str, engine: str) -> None:
    assert engine_of(name) == engine
    assert is_neural(name) == (engine != "espeak-ng")


class Module:
    LICENCE = "MIT"

    @staticmethod
    def voices() -> list[Voice]:
        return [Voice("kokoro:zf_Xiaoxiao", "Xiaoxiao", "cmn", "kokoro", "MIT")]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("kokoro:zf_Xiaoxiao", "zf_Xiaoxiao"),
        ("KOKORO: ZF_xiaoxiao ", "zf_Xiaoxiao"),
        ("kokoro:/Other.ONNX", "/Other.ONNX"),
        ("kokoro", ""),
    ],
)
def test_a_voice_of_an_engine_is_found_in_any_case(
    name: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audio.tts.neural.engines.load_engine", lambda _: Module)
    assert find_engine(name) == (Module, found)


def test_an_engine_that_is_broken_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> type[Module]:
        if name == "hibari":
            raise SystemError("a broken library")
        return Module

    monkeypatch.setattr(engines, "load_engine", load)
    assert [voice.short for voice in engines.installed()] == ["kokoro:zf_Xiaoxiao"] * 2
    assert "hibari" in engines.known_names()


LISTED = [
    Voice("hibari", "Heart", "en-us", "hibari", "Apache-2.0"),
    Voice("kokoro:zf_xiaoxiao", "Xiaoxiao", "cmn", "kokoro", "Apache-2.0"),
    Voice("piper:/home/Ann/Zh.onnx", "Ann", "zh-CN", "piper", "MIT"),
    Voice("gmw/en-US", "English", "en-us"),
    Voice("sit/cmn", "Mandarin", "cmn"),
]


@pytest.mark.parametrize(
    ("name", "number"),
    [
        (" Hibari ", 0),
        ("kokoro:ZF_xiaoxiao", 1),
        ("piper:/home/Ann/Zh.onnx", 2),
        ("en-us+f3", 3),
        ("gmw/en-us", 3),
        ("hibari+f3", None),
        ("kokoro", None),
    ],
)
def test_a_listed_voice_is_found_by_its_name(name: str, number: int | None) -> None:
    assert find_voice(name, LISTED) == (None if number is None else LISTED[number])


def test_the_name_for_the_settings() -> None:
    names = ["hibari", "kokoro:zf_xiaoxiao", "piper:/home/Ann/Zh.onnx", "en-us", "cmn"]
    assert [voice.short for voice in LISTED] == names


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("cmn+f2", "zh"),
        ("sit/yue", "zh"),  # not listed
        ("en-us", "en"),
        ("de", "en"),
        ("Hibari", "en"),
        ("kokoro:zf_xiaoxiao", "zh"),
        ("piper:/home/Ann/Zh.onnx", "zh"),
        ("piper:/home/Bob/other.onnx", "en"),
        ("piper:/home/Bob/zh_CN-huayan-medium.onnx", "zh"),
    ],
)
def test_a_voice_gets_a_sentence_that_it_can_read(name: str, language: str) -> None:
    assert sample_sentence(name, LISTED) == LANGUAGES[language].sample_sentence


@pytest.mark.parametrize(
    ("language", "found"),
    [("en", ["en-us", "en-gb"]), ("EN-GB", ["en-gb"]), ("zh", ["cmn", "yue"]), ("tlh", [])],
)
def test_voices_of_a_language(language: str, found: list[str]) -> None:
    tags = ("en-us", "en-gb", "enm", "cmn", "yue")
    voices = [Voice(f"x/{tag}", tag, tag) for tag in tags]
    assert [voice.language for voice in of_language(voices, language)] == found


def test_every_engine_is_searched_for_a_language() -> None:
    assert [voice.short for voice in of_language(LISTED, "zh")] == [
        *("kokoro:zf_xiaoxiao", "piper:/home/Ann/Zh.onnx", "cmn")
    ]
