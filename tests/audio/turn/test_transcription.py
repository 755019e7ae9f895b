"""Which words of a sound are told while it comes, with a recogniser that is scripted."""

from dataclasses import dataclass, field

import pytest

from audio.stt.vosk_engine import Word
from audio.turn.transcription import Transcription
from config.languages import LANGUAGES


@dataclass
class Script:
    """An engine and its recogniser: each piece of sound gives the next partial or ended result."""

    results: list[str | list[str]]
    last: list[str] = field(default_factory=list)
    text: str = ""

    def open_vocabulary(self) -> "Script":
        return self

    def accept(self, pcm: bytes) -> list[Word] | None:
        if len(pcm) > 2:  # the silence before the sound
            return None
        result = self.results.pop(0)
        if isinstance(result, list):
            return [Word(text, 0, 0) for text in result]
        self.text = result
        return None

    def partial(self) -> str:
        return self.text

    def finish(self) -> list[Word]:
        return [Word(text, 0, 0) for text in self.last]


class NoRescorer:
    def rescored(self, seed: str, pcm: bytes) -> str:
        return {"don't": "go on"}.get(seed, seed)


def told(script: Script, language: str = "en") -> tuple[list[str], str]:
    sound = Transcription(script, LANGUAGES[language], NoRescorer())
    words = [sound.accept(b"xx") for _ in list(script.results)]
    rest, text = sound.finish()
    return [part for part in [*words, rest] if part], text


@pytest.mark.parametrize(
    ("results", "last", "parts", "text"),
    [
        (["a fox ran"] * 5, ["a", "fox", "ran"], ["a fox", " ran"], "a fox ran"),
        (["a fox ran"] * 4, ["a", "fox", "ran"], ["a fox ran"], "a fox ran"),
        (["a fog ran", *["a fox ran"] * 4], ["a", "fox"], ["a fox"], "a fox"),
        ([["a", "fox"], "ran"], ["ran"], ["a fox", " ran"], "a fox ran"),
        (["a fox ran"] * 5, ["the", "fox", "ran"], ["a fox"], "the fox ran"),
        ([["um", "a", "fox", "uh"]], [], ["a fox"], "a fox"),
        ([["the"], "huh"], [], [], ""),
        ([], ["don't"], ["don't"], "go on"),
    ],
)
def test_words_are_told_once_they_are_sure(
    results: list[str | list[str]], last: list[str], parts: list[str], text: str
) -> None:
    assert told(Script(results, last)) == (parts, text)


def test_chinese_words_have_no_spaces() -> None:
    assert told(Script([["春天", "来"]], ["嗯"]), "zh") == (["春天来"], "春天来")
    assert told(Script([["春天"], "来"], ["来", "吧"]), "zh") == (["春天", "来吧"], "春天来吧")


def test_an_offset_is_taken_away() -> None:
    heard: list[bytes] = []

    class Listening(Script):
        def accept(self, pcm: bytes) -> list[Word] | None:
            heard.append(pcm)
            return None

    Transcription(Listening([]), LANGUAGES["en"], NoRescorer()).accept(b"\x00\x10" * 1600)
    assert heard[-1] == bytes(3200)
