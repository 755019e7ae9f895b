"""A microphone that is opened again: audio time goes on, and the follow-up window ends."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from audio.events import Event, Seed, Triggered
from audio.pcm import AudioChunk
from config.errors import AudioDeviceError
from daemon.loop.main_loop import MainLoop
from daemon.loop.options import LoopOptions
from tests.daemon.fakes import Generator, Recognition, Source, SpeechOutput
from tests.daemon.loop.running import ask, running, wait_until

EXCHANGE: list[Event] = [Triggered("hey computer", 0.1), Seed("a fox", 0.2)]


@dataclass
class Listening(Recognition):
    """Also remembers each chunk's time, and whether commands were recognised in it."""

    heard: list[tuple[float, bool]] = field(default_factory=list)

    def feed(self, chunk: AudioChunk, *, commands: bool, playing: bool) -> Sequence[Event]:
        self.heard.append((chunk.end_seconds, commands))
        return super().feed(chunk, commands=commands, playing=playing)


@dataclass
class Unplugged(Source):
    """A microphone that is lost at the end of each opening but the last of `openings`."""

    openings: int = 2

    def _chunks(self) -> Iterator[AudioChunk]:
        yield from super()._chunks()
        if self.opened < self.openings:
            raise AudioDeviceError("The microphone is gone.")


def test_the_follow_up_window_does_not_begin_anew_with_the_microphone() -> None:
    source = Source(1_000_000, live=True, seconds_each=0.01)  # eight times as fast as real time
    recognition = Listening({125: EXCHANGE})
    options = LoopOptions(follow_up_seconds=1.0)
    loop = MainLoop(source, recognition, Generator(), SpeechOutput(), options=options)
    with running(loop):
        wait_until(lambda: any(commands for _, commands in recognition.heard[130:]))
        ask(loop, "mute")
        wait_until(lambda: source.closed)
        count = len(recognition.heard)
        ask(loop, "unmute")
        wait_until(lambda: len(recognition.heard) > count + 25)  # 2 s
    after = recognition.heard[count:]
    assert after[0][0] > recognition.heard[count - 1][0]  # audio time never goes back
    assert not after[-1][1]
    assert sum(commands for _, commands in after) * 0.08 < 1.1


def test_the_follow_up_window_of_a_lost_microphone_ends_in_real_seconds() -> None:
    source = Unplugged(200, live=True, seconds_each=0.001)
    recognition = Listening({190: EXCHANGE})
    options = LoopOptions(follow_up_seconds=0.1)
    loop = MainLoop(source, recognition, Generator(), SpeechOutput(), options=options)
    loop.run()
    (last, _), *_ = recognition.heard[199:]
    after = recognition.heard[200:]
    assert len(after) == 200
    assert after[0][0] - last >= 0.25  # after the pause before the first attempt
    assert not any(commands for _, commands in after)


def test_a_reply_while_the_microphone_is_closed_opens_a_follow_up_window() -> None:
    source = Source(1_000_000, live=True, seconds_each=0.001)
    recognition, speech = Listening({}), SpeechOutput()
    options = LoopOptions(muted=True, follow_up_seconds=60.0)
    loop = MainLoop(source, recognition, Generator(), speech, options=options)
    with running(loop):
        ask(loop, "say", seed="the crow")
        wait_until(lambda: len(speech.spoken) == 2)
        ask(loop, "unmute")
        wait_until(lambda: len(recognition.heard) > 10)
    assert recognition.heard[5][1]


def test_a_lost_microphone_that_comes_back_muted_or_not_gives_rising_times() -> None:
    source = Unplugged(3, live=True, openings=4)
    recognition = Listening({})
    MainLoop(source, recognition, Generator(), SpeechOutput()).run()
    times = [end for end, _ in recognition.heard]
    assert len(times) == 12
    assert times == sorted(set(times))
