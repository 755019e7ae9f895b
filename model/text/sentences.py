"""A stream of characters to sentences, each as soon as it is complete, English and Chinese."""

import re

_BOUNDARY = re.compile(
    r"""
    (?P<han>[。！？；]+[”’」』"]*)(?=[^。！？；”’」』"])  # no quote follows
    | (?P<latin>[.!?…]+["'”’)]*)\s+(?=\S)
    | (?P<line>\n)
    """,
    re.VERBOSE,
)
_ABBREVIATION = re.compile(r"(?:^|[\s\"“(])(?:Mr|Mrs|Ms|Dr|St|Prof|Jr|Sr|Mt|vs|etc|[A-HJ-Z])\.$")
_COMPLETE = re.compile(r"[.!?…。！？；][\"'”’)」』]*$")
_CLAUSE_END = re.compile(r"(?P<han>[，；：])|[,;:][\"”’]?\s+(?=\S)")
_SHORTEST_CLAUSE = 12  # characters before its mark, 4 of Chinese; shorter ones sound chopped
_SHORTEST_HAN_CLAUSE = 4
_LEADING_MARKS = re.compile(r"^[\s,;:.!?…)\]，、；：。！？”’»-]+(?:\"\s+)?")
_OPENING_QUOTE = re.compile(r"(?:^|(?<=\s))[\"“](?=\S)")
_CLOSING_QUOTE = re.compile(r"(?<=\S)[\"”](?=\W|$)")


class SentenceSplitter:
    """Feed it text; it hands out sentences and keeps the unfinished rest."""

    def __init__(self) -> None:
        self._rest = ""
        self._begun = False  # something has been handed out

    def feed(self, text: str) -> list[str]:
        """The sentences that this text completes; those without a word are left out."""
        self._rest += text
        sentences = []
        while (end := self._find_end()) is not None:
            sentences.append(self._rest[:end])
            self._rest = self._rest[end:]
        tidied = [s for s in map(_tidy, sentences) if s]
        self._begun = self._begun or bool(tidied)
        return tidied

    def first_clause(self) -> str:
        """The beginning of the first sentence up to a comma or the like, once that has come.

        It is taken out, so that a voice can begin before the sentence is complete; empty where
        there is none, or a sentence was handed out already.
        """
        if self._begun:
            return ""
        for match in _CLAUSE_END.finditer(self._rest):
            least = _SHORTEST_HAN_CLAUSE if match["han"] else _SHORTEST_CLAUSE
            if len(_tidy(self._rest[: match.start()])) >= least:
                clause, self._rest = self._rest[: match.end()], self._rest[match.end() :]
                self._begun = True
                return _tidy(clause)
        return ""

    def _find_end(self) -> int | None:
        """Where the first complete sentence of the rest ends."""
        for match in _BOUNDARY.finditer(self._rest):
            if match["latin"] is None:
                return match.end()
            goes_on = self._rest[match.end()].islower()  # "Why?" asked the fox.
            if not goes_on and not _ABBREVIATION.search(self._rest[: match.end("latin")]):
                return match.end()
        return None

    def rest(self) -> str:
        """What has not been handed out: the text has ended here."""
        return _tidy(self._rest)

    def finished_rest(self) -> str:
        """The same where it is a whole sentence that only lacked a successor, else nothing."""
        return self.rest() if _COMPLETE.search(self._rest.rstrip()) else ""

    def whole_words_of_rest(self) -> str:
        """The same without the last word, which may be unfinished; Chinese has no such words."""
        head, space, _ = self._rest.rstrip().rpartition(" ")
        return _tidy(head) if space and head.strip() else self.rest()


def within_speech(text: str) -> bool:
    """Whether a quotation that has begun in the text has not ended: 'He said, "Yes!' has not."""
    return len(_OPENING_QUOTE.findall(text)) > len(_CLOSING_QUOTE.findall(text))


def _tidy(sentence: str) -> str:
    """Without outer spaces and marks that belong to what came before; empty without a word."""
    text = " ".join(_LEADING_MARKS.sub("", sentence).split())
    return text if any(character.isalnum() for character in text) else ""
