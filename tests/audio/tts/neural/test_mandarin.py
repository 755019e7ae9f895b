"""Chinese characters as Kokoro's phonemes."""

import pytest

from audio.tts.neural.mandarin import (
    change_tones,
    espeak_seconds,
    is_readable,
    phonemes,
    phonemes_of,
)
from config.languages import LANGUAGES


# From misaki.zh 0.9.4, which Kokoro v1.0 was trained with: ZHG2P.py2ipa, without U+032F.
@pytest.mark.parametrize(
    ("pinyin", "expected"),
    [
        ("chuang2", "ꭧʰwa↗ŋ"),
        ("ming2", "mi↗ŋ"),
        ("yue4", "ɥe↘"),
        ("guang1", "kwa→ŋ"),
        ("shi4", "ʂɨ↘"),
        ("zi5", "ʦɨ"),
        ("er2", "ɚ↗"),
        ("nv3", "ny↓"),
        ("xue2", "ɕɥe↗"),
        ("jiu3", "ʨjou↓"),
        ("gui4", "kwei↘"),
        ("chun1", "ꭧʰwə→n"),
        ("wo3", "wo↓"),
        ("bo1", "pwo→"),
        ("yuan2", "ɥɛ↗n"),
        ("weng1", "wə→ŋ"),
        ("xiong2", "ɕjʊ↗ŋ"),
        ("ri4", "ɻɨ↘"),
        ("n2", "n↗"),
    ],
)
def test_a_syllable_has_the_phonemes_that_kokoro_was_trained_with(
    pinyin: str, expected: str
) -> None:
    assert phonemes_of(pinyin) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("银行行长", "i↗nxa↗ŋ xa↗ŋꭧa↓ŋ"),  # polyphones, by the words that they are in
        ("长大", "ꭧa↓ŋta↘"),
        ("重新", "ꭧʰʊ↗ŋɕi→n"),
        ("白日依山尽", "pai↗ ɻɨ↘ i→ ʂa→n ʨi↘n"),
        ("長安", "ꭧʰa↗ŋ a→n"),  # traditional characters
        ("〇", "li↗ŋ"),
        ("慢慢地走", "ma↘n ma↘n tɤ ʦou↓"),
    ],
)
def test_words_decide_how_a_character_is_read(text: str, expected: str) -> None:
    assert phonemes(text) == expected


@pytest.mark.parametrize(
    ("text", "before", "after"),
    [
        ("一天", "yi1 tian1", "yi4 tian1"),
        ("一个", "yi1 ge4", "yi2 ge4"),
        ("第一次", "di4 yi1 ci4", "di4 yi1 ci4"),
        ("十一个", "shi2 yi1 ge4", "shi2 yi1 ge4"),
        ("统一天", "tong3 yi1 tian1", "tong3 yi1 tian1"),
        ("看一看", "kan4 yi1 kan4", "kan4 yi5 kan4"),
        ("不去", "bu4 qu4", "bu2 qu4"),
        ("不来", "bu4 lai2", "bu4 lai2"),
        ("你好", "ni3 hao3", "ni2 hao3"),
        ("我很好", "wo3 hen3 hao3", "wo3 hen2 hao3"),
        ("我也很好", "wo3 ye3 hen3 hao3", "wo2 ye3 hen2 hao3"),
    ],
)
def test_tones_change_beside_others(text: str, before: str, after: str) -> None:
    assert change_tones(text, before.split()) == after.split()


def test_every_character_that_pypinyin_reads_has_phonemes() -> None:
    from pypinyin.constants import PINYIN_DICT

    assert [chr(code) for code in PINYIN_DICT if not is_readable(chr(code))] == []


@pytest.mark.parametrize("character", ["あ", "한", "a", "1", "\U0002ffff"])
def test_others_are_not_readable(character: str) -> None:
    assert not is_readable(character)


def test_phonemes_are_known_to_kokoro() -> None:
    from audio.tts.neural.kokoro import token_numbers

    sample = phonemes(LANGUAGES["zh"].sample_sentence.replace("，", "").replace("。", ""))
    assert set(sample) <= set(token_numbers())


def test_speech_lasts_as_long_as_that_of_espeak_ng() -> None:
    assert espeak_seconds(0, 130) == 0.0
    assert espeak_seconds(5, 130) == pytest.approx(1.911)
    assert espeak_seconds(5, 140) == pytest.approx(1.77, abs=0.02)  # between two measured rates
