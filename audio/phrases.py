"""Phrases as text: split into the recogniser's words, compared, and judged as triggers."""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from config.errors import ConfigError
from config.languages import is_han

_CONFUSABLE_LEADS = ("a", "the", "my", "this", "your")
_SUGGESTED_DICE = 0.5  # from which on a word is suggested for another
_SIMILAR_DICE = 0.5  # from which on a recogniser takes one word for the other
_WEAK_DICE = 0.7  # from which on a one-word phrase is too close to a common word
_MIN_SYLLABLES = 4  # of a trigger phrase

# The words said most in English and Chinese, by any frequency list.
_COMMON = """
a about after again all also am an and any are as at back be because been before but by call came
can come could day did do does done down each even find first for from get give go going good got
great had has have he hear hello help her here hey hi him his home house how i if in into is it
its just know last left let life like little long look made make man many may me more morning most
much must my name need never new next night no not now of off oh ok okay old on one only open or
other our out over own part people place play please put right said same say see she should show
sir so some something soon sorry start still stop such sure take talk tell than thank thanks that
the their them then there these they thing things think this three time to today too turn two
under up us very wait want was water way we week well went were what when where which while who
why will wish with woman word work world would write year years yes yet you young your
你 我 他 她 它 们 你们 我们 他们 的 了 是 在 有 和 不 好 你好 您好 请 谢谢 再见 什么 怎么
这 那 这个 那个 这里 那里 一 一个 人 大家 说 看 听 来 去 要 想 知道 可以 没有 现在 今天
明天 时候 吃 喝 打开 开始
"""
COMMON_WORDS = frozenset(_COMMON.split())


@dataclass(frozen=True)
class Phrase:
    """A phrase to detect: as written in the settings, and as words that the recogniser knows."""

    text: str
    words: tuple[str, ...]


def parse_phrases(
    texts: Sequence[str],
    knows: Callable[[str], bool],
    vocabulary: Callable[[], list[str]],
    key: str = "trigger.phrases",
) -> list[Phrase]:
    """Split each phrase into known words, without regard to case and punctuation.

    Args:
        texts: as written in the settings.
        knows: whether a word is in the recogniser's vocabulary.
        vocabulary: gives the whole of it, for suggestions.
        key: the setting that holds the phrases, for error messages.

    Raises:
        ConfigError: a phrase is empty or has a word that the model does not know.
    """
    phrases = []
    for text in texts:
        words: list[str] = []
        for piece in re.findall(r"[\w'’-]+", text.lower()):
            found = _segment(piece.replace("’", "'"), knows)
            if not found:
                raise ConfigError(_unknown(key, text, piece, vocabulary()))
            words += found
        if not words:
            raise ConfigError(f'{key}: "{text}" has no word to listen for.')
        phrases.append(Phrase(text, tuple(words)))
    return phrases


def _segment(piece: str, knows: Callable[[str], bool]) -> list[str]:
    """The piece itself, or, in a script without spaces, its longest known words from the left.

    Empty where some part of it is not known.
    """
    if knows(piece):
        return [piece]
    if piece.isascii():
        return []
    words, at = [], 0
    while at < len(piece):
        ends = range(len(piece), at, -1)
        end = next((end for end in ends if knows(piece[at:end])), None)
        if end is None:
            return []
        words.append(piece[at:end])
        at = end
    return words


def _unknown(key: str, text: str, word: str, vocabulary: list[str]) -> str:
    close = similar(word, vocabulary, 3)
    hint = f" (similar words it knows: {', '.join(close)})" if close else ""
    return (
        f'{key}: the Vosk model does not know the word "{word}" of "{text}"{hint}; '
        f"choose another phrase."
    )


def find(phrase: Sequence[str], words: Sequence[str]) -> int:
    """The index of the last occurrence of the phrase in the words; -1 if there is none."""
    for at in range(len(words) - len(phrase), -1, -1):
        if list(words[at : at + len(phrase)]) == list(phrase):
            return at
    return -1


def bare(text: str) -> str:
    """The words as a recogniser writes them: lower-case, one blank between, none in Chinese."""
    words = "".join(c if c.isalnum() or c == "'" else " " for c in text.casefold()).split()
    return ("" if is_han(text) else " ").join(words)


def says(text: str, phrase: str) -> bool:
    """True if the text holds the words of the phrase."""
    if is_han(phrase):
        return bare(phrase) in bare(text).replace(" ", "")
    return f" {bare(phrase)} " in f" {bare(text)} "


def sub_phrases(phrase: Sequence[str]) -> list[str]:
    """The runs of words in the phrase, without the whole: "hey", "computer" of "hey computer".

    A grammar of the phrase and "[unk]" alone takes much other speech for the phrase; sub-phrases
    beside it attract the rest. A grammar that always listens must not hold more: with "a computer"
    in it, noise turns "hey computer" into that.
    """
    whole = len(phrase)
    found = [
        " ".join(phrase[start:end])
        for start in range(whole)
        for end in range(start + 1, whole + 1)
        if end - start < whole
    ]
    return [*dict.fromkeys(found)]


def confusable_phrases(phrase: Sequence[str]) -> list[str]:
    """Phrases that must not trigger: sub-phrases, and the last word after other words."""
    led = [f"{lead} {phrase[-1]}" for lead in _CONFUSABLE_LEADS if len(phrase) > 1]
    return [entry for entry in [*sub_phrases(phrase), *led] if entry != " ".join(phrase)]


def similar(word: str, vocabulary: Collection[str], count: int) -> list[str]:
    """Up to `count` words spelt like `word`, the most similar first."""
    scored = ((-dice_similarity(word, other), other) for other in vocabulary)
    return [other for score, other in sorted(scored)[:count] if score <= -_SUGGESTED_DICE]


def dissimilar(words: Iterable[str], others: Collection[str]) -> list[str]:
    """The words that are similar to none of the others: not "he" beside "hey"."""
    return [
        word
        for word in words
        if all(dice_similarity(word, other) < _SIMILAR_DICE for other in others)
    ]


def dice_similarity(one: str, other: str) -> float:
    """Dice's coefficient of the letter pairs of two words: 0 none shared, 1 all."""
    pairs, others = _letter_pairs(one), _letter_pairs(other)
    return 2 * len(pairs & others) / (len(pairs) + len(others))


def _letter_pairs(word: str) -> set[str]:
    padded = f"<{word}>"
    return {padded[at : at + 2] for at in range(len(padded) - 1)}


def phrase_weakness(phrase: Phrase) -> str | None:
    """Why the phrase is likely to trigger by mistake, in half a sentence; None for a good one.

    Published advice for wake words: two words, four syllables or more, none of everyday talk.
    """
    words = phrase.words
    if all(word in COMMON_WORDS for word in words):
        return "it is made of words of everyday talk"
    if len(words) == 1 and (near := _common_word_near(words[0])):
        return f'it is close to the common word "{near}"'
    count = sum(map(syllables, words))
    if len(words) == 1:
        return "a single word is easily taken for another"
    if count < _MIN_SYLLABLES:
        return f"it has fewer than {_MIN_SYLLABLES} syllables"
    return None


def syllables(word: str) -> int:
    """About how many syllables: one for each Chinese character, else for each group of vowels."""
    chinese = len(re.findall(r"[\u4e00-\u9fff]", word))
    groups = re.findall(r"[aeiouyáàâäéèêëíìîïóòôöúùûü]+", word.lower())
    silent = bool(re.search(r"[^aeiouyl]e$|[^aeiouyst]es$|[^aeiouydt]ed$", word.lower()))
    return chinese + (max(1, len(groups) - silent) if groups else 0)


def _common_word_near(word: str) -> str | None:
    best = max(sorted(COMMON_WORDS), key=lambda other: dice_similarity(word, other))
    return best if dice_similarity(word, best) >= _WEAK_DICE else None
