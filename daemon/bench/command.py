"""Benchmark of the daemon's latency, processor load and memory: `python -m daemon.bench`.

The real program serves a private PulseAudio: the speech engine speaks exchanges into its virtual
microphone, and the replies are recorded from its virtual loudspeaker. Nothing sounds, and no
device of the machine is touched.
"""

import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np

from audio.pcm import SAMPLE_RATE
from config.errors import AfterwordError, AudioDeviceError, ControlError
from daemon.bench import interruption, soak, speech, voices, wyoming
from daemon.bench.usage import processor_seconds, require_psutil, resident_mb
from daemon.bench.virtual_audio import SoundServer, missing_programs
from daemon.control import client
from daemon.control.status import LastTurn, Status

START_SECONDS = 300.0  # at most, to load the models; 4 s on an idle machine
REPLY_SECONDS = 120.0  # at most, until a turn is over
RECOGNITION_SECONDS = 20.0  # at most, until an exchange is recognised
SETTLE_SECONDS = 1.0  # between two exchanges
CALM_SECONDS = 15.0  # until the last exchange, its follow-up included, is over
NOISE_LEVEL = 30  # root mean square, of 32,768: a room with a fan
LATE_SHARE = 0.95  # the percentile that is reported beside the median
# Without cues the first sound is the reply's; replies of one sentence save time.
SETTINGS = ("cues.trigger=false", "cues.nothing=false", "model.max_sentences=1")


@dataclass(frozen=True)
class Exchange:
    """One turn, in seconds.

    Attributes:
        decision_to_sound: from the end of turn to the first sound, as the daemon measures it.
        voice_to_sound: from the last voiced sample in the microphone to the first sample in the
            loudspeaker, both recorded outside the daemon.
        voice_to_decision: from the end of the last word to the end of turn, as the daemon
            measures it (endpoint delay).
        prepared: whether the reply was begun before the decision (preemptive generation).
    """

    decision_to_sound: float
    voice_to_sound: float
    voice_to_decision: float
    prepared: bool


@dataclass(frozen=True)
class Load:
    """Processor load and memory of the daemon and its child processes while it only listens.

    Attributes:
        silence, noise, speech: percent of one processor core.
        resident_mb: memory of the daemon's process and of each of its child processes (the
            reader of C libraries' messages, the speech engine's worker), in 2**20 bytes.
    """

    silence: float
    noise: float
    speech: float
    resident_mb: tuple[float, ...]


def measure(turns: int, listen_seconds: float, flags: Sequence[str]) -> tuple[list[Exchange], Load]:
    """Hold `turns` exchanges, then listen to silence, noise and speech, `listen_seconds` each.

    Raises:
        MissingPackageError: psutil is not installed.
        AudioDeviceError: PulseAudio is not installed, or does not start.
        ControlError: the daemon does not start, or does not answer.
    """
    require_psutil()
    _require_virtual_devices()
    with _sound_server() as server, _daemon((*SETTINGS, *flags)) as process:
        wavs = [server.folder / f"{number}.wav" for number in range(len(speech.SEEDS))]
        talk, noise = server.folder / "talk.wav", server.folder / "noise.wav"
        _write_speech(wavs, talk, noise, listen_seconds)
        exchanges = _hold(server, wavs, turns)
        time.sleep(CALM_SECONDS)
        loads = [_load(process, server, wav, listen_seconds) for wav in (None, noise, talk)]
        return exchanges, Load(loads[0], loads[1], loads[2], resident_mb(process))


def measure_wyoming(turns: int, flags: Sequence[str]) -> dict[str, list[float]]:
    """Seconds from the last voiced sample on, through Wyoming and through the microphone.

    Raises:
        MissingPackageError, AudioDeviceError, ControlError: as `measure` and `wyoming.measure`.
    """
    _require_virtual_devices()
    passages = wyoming.measure(turns, flags)
    with _sound_server() as server, _daemon((*SETTINGS, *flags)):
        wavs = [server.folder / f"{number}.wav" for number in range(len(speech.SEEDS))]
        _write_speech(wavs, server.folder / "talk.wav", server.folder / "noise.wav", 1.0)
        exchanges = _hold(server, wavs, turns)
    return {
        "wyoming_transcript": [one.voice_to_transcript for one in passages],
        "wyoming_sentence": [one.voice_to_sentence for one in passages],
        "wyoming_text": [one.voice_to_text for one in passages],
        "wyoming_sound": [one.voice_to_sound for one in passages],
        "microphone_sound": [one.voice_to_sound for one in exchanges],
    }


def _hold(server: SoundServer, wavs: Sequence[Path], turns: int) -> list[Exchange]:
    """So many exchanges; those that were not recognised are left out."""
    found = (_exchange(server, wavs[number % len(wavs)]) for number in range(turns))
    return [exchange for exchange in found if exchange]


def measure_interruptions(
    count: int, quiet_seconds: float, flags: Sequence[str]
) -> dict[str, list[float]]:
    """Latency of cues and of barge-ins, `count` times each; see daemon/bench/interruption.py.

    Raises:
        AudioDeviceError, ControlError: as `measure`.
    """
    _require_virtual_devices()
    with _sound_server() as server:
        with _daemon((*interruption.CUE_SETTINGS, *flags)):
            cues = interruption.measure_cues(server, count, quiet_seconds)
        with _daemon((*interruption.REPLY_SETTINGS, *flags)):
            return {**cues, **interruption.measure_interruptions(server, count)}


def _require_virtual_devices() -> None:
    if missing := missing_programs():
        raise AudioDeviceError(
            f"There are no virtual sound devices: {', '.join(missing)} not installed; install "
            f"pulseaudio and pulseaudio-utils."
        )


@contextmanager
def _sound_server() -> Iterator[SoundServer]:
    """Start a sound server for this process and its children."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))  # a short path: sockets allow 107 bytes
    server = SoundServer(folder)
    before = dict(os.environ)
    try:
        os.environ.update(server.environment)
        server.start()
        yield server
    finally:
        server.stop()
        os.environ.clear()
        os.environ.update(before)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _daemon(flags: Sequence[str]) -> Iterator[int]:
    """Start a daemon; yields its process id once it listens."""
    settings = [part for flag in flags for part in ("--set", flag)]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "daemon", "run", *settings],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        _wait_until_listening(process)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def _wait_until_listening(process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(AfterwordError):
            if client.status()["state"] == "listening":
                return
        time.sleep(0.2)
    raise ControlError("The daemon does not come up; see what it says above.")


def _write_speech(wavs: Sequence[Path], talk: Path, noise: Path, seconds: float) -> None:
    """Write an exchange to each of the WAV files, and `seconds` of talk and of noise."""
    for number, wav in enumerate(wavs):
        voice = speech.VOICES[number % len(speech.VOICES)]
        speech.write_speech(wav, voice, [f"hey computer, {speech.SEEDS[number]}"])
    speech.write_speech(talk, voice, speech.TALK, seconds=seconds)
    hiss = speech.noise(int(seconds * SAMPLE_RATE), NOISE_LEVEL, np.random.default_rng(1))
    speech.write_wav(noise, hiss.astype(np.int16), SAMPLE_RATE)


def _exchange(server: SoundServer, wav: Path) -> Exchange | None:
    """Speak, wait for the end of the reply, and compare; None if it was not recognised."""
    before = _status()["replies"]
    with server.recording("mic") as microphone, server.recording() as loudspeaker:
        begin = time.monotonic()
        server.play_into_microphone(wav)
        turn = _finished_turn(before)
        time.sleep(SETTLE_SECONDS)
        voiced = microphone.sounding(begin)
        sounded = loudspeaker.sounding(begin)
    if turn is None or turn["first_sound_seconds"] is None:
        return None
    if turn["last_voice_seconds"] is None or not len(voiced) or not len(sounded):
        return None
    return Exchange(
        turn["first_sound_seconds"],
        round(float(sounded[0] - voiced[-1]), 3),
        -turn["last_voice_seconds"],
        turn["prepared"],
    )


def _finished_turn(before: object) -> LastTurn | None:
    """The next turn in `status` after the `before`-th that is over; None if there is none."""
    deadline = time.monotonic() + REPLY_SECONDS
    recognised_by = time.monotonic() + RECOGNITION_SECONDS
    while time.monotonic() < deadline:
        status = _status()
        turn = status["last_turn"]
        if status["replies"] != before and turn and turn["seconds"] is not None:
            return turn
        if status["replies"] == before and time.monotonic() > recognised_by:
            return None
        time.sleep(0.3)
    return None


def _status() -> Status:
    """The daemon's status; a busy machine may take several attempts."""
    for _ in range(5):
        with suppress(ControlError):
            return client.status()
    return client.status()


def _load(process: int, server: SoundServer, wav: Path | None, seconds: float) -> float:
    """Percent of a core while a file (None: silence) plays into the microphone."""
    begin, used = time.monotonic(), processor_seconds(process)
    if wav is None:
        time.sleep(seconds)
    else:
        server.play_into_microphone(wav)
    return round(100 * (processor_seconds(process) - used) / (time.monotonic() - begin), 2)


def summary(exchanges: Sequence[Exchange]) -> dict[str, tuple[float, float]]:
    """Median and 95th percentile of each time, in seconds."""
    names = ("decision_to_sound", "voice_to_sound", "voice_to_decision")
    return {
        name: _median_and_late([getattr(exchange, name) for exchange in exchanges])
        for name in names
    }


def _median_and_late(values: Sequence[float]) -> tuple[float, float]:
    ranked = sorted(values)
    late = ranked[round(LATE_SHARE * (len(ranked) - 1))]
    return round(statistics.median(ranked), 3), round(late, 3)


def _print_latencies(count: int, found: Mapping[str, list[float]], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"times": count, "found": found}))
        return
    for name, seconds in found.items():
        first = seconds[0] if seconds else math.nan
        median, late = _median_and_late(seconds) if seconds else (math.nan, math.nan)
        click.echo(
            f"{name.replace('_', ' '):<20} median {median:.3f} s, 95 % within {late:.3f} s, "
            f"{len(seconds)} of {count} heard; the first {first:.3f} s"
        )


@click.group(invoke_without_command=True)
@click.option(
    "--turns",
    default=20,
    show_default=True,
    type=click.IntRange(min=1),
    help="Exchanges to hold.",
)
@click.option(
    "--listen",
    default=30.0,
    show_default=True,
    help="Seconds of silence, of noise and of speech to listen to.",
)
@click.option("--set", "flags", multiple=True, metavar="KEY=VALUE", help="Change a setting.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
@click.option(
    "--soak",
    "soak_hours",
    type=click.FloatRange(0.05, 1000),
    help="Instead: serve hours of sound faster than real time, and check that nothing grows.",
)
@click.option(
    "--gap",
    type=click.FloatRange(30, 3600),
    default=60.0,
    help="Seconds from one exchange to the next, with --soak.",
)
@click.option(
    "--wyoming",
    "through_wyoming",
    is_flag=True,
    help="Instead: measure the latency through Wyoming, beside the microphone's, in each turn.",
)
@click.option(
    "--interruptions",
    type=click.IntRange(min=1),
    help="Instead: measure the latency of cues and of barge-ins, so many times each.",
)
@click.option(
    "--quiet",
    default=60.0,
    show_default=True,
    help="Seconds of silence before the first cue, with --interruptions.",
)
@click.pass_context
def main(
    context: click.Context,
    turns: int,
    listen: float,
    flags: tuple[str, ...],
    as_json: bool,
    soak_hours: float | None,
    gap: float,
    through_wyoming: bool,
    interruptions: int | None,
    quiet: float,
) -> None:
    """Measure the daemon's latency, and its processor load and memory while it listens."""
    if context.invoked_subcommand is not None:
        return
    try:
        if soak_hours is not None:
            soak.run(soak_hours, gap, flags)
            return
        if interruptions is not None:
            latencies = measure_interruptions(interruptions, quiet, flags)
            _print_latencies(interruptions, latencies, as_json)
            return
        if through_wyoming:
            _print_latencies(turns, measure_wyoming(turns, flags), as_json)
            return
        exchanges, load = measure(turns, listen, flags)
        if not exchanges:
            raise ControlError(f"None of {turns} exchanges was answered.")
    except AfterwordError as error:
        click.echo(f"afterword: {error}", err=True)
        raise SystemExit(error.exit_code) from error
    results = summary(exchanges)
    if as_json:
        found = {"turns": turns, "answered": [asdict(one) for one in exchanges]}
        click.echo(json.dumps({**found, "summary": results, "load": asdict(load)}))
        return
    prepared = sum(exchange.prepared for exchange in exchanges)
    click.echo(f"{len(exchanges)} of {turns} turns answered, {prepared} of them prepared")
    for name, (median, late) in results.items():
        click.echo(f"{name.replace('_', ' '):<20} median {median:.3f} s, 95 % within {late:.3f} s")
    click.echo(
        f"processor            silence {load.silence:g} %, noise {load.noise:g} %, "
        f"speech {load.speech:g} % of a core"
    )
    daemon, *children = load.resident_mb
    click.echo(
        f"memory               {daemon:g} MB, its child processes {sum(children):g} MB, "
        f"together {sum(load.resident_mb):g} MB"
    )


main.add_command(voices.command, "voices")
