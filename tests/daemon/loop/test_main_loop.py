import logging
import threading
import time

import pytest

from audio.events import Event, NoSpeech, Resumed, Seed, Triggered, VoiceCommand
from config.errors import GenerationError
from daemon.loop.main_loop import MainLoop, Summary
from daemon.observers.console import Console
from tests.daemon.fakes import Generator, Recognition, Screen, Source, SpeechOutput

TRIGGER = Triggered("hey computer", 0.1)


def exchange(text: str) -> list[Event]:
    return [TRIGGER, Seed(text, 0.2)]


def test_a_file_waits_for_each_reply() -> None:
    hearing = Recognition({2: exchange("a fox"), 4: exchange("a crow")})
    generator, speaker, screen = Generator(), SpeechOutput(0.05), Screen()
    source = Source(5)
    summary = MainLoop(source, hearing, generator, speaker, Console(screen)).run()
    assert summary == Summary(triggers=2, replies=2)
    assert generator.seeds == ["a fox", "a crow"]
    assert speaker.spoken == ["One.", "Two.", "One.", "Two."]
    assert screen.getvalue() == (
        "You:       a fox\nAfterword: One. Two.\nYou:       a crow\nAfterword: One. Two.\n"
    )
    assert source.closed
    assert speaker.closed


def test_a_capture_at_the_end_of_the_file_is_answered() -> None:
    speaker = SpeechOutput()
    hearing = Recognition({3: [TRIGGER], 0: [Seed("a fox", 0.24)]})
    MainLoop(Source(3), hearing, Generator(), speaker).run()
    assert speaker.spoken == ["One.", "Two."]


def test_a_command_in_a_file_is_obeyed_unless_the_user_resumes() -> None:
    again: Event = VoiceCommand("again", "say it again", True, 0.2)
    at_end = {0: [TRIGGER, again]}
    resumed = {4: [Resumed()], 5: [Seed("a crow", 0.4)]}
    for more, seeds in (({}, ["a fox"]), (resumed, ["a fox", "a crow"])):
        generator, speaker = Generator(), SpeechOutput()
        hearing = Recognition({1: exchange("a fox"), 3: [TRIGGER, again], **more, **at_end})
        MainLoop(Source(6), hearing, generator, speaker).run()
        assert generator.seeds == seeds
        assert speaker.spoken == ["One.", "Two."] * 3


def test_nothing_after_the_trigger_is_no_reply() -> None:
    hearing = Recognition({1: [TRIGGER], 2: [NoSpeech("silence")]})
    generator = Generator()
    assert MainLoop(Source(3), hearing, generator, SpeechOutput()).run() == Summary(1, 0)
    assert generator.seeds == []


def test_a_microphone_is_heard_while_speaking_and_the_trigger_interrupts() -> None:
    hearing = Recognition({1: exchange("a fox"), 20: exchange("a crow")})
    generator, speaker, screen = Generator(), SpeechOutput(2.0), Screen()
    source = Source(60, live=True, seconds_each=0.01)
    MainLoop(source, hearing, generator, speaker, Console(screen)).run()
    assert hearing.fed == 60
    assert generator.seeds == ["a fox", "a crow"]
    assert "You:       a crow\nAfterword: One." in screen.getvalue()
    assert speaker.spoken != ["One.", "Two.", "One.", "Two."]  # the first reply was cut


def test_its_own_voice_saying_the_phrase_is_dropped() -> None:
    hearing = Recognition({1: exchange("a fox"), 20: [TRIGGER], 40: [NoSpeech("silence")]})
    generator, speaker = Generator(['"Hey computer," it said.']), SpeechOutput(0.3)
    MainLoop(Source(60, True, 0.01), hearing, generator, speaker).run()
    assert hearing.cancelled == 1
    assert speaker.spoken == ['"Hey computer," it said.']


@pytest.mark.parametrize("live", [True, False])
def test_stop_ends_it_in_the_middle_of_speech(live: bool) -> None:
    hearing = Recognition({1: exchange("a fox")})
    speaker = SpeechOutput(30.0)
    source = Source(1_000_000, live, 0.001)
    service = MainLoop(source, hearing, Generator(), speaker)
    threading.Timer(0.2, service.stop).start()
    assert "responder" in [thread.name for thread in threading.enumerate()]
    begin = time.monotonic()
    service.run()
    assert time.monotonic() - begin < 1.0
    assert speaker.closed
    assert source.closed
    assert not [thread for thread in threading.enumerate() if thread.name == "responder"]


def test_a_failed_reply_to_a_file_is_raised() -> None:
    hearing = Recognition({1: exchange("a fox")})
    speaker = SpeechOutput()
    service = MainLoop(Source(3), hearing, Generator(error=GenerationError("not finite")), speaker)
    with pytest.raises(GenerationError, match="not finite"):
        service.run()
    assert speaker.closed


def test_a_failed_reply_to_a_microphone_is_logged_and_the_next_is_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hearing = Recognition({1: exchange("a fox"), 30: exchange("a crow")})
    generator = Generator(error=ValueError("a fault of ours"))
    MainLoop(Source(60, True, 0.01), hearing, generator, SpeechOutput()).run()
    assert generator.seeds == ["a fox", "a crow"]
    assert caplog.text.count("a fault of ours") >= 2


def test_words_are_logged_at_debug_level_only(caplog: pytest.LogCaptureFixture) -> None:
    for level, shown in ((logging.DEBUG, True), (logging.INFO, False)):
        caplog.clear()
        caplog.set_level(level)
        hearing = Recognition({1: exchange("a secret fox")})
        MainLoop(Source(2), hearing, Generator(["Hidden words."]), SpeechOutput()).run()
        assert "trigger heard" in caplog.text
        assert ("secret" in caplog.text) == shown
        assert ("Hidden" in caplog.text) == shown


def test_digital_silence_is_told_once_and_a_quiet_room_never(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for pcm, times in ((bytes(2560), 1), (b"\1\0" * 1280, 0)):
        caplog.clear()
        source = Source(200, live=True, pcm=pcm)  # 16 s
        MainLoop(source, Recognition({}), Generator(), SpeechOutput()).run()
        assert caplog.text.count("digital silence") == times
