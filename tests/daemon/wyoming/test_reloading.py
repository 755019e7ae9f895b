"""New settings and weights are taken in while clients are served."""

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
from wyoming.asr import Transcript
from wyoming.tts import Synthesize

from config.errors import ConfigError, RefusedError, WeightsError
from config.load import load
from daemon.wyoming.loading import make_loader
from daemon.wyoming.reloading import Reloader
from daemon.wyoming.server import _serve
from daemon.wyoming.services.engines import Engines
from daemon.wyoming.services.offer import Offer
from daemon.wyoming.services.shared import Shared
from model.checkpoints.fetched import LARGE, folder_of
from model.checkpoints.store import own_weights
from model.checkpoints.weights_file import save_weights
from model.inference import loading
from tests.daemon.wyoming.peers import OFFER, FakeSource, ask
from tests.daemon.wyoming.test_hearing import MODELS
from tests.model.convert.foreign import foreign_weights
from tests.model.made import small_weights

HEARING = replace(OFFER, hearing={"en": MODELS["en"]})


def source(*flags: str, offer: Offer = HEARING) -> FakeSource:
    return FakeSource({"en": load(flags=flags, environment={}).settings}, offer)


def with_reloader(
    test: Callable[[Shared, Reloader, FakeSource], object], new: Callable[[], FakeSource]
) -> None:
    async def run() -> None:
        old = source()
        engines = Engines(old.open_engine)
        shared = Shared(HEARING, old, engines)
        await shared.prepare()
        assert old.made == ["generator en", "engine hibari", "transcriber en"]
        await test(shared, Reloader(shared, new), old)
        shared.engines.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("flag", "made"),
    [
        ("model.temperature=0.9", ["generator en"]),
        ("voice.rate_wpm=120", ["engine hibari"]),
        ("commands.stop=[halt]", ["transcriber en"]),
        ("voice.pause_seconds=1", []),
        ("audio.input=mine", []),
    ],
)
def test_what_the_settings_change_is_made_anew(flag: str, made: list[str]) -> None:
    new = source(flag, offer=replace(HEARING, pause_seconds=1.0))

    async def test(shared: Shared, reloader: Reloader, old: FakeSource) -> None:
        await reloader.reload()
        assert new.made == made
        assert shared.offer.pause_seconds == 1.0
        assert old.engines[0].is_closed == ("engine hibari" in made)
        await shared.generator("en")
        assert new.made == made  # it is there already

    with_reloader(test, lambda: new)


@pytest.mark.parametrize(
    ("flag", "is_new"), [("trigger.phrases=[hey fox]", True), ("commands.stop=[halt]", False)]
)
def test_new_trigger_phrases_are_loaded_when_they_are_asked_for(flag: str, is_new: bool) -> None:
    new = source(flag)

    async def test(shared: Shared, reloader: Reloader, old: FakeSource) -> None:
        first = await shared.spotter("en")
        await reloader.reload()
        assert "spotter en" not in new.made
        assert (await shared.spotter("en") is not first) == is_new
        assert ("spotter en" in new.made) == is_new

    with_reloader(test, lambda: new)


def test_weights_in_memory_are_not_loaded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real weights, small and large, between which each seed chooses."""
    save_weights(own_weights("en"), small_weights())
    save_weights(folder_of(LARGE) / "en.safetensors", foreign_weights())
    monkeypatch.setattr(loading, "try_out", lambda *_: None)  # tiny ones say nothing
    services = ["handle"]
    first = make_loader(load(environment={}), services)
    small, large = loading.parts_of(first.load_generator("en", None))
    again = make_loader(
        load(flags=["model.temperature=0.9"], environment={}), services, first.in_memory
    )
    warmer = loading.parts_of(again.load_generator("en", None))
    assert [part.engine for part in warmer] == [small.engine, large.engine]
    assert warmer[0].options.sampling.temperature == 0.9
    save_weights(own_weights("en"), small_weights(seed=2))
    newer = loading.parts_of(again.load_generator("en", None))
    assert newer[1] is warmer[1]
    assert newer[0].engine is not small.engine


def fail(*_: object) -> NoReturn:
    raise ConfigError("config.yaml, line 3: no.")


def test_where_a_part_cannot_be_made_nothing_changes() -> None:
    new = source("model.temperature=0.9", "voice.rate_wpm=120")
    new.open_engine = fail

    async def test(shared: Shared, reloader: Reloader, old: FakeSource) -> None:
        before = (shared.offer, shared.generators["en"], shared.engines, shared.transcribers)
        with pytest.raises(RefusedError):
            await reloader.reload()
        after = (shared.offer, shared.generators["en"], shared.engines, shared.transcribers)
        assert after == before
        assert not old.engines[0].is_closed

    with_reloader(test, lambda: new)


def test_a_voice_that_speaks_is_closed_at_the_end_of_its_text() -> None:
    async def test(shared: Shared, reloader: Reloader, old: FakeSource) -> None:
        async with shared.engines.use("hibari"):
            await reloader.reload()
            assert not old.engines[0].is_closed
        assert old.engines[0].is_closed

    with_reloader(test, lambda: source("voice.rate_wpm=120"))


def test_new_weights_are_taken_once_they_are_written() -> None:
    async def test(shared: Shared, reloader: Reloader, old: FakeSource) -> None:
        first = shared.generators["en"]
        await reloader.check_weights()
        await reloader.check_weights()
        assert shared.generators["en"] is first
        old.written = 2
        await reloader.check_weights()
        assert shared.generators["en"] is first  # they may still be written
        await reloader.check_weights()
        second = shared.generators["en"]
        assert second is not first
        old.written = 0  # deleted
        for _ in range(3):
            await reloader.check_weights()
        assert shared.generators["en"] is second

    with_reloader(test, source)


def test_weights_that_cannot_be_used_are_tried_once() -> None:
    async def test(shared: Shared, reloader: Reloader, old: FakeSource) -> None:
        def fail(*_: object) -> NoReturn:
            raise WeightsError("They are damaged.")

        first = shared.generators["en"]
        await reloader.check_weights()
        old.load_generator = fail
        old.written = 2
        await reloader.check_weights()
        with pytest.raises(RefusedError):
            await reloader.check_weights()
        await reloader.check_weights()
        assert shared.generators["en"] is first

    with_reloader(test, source)


def test_a_hang_up_reloads_the_server_and_a_fault_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    new = source("voice.rate_wpm=120")
    reads: list[Callable[[], FakeSource]] = [fail, lambda: new]
    path = tmp_path / "w.sock"

    async def run() -> None:
        old = source()
        engines = Engines(old.open_engine)
        shared = Shared(HEARING, old, engines)
        reloader = Reloader(shared, lambda: reads.pop(0)())
        ready = asyncio.Event()
        serving = asyncio.create_task(_serve(path, shared, lambda _: ready.set(), reloader))
        await asyncio.wait_for(ready.wait(), 60)
        os.kill(os.getpid(), signal.SIGHUP)
        while "The old settings stay in force" not in caplog.text:
            await asyncio.sleep(0.01)
        assert shared.engines is engines
        os.kill(os.getpid(), signal.SIGHUP)
        while shared.engines is engines:
            await asyncio.sleep(0.01)
        await ask(f"unix://{path}", Transcript("a fox").event(), "handled-stop")
        await ask(f"unix://{path}", Synthesize("A fox.").event(), "audio-stop")
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(serving, 60)

    asyncio.run(run())
    assert "config.yaml, line 3: no. The old settings stay in force." in caplog.text
    assert new.made == ["engine hibari"]
