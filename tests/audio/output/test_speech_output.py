"""Sentences to audio: in order, without gaps, and silent soon after a cancellation."""

import threading
import time
import wave
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from audio.output.buffer import Cancelled
from audio.output.loudspeaker import Loudspeaker
from audio.output.speech_output import SpeechOutput
from audio.output.wav_file import WavFilePlayer
from audio.pcm import Samples
from audio.tts.engine import SpeechEngine
from audio.tts.sound import RATE
from audio.tts.text import REQUEST_CHARACTERS, clean_text, split_text
from config.errors import AudioDeviceError, SpeechError
from tests.support.sound_server import SoundServer

SENTENCES = ["There was a small king.", "He lived near the sea.", "Every day he asked why."]


def never() -> bool:
    return False


class LoudEngine:
    """Speaks each character as ten milliseconds of noise; fails at the word "fail"."""

    rate = RATE

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.closed = False
        self.restarts = 0
        self.voice = "noise"

    def start(self) -> None:
        self.texts.clear()

    def stream(self, text: str, cancelled: Cancelled) -> Iterator[tuple[str, Samples]]:
        for piece in split_text(clean_text(text)):
            if self.closed or piece == "fail":
                raise SpeechError("failed")
            self.texts.append(piece)
            yield piece, np.full(len(piece) * RATE // 100, 9, np.int16)

    def close(self) -> None:
        self.closed = True


class ListSink:
    """Records the calls, in order."""

    def __init__(self) -> None:
        self.started_at: float | None = None
        self.orders: list[str] = []

    def open(self) -> None:
        self.orders.append("open")

    def play(self, samples: Samples, cancelled: Cancelled) -> None:
        self.started_at = self.started_at or time.monotonic()
        self.orders.append(f"{'sound' if samples.any() else 'pause'} {len(samples) / RATE:.2f}")

    def wait(self, cancelled: Cancelled) -> None:
        self.orders.append("wait")

    def stop(self) -> None:
        self.orders.append("stop")

    def close(self) -> None:
        self.orders.append("close")


@pytest.fixture
def speaker(sound_server: SoundServer) -> Iterator[SpeechOutput]:
    speaker = SpeechOutput(SpeechEngine("en-us", 175, 0.9), Loudspeaker(), 0.2)
    speaker.start()
    yield speaker
    speaker.close()


def spoken_seconds() -> float:
    """The length of all SENTENCES, without pauses."""
    with closing(SpeechEngine("en-us", 175, 0.9)) as engine:
        return sum(len(engine.synthesize(sentence)) for sentence in SENTENCES) / RATE


class TestOrder:
    def test_each_sentence_is_played_before_the_next_is_asked_for(self) -> None:
        sink = ListSink()

        def sentences() -> Iterator[str]:
            for length in (1, 2):
                sink.orders.append("asked")
                yield "x" * length

        speaker = SpeechOutput(LoudEngine(), sink, 0.5)
        speaker.speak(sentences(), never)
        first, second = ["asked", "sound 0.01", "pause 0.50"], ["asked", "sound 0.02", "pause 0.50"]
        assert sink.orders == ["open", *first, *second, "wait"]
        assert speaker.started_at == sink.started_at is not None

    def test_what_has_no_sound_has_no_pause(self) -> None:
        sink = ListSink()
        speaker = SpeechOutput(LoudEngine(), sink, 0.5)
        speaker.speak(["", " \n "], never)
        assert sink.orders == ["open", "wait"]
        assert speaker.started_at is None

    def test_a_long_sentence_can_be_cancelled_between_its_pieces(self) -> None:
        engine, sink = LoudEngine(), ListSink()
        speaker = SpeechOutput(engine, sink, 0.5)
        speaker.speak(["word " * REQUEST_CHARACTERS], lambda: len(engine.texts) >= 2)
        assert len(engine.texts) == 2
        assert sink.orders[-1] == "stop"

    def test_the_words_of_a_sentence_in_pieces_sound_in_their_pieces(self) -> None:
        sink = ListSink()
        speaker = SpeechOutput(LoudEngine(), sink, 0.5)
        words = [f"word{number}" for number in range(400)]
        before = time.monotonic()
        speaker.speak([" ".join(words)], never)
        after = time.monotonic()
        assert len([order for order in sink.orders if order.startswith("sound")]) > 1
        total = sum(float(order.split()[1]) for order in sink.orders if order.startswith("sound"))
        assert speaker.words_between(before, after + total).split() == words
        for share in (0.1, 0.5, 0.9):  # a character sounds for 10 ms
            begin, end = before + share * total, after + share * total
            assert words[round(share * len(words))] in speaker.words_between(begin - 1, end + 1)
        assert speaker.sounding == 1

    def test_a_cancellation_stops_the_sound_and_asks_for_nothing_more(self) -> None:
        sink, asked = ListSink(), []

        def sentences() -> Iterator[str]:
            for word in ("one", "two"):
                asked.append(word)
                yield word

        SpeechOutput(LoudEngine(), sink, 0.5).speak(sentences(), lambda: bool(asked))
        assert asked == ["one"]
        assert sink.orders[-1] == "stop"

    def test_words_after_a_cancellation_have_not_sounded(self) -> None:
        cancelled: list[str] = []
        speaker = SpeechOutput(LoudEngine(), ListSink(), 0.5)
        speaker.speak(
            ["one two three four five six " * 5],
            lambda: bool(cancelled),
            lambda: cancelled.append("now"),
        )
        ended = time.monotonic()
        assert speaker.words_between(ended - 2.0, ended + 0.001)
        assert speaker.words_between(ended + 0.001, ended + 2.0) == ""

    def test_a_failure_stops_the_sound_and_is_raised(self) -> None:
        sink = ListSink()
        speaker = SpeechOutput(LoudEngine(), sink, 0.5)
        with pytest.raises(SpeechError):
            speaker.speak(["one", "fail", "two"], never)
        assert sink.orders == ["open", "sound 0.03", "pause 0.50", "stop"]
        assert speaker.sounding == 1

    def test_a_failure_because_of_closing_is_no_failure(self) -> None:
        sink = ListSink()
        speaker = SpeechOutput(LoudEngine(), sink, 0.5)

        def sentences() -> Iterator[str]:
            speaker.close()
            yield "one"

        speaker.speak(sentences(), never)
        assert "sound 0.03" not in sink.orders

    def test_a_failing_start_leaves_nothing_open(self) -> None:
        class Broken(LoudEngine):
            def start(self) -> None:
                raise SpeechError("failed")

        engine, sink = Broken(), ListSink()
        with pytest.raises(SpeechError):
            SpeechOutput(engine, sink, 0.5).start()
        assert engine.closed
        assert sink.orders == ["close"]


class TestAloud:
    def test_a_slow_writer_leaves_no_gaps_but_the_pauses(
        self, sound_server: SoundServer, speaker: SpeechOutput
    ) -> None:
        def slowly() -> Iterator[str]:
            for sentence in SENTENCES:
                time.sleep(0.3)
                yield sentence

        with sound_server.recording() as recording:
            begin = time.monotonic()
            speaker.speak(slowly(), never)
            time.sleep(0.1)
            gaps = recording.gaps(begin, longer_than=0.15)
            heard = recording.sounding(begin)
        assert len(gaps) == 2
        assert all(0.2 < gap < 0.4 for gap in gaps), gaps
        assert heard[0] - begin < 0.8  # 0.3 of them the writer's
        assert heard[-1] - heard[0] == pytest.approx(spoken_seconds() + 2 * 0.2, abs=0.2)
        assert speaker.started_at == pytest.approx(heard[0], abs=0.15)

    def test_it_counts_the_sentences_that_are_heard(
        self, sound_server: SoundServer, speaker: SpeechOutput
    ) -> None:
        seen: list[tuple[float, int]] = []
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.01):
                if not seen or seen[-1][1] != speaker.sounding:
                    seen.append((time.monotonic(), speaker.sounding))

        watcher = threading.Thread(target=watch)
        with sound_server.recording() as recording:
            begin = time.monotonic()
            watcher.start()
            speaker.speak(SENTENCES, never)
            over.set()
            watcher.join()
            heard = recording.sounding(begin)
        starts = [heard[0], *heard[1:][np.diff(heard) > 0.15]]  # after a pause
        assert [number for _, number in seen if number] == [1, 2, 3]
        assert [at for at, number in seen if number] == pytest.approx(starts, abs=0.3)

    def test_it_knows_which_words_may_be_heard(
        self, sound_server: SoundServer, speaker: SpeechOutput
    ) -> None:
        with sound_server.recording() as recording:
            begin = time.monotonic()
            speaker.speak(SENTENCES, never)
            heard = recording.sounding(begin)
        starts = [heard[0], *heard[1:][np.diff(heard) > 0.15]]  # after a pause
        for start, sentence in zip(starts, SENTENCES, strict=True):
            first = speaker.words_between(start - 0.3, start + 0.3).split()
            assert sentence.split()[0] in first
        assert speaker.words_between(begin, heard[-1]) == " ".join(SENTENCES)
        late = heard[-1] + 0.6, heard[-1] + 0.8
        assert speaker.words_between(*late) == ""
        speaker.pause(1.0)
        assert speaker.words_between(*late).split()[-1] == SENTENCES[-1].split()[-1]

    def test_a_cancellation_silences_within_a_moment(
        self, sound_server: SoundServer, speaker: SpeechOutput
    ) -> None:
        cancelled = threading.Event()
        with sound_server.recording() as recording:
            begin = time.monotonic()
            timer = threading.Timer(0.8, cancelled.set)
            timer.start()
            speaker.speak(SENTENCES, cancelled.is_set)
            returned = time.monotonic()
            time.sleep(0.4)
            heard = recording.sounding(begin)
        assert 0.5 < heard[-1] - begin < 1.1
        assert returned - begin < 1.1

    def test_closing_in_mid_sentence_ends_sound_and_say_within_a_second(
        self, sound_server: SoundServer, speaker: SpeechOutput
    ) -> None:
        with sound_server.recording() as recording:
            thread = threading.Thread(target=speaker.speak, args=(SENTENCES, never))
            thread.start()
            time.sleep(0.8)
            begin = time.monotonic()
            assert len(recording.sounding(begin - 0.4)) > 0
            speaker.close()
            thread.join(5)
            assert time.monotonic() - begin < 1
            time.sleep(0.4)
            heard = recording.sounding(begin)
        assert heard.max(initial=begin) - begin < 0.3

    def test_when_the_server_dies_say_raises_and_the_next_say_speaks(
        self, sound_server: SoundServer, speaker: SpeechOutput
    ) -> None:
        timer = threading.Timer(0.5, sound_server.kill)
        timer.start()
        with pytest.raises(AudioDeviceError):
            speaker.speak(SENTENCES, never)
        timer.join()
        sound_server.start()
        with sound_server.recording() as recording:
            begin = time.monotonic()
            speaker.speak(["Hello."], never)
            assert len(recording.sounding(begin)) > 1000


def test_speech_goes_to_a_file_with_a_pause_after_each_sentence(tmp_path: Path) -> None:
    path = tmp_path / "reply.wav"
    speaker = SpeechOutput(SpeechEngine("en-us", 175, 0.9), WavFilePlayer(path), 0.5)
    try:
        speaker.speak(SENTENCES[:1], never)
        speaker.speak(SENTENCES[1:], never)
    finally:
        speaker.close()
    with wave.open(str(path)) as wav:
        samples = np.frombuffer(wav.readframes(60 * RATE), np.int16)
    steps = np.diff(np.flatnonzero(np.abs(samples.astype(np.int32)) > 300)) / RATE
    assert [round(float(step), 1) for step in steps if step > 0.3] == [0.5, 0.5]
    assert 3 < len(samples) / RATE < 9


def test_it_goes_on_with_another_engine_and_the_same_sink() -> None:
    old, new, sink = LoudEngine(), LoudEngine(), ListSink()
    old.restarts, new.restarts = 2, 1
    speaker = SpeechOutput(old, sink, 0.2)
    speaker.speak(["One."], never)
    speaker.reconfigure(new, None, 0.5)
    assert old.closed
    speaker.speak(["Two."], never)
    assert (old.texts, new.texts) == (["One."], ["Two."])
    assert [order for order in sink.orders if order.startswith("pause")] == [
        "pause 0.20",
        "pause 0.50",
    ]
    assert "close" not in sink.orders
    assert speaker.restarts == 3


def test_it_goes_on_with_another_sink_and_the_same_engine() -> None:
    engine, old, new = LoudEngine(), ListSink(), ListSink()
    speaker = SpeechOutput(engine, old, 0.2)
    speaker.reconfigure(None, new, 0.2)
    speaker.speak(["One."], never)
    assert (old.orders, engine.closed) == (["close"], False)
    assert "sound 0.04" in new.orders


def test_what_it_gets_after_its_end_is_closed_at_once() -> None:
    speaker, engine, sink = SpeechOutput(LoudEngine(), ListSink(), 0.2), LoudEngine(), ListSink()
    speaker.close()
    speaker.reconfigure(engine, sink, 0.2)
    assert (engine.closed, sink.orders) == (True, ["close"])
