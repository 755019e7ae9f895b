"""A default voice that is not fetched is replaced; a chosen one is refused with the remedy."""

from pathlib import Path

import pytest

from audio.tts.choice import fetch_command, voice_in_force
from audio.tts.neural import voice_files
from config.errors import ConfigError

DEFAULT = "kokoro:zf_xiaoxiao"


def install(engine: str) -> Path:
    """Files of the right names and sizes, and of no content."""
    voices = voice_files.catalogue()[engine]
    for file in voices.files:
        path = voices.folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as empty:
            empty.truncate(file.size)
    return voices.folder


@pytest.mark.parametrize("name", [DEFAULT, " Kokoro:ZF_xiaoxiao"])
def test_espeak_speaks_instead_of_a_default_that_is_not_fetched(name: str) -> None:
    assert voice_in_force(name, "zh") == "cmn-latn-pinyin"
    assert fetch_command(name) == "afterword voices fetch zh"


def test_an_incomplete_download_is_none() -> None:
    folder = install("kokoro")
    next(folder.glob("voices/*")).unlink()
    assert voice_in_force(DEFAULT, "zh") == "cmn-latn-pinyin"


@pytest.mark.parametrize("name", [DEFAULT, "kokoro:zm_yunxi", "kokoro"])
def test_a_fetched_voice_is_in_force(name: str) -> None:
    install("kokoro")
    assert voice_in_force(name, "zh") == name
    assert fetch_command(name) == ""


@pytest.mark.parametrize(
    ("name", "language"),
    [("kokoro:zm_yunxi", "zh"), ("kokoro", "zh"), ("kokoro:af_heart", "en"), (DEFAULT, "en")],
)
def test_a_chosen_voice_that_is_not_fetched_is_refused(name: str, language: str) -> None:
    with pytest.raises(ConfigError) as caught:
        voice_in_force(name, language)
    told = f"voice.name: the files of the voice {name!r} are not here; "
    assert str(caught.value) == f"{told}`afterword voices fetch zh` fetches them."


@pytest.mark.parametrize("name", ["hibari", "en-us", "piper:/voice.onnx", "nobody"])
def test_other_voices_need_no_fetching(name: str) -> None:
    assert voice_in_force(name, "zh") == name
    assert fetch_command(name) == ""
