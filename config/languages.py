"""The table of languages that Afterword recognises, continues and speaks.

A new language is one more entry of `LANGUAGES` and of `Settings.language`, a Vosk model in
audio/stt/vosk_models.json, weights and a starter corpus (model/weights, model/starter), and, where
its defaults differ, a settings file beside default.yaml.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

HAN = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Ranges of Chinese characters, for a character class of a regular expression."""

_HAN = re.compile(f"[{HAN}]")
_UNSPACED = (
    *("CJK ", "IDEOGRAPHIC ", "BOPOMOFO ", "HIRAGANA ", "KATAKANA", "HALFWIDTH KATAKANA"),
    *("THAI ", "LAO ", "KHMER ", "MYANMAR ", "TIBETAN ", "TAI ", "NEW TAI LUE "),
)
"""Beginnings of the Unicode names of letters of scripts without blanks between words."""
_AMBIGUOUS = "“”‘’\"'…—–"  # marks of both scripts: the character beside them decides
_LEADS_ON = re.compile(r"""\w[-‐‑]$|[(\[{“‘]$|(?:^|\s)["']$""")
"""The end of a text that leads into the next word: a hyphen, an opening mark."""

_WORD_CHARACTERS = 64  # a longer stretch without a blank is no word, but Chinese


@dataclass(frozen=True)
class Language:
    """One language, with all that depends on it.

    Attributes:
        code: as in the setting `language`.
        settings_file: the packaged layer over default.yaml; None where the defaults fit.
        word_space: separator between two words of recognised speech.
        voice_prefixes: language tags of espeak-ng's voices that speak it begin with one of these.
        default_voice: the default of `voice.name`, as in the settings files.
        espeak_voice: the voice of espeak-ng that speaks where that of the settings does not work.
        few_words: with fewer words a user is still making the seed up (endpointing); Chinese words
            hold more.
        unfinished_words: words that end no sentence (endpointing).
        tune_voices: distinct and intelligible voices; `afterword tune` offers those that are here.
        evaluation_voices: voices that say a trigger phrase for `afterword doctor --phrase`.
        near_sentence: a sentence around two confusable phrases, for `doctor --phrase`.
        sample_sentence: a sentence to try a voice with.
        doctor_sentence: a sentence of eight words, by which `afterword doctor` measures a voice.
        trial_seed: the seed that new weights must continue before a running daemon loads them.
        training_seed: the seed of the sample at each validation of a training.
        report_seeds: the seeds of the samples in the report of a training. They are everyday ones,
            so that the style of what follows comes from the weights.
        opening_characters: length of a seed taken from the user's texts in that report.
        spoken_openings: fraction of training passages whose opening is written like recognised
            speech, without capitals and punctuation.
        own_temperature_factor: multiplies the temperature of weights that are trained on the user's
            texts: what they have learnt of few texts is well-formed where it is likely. Cooler
            Chinese repeats itself.
    """

    code: str
    settings_file: str | None
    word_space: str
    voice_prefixes: tuple[str, ...]
    default_voice: str
    espeak_voice: str
    few_words: int
    unfinished_words: frozenset[str]
    tune_voices: tuple[str, ...]
    evaluation_voices: tuple[str, ...]
    near_sentence: str
    sample_sentence: str
    doctor_sentence: str
    trial_seed: str
    training_seed: str
    report_seeds: tuple[str, ...]
    opening_characters: int
    spoken_openings: float
    own_temperature_factor: float


_UNFINISHED_ENGLISH = """
a an the and or but nor of to in on at by for from with into upon about over under through than as
if that because when while who which what where is are was were his my your our their its these
those had has have do does did will would shall should could can may might must any some every
each said
"""
_UNFINISHED_CHINESE = """
和 跟 与 在 把 被 从 对 给 向 往 是 但 但是 因为 如果 而 而且 或 或者 一个 这个 那个 很
就 也 都
"""

_ENGLISH = Language(
    code="en",
    settings_file=None,
    word_space=" ",
    voice_prefixes=("en",),
    default_voice="hibari",
    espeak_voice="en-us",
    few_words=5,
    unfinished_words=frozenset(_UNFINISHED_ENGLISH.split()),
    tune_voices=(
        *("hibari", "kokoro:af_heart", "kokoro:bf_emma", "kokoro:am_michael"),
        *("en-us", "en", "en-gb", "en-gb-scotland", "en-us+f3", "en-us+m3"),
    ),
    evaluation_voices=(
        *("en-us", "en-us+f3", "en-us+m7"),
        *("en-gb-x-rp", "en-gb-x-rp+f2", "en-gb-scotland+m3"),
    ),
    near_sentence="I said {} to them, and {} again.",
    sample_sentence="Once upon a time there was a little fox, who lived near the sea.",
    doctor_sentence="Once upon a time there was a fox.",
    trial_seed="once upon a time",
    training_seed="the old sailor",
    report_seeds=(
        *("yesterday evening", "my mother always said", "she opened the letter"),
        *("it had been raining all day", "when i was young", "after dinner we"),
        *("nobody in the house", "the old sailor"),
    ),
    opening_characters=40,
    spoken_openings=0.35,
    own_temperature_factor=0.6,
)

_CHINESE = Language(
    code="zh",
    settings_file="zh.yaml",
    word_space="",
    voice_prefixes=("cmn", "yue", "hak", "nan", "zh"),
    default_voice="kokoro:zf_xiaoxiao",
    # Not cmn: espeak-ng 1.51, which Debian 12 has, reads its characters as "chun one, mian two".
    espeak_voice="cmn-latn-pinyin",
    few_words=2,
    unfinished_words=frozenset(_UNFINISHED_CHINESE.split()),
    tune_voices=(
        *("kokoro:zf_xiaoxiao", "kokoro:zf_xiaoyi", "kokoro:zm_yunjian", "kokoro:zm_yunxi"),
        *("cmn-latn-pinyin", "cmn-latn-pinyin+f2", "cmn-latn-pinyin+m3"),
    ),
    evaluation_voices=(
        *("cmn-latn-pinyin", "cmn-latn-pinyin+f2"),
        *("cmn-latn-pinyin+f4", "cmn-latn-pinyin+m3"),
    ),
    near_sentence="我说{}，又说{}。",
    sample_sentence="床前明月光，疑是地上霜。",
    doctor_sentence="很久以前有一只小狐狸住在海边。",
    trial_seed="春",
    training_seed="春",
    report_seeds=("今天天气很好", "我小时候", "昨天晚上", "老人说", "春", "武", "月"),
    opening_characters=2,
    spoken_openings=0.0,
    own_temperature_factor=1.0,
)

LANGUAGES: Mapping[str, Language] = MappingProxyType(
    {language.code: language for language in (_ENGLISH, _CHINESE)}
)


def is_han(text: str) -> bool:
    """True if any character of the text is Chinese."""
    return bool(_HAN.search(text))


def is_unspaced(character: str) -> bool:
    """True for a letter of a script without blanks between words: Chinese, Thai or another."""
    if "\U00020000" <= character <= "\U0003ffff":  # ideographs only, with names or without
        return True
    return character.isalnum() and unicodedata.name(character, "").startswith(_UNSPACED)


def sentence_gap(before: str, after: str) -> str:
    """The separator of two sentences: a space, or nothing beside a wide (Chinese) character.

    A text that the second one continues may also end in a hyphen or an opening mark, which take no
    space either.
    """
    if not before or not after or _LEADS_ON.search(before):
        return ""
    last, first = before.rstrip(_AMBIGUOUS)[-1:], after.lstrip(_AMBIGUOUS)[:1]
    return "" if _is_wide(last) or _is_wide(first) else " "


def join_sentences(sentences: Iterable[str]) -> str:
    """The sentences in one text, with the `sentence_gap` between them."""
    text = ""
    for sentence in sentences:
        text += sentence_gap(text, sentence) + sentence
    return text


def end_of_text(text: str, characters: int) -> str:
    """The end of a text, of at most so many characters, from the beginning of a word."""
    if len(text) <= characters:
        return text
    end = text[-characters - 1 :]  # with one more, which tells whether a word is cut
    blank = re.search(r"\s", end[:_WORD_CHARACTERS])
    return end[blank.end() :] if blank else end[1:]


def _is_wide(character: str) -> bool:
    return bool(character) and unicodedata.east_asian_width(character) in "WF"
