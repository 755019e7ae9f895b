"""hibari: as long and as loud as espeak-ng, never silent where there are words, never on-line."""

import hashlib
import itertools
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from audio.tts.engine import SpeechEngine
from audio.tts.english import spoken_form
from audio.tts.neural import hibari as engine
from audio.tts.neural.hibari import HibariVoice, open_voice, voices
from audio.tts.neural.hibari_reading import JsonTable
from audio.tts.neural.pace import espeak_seconds
from audio.tts.sound import RATE
from config.errors import ConfigError

# Continuations as `afterword say` gives them.
SENTENCES = (
    "The old fisherman rowed his boat across the quiet bay before the sun came up.",
    "She had many toys and books in her room, but she was very bored.",
    "He ran to the kitchen and saw that the stove had a broken handle on it.",
    '"I have a surprise for you," said her mother, "but you must close your eyes."',
    "The wind was so strong that it was shaking the trees in the nearby forest.",
    "One day, a small mouse came to the tower and asked for a piece of cheese.",
    "After a while the king asked his three sons if they wanted to go on an adventure.",
    "They looked everywhere: under the bed, behind the curtains, and in the garden.",
    "Tom was proud of his shiny stone, so he showed it to everyone at school.",
    "Nobody believed the little robot when it said that the bridge would fall.",
    "What is the name of the girl who lives in the house on the hill?",
    "The dragon thought for a moment, and then it laughed until the mountains shook.",
)
RATES_WPM = (80, 110, 150, 200, 300)


@pytest.fixture(scope="module")
def voice() -> HibariVoice:
    return open_voice("")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder for the voices of hibari, and no way to fill it from the network."""
    import socket
    import urllib.request

    import hibari.voices

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("something asked for the network")

    monkeypatch.setattr(hibari.voices, "download", refuse)
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("HIBARI_HOME", str(tmp_path))
    return tmp_path


# --- voices ---------------------------------------------------------------------------------------


def test_the_voice_in_the_package_is_listed(offline: Path) -> None:
    assert [(voice.id, voice.language) for voice in voices()] == [("hibari", "en-us")]


def test_a_voice_whose_file_is_there_is_listed(offline: Path) -> None:
    with (offline / "bf_emma.int8.onnx").open("wb") as file:
        file.truncate(7936868)
    (offline / "am_fenrir_v2.int8.onnx").write_bytes(b"broken off")
    assert [voice.id for voice in voices()] == ["hibari", "hibari:emma"]


def test_no_voice_is_listed_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "find_spec", lambda _: None)
    assert voices() == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ema", ["'ema'", "did you mean 'hibari:emma'"]),
        ("zzz", ["'zzz'", "did you mean 'hibari'"]),
        ("emma", ["bf_emma.int8.onnx", "does not fetch"]),
        ("Kore", ["af_kore.int8.onnx"]),
    ],
)
def test_a_voice_that_is_not_there_is_refused(name: str, words: list[str], offline: Path) -> None:
    with pytest.raises(ConfigError) as error:
        open_voice(name)
    assert all(word in str(error.value) for word in words)
    assert list(offline.iterdir()) == []


def test_another_file_in_place_of_a_voice_is_refused(offline: Path) -> None:
    with (offline / "bf_emma.int8.onnx").open("wb") as file:
        file.truncate(7936868)
    with pytest.raises(ConfigError, match="SHA-256"):
        open_voice("emma")


def test_a_british_voice_speaks_british(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hibari.voices

    model = Path(hibari.voices.voice_path("heart")).read_bytes()  # stands in for that of Emma
    (offline / "bf_emma.int8.onnx").write_bytes(model)
    emma = {**hibari.voices.VOICES["emma"], "sha256": hashlib.sha256(model).hexdigest()}
    monkeypatch.setitem(hibari.voices.VOICES, "emma", emma)
    emma_voice = open_voice("emma")
    assert emma_voice._reading.phonemes("The bath was hot, zorblax.").startswith(
        "ðə bˈɑːθ wɒz hˈɒt"
    )
    assert len(emma_voice.render("The bath was hot.", 150)) > 24_000


def test_nothing_asks_for_the_network(offline: Path) -> None:
    voice = open_voice("heart")
    voices()
    for text in ("The zorblax snorfled.", "狐狸", "😀", "A fox."):
        assert voice.split(text)
        if voice.can_read(text):
            voice.render(text, 150)


# --- reading --------------------------------------------------------------------------------------


def test_the_compact_lexicon_changes_no_reading(voice: HibariVoice) -> None:
    from hibari.g2p import G2P

    own, ours = G2P(), voice._reading._g2p
    lexicon = own.lexicon
    words = [*lexicon.golds.d, *lexicon.silvers.d]
    some = random.Random(1).sample(words, 3000)
    assert [ours(word) for word in some] == [own(word) for word in some]
    texts = [*SENTENCES, " ".join(some[:300]), "They read the record, and record what they read."]
    assert [ours(text) for text in texts] == [own(text) for text in texts]
    assert own.tagger.weights.keys() == {
        key for key in own.tagger.weights if ours.tagger.weights.get(key) == own.tagger.weights[key]
    }


def test_a_table_of_json_text_is_a_mapping() -> None:
    table = JsonTable(b'{"a":"b","\\"q\\\\":"c","n":{"x":null,"y":-1.5}}', '{"é":"ˈA"}'.encode())
    assert [table.get(key) for key in ("a", '"q\\', "n", "é")] == [
        *("b", "c", {"x": None, "y": -1.5}, "ˈA")
    ]
    assert table.get("b") is None
    assert table.get("\ud800") is None
    assert table.get("") is None


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ('"Look!" said the boy, "a boat!"', "Look! said the boy, a boat!"),
        ("“A boat”, he said", "A boat, he said"),
        ("wait--what -- oh - no – yes", "wait — what — oh — no — yes"),
        ("5 - 3 and well-known", "5 - 3 and well-known"),
        ("a hyphen- ated and a well- known word", "a hyphenated and a well-known word"),
        ("two- or three-year", "two- or three-year"),
        ("don`t, don´t, don’t", "don't, don't, don't"),
        ("IT WAS A DARK NIGHT AND I AM SCARED", "it was a dark night and I am scared"),
        ("HE SAID THEM", "he said them"),
        ("The US army, the IT people, NATO, HTTP", "The US army, the IT people, nato, HTTP"),
        ("It matters to ME", "It matters to me"),
        ("Vitamin A and plan B", "Vitamin A and plan B"),
        ("ZORBLAX, AAA", "zorblax, AAA"),
        ("Henry VIII and Louis XIII", "Henry VIII and Louis XIII"),
        ("sooo goooood, Noooo! Shhhh! Grrrr", "so good, No! Shh! Grr"),
        ("www.example.com", "www.example.com"),
        ("[hello](//) there", "[hello] (//) there"),
        ("zero\u200bwidth soft\u00adhyphen nul\x00byte", "zero width softhyphen nul byte"),
        ("cafe\u0301, na\u0308ive", "café, näive"),
        ("ﬁne ＡＢＣ 𝐁old ℃ Ⅳ ⑴", "fine ABC Bold °C IV (1)"),
        ("Nguyễn, ạĳ, ğ, x̸", "Nguyen, aij, ğ, x"),
        ("−3 ≤ ∞", "-3 less than or equal to infinity"),
        ("9" * 17, " ".join("9" * 17)),
        ("qwrt" * 12, "qwrtqwrtqwrtqwrtqwrt qwrtqwrtqwrtqwrtqwrt qwrtqwrt"),
    ],
)
def test_what_would_be_read_wrongly_is_written_anew(
    text: str, spoken: str, voice: HibariVoice
) -> None:
    assert voice._reading.prepare(text) == spoken


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        ('"Look!" said the boy, "a boat!"', "lˈʊk! sˈɛd ðə bˈY, ɐ bˈOt!"),
        ("“A boat,” he said.", "ɐ bˈOt, hi sˈɛd."),
        ("HE SAID THEM.", "hi sˈɛd ðˌɛm."),
        ("Shhh! Brrr!", "ʃʃʃ! bˈɜɹ!"),
    ],
)
def test_phonemes(text: str, phonemes: str, voice: HibariVoice) -> None:
    assert voice._reading.phonemes(text) == phonemes


@pytest.mark.parametrize(
    ("text", "readable"),
    [
        ("The fox went home.", True),
        ("Señor Łukasz ate crème brûlée at Ångström's café.", True),
        ("5 µm, 1ª, 20 °C, ½ cup, ²", True),
        ("I love you 😀 so much", True),
        ("I ❤️ 1️⃣ \N{WOMAN}\u200d\N{MICROSCOPE}", True),
        ("...", True),
        ("“—”", True),
        ("😀", False),
        ("€", False),
        ("Привет", False),
        ("the word γειά", False),
        ("狐狸回家了。", False),
        ("fox 狐狸", False),
        ("こんにちは", False),
        ("สวัสดี", False),
        ("नमस्ते", False),
        ("مرحبا", False),
        ("안녕", False),
        ("Ə", False),
        ("9" * 40, True),
        ("⑴⑵ x", True),
    ],
)
def test_what_it_can_read(text: str, readable: bool, voice: HibariVoice) -> None:
    assert voice.can_read(text) is readable
    if readable and any(map(str.isalnum, text)):
        assert np.abs(voice.render(text, 150)).max() > 0.05


# --- pieces ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Mr. Smith met Dr. Lee. They talked.", ["Mister Smith met Doctor Lee.", "They talked."]),
        ('"Hi there! What now?" he said.', ['"Hi there!', 'What now?" he said.']),
        ("She said 你好, and left.", ["She said", "你好,", "and left."]),
        ("He wrote “你好”. Then he left.", ["He wrote", "“你好”.", "Then he left."]),
        ("在2024年 the fox", ["在2024年", "the fox"]),
        ("iPhone 15很好", ["iPhone", "15很好"]),
        ("Wi-Fi网络", ["Wi-Fi", "网络"]),
        ("The letter π is Greek.", ["The letter", "π", "is Greek."]),
        ("สวัสดี means hello", ["สวัสดี", "means hello"]),
        ("So much! 😀 ❤", ["So much! 😀 ❤"]),
        ("😀! 👍🏽 I ❤️ it.", ["😀! 👍🏽 I ❤️ it."]),
        ("😀", ["😀"]),
        ("😀 👍🏽! ❤️", ["😀 👍🏽! ❤️"]),
        ("", []),
    ],
)
def test_pieces(text: str, pieces: list[str], voice: HibariVoice) -> None:
    assert voice.split(text) == pieces


def test_a_long_first_piece_is_cut_at_a_clause(voice: HibariVoice) -> None:
    text = (
        "When the old sailor looked at the sea again, he said that the wind would turn before the "
        "night, so nobody who could help it ought to go out in a boat."
    )
    first, rest = voice.split(text)
    assert first == text[: text.index(" so nobody")]
    assert rest == text[len(first) + 1 :]
    again = voice.split(f"Yes. {text}")
    assert again == ["Yes.", text]


@pytest.mark.parametrize("text", ["x" * 1000, "word " * 200, "a,b" * 300, "狐狸" * 400, "9" * 999])
def test_pieces_are_short_and_lose_nothing(text: str, voice: HibariVoice) -> None:
    pieces = voice.split(text)
    assert max(map(len, pieces)) <= 250
    assert "".join(pieces).replace(" ", "") == spoken_form(text).replace(" ", "")


def odd_texts() -> Iterator[str]:
    chooser = random.Random(2)
    alphabet = "aA1 .,'\"-–—…!?()[]{}<>/\\|@#$%^&*_=+~`€£½²№∞😀\u200d\u0301é狐яγ①⑴፩x̸\u00ad\x00"
    for length in (1, 2, 5, 20, 80) * 30:
        yield "".join(chooser.choices(alphabet, k=length))


def test_odd_texts_do_not_break_it(voice: HibariVoice) -> None:
    for text in odd_texts():
        for piece in voice.split(text):
            if voice.can_read(piece) and any(map(str.isalnum, piece)):
                assert np.abs(voice.render(piece, 450)).max(initial=0) > 0.01, piece


# --- sound ----------------------------------------------------------------------------------------


def test_the_same_text_gives_the_same_samples(voice: HibariVoice) -> None:
    first, second = (voice.render(SENTENCES[0], 150) for _ in range(2))
    assert first.dtype == np.float32
    assert np.array_equal(first, second)


def test_a_text_without_words_gives_nothing(voice: HibariVoice) -> None:
    assert [len(voice.render(text, 150)) for text in ("", " ", '"', "😀", "...")] == [0] * 5


def test_a_faster_rate_is_shorter(voice: HibariVoice) -> None:
    phonemes = [voice._reading.phonemes(text) for text in SENTENCES]
    for one in phonemes:
        seconds = [espeak_seconds(one, rate) for rate in range(80, 451, 5)]
        assert all(slow > fast for slow, fast in itertools.pairwise(seconds))
    lengths = [len(voice.render(SENTENCES[1], rate)) for rate in (80, 125, 135, 200, 300, 450)]
    assert lengths == sorted(lengths, reverse=True)


def spoken(voice: str, rate_wpm: int) -> list[npt.NDArray[np.int16]]:
    """The sentences, without the silence around them; the pauses inside them count."""
    speech = SpeechEngine(voice, rate_wpm, 0.9)
    try:
        return [speech.synthesize(text) for text in SENTENCES]
    finally:
        speech.close()


@pytest.mark.slow
@pytest.mark.parametrize("rate_wpm", RATES_WPM)
def test_it_takes_as_long_as_espeak(rate_wpm: int) -> None:
    own, espeak = (
        np.array([len(sound) / RATE for sound in spoken(name, rate_wpm)])
        for name in ("hibari", "en-us")
    )
    assert own.sum() == pytest.approx(espeak.sum(), rel=0.05)
    errors = np.abs(own / espeak - 1)
    assert np.median(errors) < 0.06
    assert errors.max() < 0.2


@pytest.mark.slow
@pytest.mark.parametrize("rate_wpm", RATES_WPM)
def test_it_pauses_between_sentences_as_espeak_does(rate_wpm: int) -> None:
    seconds = []
    for name in ("hibari", "en-us"):
        speech = SpeechEngine(name, rate_wpm, 0.9)
        texts = (" ".join(SENTENCES[at : at + 4]) for at in (0, 4, 8))
        seconds.append(sum(len(speech.synthesize(text)) for text in texts) / RATE)
        speech.close()
    assert seconds[0] == pytest.approx(seconds[1], rel=0.05)


def active_level(samples: npt.NDArray[np.int16]) -> float:
    """The level in dB of the frames of 20 ms that are no pauses."""
    frames = samples[: len(samples) // 441 * 441].reshape(-1, 441) / 32768
    power = np.mean(frames**2, axis=1)
    return float(10 * np.log10(power[power > 0.01 * np.percentile(power, 95)].mean()))


@pytest.mark.slow
def test_it_is_as_loud_as_espeak() -> None:
    own, espeak = (spoken(name, 150) for name in ("hibari", "en-us"))
    difference = active_level(np.concatenate(own)) - active_level(np.concatenate(espeak))
    assert abs(difference) < 1
    assert np.std([active_level(sound) for sound in own]) < 1
    assert max(np.abs(sound).max() for sound in own) < 0.98 * 32768


MEASURE = """
import os, numpy
from audio.tts.neural.onnx import SILENT
import soxr, onnxruntime
threads = len(os.listdir("/proc/self/task"))
from audio.tts.neural.hibari import open_voice
voice = open_voice("")
for number in range(10):
    voice.render(f"The old sailor looked at the sea for the {number}th time, zorblax.", 150)
status = open("/proc/self/status").read()
print(status.split("VmHWM:")[1].split()[0], len(os.listdir("/proc/self/task")) - threads)
"""


@pytest.mark.slow
def test_it_is_small_and_starts_no_threads() -> None:
    done = subprocess.run(
        (sys.executable, "-c", MEASURE), capture_output=True, check=True, text=True
    )
    kilobytes, threads = map(int, done.stdout.split())
    assert kilobytes < 180_000
    assert threads == 0
