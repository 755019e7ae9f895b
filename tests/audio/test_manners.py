import pytest

from audio.commands import Manners, manners
from audio.events import NoSpeech, Paused, Seed
from audio.phrases import bare
from config.languages import join_sentences
from daemon.conversation.state_machine import Wish

ENGLISH = manners({"go on": ["go on"], "again": ["Again!"], "never mind": ["never mind"]}, 5)
CHINESE = manners({"go on": ["继续"], "never mind": ["算了"]}, 5)


@pytest.mark.parametrize(
    ("book", "text", "kind"),
    [
        (ENGLISH, "go on", "go on"),
        (ENGLISH, "again", "again"),
        (ENGLISH, "never mind", "never mind"),
        (ENGLISH, "the old man went oh never mind", "never mind"),
        (ENGLISH, "never mind the weather", None),
        (ENGLISH, "they go on", None),
        (ENGLISH, "once again", None),
        (CHINESE, "继续", "go on"),
        (CHINESE, "继 续", "go on"),
        (CHINESE, "春天继续", None),
    ],
)
def test_whole_seeds_are_wishes(book: Manners, text: str, kind: str | None) -> None:
    seed = Seed(text, 1.0)
    assert book.interpret(seed) == (Wish(kind) if kind else seed)
    paused = Paused(text)
    assert book.interpret(paused) == (None if kind else paused)


def test_other_events_pass() -> None:
    assert ENGLISH.interpret(NoSpeech("silence")) == NoSpeech("silence")


def test_words_as_a_recogniser_writes_them() -> None:
    assert bare('"Hey, Computer!" it\'s') == "hey computer it's"
    assert bare("你好, 电脑。") == "你好电脑"
    assert join_sentences(["a fox", "ran.", "It slept."]) == "a fox ran. It slept."
    assert join_sentences(["春", "江花月夜，", "潮平。"]) == "春江花月夜，潮平。"
