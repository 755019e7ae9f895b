"""Phrases as text: split into words, compared, judged; and the words near a trigger phrase."""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from config.errors import ConfigError
from config.languages import is_han

_LEADS = ("a", "the", "my", "this", "your")
_CLOSE = 0.5  # of a word's letter pairs must be shared
_ALIKE = 0.5  # Dice's coefficient: words as near as this are one to the ear
_FEWEST_SYLLABLES = 4
_TOO_CLOSE = 0.7  # Dice's coefficient of letter pairs
_WORDS = """
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
COMMON_WORDS = frozenset(_WORDS.split())


@dataclass(frozen=True)
class Phrase:
    """A trigger phrase: as written in the settings, and as the words of the recogniser."""

    text: str
    words: tuple[str, ...]


def parse_phrases(
    texts: Sequence[str],
    knows: Callable[[str], bool],
    vocabulary: Callable[[], list[str]],
    key: str = "trigger.phrases",
) -> list[Phrase]:
    """Split each phrase into known words; case and punctuation do not matter.

    `key` is the setting that holds them.

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
    """The piece itself, or, in a script without spaces, its longest known words from the left."""
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
    """Where the phrase begins in the words for the last time; -1 where it does not."""
    for at in range(len(words) - len(phrase), -1, -1):
        if list(words[at : at + len(phrase)]) == list(phrase):
            return at
    return -1


def bare(text: str) -> str:
    """The words alone, lower-case, one blank between two; Chinese has no blanks at all."""
    words = "".join(c if c.isalnum() or c == "'" else " " for c in text.casefold()).split()
    return ("" if is_han(text) else " ").join(words)


def says(text: str, phrase: str) -> bool:
    """Whether the phrase is spoken in the text."""
    if is_han(phrase):
        return bare(phrase) in bare(text).replace(" ", "")
    return f" {bare(phrase)} " in f" {bare(text)} "


def parts(phrase: Sequence[str]) -> list[str]:
    """What the phrase is made of, without itself: "hey" and "computer" of "hey computer".

    A grammar of the phrase and "[unk]" alone takes much for the phrase; beside its parts the
    recogniser has somewhere better to go. More than these is too much for what listens always:
    with "a computer" it hears that for "hey computer" where there is noise.
    """
    whole = len(phrase)
    found = [
        " ".join(phrase[start:end])
        for start in range(whole)
        for end in range(start + 1, whole + 1)
        if end - start < whole
    ]
    return [*dict.fromkeys(found)]


def near_phrases(phrase: Sequence[str]) -> list[str]:
    """Phrases that must not be taken for it: its parts, and its last word after other words."""
    led = [f"{lead} {phrase[-1]}" for lead in _LEADS if len(phrase) > 1]
    return [entry for entry in [*parts(phrase), *led] if entry != " ".join(phrase)]


def similar(word: str, vocabulary: Collection[str], count: int) -> list[str]:
    """The `count` words spelt most like `word`, most alike first; fewer where none are close."""
    scored = ((-likeness(word, other), other) for other in vocabulary)
    return [other for score, other in sorted(scored)[:count] if score <= -_CLOSE]


def unlike(words: Iterable[str], others: Collection[str]) -> list[str]:
    """The words that are alike to none of the others: not "he" beside "hey"."""
    return [word for word in words if all(likeness(word, other) < _ALIKE for other in others)]


def likeness(one: str, other: str) -> float:
    """How alike two words are spelt: 0 nothing shared, 1 the same; Dice's coefficient."""
    mine, its = _pairs(one), _pairs(other)
    return 2 * len(mine & its) / (len(mine) + len(its))


def _pairs(word: str) -> set[str]:
    padded = f"<{word}>"
    return {padded[at : at + 2] for at in range(len(padded) - 1)}


def weakness(phrase: Phrase) -> str | None:
    """Why the phrase will often wake by mistake, in half a sentence; None where it need not."""
    words = phrase.words
    if all(word in COMMON_WORDS for word in words):
        return "it is made of words of everyday talk"
    if len(words) == 1 and (near := _common_word_near(words[0])):
        return f'it is close to the common word "{near}"'
    count = sum(map(syllables, words))
    if len(words) == 1:
        return "a single word is easily taken for another"
    if count < _FEWEST_SYLLABLES:
        return f"it has fewer than {_FEWEST_SYLLABLES} syllables"
    return None


def syllables(word: str) -> int:
    """About how many; each Chinese character is one, elsewhere each group of vowels."""
    chinese = len(re.findall(r"[\u4e00-\u9fff]", word))
    groups = re.findall(r"[aeiouyáàâäéèêëíìîïóòôöúùûü]+", word.lower())
    silent = bool(re.search(r"[^aeiouyl]e$|[^aeiouyst]es$|[^aeiouydt]ed$", word.lower()))
    return chinese + (max(1, len(groups) - silent) if groups else 0)


def _common_word_near(word: str) -> str | None:
    best = max(sorted(COMMON_WORDS), key=lambda other: likeness(word, other))
    return best if likeness(word, best) >= _TOO_CLOSE else None
