"""Conversations: "go on", "again", "never mind" and "stop" as texts, each by itself."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from wyoming.asr import Transcript
from wyoming.event import Event

from audio.commands import commands_in_text
from audio.events import Seed
from config.languages import LANGUAGES
from daemon.conversation.state_machine import Phase, StartReply
from daemon.wyoming.services.answers import ANSWERS
from daemon.wyoming.services.conversations import Conversation, Conversations, conversation_id
from daemon.wyoming.services.shared import Shared
from tests.daemon.wyoming.peers import COMMANDS, SENTENCES, ask, served

STORY = " ".join(SENTENCES)
COMMAND = commands_in_text(COMMANDS)


async def say(uri: str, text: str, conversation: str = "7") -> str:
    """The answer to a text, over a connection of its own, as Home Assistant asks."""
    asked = Transcript(text, context={"conversation_id": conversation, "device_id": "d"})
    events = await ask(uri, asked.event(), "handled-stop")
    chunks = "".join(event.data["text"] for event in events if event.type == "handled-chunk")
    handled = events[-2]
    assert handled.type == "handled"
    assert handled.data["context"]["conversation_id"] == conversation
    assert chunks == handled.data["text"]
    return chunks


def test_a_conversation_goes_on_and_is_repeated(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        assert await say(uri, "The old sailor") == STORY
        assert await say(uri, "Again.") == STORY
        assert await say(uri, "Go on!") == STORY
        assert await say(uri, "tell me more") == STORY
        told = f"The old sailor {STORY}"
        assert shared.generators["en"].seeds == [
            "The old sailor",
            told,
            f"{told} {STORY}",
        ]

    served(test, tmp_path)


def test_conversations_do_not_mix(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        await say(uri, "a fox", "1")
        await say(uri, "a hen", "2")
        assert await say(uri, "go on", "3") == ANSWERS["en"].nothing_to_go_on
        assert await say(uri, "again", "3") == ANSWERS["en"].nothing_to_repeat
        await say(uri, "go on", "1")
        assert shared.generators["en"].seeds == ["a fox", "a hen", f"a fox {STORY}"]

    served(test, tmp_path)


@pytest.mark.parametrize("text", ["Never mind.", "stop", "the fox ran oh never mind"])
def test_taken_back_words_are_answered_shortly_and_leave_the_conversation(
    text: str, tmp_path: Path
) -> None:
    async def test(shared: Shared, uri: str) -> None:
        await say(uri, "a fox")
        assert await say(uri, text) == ANSWERS["en"].agreed
        assert shared.generators["en"].seeds == ["a fox"]
        assert await say(uri, "again") == STORY  # as by voice

    served(test, tmp_path)


def test_texts_without_a_name_share_the_conversation_of_their_connection(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        raw = [Transcript(text).event() for text in ("a fox", "go on")]
        path = uri.removeprefix("unix://")
        reader, writer = await asyncio.open_unix_connection(path)
        for event in raw:
            writer.write(json.dumps({"type": event.type, "data": event.data}).encode() + b"\n")
        writer.write_eof()
        await reader.read()
        writer.close()
        assert shared.generators["en"].seeds == ["a fox", f"a fox {STORY}"]
        *_, answer, _ = await ask(uri, raw[1], "handled-stop")
        assert answer.data["text"] == ANSWERS["en"].nothing_to_go_on

    served(test, tmp_path)


class EndlessGenerator:
    """Says sentences until it is cancelled."""

    def __init__(self) -> None:
        self.begun = threading.Event()

    def continue_text(self, seed: str, cancelled: Callable[[], bool]) -> Iterator[str]:
        while not cancelled():
            yield "It went on."
            self.begun.set()


def test_stop_ends_a_reply_under_way_in_its_own_conversation(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        shared.generators["en"] = generator = EndlessGenerator()
        running = asyncio.create_task(say(uri, "a fox"))
        assert await asyncio.to_thread(generator.begun.wait, 60)
        assert await say(uri, "never mind", "another") == ANSWERS["en"].agreed
        assert not running.done()
        assert await say(uri, "stop") == ANSWERS["en"].agreed
        assert (await running).startswith("It went on.")

    served(test, tmp_path)


def test_a_reply_that_fails_can_be_tried_again(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        asked = Transcript("fail", context={"conversation_id": "7"})
        *_, answer, _ = await ask(uri, asked.event(), "handled-stop")
        assert (answer.type, answer.data["text"]) == ("not-handled", ANSWERS["en"].failed)
        assert shared.conversations.find("7").state.phase is Phase.LISTENING
        asked = Transcript("go on", context={"conversation_id": "7"})
        await ask(uri, asked.event(), "handled-stop")
        assert shared.generators["en"].seeds == ["fail", "fail"]

    served(test, tmp_path)


def test_a_model_that_says_nothing_is_told(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        shared.generators["en"].continue_text = lambda *_: iter([])
        *_, answer, _ = await ask(uri, Transcript("a fox").event(), "handled-stop")
        assert answer == Event("not-handled", {"text": ANSWERS["en"].no_idea})

    served(test, tmp_path)


def test_the_longest_silent_conversation_is_forgotten_first() -> None:
    known = Conversations(most=2)
    first, second = known.find("1"), known.find("2")
    assert known.find("1") is first
    known.find("3")
    assert known.find("1") is first
    assert known.find("2") is not second


def test_a_conversation_is_forgotten_in_time() -> None:
    now = 0.0
    known = Conversations(age_seconds=60, clock=lambda: now)
    first = known.find("1")
    now = 50.0
    assert known.find("1") is first
    now = 110.0
    assert known.find("1") is first
    now = 170.1
    assert known.find("1") is not first


def test_the_text_that_goes_on_is_bounded() -> None:
    conversation = Conversation()
    start = conversation.begin(Seed("word " * 1000, 0.0))
    for _ in range(10):
        assert start is not None
        conversation.say(start.turn, "It went on. " * 100)
        conversation.end(start.turn)
        start = conversation.begin(COMMAND.event("go on", 0.0))
        assert isinstance(start, StartReply)
        assert len(start.seed) <= 2000


@pytest.mark.parametrize(
    "context", [None, {}, {"conversation_id": 5}, {"conversation_id": "x" * 201}]
)
def test_odd_names_are_none(context: dict[str, object] | None) -> None:
    assert conversation_id(context) == ""


def test_every_language_has_answers() -> None:
    assert set(ANSWERS) == set(LANGUAGES)
    assert all(vars(answers).values() for answers in ANSWERS.values())
