"""A voice is found by any of its names, and never replaced by another."""

import pytest

from audio.tts.voices import Voice, Voices, of_language, resolve_voice
from config.errors import ConfigError

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
    ("language", "found"),
    [("en", ["en-us", "en-gb"]), ("EN-GB", ["en-gb"]), ("zh", ["cmn", "yue"]), ("tlh", [])],
)
def test_voices_of_a_language(language: str, found: list[str]) -> None:
    tags = ("en-us", "en-gb", "enm", "cmn", "yue")
    voices = [Voice(f"x/{tag}", tag, tag) for tag in tags]
    assert [voice.language for voice in of_language(voices, language)] == found
