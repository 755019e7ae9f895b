"""The loop takes new parts in between turns; whoever asks for a reload gets its answer."""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import Mock

import pytest

from audio.events import Event, Seed, Triggered
from audio.pcm import AudioChunk
from config.errors import NotRunningError, RefusedError
from config.load import Loaded, load
from daemon.components import Components
from daemon.control import client
from daemon.loop.main_loop import MainLoop
from daemon.loop.options import LoopOptions
from daemon.loop.pending_reloads import ReloadRequest
from daemon.ports import ComponentUpdate, UpdateRejected
from daemon.reload.reloader import Reloader
from model.checkpoints.store import WeightsInfo, stamp_of
from tests.daemon.control.test_control import microphone, serving, wait_until
from tests.daemon.fakes import Generator, Recognition, Source, SpeechOutput

TRIGGER = Triggered("hey computer", 0.1)


@contextmanager
def running(service: MainLoop) -> Iterator[None]:
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        yield
    finally:
        service.stop()
        thread.join(20)
    assert not thread.is_alive()


def hand_over(service: MainLoop, change: ComponentUpdate) -> None:
    service.inbox.put(change)
    change.done.result(20)


def test_a_reply_under_way_ends_with_the_parts_it_began_with() -> None:
    old, new, speaker = Generator(["Old."] * 3), Generator(["New."]), SpeechOutput(0.5)
    renewed: list[list[str]] = []
    later: list[Event] = [TRIGGER, Seed("a crow", 0.2)]
    hearing = Recognition({1: [TRIGGER, Seed("a fox", 0.2)]})
    service = MainLoop(Source(1_000_000, True, 0.01), hearing, old, speaker)
    with running(service):
        while not old.seeds:
            time.sleep(0.01)
        next_hearing = Recognition({400: later})
        hand_over(
            service,
            ComponentUpdate(
                {"voice": "new"},
                "Changed: everything.",
                recognition=next_hearing,
                generator=new,
                reconfigure_speech=lambda: renewed.append(list(speaker.spoken)),
            ),
        )
        assert renewed == []
        deadline = time.monotonic() + 20
        while new.seeds != ["a crow"] or "New." not in speaker.spoken:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert old.seeds == ["a fox"]
    assert speaker.spoken == ["Old.", "Old.", "Old.", "New."]
    assert renewed == [["Old."] * 3]


def test_a_new_hearing_hears_the_last_seconds_again_and_waits_for_a_capture() -> None:
    hearing = Recognition({20: [TRIGGER], 60: [Seed("a fox", 0.2)]})
    generator = Generator()
    service = MainLoop(Source(1_000_000, True, 0.01), hearing, generator, SpeechOutput())
    with running(service):
        while hearing.fed < 25:
            time.sleep(0.01)
        said_again: list[Event] = [TRIGGER]
        new = Recognition({5: said_again})
        change = ComponentUpdate({}, "Changed: the trigger.", recognition=new)
        service.inbox.put(change)
        change.done.result(20)
        assert hearing.fed >= 60  # the seed was heard to its end
        assert (new.cancelled, hearing.cancelled) == (1, 0)
        before = new.fed
        assert before >= 20  # blocks of 80 ms
        deadline = time.monotonic() + 20
        while new.fed == before or not generator.seeds:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert generator.seeds == ["a fox"]  # and what was heard again started nothing


def test_another_microphone_is_opened_when_the_old_one_is_closed() -> None:
    old, new = Source(1_000_000, True, 0.01, drops=3), Source(1_000_000, True, 0.01, drops=4)
    service = MainLoop(old, Recognition({}), Generator(), SpeechOutput(), options=LoopOptions())
    with serving(service):
        wait_until("open", "microphone")
        hand_over(service, ComponentUpdate({}, "Changed: audio.input.", source=new))
        deadline = time.monotonic() + 20
        while not new.opened:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert old.closed
        found = client.ask("status")
        assert (found["state"], found["drops"]) == ("listening", 7)
        assert found["restarts"] == {"daemon": 0, "speech": 0, "microphone": 0}


class Notes:
    """An observer that remembers the seeds."""

    def __init__(self) -> None:
        self.seeds: list[object] = []
        self.closed = False

    def on_event(self, event: Mapping[str, object]) -> None:
        self.seeds += [event["text"]] if event["event"] == "seed" else []

    def on_audio(self, chunk: AudioChunk) -> None:
        """Of no interest."""

    def on_tick(self) -> None:
        """Of no interest."""

    def close(self) -> None:
        self.closed = True


def test_what_is_kept_goes_to_the_observers_of_the_newest_settings() -> None:
    old, new = Notes(), Notes()
    options = LoopOptions(observers=[old])
    service = MainLoop(microphone(), Recognition({}), Generator(), SpeechOutput(), None, options)
    with serving(service):
        client.ask("say", seed="a fox")
        hand_over(service, ComponentUpdate({}, "Changed: history.enabled.", observers=[new]))
        client.ask("say", seed="a crow")
        assert (old.seeds, old.closed, new.seeds, new.closed) == (
            ["a fox"],
            True,
            ["a crow"],
            False,
        )
        hand_over(service, ComponentUpdate({}, "Changed: history.enabled.", observers=[]))
        client.ask("say", seed="a hen")
    assert (new.seeds, new.closed) == (["a crow"], True)


class Reloads:
    """A BeginReload; the test says how each reload ends."""

    def __init__(self) -> None:
        self.asked: list[ReloadRequest] = []

    def __call__(self, *, on_cpu: bool = False) -> ReloadRequest:
        self.asked.append(ReloadRequest(on_cpu))
        return self.asked[-1]


def in_background(answers: list[object], *, wait: bool = True) -> threading.Thread:
    def ask() -> None:
        try:
            answers.append(client.ask("reload", **({"wait": "yes"} if wait else {})))
        except Exception as error:
            answers.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def test_two_reloads_at_once_are_both_answered_and_nobody_waits() -> None:
    reloads, answers = Reloads(), []
    options = LoopOptions(begin_reload=reloads)
    with serving(
        MainLoop(microphone(), Recognition({}), Generator(), SpeechOutput(), None, options)
    ):
        threads = [in_background(answers), in_background(answers)]
        while len(reloads.asked) < 2:
            time.sleep(0.01)
        assert client.ask("status")["state"] == "listening"  # at once
        reloads.asked[0].done.set_result({"changed": ["voice.name"]})
        reloads.asked[1].fail(RefusedError("config.yaml, line 3: no."))
        for thread in threads:
            thread.join(20)
    assert {"changed": ["voice.name"]} in answers
    assert [str(answer) for answer in answers if isinstance(answer, RefusedError)] == [
        "config.yaml, line 3: no."
    ]


def test_two_reloads_at_once_are_done_one_after_the_other() -> None:
    loaded = load(environment={})
    hearing, generator = Mock(folder="vosk"), Mock(device="cpu")
    kept = WeightsInfo("shipped", Path("en.safetensors"), 0.0, 0, "en", None, "")
    made = Components(microphone(), hearing, generator, Mock(), kept)
    under_way, most = 0, 0

    def read() -> Loaded:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        time.sleep(0.2)
        under_way -= 1
        return loaded

    def take(change: ComponentUpdate | UpdateRejected) -> None:
        assert isinstance(change, ComponentUpdate)
        change.done.set_result(None)

    with contextlib.closing(Reloader(read, loaded, made, stamp_of("en", None))) as reloader:
        reloader.start(take)
        both = [reloader.begin_reload(), reloader.begin_reload()]
        nothing: dict[str, list[str]] = {"changed": []}
        assert [reload.done.result(20) for reload in both] == [nothing, nothing]
    assert (under_way, most) == (0, 1)


def test_a_reload_that_loads_is_answered_at_once_and_told_of_at_its_end() -> None:
    reloads = Reloads()
    options = LoopOptions(begin_reload=reloads)
    service = MainLoop(microphone(), Recognition({}), Generator(), SpeechOutput(), None, options)
    changed = {"changed": ["hearing.model"]}
    answers: list[object] = []
    with serving(service):
        asking = in_background(answers, wait=False)
        while not reloads.asked:
            time.sleep(0.01)
        time.sleep(0.3)
        assert answers == []  # whether the file is right is told in the answer
        reloads.asked[0].read.set_result(changed)
        asking.join(20)
        assert answers == [{**changed, "loading": True}]
        assert client.ask("status")["reloading"] is True
        reloads.asked[0].done.set_result(changed)
        assert client.ask("status")["reloading"] is False
        wrong = in_background(answers, wait=False)
        while len(reloads.asked) < 2:
            time.sleep(0.01)
        reloads.asked[1].fail(RefusedError("config.yaml, line 3: no."))
        wrong.join(20)
    assert str(answers[1]) == "config.yaml, line 3: no."


def test_a_refusal_is_told_to_all_until_something_is_taken(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = MainLoop(microphone(), Recognition({}), Generator(), SpeechOutput())
    with serving(service):
        service.inbox.put(UpdateRejected("en.safetensors is broken."))
        wait_until("en.safetensors is broken.", "refused")
        assert [r.levelno for r in caplog.records if "broken" in r.message] == [logging.ERROR]
        hand_over(service, ComponentUpdate({"language": "zh"}, "Changed: language."))
        found = client.ask("status")
        assert (found["refused"], found["language"]) == (None, "zh")


def test_a_recording_has_nothing_to_reload() -> None:
    with (
        serving(MainLoop(microphone(), Recognition({}), Generator(), SpeechOutput())),
        pytest.raises(RefusedError, match="A recording"),
    ):
        client.ask("reload")


def test_what_comes_too_late_does_not_wait_for_ever() -> None:
    reloads = Reloads()
    service = MainLoop(Source(1), Recognition({}), Generator(), SpeechOutput(), None, LoopOptions())
    service.run()
    late = ComponentUpdate({}, "Changed: all.")
    service.inbox.put(late)
    assert isinstance(late.done.exception(1), NotRunningError)
    assert reloads.asked == []


def test_a_reload_logs_the_renamed_keys_and_takes_them(caplog: pytest.LogCaptureFixture) -> None:
    loaded = load(environment={})
    new = load(flags=["conversation.again_phrases=[once more]"], environment={})
    kept = WeightsInfo("shipped", Path("en.safetensors"), 0.0, 0, "en", None, "")
    hearing = Mock(folder="vosk")
    made = Components(microphone(), hearing, Mock(device="cpu"), Mock(), kept)

    def take(change: ComponentUpdate | UpdateRejected) -> None:
        assert isinstance(change, ComponentUpdate)
        change.done.set_result(None)

    with contextlib.closing(
        Reloader(
            lambda: new,
            loaded,
            made,
            stamp_of(loaded.settings.language, loaded.settings.model.weights),
        )
    ) as reloader:
        reloader.start(take)
        assert reloader.begin_reload().done.result(20)["changed"] == ["commands.again"]
    (*_, phrases) = hearing.with_settings.call_args.args
    assert phrases["again"] == ["once more"]
    notice = "conversation.again_phrases is deprecated; rename it to commands.again."
    assert [r.getMessage() for r in caplog.records if "deprecated" in r.getMessage()] == [
        f"flag --set conversation.again_phrases: {notice}"
    ]
