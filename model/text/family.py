"""Finds text unfit for a room with children: self-harm, sex, hate, gore, weapons, swear words.

Lists of words, patterns and pairs of words decide, for English and Chinese: family-*.txt,
ldnoobw-*.txt and pairs-*.txt in model/text/patterns. They know words, not what is meant: unfit
sentences of other words pass, and some harmless sentences do not.
"""

import re
import unicodedata

from config.languages import is_han
from model.text.form_faults import Candidate
from model.text.pattern_file import join, join_named, kind_of, read_lines, read_sections

_CONTEXT_CHARACTERS = 60  # of the text before, for phrases that begin in it
_LONGEST_PHRASE_WORDS = 4  # of the longest phrase that the list uses
_LONGEST_HAN_TERM_CHARACTERS = 8
_LIST_KIND = "coarse"  # terms of ldnoobw-*.txt
_INNOCENT, _ALLOWED = "innocent", "allowed"

_GROUPS = (
    "jews|muslims|blacks|black people|gays|gay people|homosexuals|lesbians|mexicans|immigrants"
    "|foreigners|refugees|arabs|asians|africans|gypsies|jewish people|women|disabled people"
    "|cripples|trans people|transgender people|christians|hindus|white people|poor people"
)
_PEOPLE = (
    "man|men|woman|women|boys?|girls?|child|children|kids?|people|person|policeman|policemen|cop"
    "|wife|husband|mother|father|mom|mum|dad|parents|son|daughter|brother|sister|friend|baby"
    "|teacher|student|students|neighbour|neighbor|soldiers?|stranger|victim|victims|doctor"
)
_POSSESSIVE = "(?:my|your|his|her|its|our|their|the|a|an)"
_MACROS = {
    "<self>": "(?:my|your|him|her|it|our|them|one)sel(?:f|ves)",
    "<poss>": _POSSESSIVE,
    "<person>": rf"(?:(?:him|her|them|me|us)\b|{_POSSESSIVE} (?:\w+ ){{0,2}}(?:{_PEOPLE}))",
    "<group>": f"(?:{_GROUPS})",
}
_HAN_MACROS = {
    "<group>": "(?:黑人|白人|犹太人|穆斯林|回民|同性恋|女人|外地人|乡下人|外国人|移民|难民|残疾人"
    "|残疾|印度人|日本人|非洲人|藏人|少数民族|老人|胖子)"
}

_Pair = tuple[str, tuple[re.Pattern[str], ...]]
"""A kind, and expressions that are unfit together."""

_WORD = re.compile(r"[a-z*~]+(?:'[a-z]+)*|[.!?…]+")
_LONG_REPEAT = re.compile(r"([a-z])\1{2,}")
_SPELT = re.compile(r"\b[a-z](?:[ .\-_]+[a-z]\b){2,}")
_DISGUISED = re.compile(
    r"(?<![^\W\d_])[^\W\d_@$]+[0134578@$!|]+[^\W\d_]+[0134578@$|]*|[@$5][^\W\d_]{2,}"
)
_DISGUISE = str.maketrans("0134578@$!|", "oieastbasil")
_ACCENTS = re.compile(r"[\u0300-\u036f\u200b-\u200d\u2060\ufeff\u00ad]")
_NOT_HAN_TEXT = re.compile(r"\s+")
_TRADITIONAL = str.maketrans(
    "殺殘縊輕繩斷脈樓尋結體內臟膛開臉滿鮮傷寫藥淚槍彈機衝鋒擊斃聲響戰準狙榴謀兇恐怖襲裸撫"
    "強姦穢蕩婦嫖慾亂倫電網錄鬼豬種劣滅納萬歲滾鄉國媽幹雞龜陰頭髒肢碎屍腦漿濺噴劍剝爛賤貨"
    "與們個對這過還沒時為來說後會發無當經長",
    "杀残缢轻绳断脉楼寻结体内脏膛开脸满鲜伤写药泪枪弹机冲锋击毙声响战准狙榴谋凶恐怖袭裸抚"
    "强奸秽荡妇嫖欲乱伦电网录鬼猪种劣灭纳万岁滚乡国妈干鸡龟阴头脏肢碎尸脑浆溅喷剑剥烂贱货"
    "与们个对这过还没时为来说后会发无当经长",
)


class FamilyCheck:
    """Finds unfit words and phrases in sentences. It reads its files once, in 0.1 s."""

    def __init__(self) -> None:
        english, chinese = read_sections("family-en.txt"), read_sections("family-zh.txt")
        words = set(read_lines("ldnoobw-en.txt")).difference(english.pop(_INNOCENT))
        terms = set(read_lines("ldnoobw-zh.txt")).difference(chinese.pop(_INNOCENT))
        self._words = {tuple(word.split()) for word in words}
        self._terms = {term for term in terms if len(term) > 1}
        self._english_allowed = re.compile(rf"\b(?:{join(english.pop(_ALLOWED))})\b")
        self._chinese_allowed = re.compile(join(chinese.pop(_ALLOWED)))
        english = {k: [_expand(line, _MACROS) for line in v] for k, v in english.items()}
        chinese = {k: [_expand(line, _HAN_MACROS) for line in v] for k, v in chinese.items()}
        self._english_pairs = _read_pairs("pairs-en.txt", _MACROS, r"\b(?:{})\b")
        self._chinese_pairs = _read_pairs("pairs-zh.txt", _HAN_MACROS, "{}")
        self._english = re.compile(rf"\b(?:{join_named(english)})(?![\w*'])")
        self._chinese = re.compile(join_named(chinese))

    def __call__(self, candidate: Candidate) -> str | None:
        """The kind of an unfit phrase in a sentence that is to be spoken; None if there is none."""
        return self.unfit(candidate.before, candidate.raw)

    def unfit(self, before: str, sentence: str) -> str | None:
        """The kind of an unfit phrase that the sentence holds or completes; None if there is none.

        Args:
            before: the text before the sentence. What is unfit in it alone does not count.
            sentence: text in any script.
        """
        before = before[-_CONTEXT_CHARACTERS:]
        return self._unfit_english(before, sentence) or (
            self._unfit_chinese(before, sentence) if is_han(sentence) else None
        )

    def _unfit_english(self, before: str, sentence: str) -> str | None:
        head, tail = _english_words(before), _english_words(sentence)
        if not tail:
            return None
        begin = len(" ".join(head))
        text = self._english_allowed.sub(_blank, " ".join([*head, *tail]))
        for match in self._english.finditer(text):
            if match.end() > begin:
                return kind_of(match)
        if self._holds_phrase(text.split(" "), len(head)):
            return _LIST_KIND
        return _kind_of_pair(self._english_pairs, text[begin:])

    def _holds_phrase(self, words: list[str], begin: int) -> bool:
        """True if a phrase of the list, or its plural, ends after the first `begin` words."""
        for end in range(begin + 1, len(words) + 1):
            for length in range(1, min(_LONGEST_PHRASE_WORDS, end) + 1):
                phrase = tuple(words[end - length : end])
                singular = (*phrase[:-1], phrase[-1].removesuffix("s"))
                if phrase in self._words or singular in self._words:
                    return True
        return False

    def _unfit_chinese(self, before: str, sentence: str) -> str | None:
        head, tail = _han_text(before), _han_text(sentence)
        begin = len(head)
        text = self._chinese_allowed.sub(_blank, head + tail)
        for match in self._chinese.finditer(text):
            if match.end() > begin:
                return kind_of(match)
        for end in range(begin + 1, len(text) + 1):
            for length in range(2, min(_LONGEST_HAN_TERM_CHARACTERS, end) + 1):
                if text[end - length : end] in self._terms:
                    return _LIST_KIND
        return _kind_of_pair(self._chinese_pairs, text[begin:])


def _blank(match: re.Match[str]) -> str:
    """Marks of the same length that no pattern matches."""
    return "~" * len(match.group())


def _english_words(text: str) -> list[str]:
    """The words in lower case, disguises removed; "." stands for each end of a sentence."""
    text = _ACCENTS.sub("", unicodedata.normalize("NFKD", text)).lower()
    text = text.replace("’", "'")
    text = _DISGUISED.sub(lambda match: match.group().translate(_DISGUISE), text)
    text = _LONG_REPEAT.sub(r"\1", text)
    text = _SPELT.sub(lambda match: re.sub(r"[^a-z]", "", match.group()), text)
    words = _WORD.findall(text)
    return ["." if word[0] in ".!?…" else word.removesuffix("'s") for word in words]


def _han_text(text: str) -> str:
    """Simplified characters without blanks, marks kept."""
    return _NOT_HAN_TEXT.sub("", unicodedata.normalize("NFKC", text)).translate(_TRADITIONAL)


def _read_pairs(name: str, macros: dict[str, str], frame: str) -> list[_Pair]:
    """The lines of a file of pairs."""
    return [
        (kind, tuple(re.compile(frame.format(_expand(side, macros))) for side in line.split(" & ")))
        for kind, lines in read_sections(name).items()
        for line in lines
    ]


def _kind_of_pair(pairs: list[_Pair], text: str) -> str | None:
    """The kind of the first pair of which the text holds all sides; None if there is none."""
    return next((kind for kind, sides in pairs if all(s.search(text) for s in sides)), None)


def _expand(term: str, macros: dict[str, str]) -> str:
    for name, pattern in macros.items():
        term = term.replace(name, pattern)
    return term.replace(r"\w+ ", r"[\w']+ ")  # words with an apostrophe, too
