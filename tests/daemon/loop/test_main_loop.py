import logging
import threading
import time

import pytest

from audio.events import Event, NoSpeech, Partial, Resumed, Seed, Triggered, VoiceCommand
from config.errors import DeviceError, GenerationError
from daemon.loop.main_loop import MainLoop, Summary
from daemon.loop.options import LoopOptions
from daemon.observers.console import Console
from tests.daemon.fakes import Generator, Recognition, Reloads, Screen, Source, SpeechOutput

TRIGGER = Triggered("hey computer", 0.1)


def exchange(text: str) -> list[Event]:
    return [TRIGGER, Seed(text, 0.2)]


def test_a_file_waits_for_each_reply() -> None:
    recognition = Recognition({2: exchange("a fox"), 4: exchange("a crow")})
    generator, speech, screen = Generator(), SpeechOutput(0.05), Screen()
    source = Source(5)
    summary = MainLoop(source, recognition, generator, speech, Console(screen)).run()
    assert summary == Summary(triggers=2, replies=2)
    assert generator.seeds == ["a fox", "a crow"]
    assert speech.spoken == ["One.", "Two.", "One.", "Two."]
    assert screen.getvalue() == (
        "You:       a fox\nAfterword: One. Two.\nYou:       a crow\nAfterword: One. Two.\n"
    )
    assert source.closed
    assert speech.closed


def test_a_capture_at_the_end_of_the_file_is_answered() -> None:
    speech = SpeechOutput()
    recognition = Recognition({3: [TRIGGER], 0: [Seed("a fox", 0.24)]})
    MainLoop(Source(3), recognition, Generator(), speech).run()
    assert speech.spoken == ["One.", "Two."]


def test_a_command_in_a_file_is_obeyed_unless_the_user_resumes() -> None:
    again: Event = VoiceCommand("again", "say it again", True, 0.2)
    at_end = {0: [TRIGGER, again]}
    resumed = {4: [Resumed()], 5: [Seed("a crow", 0.4)]}
    for more, seeds in (({}, ["a fox"]), (resumed, ["a fox", "a crow"])):
        generator, speech = Generator(), SpeechOutput()
        recognition = Recognition({1: exchange("a fox"), 3: [TRIGGER, again], **more, **at_end})
        MainLoop(Source(6), recognition, generator, speech).run()
        assert generator.seeds == seeds
        assert speech.spoken == ["One.", "Two."] * 3


def test_nothing_after_the_trigger_is_no_reply() -> None:
    recognition = Recognition({1: [TRIGGER], 2: [NoSpeech("silence")]})
    generator = Generator()
    assert MainLoop(Source(3), recognition, generator, SpeechOutput()).run() == Summary(1, 0)
    assert generator.seeds == []


def test_a_microphone_is_recognised_during_a_reply_and_the_trigger_interrupts() -> None:
    recognition = Recognition({1: exchange("a fox"), 20: exchange("a crow")})
    generator, speech, screen = Generator(), SpeechOutput(2.0), Screen()
    source = Source(60, live=True, seconds_each=0.01)
    MainLoop(source, recognition, generator, speech, Console(screen)).run()
    assert recognition.fed == 60
    assert generator.seeds == ["a fox", "a crow"]
    assert "You:       a crow\nAfterword: One." in screen.getvalue()
    assert speech.spoken != ["One.", "Two.", "One.", "Two."]  # the first reply was cut


@pytest.mark.parametrize(("live", "read"), [(True, ["a"]), (False, [])])
def test_the_words_of_a_seed_are_read_while_a_microphone_takes_them_in(
    live: bool, read: list[str]
) -> None:
    recognition = Recognition({1: [TRIGGER], 3: [Partial("a")], 20: [Seed("a fox", 0.2)]})
    generator = Generator()
    MainLoop(Source(30, live, 0.01), recognition, generator, SpeechOutput()).run()
    assert (generator.read, generator.seeds) == (read, ["a fox"])


def test_an_echo_of_the_phrase_is_no_trigger() -> None:
    recognition = Recognition({1: exchange("a fox"), 20: [TRIGGER], 40: [NoSpeech("silence")]})
    generator, speech = Generator(['"Hey computer," it said.']), SpeechOutput(0.3)
    MainLoop(Source(60, True, 0.01), recognition, generator, speech).run()
    assert recognition.cancelled == 1
    assert speech.spoken == ['"Hey computer," it said.']


@pytest.mark.parametrize("live", [True, False])
def test_an_echo_after_the_trigger_is_no_seed(live: bool) -> None:
    """A file has no echo: there a seed may repeat the words of the reply before it."""
    late = {20: [TRIGGER], 25: [Seed("it looked around", 0.3)]}
    recognition = Recognition({1: exchange("a fox"), **late})
    generator, speech = Generator(["It looked around."]), SpeechOutput(2.0 if live else 0.1)
    MainLoop(Source(60, live, 0.01), recognition, generator, speech).run()
    assert generator.seeds == (["a fox"] if live else ["a fox", "it looked around"])


@pytest.mark.parametrize("live", [True, False])
def test_stop_ends_the_loop_during_a_reply(live: bool) -> None:
    recognition = Recognition({1: exchange("a fox")})
    speech = SpeechOutput(30.0)
    source = Source(1_000_000, live, 0.001)
    loop = MainLoop(source, recognition, Generator(), speech)
    threading.Timer(0.2, loop.stop).start()
    assert "responder" in [thread.name for thread in threading.enumerate()]
    begin = time.monotonic()
    loop.run()
    assert time.monotonic() - begin < 1.0
    assert speech.closed
    assert source.closed
    assert not [thread for thread in threading.enumerate() if thread.name == "responder"]


def test_a_failed_reply_to_a_file_is_raised() -> None:
    recognition = Recognition({1: exchange("a fox")})
    speech = SpeechOutput()
    loop = MainLoop(Source(3), recognition, Generator(error=GenerationError("not finite")), speech)
    with pytest.raises(GenerationError, match="not finite"):
        loop.run()
    assert speech.closed


def test_a_failed_reply_to_a_microphone_is_logged_and_the_next_trigger_is_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    recognition = Recognition({1: exchange("a fox"), 30: exchange("a crow")})
    generator = Generator(error=ValueError("a fault of ours"))
    MainLoop(Source(60, True, 0.01), recognition, generator, SpeechOutput()).run()
    assert generator.seeds == ["a fox", "a crow"]
    assert caplog.text.count("a fault of ours") >= 2


def test_words_are_logged_at_debug_level_only(caplog: pytest.LogCaptureFixture) -> None:
    for level, shown in ((logging.DEBUG, True), (logging.INFO, False)):
        caplog.clear()
        caplog.set_level(level)
        recognition = Recognition({1: exchange("a secret fox")})
        MainLoop(Source(2), recognition, Generator(["Hidden words."]), SpeechOutput()).run()
        assert "trigger heard" in caplog.text
        assert ("secret" in caplog.text) == shown
        assert ("Hidden" in caplog.text) == shown


def test_digital_silence_is_logged_once_and_a_quiet_room_never(
    caplog: pytest.LogCaptureFixture,
) -> None:
    muted, with_offset, quiet = bytes(2560), b"\1\0" * 1280, b"\1\0\0\0" * 640
    for pcm, times in ((muted, 1), (with_offset, 1), (quiet, 0)):
        caplog.clear()
        source = Source(200, live=True, pcm=pcm)  # 16 s
        MainLoop(source, Recognition({}), Generator(), SpeechOutput()).run()
        assert caplog.text.count("digital silence") == times


@pytest.mark.parametrize(("live", "times"), [(True, 1), (False, 0)])
def test_a_fault_of_a_microphone_is_logged_and_none_of_a_recording(
    live: bool, times: int, caplog: pytest.LogCaptureFixture
) -> None:
    overdriven = b"\xff\x7f\0\x80" * 640
    source = Source(200, live=live, pcm=overdriven)  # 16 s
    MainLoop(source, Recognition({}), Generator(), SpeechOutput()).run()
    assert caplog.text.count("The microphone is distorted") == times


@pytest.mark.parametrize(
    ("error", "on_cpu"),
    [(DeviceError("The GPU failed."), [True]), (GenerationError("not finite"), [])],
)
def test_a_device_error_begins_one_reload_on_the_cpu(
    error: Exception, on_cpu: list[bool], caplog: pytest.LogCaptureFixture
) -> None:
    reloads, speech = Reloads(), SpeechOutput()
    recognition = Recognition({1: exchange("a fox")})
    source, options = Source(60, True, 0.01), LoopOptions(begin_reload=reloads)
    MainLoop(source, recognition, Generator(error=error), speech, options=options).run()
    assert speech.cues[-1] == "error"
    assert [reload.on_cpu for reload in reloads.begun] == on_cpu
    assert ("loaded on the CPU" in caplog.text) == bool(on_cpu)


def test_a_microphone_without_a_reload_is_served_after_a_device_error() -> None:
    recognition = Recognition({1: exchange("a fox"), 30: exchange("a crow")})
    generator, speech = Generator(error=DeviceError("The GPU failed.")), SpeechOutput()
    MainLoop(Source(60, True, 0.01), recognition, generator, speech).run()
    assert generator.seeds == ["a fox", "a crow"]
    assert speech.cues.count("error") == 2


def test_a_device_error_is_raised_to_a_recording() -> None:
    reloads, speech = Reloads(), SpeechOutput()
    recognition = Recognition({1: exchange("a fox")})
    generator = Generator(error=DeviceError("The GPU failed."))
    options = LoopOptions(begin_reload=reloads)
    loop = MainLoop(Source(3), recognition, generator, speech, options=options)
    with pytest.raises(DeviceError, match=r"The GPU failed\."):
        loop.run()
    assert "error" not in speech.cues
    assert reloads.begun == []
