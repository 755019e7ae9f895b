"""Mandarin text as phonemes of Kokoro-82M v1.0, which was trained with those of misaki 0.7.

The tables are misaki's (https://github.com/hexgrad/misaki, misaki/transcription.py and zh.py,
Apache-2.0), and come from https://github.com/stefantaubert/pinyin-to-ipa (MIT). Unlike misaki,
which asks jieba for the words, this uses the words that pypinyin needs for its readings.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

INITIALS = {
    "b": "p",
    "c": "ʦʰ",
    "ch": "ꭧʰ",
    "d": "t",
    "f": "f",
    "g": "k",
    "h": "x",
    "j": "ʨ",
    "k": "kʰ",
    "l": "l",
    "m": "m",
    "n": "n",
    "p": "pʰ",
    "q": "ʨʰ",
    "r": "ɻ",
    "s": "s",
    "sh": "ʂ",
    "t": "tʰ",
    "x": "ɕ",
    "z": "ʦ",
    "zh": "ꭧ",
}
FINALS = {  # 0 is where the tone goes
    "a": "a0",
    "ai": "ai0",
    "an": "a0n",
    "ang": "a0ŋ",
    "ao": "au0",
    "e": "ɤ0",
    "ei": "ei0",
    "en": "ə0n",
    "eng": "ə0ŋ",
    "i": "i0",
    "ia": "ja0",
    "ian": "jɛ0n",
    "iang": "ja0ŋ",
    "iao": "jau0",
    "ie": "je0",
    "in": "i0n",
    "iou": "jou0",
    "ing": "i0ŋ",
    "iong": "jʊ0ŋ",
    "ong": "ʊ0ŋ",
    "ou": "ou0",
    "u": "u0",
    "uei": "wei0",
    "ua": "wa0",
    "uai": "wai0",
    "uan": "wa0n",
    "uen": "wə0n",
    "uang": "wa0ŋ",
    "ueng": "wə0ŋ",
    "uo": "wo0",
    "o": "wo0",
    "v": "y0",
    "ve": "ɥe0",
    "van": "ɥɛ0n",
    "vn": "y0n",
}
SYLLABLES = {  # without initial and final
    "er": "ɚ0",
    "ê": "ɛ0",
    "io": "jɔ0",
    "o": "ɔ0",
    "hm": "hm0",
    "hng": "hŋ0",
    "m": "m0",
    "n": "n0",
    "ng": "ŋ0",
}
SIBILANTS = frozenset(("zh", "ch", "sh", "r", "z", "c", "s"))  # -i after them is a vowel of its own
TONES = {"1": "→", "2": "↗", "3": "↓", "4": "↘", "5": ""}

# Readings of single characters that are wrong in pypinyin: rare ones, or those of the traditional
# character alone, whose words its dictionary lacks.
_READINGS = """
尽jin4 盡jin4 長chang2 還hai2 著zhe5 為wei4 覺jue2 處chu4 樂le4 應ying1 當dang1 將jiang1
乾gan1 間jian1 會hui4 個ge4 們men5 麼me5
"""
READINGS = {entry[0]: entry[1:] for entry in _READINGS.split()}

# Milliseconds of espeak-ng's cmn-latn-pinyin for a clause, and for each of its syllables, at a rate
# in words a minute; measured over 34 clauses of 4 to 15 syllables.
MILLISECONDS = {
    80: (407, 521),
    110: (316, 395),
    130: (261, 330),
    150: (222, 286),
    200: (175, 206),
    250: (143, 161),
    300: (95, 135),
    370: (68, 113),
    450: (90, 97),
}
_REDUPLICATED = re.compile(r"(.)\1$")  # an adverb, as 慢慢 before 地
_NUMERALS = "零〇一二三四五六七八九十"
# 一 keeps its tone behind these (ordinals, 统一 and the like), and before these.
_BEFORE_PLAIN_ONE = f"{_NUMERALS}百千万亿第初周期统唯专单划逐"
_AFTER_PLAIN_ONE = f"{_NUMERALS}月号"


def phonemes(text: str) -> str:
    """The phonemes of Chinese characters, with a blank between two words.

    Args:
        text: characters that `is_readable` knows, with no marks between them.
    """
    words = split_words(text)
    readings = [syllable for word in words for syllable in _readings(word)]
    syllables = iter(change_tones(text, readings))
    return " ".join("".join(phonemes_of(next(syllables)) for _ in word) for word in words)


@lru_cache(maxsize=4096)
def is_readable(character: str) -> bool:
    """False for a character that pypinyin has no reading for."""
    try:
        return bool(phonemes_of(_readings(character)[0]))
    except KeyError:
        return False


def split_words(text: str) -> list[str]:
    """Cut into the longest words that pypinyin's dictionary of readings has."""
    from pypinyin.seg.mmseg import seg

    return [str(word) for word in seg.cut(text)]


def change_tones(text: str, syllables: Sequence[str]) -> list[str]:
    """Apply the tone sandhi of 一, 不 and the third tone, and the neutral tone of 地.

    Args:
        text: the characters.
        syllables: a reading of each, such as "yi1".
    """
    changed = list(syllables)
    for index, character in enumerate(text):
        before, after = text[:index], text[index + 1 : index + 2]
        tone = syllables[index + 1][-1] if after else ""
        if character == "一" and changed[index].startswith("yi"):
            changed[index] = f"yi{_tone_of_one(before[-1:], after, tone)}"
        elif character == "不" and changed[index] == "bu4" and tone == "4":
            changed[index] = "bu2"
        elif character == "地" and changed[index] == "di4" and _REDUPLICATED.search(before):
            changed[index] = "de5"
    # In a row of third tones the last but one, and each second one before it, becomes a second one.
    for index in range(len(changed) - 2, -1, -1):
        if changed[index][-1] == changed[index + 1][-1] == "3":
            changed[index] = f"{changed[index][:-1]}2"
    return changed


def _tone_of_one(before: str, after: str, tone: str) -> str:
    """The tone of 一 by its neighbours and the tone of the next syllable."""
    if not after or after in _AFTER_PLAIN_ONE or (before and before in _BEFORE_PLAIN_ONE):
        return "1"
    if before == after:  # 看一看
        return "5"
    return "2" if tone in "45" else "4"


def _readings(word: str) -> list[str]:
    """The syllables of a word, such as ["yin2", "hang2"]; KeyError if it has other characters."""
    from pypinyin import Style, lazy_pinyin

    if word in READINGS:
        return [READINGS[word]]
    syllables = lazy_pinyin(word, Style.TONE3, errors=str, neutral_tone_with_five=True)
    if len(syllables) != len(word) or not all(syllable[-1:].isdigit() for syllable in syllables):
        raise KeyError(word)
    return [str(syllable) for syllable in syllables]


def espeak_seconds(syllables: int, rate_wpm: int) -> float:
    """How long espeak-ng speaks for a clause at a rate of 80 to 450 words a minute."""
    if not syllables:
        return 0.0
    pace = [1 / rate for rate in reversed(MILLISECONDS)]  # speech takes about the inverse of it
    clause, each = zip(*reversed(MILLISECONDS.values()), strict=True)
    return (
        float(
            np.interp(1 / rate_wpm, pace, clause) + syllables * np.interp(1 / rate_wpm, pace, each)
        )
        / 1000
    )


@lru_cache(maxsize=4096)
def phonemes_of(syllable: str) -> str:
    """The phonemes of a syllable of pinyin, such as "xue2"; KeyError if it is none."""
    from pypinyin.contrib.tone_convert import to_finals, to_initials

    sound, tone = syllable[:-1], TONES[syllable[-1]]
    if sound in SYLLABLES:
        return SYLLABLES[sound].replace("0", tone)
    initial, final = to_initials(sound), to_finals(sound)
    if final == "i" and initial in SIBILANTS:
        return f"{INITIALS[initial]}ɨ{tone}"
    return (INITIALS[initial] if initial else "") + FINALS[final].replace("0", tone)
