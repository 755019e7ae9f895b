"""Kokoro: pieces, scripts and errors; with its files also length, loudness and clarity."""

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soxr
import vosk

from audio.pcm import Samples
from audio.tts.drivers.pyttsx3_neural import _pcm
from audio.tts.engine import SpeechEngine
from audio.tts.neural import kokoro
from audio.tts.neural.kokoro import KokoroVoice, open_voice, split, voices
from audio.tts.sound import RATE, trim
from config.errors import ConfigError, SpeechError

LINES = (
    *("床前明月光，", "疑是地上霜。", "举头望明月，", "低头思故乡。"),
    *("春眠不觉晓，", "处处闻啼鸟。", "夜来风雨声，", "花落知多少。"),
    "今天天气很好，我们一起去公园散步。",
    "老人坐在门前，看着远处的山，慢慢地想起了年轻时候的事情。",
    "小狐狸跑进森林，看见一只美丽的蝴蝶。",
    "我不知道明天会不会下雨，但是我还是想出去走一走。",
)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("床前明月光，疑是地上霜。", ["床前明月光，", "疑是地上霜。"]),
        ("床前明月光 疑是地上霜", ["床前明月光", "疑是地上霜"]),  # lines of a poem
        ("人之初，性本善。", ["人之初，", "性本善。"]),
        ("是的，我来了。", ["是的，我来了。"]),  # too short alone
        ("好。我来了。", ["好。", "我来了。"]),
        ("他说：“好！”就走了。", ["他说：“好！”", "就走了。"]),
        ("有苹果、香蕉和梨。", ["有苹果、香蕉和梨。"]),
        ("我有12个。", ["我有十二个。"]),
        ("我用Python写程序。", ["我用Python写程序。"]),
        ("他说привет就走了。", ["他说", "привет", "就走了。"]),
        ("Hello there. How are you?", ["Hello there.", "How are you?"]),
        ("", []),
        ("。。。", ["。。。"]),
    ],
)
def test_a_text_is_cut_into_clauses(text: str, pieces: list[str]) -> None:
    assert split(text) == pieces


def test_pieces_are_short_and_hold_the_whole_text() -> None:
    text = "老人坐在门前看着远处的山慢慢地想起了年轻时候的事情" * 12
    pieces = split(text)
    assert "".join(pieces) == text
    assert max(map(len, pieces)) <= 16
    words = "the old sailor looked at the sea and thought of home " * 18
    pieces = split(words)
    assert " ".join(pieces) == words.strip()
    assert max(map(len, pieces)) <= 100


def test_without_its_files_there_are_no_voices(home: Path) -> None:
    assert voices() == []
    with pytest.raises(ConfigError, match="afterword voices fetch zh"):
        open_voice("")


@pytest.fixture
def damaged(home: Path) -> Path:
    folder = kokoro.folder()
    (folder / "voices").mkdir(parents=True)
    for name in ("zf_xiaoxiao", "zm_yunjian", "af_heart"):
        (folder / "voices" / f"{name}.bin").write_bytes(bytes(510 * 256 * 4))
    (folder / "voices" / "zf_short.bin").write_bytes(bytes(100))
    (folder / "model.onnx").write_bytes(b"no model")
    return folder


def test_whole_voices_are_listed(damaged: Path) -> None:
    listed = [(voice.id, voice.language) for voice in voices()]
    assert listed == [
        ("kokoro:zf_xiaoxiao", "zh"),
        ("kokoro:zm_yunjian", "zh"),
        ("kokoro:af_heart", "en-us"),
    ]


def test_an_unknown_voice_is_named_with_a_like_one(damaged: Path) -> None:
    with pytest.raises(ConfigError, match=r"no voice 'zm_yunjain'.* 'kokoro:zm_yunjian'"):
        open_voice("zm_yunjain")


def test_a_damaged_model_is_named_with_the_remedy(damaged: Path) -> None:
    with pytest.raises(SpeechError, match=r"model\.onnx cannot be loaded .*voices fetch zh"):
        open_voice("")


@pytest.fixture(scope="module")
def installed(real_data_folder: Path) -> Iterator[None]:
    """The user's Kokoro, and no way to the network."""
    folder = real_data_folder / "voices" / "kokoro"
    if not (folder / "model.onnx").is_file():
        pytest.skip(f"no Kokoro at {folder}: run `afterword voices fetch zh`")

    def refuse(*_: object) -> None:
        pytest.fail("something asked for the network")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kokoro, "folder", lambda: folder)
        patch.setattr(socket.socket, "connect", refuse)
        yield


@pytest.fixture(scope="module")
def voice(installed: None) -> KokoroVoice:
    return open_voice("")


def spoken(voice: KokoroVoice, text: str, rate_wpm: int = 150) -> Samples:
    """The speech of a piece as the driver gives it, without the pause behind it."""
    return trim(_pcm(voice.render(text, rate_wpm), voice, 0.9))


@pytest.mark.slow
@pytest.mark.parametrize("rate_wpm", [80, 150, 300])
def test_speech_lasts_as_long_as_that_of_espeak_ng(voice: KokoroVoice, rate_wpm: int) -> None:
    engine = SpeechEngine("cmn-latn-pinyin", rate_wpm, 0.9)
    clauses = [clause for line in LINES for clause in re.findall(r"\w+", line)][::3]
    wanted = sum(len(engine.synthesize(clause)) for clause in clauses)
    engine.close()
    heard = sum(len(spoken(voice, f"{clause}，", rate_wpm)) for clause in clauses)
    assert heard == pytest.approx(wanted, rel=0.05)


def loudness(sound: Samples) -> float:
    """The level over what is no silence, in dB of the largest sample."""
    frames = sound[: len(sound) // 441 * 441].reshape(-1, 441) / 32768
    power = (frames**2).mean(axis=1)
    return float(10 * np.log10(power[power > power.max() * 1e-4].mean()))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["zf_xiaoxiao", "zm_yunjian"])
def test_speech_is_as_loud_as_that_of_espeak_ng(installed: None, name: str) -> None:
    voice = open_voice(name)
    engine = SpeechEngine("cmn-latn-pinyin", 150, 0.9)
    texts = LINES[8:10]
    wanted = loudness(np.concatenate([engine.synthesize(text) for text in texts]))
    engine.close()
    pieces = [piece for text in texts for piece in voice.split(text)]
    heard = loudness(np.concatenate([spoken(voice, piece) for piece in pieces]))
    assert heard == pytest.approx(wanted, abs=1.0)


@pytest.mark.slow
def test_a_recogniser_understands_poems_and_prose(voice: KokoroVoice, vosk_zh: Path) -> None:
    vosk.SetLogLevel(-1)
    model = vosk.Model(str(vosk_zh))
    wrong = total = 0
    for text in ("".join(LINES[0:2]), *LINES[8:11]):
        wanted = "".join(re.findall(r"\w", text))
        pause = np.zeros(RATE // 5, np.int16)
        parts = [part for piece in voice.split(text) for part in (spoken(voice, piece), pause)]
        wrong += distance(wanted, recognise(np.concatenate(parts), model))
        total += len(wanted)
    assert wrong / total <= 0.1  # measured: 0.03 to 0.05; espeak-ng's is above 0.5


def recognise(sound: Samples, model: vosk.Model) -> str:
    recogniser = vosk.KaldiRecognizer(model, 16_000)
    pcm = soxr.resample(np.concatenate((sound, np.zeros(RATE // 2, np.int16))), RATE, 16_000)
    recogniser.AcceptWaveform(pcm.astype(np.int16).tobytes())
    return str(json.loads(recogniser.FinalResult())["text"]).replace(" ", "")


def distance(wanted: str, heard: str) -> int:
    """How many characters are wrong, missing or too many."""
    row = list(range(len(heard) + 1))
    for i, one in enumerate(wanted, 1):
        previous, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            same = previous + (one != other)
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, same)
    return row[-1]


@pytest.mark.slow
@pytest.mark.parametrize("text", ["好", "是", "你好", "A", "3", "嗯。", "好！", "Hello", "二"])
def test_the_shortest_texts_are_heard(voice: KokoroVoice, text: str) -> None:
    (piece,) = voice.split(text)
    assert voice.can_read(piece)
    sound = spoken(voice, piece)
    assert 0.1 * RATE < len(sound) < 1.5 * RATE
    assert np.abs(sound).max() > 3000


@pytest.mark.slow
def test_words_of_two_languages_are_heard_in_one_piece(voice: KokoroVoice) -> None:
    whole = len(spoken(voice, "我用Python写程序。"))
    assert whole > len(spoken(voice, "我用写程序。")) + 0.2 * RATE


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "readable"),
    [
        ("床前明月光", True),
        ("長安一片月", True),
        ("OK，我们走。", True),
        ("café", True),
        ("привет", False),
        ("こんにちは", False),
        ("한국", False),
        ("😀好", True),
        ("。。。", True),
        ("𠮷", False),
    ],
)
def test_other_scripts_are_left_to_espeak_ng(voice: KokoroVoice, text: str, readable: bool) -> None:
    assert voice.can_read(text) is readable


@pytest.mark.slow
@pytest.mark.parametrize("text", ["", " ", "。", "——", "“”", "😀"])
def test_what_cannot_be_spoken_gives_no_samples(voice: KokoroVoice, text: str) -> None:
    assert len(voice.render(text, 150)) == 0


@pytest.mark.slow
def test_an_endless_piece_is_spoken_in_parts(voice: KokoroVoice) -> None:
    assert len(voice.render("山" * 200, 450)) > 8 * voice.rate
