"""Splits streamed text into sentences, each as soon as it is complete; English and Chinese."""

import re

_BOUNDARY = re.compile(
    r"""
    (?P<han>(?<![。！？；])[。！？；]++[”’」』"]*)(?=[^。！？；”’」』"])  # no quote follows
    | (?P<latin>(?<![.!?…])[.!?…]++["'”’)]*)\s+(?=\S)
    | (?P<line>\n)
    """,
    re.VERBOSE,
)
_ABBREVIATION = re.compile(
    r"(?:^|[\s\"“(])(?:Mr|Mrs|Ms|Messrs|Dr|St|Prof|Jr|Sr|Mt|Capt|Lt|Col|Gen|Sgt|Maj|Rev|Hon|Gov|Sen"
    r"|vs|etc|[A-HJ-Z])\.$"
)
_LONGEST_ABBREVIATION = 20  # characters, with the one before it
_BEFORE_NUMBER = re.compile(r"(?:^|[\s\"“(])(?:Nos?|Vols?|Figs?|Ch|pp?)\.$")
_COMPLETE = re.compile(r"[.!?…。！？；][\"'”’)」』]*$")
_CLAUSE_END = re.compile(r"(?P<han>[，；：])|[,;:][\"”’]?\s+(?=\S)")
_MIN_CLAUSE_CHARACTERS = 12  # before its mark; shorter clauses sound chopped
_MIN_HAN_CLAUSE_CHARACTERS = 4
_LEADING_MARKS = re.compile(r"^[\s,;:.!?…)\]，、；：。！？”’»-]+(?:\"\s+)?")
_OPENING_QUOTE = re.compile(r"(?:^|(?<=\s))[\"“](?=\S)")
_CLOSING_QUOTE = re.compile(r"(?<=\S)[\"”](?=\W|$)")


class SentenceSplitter:
    """Takes text piece by piece, returns complete sentences, buffers the unfinished rest."""

    def __init__(self, *, begun: bool = False) -> None:
        """`begun` tells that sentences of the text have been returned before, by another one."""
        self._rest = ""
        self._begun = begun  # a sentence or clause has been returned

    def feed(self, text: str) -> list[str]:
        """The sentences that this text completes; sentences without a word are left out."""
        self._rest += text
        sentences = []
        while (end := self._find_end()) is not None:
            sentences.append(self._rest[:end])
            self._rest = self._rest[end:]
        tidied = [s for s in map(_tidy, sentences) if s]
        self._begun = self._begun or bool(tidied)
        return tidied

    def first_clause(self) -> str:
        """The first sentence up to its first clause mark, removed from the buffer.

        Speech can begin with it before the sentence is complete. Empty where no clause is complete
        or long enough, or where a sentence has been returned before.
        """
        if self._begun:
            return ""
        for match in _CLAUSE_END.finditer(self._rest):
            minimum = _MIN_HAN_CLAUSE_CHARACTERS if match["han"] else _MIN_CLAUSE_CHARACTERS
            if len(_tidy(self._rest[: match.start()])) >= minimum:
                clause, self._rest = self._rest[: match.end()], self._rest[match.end() :]
                self._begun = True
                return _tidy(clause)
        return ""

    @property
    def buffered(self) -> str:
        """The text that belongs to no sentence yet, as it was given."""
        return self._rest

    def _find_end(self) -> int | None:
        """The index at which the first complete sentence of the buffer ends; None if none is."""
        for match in _BOUNDARY.finditer(self._rest):
            if match["latin"] is None:
                return match.end()
            end = match.end("latin")
            before = self._rest[max(0, end - _LONGEST_ABBREVIATION) : end]
            following = self._rest[match.end()]
            continues = following.islower()  # "Why?" asked the fox.
            is_number = following.isdigit() and _BEFORE_NUMBER.search(before)  # No. 5
            if not continues and not is_number and not _ABBREVIATION.search(before):
                return match.end()
        return None

    def rest(self) -> str:
        """The buffered text, where the text has ended here."""
        return _tidy(self._rest)

    def finished_rest(self) -> str:
        """The buffered text if it is a whole sentence that only lacked a successor, else empty."""
        return self.rest() if _COMPLETE.search(self._rest.rstrip()) else ""

    def whole_words_of_rest(self) -> str:
        """The buffered text without its last word, which may be unfinished; Chinese as it is."""
        head, space, _ = self._rest.rstrip().rpartition(" ")
        return _tidy(head) if space and head.strip() else self.rest()


def is_complete(text: str) -> bool:
    """True if the text ends with a complete sentence."""
    return bool(_COMPLETE.search(text.rstrip()))


def within_speech(text: str) -> bool:
    """True if a quotation in the text is still open, as in 'He said, "Yes!'."""
    return len(_OPENING_QUOTE.findall(text)) > len(_CLOSING_QUOTE.findall(text))


def _tidy(sentence: str) -> str:
    """The sentence without outer spaces and leading marks; empty if it has no word."""
    text = " ".join(_LEADING_MARKS.sub("", sentence).split())
    return text if any(character.isalnum() for character in text) else ""
