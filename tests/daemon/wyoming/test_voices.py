"""Languages and voices: which one a text gets, what is told of them, what runs at a time."""

import asyncio
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from wyoming.asr import Transcript
from wyoming.error import Error
from wyoming.handle import NotHandled
from wyoming.info import Describe, Info
from wyoming.tts import Synthesize, SynthesizeVoice

from audio.commands import commands_in_text
from audio.tts.neural.engines import ENGINES
from audio.tts.voices import Voice
from config.errors import RefusedError, SpeechError
from config.languages import LANGUAGES
from daemon.wyoming.services.answers import ANSWERS
from daemon.wyoming.services.engines import Engines
from daemon.wyoming.services.info import ENGINE_PAGES, LANGUAGE_NAMES, describe
from daemon.wyoming.services.languages import find_language, guess_language
from daemon.wyoming.services.offer import Offer
from daemon.wyoming.services.shared import Shared
from daemon.wyoming.services.voices import OfferedVoices, Wish
from tests.daemon.wyoming.peers import COMMANDS, FakeEngine, FakeGenerator, ask, served

LISTED = (
    Voice("hibari", "Heart", "en-us", "hibari", "Apache-2.0", "0.2.1"),
    Voice("kokoro:zf_xiaoxiao", "Xiaoxiao", "zh", "kokoro", "Apache-2.0 and MIT", "1.0"),
    Voice("kokoro:bf_emma", "Emma", "en-gb", "kokoro", "Apache-2.0 and MIT", "1.0"),
    Voice("gmw/de", "German", "de", version="1.51"),
    Voice("gmw/en-GB-scotland", "English (Scotland)", "en-gb-scotland"),
    Voice("sit/cmn", "Mandarin", "cmn"),
    Voice("sit/yue", "Cantonese", "yue"),
)
VOICES = OfferedVoices({"en": "hibari", "zh": "kokoro:zf_xiaoxiao"}, LISTED, frozenset({"f3"}))
CHINESE = {"go on": ["继续"], "again": ["再说一遍"], "never mind": ["算了"], "stop": ["停下"]}
BOTH = Offer({"en": commands_in_text(COMMANDS), "zh": commands_in_text(CHINESE)}, VOICES)


@pytest.mark.parametrize(
    ("wish", "text", "voice"),
    [
        (Wish(), "A fox.", "hibari"),
        (Wish(), "春天来了。", "kokoro:zf_xiaoxiao"),
        (Wish(), "123", "hibari"),
        (Wish("kokoro:bf_emma"), "春天", "kokoro:bf_emma"),
        (Wish("HIBARI"), "", "hibari"),
        (Wish("de", "zh"), "", "de"),
        (Wish("gmw/de"), "", "de"),
        (Wish("en-gb-scotland+f3"), "", "en-gb-scotland+f3"),
        (Wish("", "zh"), "A fox.", "kokoro:zf_xiaoxiao"),
        (Wish("", "zh-CN"), "", "kokoro:zf_xiaoxiao"),
        (Wish("", "cmn"), "", "cmn"),
        (Wish("", "en"), "春天", "hibari"),
        (Wish("", "en-US"), "", "hibari"),
        (Wish("", "en_GB"), "", "kokoro:bf_emma"),
        (Wish("", "en-AU"), "", "hibari"),
        (Wish("", "de-DE"), "", "de"),
        (Wish("", "de"), "", "de"),
        (Wish("hibarri"), "", None),
        (Wish("en-gb-scotland+f9"), "", None),
        (Wish("piper:/etc/passwd"), "", None),
        (Wish("", "tlh"), "", None),
    ],
)
def test_the_voice_for_a_text(wish: Wish, text: str, voice: str | None) -> None:
    if voice is not None:
        assert VOICES.choose(wish, text) == voice
        return
    with pytest.raises(RefusedError) as refused:
        VOICES.choose(wish, text)
    assert str(refused.value).startswith("Afterword has no voice ")
    assert (wish.name or wish.language) in str(refused.value)


def test_a_mistyped_voice_is_told_with_those_that_are_near() -> None:
    with pytest.raises(RefusedError, match="'hibarri'; these are near: hibari"):
        VOICES.choose(Wish("hibarri"), "")


@pytest.mark.parametrize(
    ("voice", "wish"),
    [
        ({"name": "hibari", "speaker": None}, Wish("hibari")),
        ({"language": "zh"}, Wish("", "zh")),
        ({"name": 5, "language": ["zh"]}, Wish()),
        ("hibari", Wish()),
        (None, Wish()),
    ],
)
def test_a_wish_is_read_from_any_event(voice: object, wish: Wish) -> None:
    assert Wish.of({"voice": voice}) == wish


@pytest.mark.parametrize(
    ("voice", "code"),
    [("kokoro:bf_emma", "en"), ("cmn", "zh"), ("de", "en"), ("en-gb-scotland+f3", "en")],
)
def test_the_settings_of_its_language_hold_for_a_voice(voice: str, code: str) -> None:
    assert VOICES.language_of(voice) == code


@pytest.mark.parametrize(
    ("tag", "code"),
    [("en", "en"), ("EN_us", "en"), ("zh-Hans-CN", "zh"), ("cmn", "zh"), ("de", None), ("e", None)],
)
def test_the_language_of_a_tag(tag: str, code: str | None) -> None:
    assert find_language(tag, ["en", "zh"]) == code
    assert find_language(tag, ["zh"]) == (code if code == "zh" else None)


@pytest.mark.parametrize(
    ("text", "offered", "code"),
    [
        ("A fox", ["zh", "en"], "en"),
        ("春", ["en", "zh"], "zh"),
        ("春", ["en"], "en"),
        ("12", ["zh", "en"], "zh"),
        ("Fox 说", ["en", "zh"], "zh"),
    ],
)
def test_the_language_of_a_text(text: str, offered: list[str], code: str) -> None:
    assert guess_language(text, offered) == code


def test_every_voice_is_told_with_language_version_and_page() -> None:
    info = describe(BOTH)
    assert info.handle[0].name == "Afterword (English, Chinese)"
    assert [model.languages for model in info.handle[0].models] == [["en"], ["zh"]]
    assert info.tts[0].name == "Afterword text-to-speech (English, Chinese)"
    told = {voice.name: voice for voice in info.tts[0].voices}
    assert list(told)[:2] == ["hibari", "kokoro:zf_xiaoxiao"]  # first those that speak unasked
    assert set(told) == {voice.short for voice in LISTED}
    emma = told["kokoro:bf_emma"]
    assert (emma.languages, emma.description) == (["en", "en-GB"], "Emma (kokoro, en-GB)")
    assert (emma.version, emma.attribution.name) == ("1.0", "kokoro")
    assert told["de"].languages == ["de"]
    assert told["cmn"].languages == ["zh", "cmn"]
    assert told["yue"].languages == ["yue"]
    artifacts = [*info.handle, *info.handle[0].models, *info.tts, *told.values()]
    assert all(one.attribution.url.startswith("https://") for one in artifacts)


def test_a_default_voice_that_is_not_listed_is_told() -> None:
    voices = replace(VOICES, defaults={"en": "en-us+f3"}, listed=())
    (told,) = describe(replace(BOTH, voices=voices)).tts[0].voices
    assert (told.name, told.languages, told.attribution.name) == ("en-us+f3", ["en"], "espeak-ng")


def test_every_engine_and_language_has_a_page_and_a_name() -> None:
    assert set(ENGINE_PAGES) == {*ENGINES, "espeak-ng"}
    assert set(LANGUAGE_NAMES) == set(LANGUAGES)


async def say(uri: str, text: str, language: str | None = None) -> str:
    asked = Transcript(text, {"conversation_id": "7"}, language)
    *_, answer, _ = await ask(uri, asked.event(), "handled-stop")
    return str(answer.data["text"])


def test_each_language_has_its_generator_loaded_when_first_asked_for(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        loaded = []

        def load(language: str, device: str | None) -> FakeGenerator:
            loaded.append((language, device))
            return FakeGenerator()

        shared.source.load_generator = load
        await say(uri, "a fox")
        await say(uri, "a fox", "en-GB")
        assert loaded == []
        await say(uri, "春")
        await say(uri, "a fox", "zh-CN")
        assert loaded == [("zh", None)]
        assert shared.generators["en"].seeds == ["a fox", "a fox"]
        assert shared.generators["zh"].seeds == ["春", "a fox"]

    served(test, tmp_path, offer=BOTH)


def test_commands_and_answers_are_in_the_language_of_the_text(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        assert await say(uri, "继续") == ANSWERS["zh"].nothing_to_go_on
        await say(uri, "a fox")
        await say(uri, "继续。")  # the text that goes on is English
        assert len(shared.generators["en"].seeds) == 2
        assert await say(uri, "算了") == ANSWERS["zh"].agreed

    served(test, tmp_path, offer=BOTH)


def test_another_language_is_refused_in_words(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        (event,) = await ask(uri, Transcript("ein Fuchs", None, "de").event(), "not-handled")
        assert NotHandled.from_event(event).text == "Sorry, I speak English and Chinese only."

    served(test, tmp_path, offer=BOTH)


def test_a_wish_for_a_voice_is_honoured_or_refused_in_words(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        asked = []
        shared.engines = Engines(lambda voice: asked.append(voice) or FakeEngine())
        for name in ("kokoro:bf_emma", "de", "nobody"):
            wish = Synthesize("A fox.", SynthesizeVoice(name))
            first, *_ = await ask(uri, wish.event(), "audio-stop")
            assert first.type == ("error" if name == "nobody" else "audio-start")
        assert Error.from_event(first) == Error("Afterword has no voice 'nobody'.", "no-voice")
        await ask(uri, Synthesize("春天").event(), "audio-stop")
        assert asked == ["kokoro:bf_emma", "de", "kokoro:zf_xiaoxiao"]

    served(test, tmp_path, offer=BOTH)


def test_few_engines_run_and_the_one_unused_for_longest_is_closed() -> None:
    async def run() -> None:
        opened: dict[str, FakeEngine] = {}

        def open_engine(voice: str) -> FakeEngine:
            return opened.setdefault(voice, FakeEngine())

        engines = Engines(open_engine, most=2)
        async with engines.use("a"), engines.use("b"), engines.use("a"):
            waiting = asyncio.create_task(enter(engines, "c"))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert "c" not in opened
            assert not opened["a"].is_closed
        await waiting
        assert [opened[voice].is_closed for voice in "abc"] == [False, True, False]
        engines.close()
        assert all(engine.is_closed for engine in opened.values())

    async def enter(engines: Engines, voice: str) -> None:
        async with engines.use(voice):
            pass

    asyncio.run(run())


def test_an_engine_that_does_not_start_is_tried_again() -> None:
    async def run() -> None:
        tries = []

        def open_engine(voice: str) -> FakeEngine:
            tries.append(threading.current_thread())
            if len(tries) == 1:
                raise SpeechError("It does not start.")
            return FakeEngine()

        engines = Engines(open_engine)
        with pytest.raises(SpeechError, match="It does not start"):
            async with engines.use("a"):
                pass
        async with engines.use("a") as engine:
            assert isinstance(engine, FakeEngine)
        async with engines.use("a") as other:
            assert other is engine
        assert len(tries) == 2
        assert threading.main_thread() not in tries

    asyncio.run(run())


def test_what_is_told_is_what_is_offered(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        (event,) = await ask(uri, Describe().event(), "info")
        assert Info.from_event(event) == describe(BOTH)

    served(test, tmp_path, offer=BOTH)
