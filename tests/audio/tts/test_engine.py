"""The speech engine: its speech, and how it replaces a failing worker."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from audio.tts.engine import COMMAND, SpeechEngine
from audio.tts.sound import RATE, trim
from config.errors import ConfigError, SpeechError
from tests.support.sound_server import SoundServer

SENTENCE = "The quick brown fox jumped over the lazy dog and then went home to sleep."
Make = Callable[..., SpeechEngine]


@pytest.fixture
def make() -> Iterator[Make]:
    """Build engines that are closed after the test."""
    engines: list[SpeechEngine] = []

    def build(
        voice: str = "en-us", rate_wpm: int = 150, volume: float = 0.9, **rest: object
    ) -> SpeechEngine:
        engine = SpeechEngine(voice, rate_wpm, volume, **rest)  # type: ignore[arg-type]
        engines.append(engine)
        return engine

    yield build
    for engine in engines:
        engine.close()


def test_a_sound_server_that_hangs_does_not_hold_the_engine_up(
    sound_server: SoundServer, make: Make
) -> None:
    sound_server.freeze()
    assert len(make().synthesize(SENTENCE)) > RATE


def children() -> list[int]:
    """Process ids of this process's workers."""
    listing = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(os.getpid())], text=True,
                             capture_output=True, check=True).stdout  # fmt: skip
    return [int(line.split()[0]) for line in listing.splitlines() if "audio.tts.worker" in line]


def seconds(samples: np.ndarray) -> float:
    return len(samples) / RATE


def level(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))


def test_a_sentence_is_rendered_without_silence_around_it(make: Make) -> None:
    samples = make().synthesize(SENTENCE)
    assert samples.dtype == np.int16
    assert 4 < seconds(samples) < 8
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > 500)
    assert loud[0] < 0.05 * RATE
    assert len(samples) - loud[-1] < 0.1 * RATE


def test_rate_changes_the_duration(make: Make) -> None:
    slow, fast = (seconds(make(rate_wpm=rate).synthesize(SENTENCE)) for rate in (100, 300))
    assert 2.2 < slow / fast < 3.8


@pytest.mark.parametrize(("extreme", "limit"), [(10, 80), (2000, 450)])
def test_rates_beyond_the_limits_are_clamped(make: Make, extreme: int, limit: int) -> None:
    assert np.array_equal(
        make(rate_wpm=extreme).synthesize(SENTENCE), make(rate_wpm=limit).synthesize(SENTENCE)
    )


def test_volume_changes_the_level_in_proportion(make: Make) -> None:
    full, half = (level(make(volume=volume).synthesize(SENTENCE)) for volume in (1.0, 0.5))
    assert half / full == pytest.approx(0.5, abs=0.05)


def test_volumes_beyond_the_limits_are_clamped(make: Make) -> None:
    loudest = make(volume=1.0).synthesize("Hello there.")
    assert np.array_equal(make(volume=100.0).synthesize("Hello there."), loudest)
    assert len(make(volume=-1.0).synthesize("Hello there.")) == 0


def test_voices_and_variants_sound_different_from_each_other(make: Make) -> None:
    names = ("en-us", "gmw/en-gb-scotland", "en-us+f3", "EN-US+F3")
    american, scottish, woman, same_woman = (
        make(name).synthesize("Good morning.") for name in names
    )
    assert not np.array_equal(american, scottish)
    assert not np.array_equal(american, woman)
    # The breath of f3 is noise, whose seed espeak-ng takes from the time of its start in seconds.
    assert len(woman) == len(same_woman)
    assert np.corrcoef(woman, same_woman)[0, 1] > 0.99  # measured: 0.9986


def test_an_unknown_voice_is_refused_at_start(make: Make) -> None:
    with pytest.raises(ConfigError, match="did you mean 'en-us'"):
        make("en-uss").start()


@pytest.mark.parametrize("text", ["", "  \n\t", "\x00\x07", "\ud800", "...", "-"])
def test_text_without_words_renders_to_nothing(make: Make, text: str) -> None:
    assert len(make().synthesize(text)) == 0


def test_difficult_text_is_spoken_whole(make: Make) -> None:
    engine = make()
    plain = seconds(engine.synthesize("one two three four"))
    # One process never synthesizes a sentence twice to the very same samples.
    same = pytest.approx(plain, rel=0.02)
    assert seconds(engine.synthesize("one\ntwo\x00three\r\n\u2028four")) == same
    assert seconds(engine.synthesize("-one two three four")) == same
    assert seconds(engine.synthesize("\ud800one two three four")) == same
    # Taken as SSML, the word in brackets would vanish, and an open bracket swallow the rest.
    assert seconds(engine.synthesize("one <two> three < four")) > 1.2 * plain


def test_long_text_is_rendered_in_pieces_that_make_a_whole(make: Make) -> None:
    engine = make(rate_wpm=450)
    once = seconds(engine.synthesize(SENTENCE))
    assert seconds(engine.synthesize(f"{SENTENCE} " * 100)) == pytest.approx(100 * once, rel=0.15)
    assert seconds(engine.synthesize("a" * 3000)) > 10


STRETCHES = {
    "words": ("en-us", "the fox went over the hill and ", 1000),
    "letters": ("en-us", "bamelitopu", 400),
    "one letter": ("en-us", "a", 1000),
    "digits": ("en-us", "7391", 250),
    "prices": ("en-us", "$1,299.99 ", 1000),
    "address": ("en-us", "https://example.com/a/b?c=1&d=2", 500),
    "emoji": ("en-us", "\U0001f600\U0001f389\U0001f41f", 90),
    "Hangul": ("en-us", "안녕하세요저는김철수입니다", 210),
    "Chinese": ("cmn-latn-pinyin", "春眠不觉晓处处闻啼鸟", 1000),
    "Chinese digits": ("cmn-latn-pinyin", "7391", 250),
    "Thai": ("cmn-latn-pinyin", "สวัสดีครับ", 210),
    "mixed": ("cmn-latn-pinyin", "春眠不觉晓the fox 42สวัสดี", 600),
}


@pytest.mark.parametrize("kind", STRETCHES)
def test_all_of_a_stretch_without_punctuation_is_spoken(make: Make, kind: str) -> None:
    voice, unit, length = STRETCHES[kind]
    engine = make(voice, 450)
    text = (unit * length)[:length]
    short = unit * max(1, 40 // len(unit))
    expected = seconds(engine.synthesize(short)) * len(text) / len(short)
    assert seconds(engine.synthesize(text)) > 0.85 * expected


@pytest.mark.parametrize("size", [1_000, 20_000])
def test_odd_characters_are_spoken_without_a_replaced_worker(make: Make, size: int) -> None:
    engine = make(rate_wpm=450)
    text = "\u28ff" * size  # each is a number of seven digits, spelt
    pieces = 0
    for _piece, samples in engine.stream(text):
        pieces += 1
        assert 0 < seconds(samples) < 60
        if pieces == 10:  # as a cancelled reply
            break
    assert (pieces, engine.restarts) == (10, 0)
    assert seconds(engine.synthesize(SENTENCE)) > 1


def longest_gap(samples: np.ndarray) -> float:
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > 0.01 * np.abs(samples).max())
    return float(np.diff(loud).max()) / RATE


def test_letters_apart_from_their_accents_are_spoken_as_the_composed_ones(make: Make) -> None:
    engine = make()
    composed = unicodedata.normalize("NFC", "tiếng Việt ở Hà Nội")
    apart = unicodedata.normalize("NFD", composed)
    assert len(engine.synthesize(apart)) == pytest.approx(
        len(engine.synthesize(composed)), rel=0.05
    )


def test_a_piece_ends_with_a_pause_only_where_a_clause_does(make: Make) -> None:
    engine = make()
    words = "the old sailor looked over the sea in the morning " * 12
    pieces = [piece for piece, _ in engine.stream(words)]
    assert len(pieces) > 1
    within = longest_gap(engine.synthesize(pieces[0]))
    assert longest_gap(engine.synthesize(words)) < max(within, 0.05) + 0.05
    clauses = "the old sailor looked over the sea in the morning, " * 12
    assert len(list(engine.stream(clauses))) > 1
    between = longest_gap(engine.synthesize("one, two"))
    assert longest_gap(engine.synthesize(clauses)) == pytest.approx(between, abs=0.05)


def test_in_the_middle_of_a_clause_the_voice_does_not_fall(make: Make) -> None:
    engine = make()
    piece, samples = next(engine.stream("the old sailor looked over the sea in the morning " * 12))
    as_clause, as_sentence = engine.synthesize(f"{piece},"), engine.synthesize(piece)
    assert similarity(samples, as_clause) > similarity(samples, as_sentence)


def similarity(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of the last quarter of a second."""
    size = RATE // 4
    return float(np.corrcoef(one[-size:], other[-size:])[0, 1])


def test_each_piece_comes_with_its_text(make: Make) -> None:
    text = "春眠不觉晓处处闻啼鸟夜来风雨声花落知多少" * 30
    pieces = list(make("cmn-latn-pinyin", 450).stream(text))
    assert "".join(piece for piece, _ in pieces) == text
    assert all(len(samples) / len(piece) > 0.05 * RATE for piece, samples in pieces)


@pytest.mark.parametrize(
    "text",
    ["...", "——", "?!?!", "\u200b\u200d", "\U0001f600", "\u0301" * 500, "( )" * 400, "\ud800"],
)
def test_text_without_words_neither_hangs_nor_fails(make: Make, text: str) -> None:
    for voice in ("en-us", "cmn-latn-pinyin"):
        engine = make(voice, 450)
        engine.synthesize(text)
        assert seconds(engine.synthesize("one 一")) > 0.2
        assert engine.restarts == 0


@pytest.mark.parametrize("marks", ["[[{}]]", "<{}>", "&lt;{}&gt;", "</speak>{}<speak>"])
def test_marks_of_speech_engines_are_no_commands(make: Make, marks: str) -> None:
    engine = make()
    word = seconds(engine.synthesize("banana"))
    assert seconds(engine.synthesize(marks.format("banana"))) > 0.9 * word


def failing_at(tmp_path: Path, request: str, what: str) -> tuple[str, ...]:
    """A worker that does something when `request` ("split", "synthesize") is for a snark."""
    script = tmp_path / "worker.py"
    script.write_text(
        "import os, sys, time\n"
        "from audio.tts import worker\n"
        "from audio.tts.drivers.espeak import EspeakDriver\n"
        f"original = EspeakDriver.{request}\n"
        f"def patched(self, text):\n    if 'snark' in text: {what}\n"
        "    return original(self, text)\n"
        f"EspeakDriver.{request} = patched\n"
        "worker.main(sys.argv[1:])\n"
    )
    return (sys.executable, "-P", str(script))


@pytest.mark.parametrize("request_kind", ["split", "synthesize"])
def test_a_word_at_which_the_engine_crashes_is_left_out(
    make: Make, tmp_path: Path, request_kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    engine = make(command=failing_at(tmp_path, request_kind, "os._exit(1)"))
    assert seconds(engine.synthesize(f"{SENTENCE} A snark. {SENTENCE}")) > 8
    assert "part of a sentence is not spoken" in caplog.text
    assert "snark" not in caplog.text
    restarts = engine.restarts
    assert seconds(engine.synthesize(SENTENCE)) > 4
    assert engine.restarts == restarts


RACES = {
    "the settings are not in force at once": (
        "real, calls = espeak._settings_in_force, []\n"
        "def late(module):\n    calls.append(1)\n"
        "    return real(module) if len(calls) > 1 else ('', 0, 0)\n"
        "espeak._settings_in_force = late\n"
        "driver = espeak.EspeakDriver('en-us', 150, 1.0)\n"
    ),
    "espeak's thread is busy": (
        "driver = espeak.EspeakDriver('en-us', 150, 1.0)\n"
        "real, calls = driver._espeak.IsPlaying, []\n"
        "def busy():\n    calls.append(1)\n    return real() if len(calls) > 1 else 1\n"
        "driver._espeak.IsPlaying = busy\n"
    ),
}


@pytest.mark.parametrize("race", RACES)
def test_a_race_with_the_thread_of_espeak_costs_no_speech(race: str) -> None:
    program = (
        "import os, sys\n"
        "from audio.tts.drivers import espeak\n"
        f"{RACES[race]}"
        "sizes = [len(driver.synthesize('one two three four')) for _ in range(3)]\n"
        "assert calls\n"
        "print('size', min(sizes), file=sys.stderr, flush=True)\n"
        "os._exit(0)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], env=child_environment(), timeout=40,
                         capture_output=True, text=True)  # fmt: skip
    assert int(run.stderr.split("size")[1]) > RATE, run.stderr


def test_a_text_at_which_the_engine_always_hangs_is_an_error(make: Make, tmp_path: Path) -> None:
    hanging = failing_at(tmp_path, "synthesize", "time.sleep(60)")
    engine = make(command=hanging, answer_seconds=2.6)
    with pytest.raises(SpeechError, match="twice in a row"):
        engine.synthesize("snark")
    assert seconds(engine.synthesize(SENTENCE)) > 4


@pytest.mark.skipif(not shutil.which("ps"), reason="needs ps to find the child")
class TestChildInTrouble:
    def test_killed_between_sentences_the_next_is_spoken_by_a_new_one(self, make: Make) -> None:
        engine = make()
        before = engine.synthesize(SENTENCE)
        (child,) = children()
        os.kill(child, signal.SIGKILL)
        assert np.array_equal(engine.synthesize(SENTENCE), before)
        (successor,) = children()
        assert successor != child

    def test_killed_in_the_middle_of_a_sentence_it_is_spoken_all_the_same(self, make: Make) -> None:
        engine = make()
        before = engine.synthesize(SENTENCE)
        (child,) = children()
        os.kill(child, signal.SIGSTOP)  # so that the request surely waits when the child dies
        killer = threading.Timer(0.3, os.kill, (child, signal.SIGKILL))
        killer.start()
        assert np.array_equal(engine.synthesize(SENTENCE), before)
        killer.join()

    def test_stopped_it_is_given_up_and_replaced(self, make: Make) -> None:
        engine = make(answer_seconds=0.5)
        engine.start()
        (child,) = children()
        os.kill(child, signal.SIGSTOP)
        assert seconds(engine.synthesize(SENTENCE)) > 4
        assert child not in children()

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
    def test_a_check_mends_it_before_the_next_sentence(
        self, number: signal.Signals, make: Make
    ) -> None:
        engine = make(answer_seconds=0.5)
        engine.start()
        engine.check()
        assert engine.restarts == 0
        (child,) = children()
        os.kill(child, number)
        engine.check()
        (successor,) = children()
        assert (successor != child, engine.restarts) == (True, 1)
        assert seconds(engine.synthesize(SENTENCE)) > 4
        assert children() == [successor]

    def test_closing_ends_a_render_that_hangs(self, make: Make) -> None:
        engine = make(answer_seconds=60)
        engine.start()
        (child,) = children()
        os.kill(child, signal.SIGSTOP)
        raised: list[Exception] = []

        def render() -> None:
            try:
                engine.synthesize(SENTENCE)
            except SpeechError as error:
                raised.append(error)

        thread = threading.Thread(target=render)
        thread.start()
        time.sleep(0.2)
        begin = time.monotonic()
        engine.close()
        thread.join(5)
        assert time.monotonic() - begin < 1
        assert [str(error) for error in raised] == ["The speech engine is closed."]
        assert children() == []

    def test_it_ends_when_the_parent_is_killed(self, tmp_path: Path) -> None:
        program = (
            "import time; from audio.tts.engine import SpeechEngine\n"
            "e = SpeechEngine('en-us', 150, 1);"
            "e.start(); print(e._worker._process.pid, flush=True); time.sleep(60)"
        )
        parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
        assert parent.stdout
        child = Path(f"/proc/{int(parent.stdout.readline())}/cmdline")
        assert b"audio.tts.worker" in child.read_bytes()
        parent.kill()
        parent.communicate()
        deadline = time.monotonic() + 5
        while child.exists() and child.read_bytes() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not child.exists() or not child.read_bytes()  # gone, or a zombie


def fake(tmp_path: Path, first: str) -> tuple[str, ...]:
    """A worker that runs `first` when it is first started, and is the real one after that."""
    script = tmp_path / "child.py"
    script.write_text(
        "import os, sys, pathlib\n"
        f"mark = pathlib.Path({str(tmp_path / 'mark')!r})\n"
        "if not mark.exists():\n"
        "    mark.touch()\n"
        f"    {first}\n"
        "    sys.exit()\n"
        f"os.execv(sys.executable, [*{COMMAND!r}, *sys.argv[1:]])\n"
    )
    return (sys.executable, str(script))


READY_THEN = (
    "from audio.tts.worker import *; out = sys.stdout.buffer; out.write(frame(READY, b''));"
    "out.flush(); sys.stdin.buffer.read(20);"
)


@pytest.mark.parametrize(
    "first",
    [
        "print('garbage ' * 20)",
        f"{READY_THEN} out.write(b'Audio saved to /tmp/x.wav ' * 20)",
        f"{READY_THEN} out.write(frame(SOUND, b'no sound'))",
        f"{READY_THEN} out.write(HEADER.pack(MAGIC, SOUND, 2**32 - 1))",
        f"{READY_THEN} out.write(frame(READY, b''))",
        f"{READY_THEN} out.write(frame(SOUND, b'x' * 1000)[:500])",
        "pass",
    ],
    ids=["garbage at start", "garbage", "no sound", "absurd length", "kind", "cut off", "exit"],
)
def test_a_child_that_talks_nonsense_is_replaced(make: Make, tmp_path: Path, first: str) -> None:
    assert seconds(make(command=fake(tmp_path, first)).synthesize(SENTENCE)) > 4


def test_a_child_that_always_fails_is_an_error_with_its_last_words(make: Make) -> None:
    engine = make(command=(sys.executable, "-c", "import sys; sys.exit('the disk is on fire')"))
    with pytest.raises(SpeechError, match=r"twice in a row: .*\(the disk is on fire\)"):
        engine.synthesize(SENTENCE)


def test_a_program_that_does_not_exist_is_an_error(make: Make) -> None:
    with pytest.raises(SpeechError, match="does not start"):
        make(command=("/nowhere/python",)).start()


def test_the_bundled_library_speaks_as_the_system_one_does(make: Make) -> None:
    pytest.importorskip("espeakng_loader", reason="espeakng-loader is not installed")
    bundled = make(command=(*COMMAND, "--bundled"))
    assert 4 < seconds(bundled.synthesize(SENTENCE)) < 8
    assert bundled._worker
    libraries = Path(f"/proc/{bundled._worker._process.pid}/maps").read_text()
    assert "espeakng_loader/libespeak-ng" in libraries


def test_voices_are_listed_as_json() -> None:
    command = (*COMMAND, "--voices")
    run = subprocess.run(command, capture_output=True, check=True, env=child_environment())
    listing = json.loads(run.stdout)
    assert {"gmw/en-US", "sit/cmn"} <= set(listing["voices"])
    assert "f3" in listing["variants"]


def child_environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}


def test_nothing_of_it_is_left_on_the_disk(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "with a space"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.chdir(folder)  # and it is found from any working directory
    engine = make()
    assert seconds(engine.synthesize(SENTENCE)) > 4
    assert list(folder.iterdir()) == []


def test_a_closed_engine_says_so(make: Make) -> None:
    engine = make()
    engine.close()
    engine.close()
    with pytest.raises(SpeechError, match="closed"):
        engine.synthesize(SENTENCE)


def test_trim_also_cuts_a_murmur() -> None:
    sound = np.zeros(RATE, np.int16)
    sound[4000:8000] = 10_000
    sound[8000:] = 30
    assert np.abs(trim(sound)[-5:]).max() == 30
    assert 4000 < len(trim(sound)) < 5000
