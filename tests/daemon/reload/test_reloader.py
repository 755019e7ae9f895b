"""The loop applies new components between two turns, and every reload is answered."""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from audio.events import Event, Seed, Triggered
from audio.pcm import AudioChunk
from config.errors import (
    AfterwordError,
    ConfigError,
    GenerationError,
    NotRunningError,
    RefusedError,
    WeightsError,
)
from config.load import Loaded, load
from config.settings import Settings
from daemon.components import Components
from daemon.control import client
from daemon.loop.main_loop import MainLoop
from daemon.loop.options import LoopOptions
from daemon.ports import ComponentUpdate, UpdateRejected
from daemon.reload.reloader import Reloader
from model.checkpoints.store import WeightsInfo
from model.inference.loading import stamps_of
from tests.daemon.control.test_control import microphone, serving, wait_until
from tests.daemon.fakes import Generator, Recognition, Reloads, Source, SpeechOutput
from tests.daemon.loop.running import running

TRIGGER = Triggered("hey computer", 0.1)


def apply(loop: MainLoop, update: ComponentUpdate) -> None:
    loop.inbox.put(update)
    update.done.result(20)


@pytest.mark.slow
def test_a_reply_in_progress_ends_with_the_old_components() -> None:
    old, new, speech = Generator(["Old."] * 3), Generator(["New."]), SpeechOutput(0.5)
    reconfigured: list[list[str]] = []
    later: list[Event] = [TRIGGER, Seed("a crow", 0.2)]
    recognition = Recognition({1: [TRIGGER, Seed("a fox", 0.2)]})
    loop = MainLoop(Source(1_000_000, True, 0.01), recognition, old, speech)
    with running(loop):
        while not old.seeds:
            time.sleep(0.01)
        next_recognition = Recognition({400: later})
        apply(
            loop,
            ComponentUpdate(
                {"voice": "new"},
                "Changed: everything.",
                recognition=next_recognition,
                generator=new,
                reconfigure_speech=lambda: reconfigured.append(list(speech.spoken)),
            ),
        )
        assert reconfigured == []
        deadline = time.monotonic() + 20
        while new.seeds != ["a crow"] or "New." not in speech.spoken:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert old.seeds == ["a fox"]
    assert speech.spoken == ["Old.", "Old.", "Old.", "New."]
    assert reconfigured == [["Old."] * 3]


def test_a_new_recognition_waits_for_the_end_of_a_capture_and_is_fed_the_last_seconds() -> None:
    recognition = Recognition({20: [TRIGGER], 60: [Seed("a fox", 0.2)]})
    generator = Generator()
    loop = MainLoop(Source(1_000_000, True, 0.01), recognition, generator, SpeechOutput())
    with running(loop):
        while recognition.fed < 25:
            time.sleep(0.01)
        repeated: list[Event] = [TRIGGER]
        new = Recognition({5: repeated})
        update = ComponentUpdate({}, "Changed: the trigger.", recognition=new)
        loop.inbox.put(update)
        update.done.result(20)
        assert recognition.fed >= 60  # the seed was recognised to its end
        assert (new.cancelled, recognition.cancelled) == (1, 0)
        before = new.fed
        assert before >= 20  # blocks of 80 ms
        deadline = time.monotonic() + 20
        while new.fed == before or not generator.seeds:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert generator.seeds == ["a fox"]  # the repeated sound started nothing


def test_another_microphone_is_opened_when_the_old_one_is_closed() -> None:
    old, new = Source(1_000_000, True, 0.01, drops=3), Source(1_000_000, True, 0.01, drops=4)
    loop = MainLoop(old, Recognition({}), Generator(), SpeechOutput(), options=LoopOptions())
    with serving(loop):
        wait_until("open", "microphone")
        apply(loop, ComponentUpdate({}, "Changed: audio.input.", source=new))
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
        """Does nothing."""

    def on_tick(self) -> None:
        """Does nothing."""

    def close(self) -> None:
        self.closed = True


def test_events_go_to_the_observers_of_the_newest_settings() -> None:
    old, new = Notes(), Notes()
    options = LoopOptions(observers=[old])
    loop = MainLoop(microphone(), Recognition({}), Generator(), SpeechOutput(), None, options)
    with serving(loop):
        client.ask("say", seed="a fox")
        apply(loop, ComponentUpdate({}, "Changed: history.enabled.", observers=[new]))
        client.ask("say", seed="a crow")
        assert (old.seeds, old.closed, new.seeds, new.closed) == (
            ["a fox"],
            True,
            ["a crow"],
            False,
        )
        apply(loop, ComponentUpdate({}, "Changed: history.enabled.", observers=[]))
        client.ask("say", seed="a hen")
    assert (new.seeds, new.closed) == (["a crow"], True)


def in_background(answers: list[object], *, wait: bool = True) -> threading.Thread:
    def ask() -> None:
        try:
            answers.append(client.ask("reload", **({"wait": "yes"} if wait else {})))
        except Exception as error:
            answers.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def test_two_reloads_at_once_are_both_answered_and_the_loop_goes_on() -> None:
    reloads, answers = Reloads(), []
    options = LoopOptions(begin_reload=reloads)
    with serving(
        MainLoop(microphone(), Recognition({}), Generator(), SpeechOutput(), None, options)
    ):
        threads = [in_background(answers), in_background(answers)]
        while len(reloads.begun) < 2:
            time.sleep(0.01)
        assert client.ask("status")["state"] == "listening"  # at once
        reloads.begun[0].done.set_result({"changed": ["voice.name"]})
        reloads.begun[1].fail(RefusedError("config.yaml, line 3: no."))
        for thread in threads:
            thread.join(20)
    assert {"changed": ["voice.name"]} in answers
    assert [str(answer) for answer in answers if isinstance(answer, RefusedError)] == [
        "config.yaml, line 3: no."
    ]


def test_two_reloads_at_once_are_made_one_after_the_other() -> None:
    loaded = load(environment={})
    recognition, generator = Mock(folder="vosk"), Mock(device="cpu")
    weights = WeightsInfo("shipped", Path("en.safetensors"), 0.0, 0, "en", None, "")
    components = Components(microphone(), recognition, generator, Mock(voice="hibari"), (weights,))
    in_progress, most = 0, 0

    def read() -> Loaded:
        nonlocal in_progress, most
        in_progress += 1
        most = max(most, in_progress)
        time.sleep(0.2)
        in_progress -= 1
        return loaded

    def take(update: ComponentUpdate | UpdateRejected) -> None:
        assert isinstance(update, ComponentUpdate)
        update.done.set_result(None)

    with contextlib.closing(
        Reloader(read, loaded, components, stamps_of(loaded.settings))
    ) as reloader:
        reloader.start(take)
        both = [reloader.begin_reload(), reloader.begin_reload()]
        unchanged: dict[str, list[str]] = {"changed": []}
        assert [reload.done.result(20) for reload in both] == [unchanged, unchanged]
    assert (in_progress, most) == (0, 1)


def test_a_slow_reload_is_answered_when_the_settings_are_read() -> None:
    reloads = Reloads()
    options = LoopOptions(begin_reload=reloads)
    loop = MainLoop(microphone(), Recognition({}), Generator(), SpeechOutput(), None, options)
    changed = {"changed": ["hearing.model"]}
    answers: list[object] = []
    with serving(loop):
        asking = in_background(answers, wait=False)
        while not reloads.begun:
            time.sleep(0.01)
        time.sleep(0.3)
        assert answers == []  # the answer says whether the file is valid
        reloads.begun[0].read.set_result(changed)
        asking.join(20)
        assert answers == [{**changed, "loading": True}]
        assert client.ask("status")["reloading"] is True
        reloads.begun[0].done.set_result(changed)
        assert client.ask("status")["reloading"] is False
        wrong = in_background(answers, wait=False)
        while len(reloads.begun) < 2:
            time.sleep(0.01)
        reloads.begun[1].fail(RefusedError("config.yaml, line 3: no."))
        wrong.join(20)
    assert str(answers[1]) == "config.yaml, line 3: no."


def test_a_rejected_update_is_in_the_status_until_an_update_is_applied(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = MainLoop(microphone(), Recognition({}), Generator(), SpeechOutput())
    with serving(loop):
        loop.inbox.put(UpdateRejected("en.safetensors is broken."))
        wait_until("en.safetensors is broken.", "refused")
        assert [r.levelno for r in caplog.records if "broken" in r.message] == [logging.ERROR]
        apply(loop, ComponentUpdate({"language": "zh"}, "Changed: language."))
        found = client.ask("status")
        assert (found["refused"], found["language"]) == (None, "zh")


def test_a_recording_has_nothing_to_reload() -> None:
    with (
        serving(MainLoop(microphone(), Recognition({}), Generator(), SpeechOutput())),
        pytest.raises(RefusedError, match="A recording"),
    ):
        client.ask("reload")


def test_an_update_after_the_end_of_the_loop_fails() -> None:
    reloads = Reloads()
    loop = MainLoop(Source(1), Recognition({}), Generator(), SpeechOutput(), None, LoopOptions())
    loop.run()
    late = ComponentUpdate({}, "Changed: all.")
    loop.inbox.put(late)
    assert isinstance(late.done.exception(1), NotRunningError)
    assert reloads.begun == []


def test_a_reload_logs_renamed_keys_and_applies_them(caplog: pytest.LogCaptureFixture) -> None:
    loaded = load(environment={})
    new = load(flags=["conversation.again_phrases=[once more]"], environment={})
    weights = WeightsInfo("shipped", Path("en.safetensors"), 0.0, 0, "en", None, "")
    recognition = Mock(folder="vosk")
    speech = Mock(voice="hibari")
    components = Components(microphone(), recognition, Mock(device="cpu"), speech, (weights,))

    def take(update: ComponentUpdate | UpdateRejected) -> None:
        assert isinstance(update, ComponentUpdate)
        update.done.set_result(None)

    with contextlib.closing(
        Reloader(
            lambda: new,
            loaded,
            components,
            stamps_of(loaded.settings),
        )
    ) as reloader:
        reloader.start(take)
        assert reloader.begin_reload().done.result(20)["changed"] == ["commands.again"]
    (*_, phrases) = recognition.with_settings.call_args.args
    assert phrases["again"] == ["once more"]
    notice = "conversation.again_phrases is deprecated; rename it to commands.again."
    assert [r.getMessage() for r in caplog.records if "deprecated" in r.getMessage()] == [
        f"flag --set conversation.again_phrases: {notice}"
    ]


class FakeRebuild:
    """Stands in for Rebuild: builds nothing and remembers each call.

    Attributes:
        calls: changed keys, `weights` and `device` of each rebuild.
        error: raised by the next rebuild.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[list[str], bool, str | None]] = []
        self.error: AfterwordError | None = None

    def __call__(self, old: Components, _: Settings, new: Loaded, changed: list[str]) -> Mock:
        def run(*, weights: bool, device: str | None) -> tuple[Components, ComponentUpdate]:
            self.calls.append((changed, weights, device))
            error, self.error = self.error, None
            if error:
                raise error
            on = replace(old, generator=Mock(device=device or "cuda"))
            return on, ComponentUpdate({}, "Changed.")

        return Mock(run=run)

    def move_to_cpu(
        self, old: Components, settings: Settings
    ) -> tuple[Components, ComponentUpdate]:
        self.calls.append(([], True, "cpu"))
        error, self.error = self.error, None
        if error:
            raise error
        on_cpu = replace(old, generator=Mock(device="cpu"))
        return on_cpu, ComponentUpdate({}, "The model is computed on the CPU.")


@dataclass
class Reloading:
    """A running reloader, the weights file that it watches, and what it has sent."""

    file: Path
    reloader: Reloader
    rebuild: FakeRebuild
    settings: Loaded
    sent: list[ComponentUpdate | UpdateRejected]
    unreadable: ConfigError | None = None

    def read(self) -> Loaded:
        if self.unreadable:
            raise self.unreadable
        return self.settings

    def reload(self, *flags: str, on_cpu: bool = False) -> object:
        self.settings = load(flags=[f"model.weights={self.file}", *flags], environment={})
        return self.reloader.begin_reload(on_cpu=on_cpu).done.result(20)

    def write_weights(self) -> None:
        """Write new weights and wait until they are taken or rejected."""
        count = len(self.rebuild.calls)
        self.file.write_text(f"weights {count}" + "." * count)
        deadline = time.monotonic() + 20
        while len(self.rebuild.calls) == count:
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture
def reloading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reloading]:
    rebuild, sent = FakeRebuild(), []
    monkeypatch.setattr("daemon.reload.reloader.CHECK_SECONDS", 0.05)
    monkeypatch.setattr("daemon.reload.reloader.Rebuild", rebuild)
    monkeypatch.setattr("daemon.reload.reloader.move_to_cpu", rebuild.move_to_cpu)
    file = tmp_path / "en.safetensors"
    file.write_text("weights")
    loaded = load(flags=[f"model.weights={file}"], environment={})
    weights = WeightsInfo("own", file, 0.0, 0, "en", None, "")
    components = Components(microphone(), Mock(), Mock(), Mock(), (weights,))

    def send(message: ComponentUpdate | UpdateRejected) -> None:
        sent.append(message)
        if isinstance(message, ComponentUpdate):
            message.done.set_result(None)

    reloader = Reloader(lambda: one.read(), loaded, components, stamps_of(loaded.settings))
    one = Reloading(file, reloader, rebuild, loaded, sent)
    with contextlib.closing(reloader):
        reloader.start(send)
        yield one


def test_a_reload_on_the_cpu_rebuilds_the_generator_once(reloading: Reloading) -> None:
    assert reloading.reload(on_cpu=True) == {"changed": []}
    reloading.reload(on_cpu=True)
    assert reloading.rebuild.calls == [([], True, "cpu")]
    assert [update.summary for update in reloading.sent] == ["The model is computed on the CPU."]


def test_an_invalid_settings_file_does_not_prevent_the_cpu(reloading: Reloading) -> None:
    reloading.unreadable = ConfigError("config.yaml, line 1: no.")
    assert reloading.reload(on_cpu=True) == {"changed": []}
    assert reloading.rebuild.calls == [([], True, "cpu")]


def test_new_weights_and_other_settings_stay_on_the_cpu(reloading: Reloading) -> None:
    reloading.write_weights()
    reloading.reload(on_cpu=True)
    reloading.write_weights()
    reloading.reload("model.threads=3")
    reloading.write_weights()
    assert reloading.rebuild.calls == [
        ([], True, None),
        ([], True, "cpu"),
        ([], True, "cpu"),
        (["model.threads"], False, "cpu"),
        ([], True, "cpu"),
    ]


def test_another_device_in_the_settings_ends_the_cpu(reloading: Reloading) -> None:
    reloading.reload(on_cpu=True)
    reloading.reload("model.device=cuda")
    reloading.write_weights()
    reloading.reload("model.device=cuda", on_cpu=True)
    assert reloading.rebuild.calls == [
        ([], True, "cpu"),
        (["model.device"], False, None),
        ([], True, None),
        ([], True, "cpu"),
    ]


def test_a_device_that_was_set_before_it_failed_does_not_end_the_cpu(reloading: Reloading) -> None:
    reloading.reload("model.device=cuda")
    reloading.reload("model.device=cuda", on_cpu=True)
    reloading.reload("model.device=cuda", "model.threads=3")
    assert [device for _, _, device in reloading.rebuild.calls] == [None, "cpu", "cpu"]


def test_a_rejected_reload_on_the_cpu_changes_nothing_and_can_be_repeated(
    reloading: Reloading,
) -> None:
    reloading.rebuild.error = GenerationError("Memory is short.")
    reason = "Memory is short. The model stays on its device."
    with pytest.raises(RefusedError) as refused:
        reloading.reload(on_cpu=True)
    assert str(refused.value) == reason
    assert reloading.sent == [UpdateRejected(reason)]
    reloading.reload(on_cpu=True)
    assert reloading.rebuild.calls == [([], True, "cpu"), ([], True, "cpu")]


def test_a_reload_on_the_cpu_takes_new_weights_only_once(
    reloading: Reloading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.reload.reloader.CHECK_SECONDS", 60.0)
    reloading.reload()  # the thread reads CHECK_SECONDS again after it
    reloading.file.write_text("new weights")
    reloading.reload(on_cpu=True)
    assert reloading.rebuild.calls == [([], False, None), ([], True, "cpu")]


def test_rejected_weights_are_not_tried_again(reloading: Reloading) -> None:
    reloading.rebuild.error = WeightsError("They are damaged.")
    reloading.write_weights()
    reloading.reload()
    time.sleep(0.3)  # several checks
    assert reloading.sent[0] == UpdateRejected("They are damaged. The old weights stay in use.")
    assert reloading.rebuild.calls == [([], True, None), ([], False, None)]
