"""How fast the daemon answers and what it costs: `python -m daemon.bench`.

The real program serves a private PulseAudio: exchanges are spoken into its virtual microphone by
the speech engine, the replies are caught from its virtual loudspeaker. Nothing is heard, and no
device of the machine is touched.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

from config.errors import AfterwordError, AudioDeviceError, ControlError
from daemon.bench import interruption, soak
from daemon.bench.virtual_audio import SoundServer, missing_programs
from daemon.control import client
from daemon.control.status import LastTurn, Status

Samples = npt.NDArray[np.int16]

RATE = 16_000
SEEDS = (
    "once upon a time there was a little fox",
    "the old man went down to the river",
    "in the morning the children went to the park",
    "my grandmother had a red house",
    "the girl had a small dog",
    "one day a big bear came",
)
TALK = (
    "It rained all night, and in the morning the road was under water.",
    "She asked whether anybody had seen the key, but nobody answered.",
    "We could take the train at nine and be home before dark.",
)
VOICES = ("en-us", "en-us+f3", "en-gb-scotland")
START_SECONDS = 300.0  # to load the models; 4 s on a machine that is idle
REPLY_SECONDS = 120.0
SETTLE_SECONDS = 1.0  # between two exchanges
CALM_SECONDS = 15.0  # until nothing of the last exchange is under way, not even a follow-up
NOISE_LEVEL = 30  # root mean square, of 32,768: a room with a fan
# Without cues, so that the first sound is the reply's; replies of one sentence save time.
SETTINGS = ("cues.trigger=false", "cues.nothing=false", "model.max_sentences=1")


@dataclass(frozen=True)
class Exchange:
    """One turn, in seconds.

    Attributes:
        decision_to_sound: as the daemon itself reckons it.
        voice_to_sound: from the last voiced sample in the microphone to the first sample in the
            loudspeaker, as an outsider records them.
        voice_to_decision: from the end of the last word, as the daemon reckons it.
        prepared: whether the reply had been begun before the decision.
    """

    decision_to_sound: float
    voice_to_sound: float
    voice_to_decision: float
    prepared: bool


@dataclass(frozen=True)
class Load:
    """What the daemon costs while it only listens.

    Attributes:
        silence, noise, speech: percent of one processor core.
        resident_mb: memory of the daemon's process and of its speech engine, 2**20 bytes.
    """

    silence: float
    noise: float
    speech: float
    resident_mb: tuple[float, ...]


def measure(turns: int, listen_seconds: float, flags: Sequence[str]) -> tuple[list[Exchange], Load]:
    """Hold so many exchanges, then listen for so long to silence, to noise and to speech.

    Raises:
        AudioDeviceError: there is no PulseAudio to be had.
        ControlError: the daemon does not start, or does not answer.
    """
    _insist_on_devices()
    with _sound_server() as server, _daemon((*SETTINGS, *flags)) as process:
        wavs = [server.folder / f"{number}.wav" for number in range(len(SEEDS))]
        talk, noise = server.folder / "talk.wav", server.folder / "noise.wav"
        _render(wavs, talk, noise, listen_seconds)
        exchanges = []
        for number in range(turns):
            if found := _exchange(server, wavs[number % len(wavs)]):
                exchanges.append(found)
        time.sleep(CALM_SECONDS)
        loads = [_load(process, server, wav, listen_seconds) for wav in (None, noise, talk)]
        return exchanges, Load(loads[0], loads[1], loads[2], _resident(process))


def measure_steering(
    count: int, quiet_seconds: float, flags: Sequence[str]
) -> dict[str, list[float]]:
    """How soon cues sound and replies end, so many times each; see interruption_bench.

    Raises:
        As `measure`.
    """
    _insist_on_devices()
    with _sound_server() as server:
        with _daemon((*interruption.CUE_SETTINGS, *flags)):
            cues = interruption.measure_cues(server, count, quiet_seconds)
        with _daemon((*interruption.REPLY_SETTINGS, *flags)):
            return {**cues, **interruption.measure_interruptions(server, count)}


def _insist_on_devices() -> None:
    if missing := missing_programs():
        raise AudioDeviceError(
            f"There are no virtual sound devices: {', '.join(missing)} not installed; install "
            f"pulseaudio and pulseaudio-utils."
        )


@contextmanager
def _sound_server() -> Iterator[SoundServer]:
    """A sound server which this process and its children use."""
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
    """The number of a process that listens."""
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


def _render(wavs: Sequence[Path], talk: Path, noise: Path, seconds: float) -> None:
    """Write an exchange to each of the WAV files, and `seconds` of talk and of noise."""
    from audio.tts.engine import SpeechEngine

    for number, wav in enumerate(wavs):
        with closing(SpeechEngine(VOICES[number % len(VOICES)], 150, 0.8)) as engine:
            _write(wav, engine.render(f"hey computer, {SEEDS[number]}"), engine.rate)
            spoken = [engine.render(text) for text in TALK]
    once = np.concatenate(spoken)
    _write(talk, np.resize(once, int(seconds * engine.rate)), engine.rate)
    random = np.random.default_rng(1)
    _write(noise, random.normal(0, NOISE_LEVEL, int(seconds * RATE)).astype(np.int16), RATE)


def _write(path: Path, samples: Samples, rate: int) -> None:
    import soundfile

    soundfile.write(path, samples, rate)


def _exchange(server: SoundServer, wav: Path) -> Exchange | None:
    """Speak, wait for the reply's end, and compare; None where the exchange was not understood."""
    before = _status()["replies"]
    with server.recording("mic") as said, server.recording() as heard:
        begin = time.monotonic()
        server.play_into_microphone(wav)
        turn = _finished_turn(before)
        time.sleep(SETTLE_SECONDS)
        voiced = said.sounding(begin)
        sounded = heard.sounding(begin)
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
    """What `status` tells of a turn that has begun after so many and is over, if one comes."""
    deadline = time.monotonic() + REPLY_SECONDS
    patience = time.monotonic() + 20.0  # for words to be understood at all
    while time.monotonic() < deadline:
        status = _status()
        turn = status["last_turn"]
        if status["replies"] != before and turn and turn["seconds"] is not None:
            return turn
        if status["replies"] == before and time.monotonic() > patience:
            return None
        time.sleep(0.3)
    return None


def _status() -> Status:
    """A machine that is busy with other things may take several attempts."""
    for _ in range(5):
        with suppress(ControlError):
            return client.status()
    return client.status()


def _load(process: int, server: SoundServer, wav: Path | None, seconds: float) -> float:
    """Percent of a core, while this plays into the microphone, or nothing does."""
    begin, used = time.monotonic(), _processor_seconds(process)
    if wav is None:
        time.sleep(seconds)
    else:
        server.play_into_microphone(wav)
    return round(100 * (_processor_seconds(process) - used) / (time.monotonic() - begin), 2)


def _processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # utime, stime


def _resident(process: int) -> tuple[float, ...]:
    from daemon.bench.soak import children_of

    processes = [process, *children_of(process)]
    pages = [int(Path(f"/proc/{number}/statm").read_text().split()[1]) for number in processes]
    return tuple(round(count * os.sysconf("SC_PAGE_SIZE") / 2**20, 1) for count in pages)


def summary(exchanges: Sequence[Exchange]) -> dict[str, tuple[float, float]]:
    """Median and 95th percentile of each time, in seconds."""
    names = ("decision_to_sound", "voice_to_sound", "voice_to_decision")
    return {name: _middle([getattr(exchange, name) for exchange in exchanges]) for name in names}


def _middle(values: Sequence[float]) -> tuple[float, float]:
    ranked = sorted(values)
    at = min(len(ranked) - 1, round(0.95 * (len(ranked) - 1)))
    return round(statistics.median(ranked), 3), round(ranked[at], 3)


def _tell_steering(count: int, found: Mapping[str, list[float]], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"times": count, "found": found}))
        return
    for name, seconds in found.items():
        median, late = _middle(seconds) if seconds else (float("nan"), float("nan"))
        click.echo(
            f"{name.replace('_', ' '):<20} median {median:.3f} s, 95 % within {late:.3f} s, "
            f"{len(seconds)} of {count} heard; the first {seconds[:1]}"
        )


@click.command()
@click.option("--turns", default=20, show_default=True, type=click.IntRange(min=1))
@click.option("--listen", default=30.0, show_default=True, help="Seconds of each kind of sound.")
@click.option("--set", "flags", multiple=True, metavar="KEY=VALUE", help="Change a setting.")
@click.option("--json", "as_json", is_flag=True, help="As one line of JSON.")
@click.option(
    "--soak",
    "soak_hours",
    type=click.FloatRange(0.05, 1000),
    help="Instead: serve so many hours of sound faster than they pass, and see that nothing grows.",
)
@click.option("--gap", type=click.FloatRange(30, 3600), default=60.0, help="Seconds an exchange.")
@click.option(
    "--interruptions",
    type=click.IntRange(min=1),
    help="Instead: how soon a cue sounds and a reply falls silent, so many times each.",
)
@click.option("--quiet", default=60.0, show_default=True, help="Seconds before the first cue.")
def main(
    turns: int,
    listen: float,
    flags: tuple[str, ...],
    as_json: bool,
    soak_hours: float | None,
    gap: float,
    interruptions: int | None,
    quiet: float,
) -> None:
    """Measure how fast the daemon answers, and what it costs while it listens."""
    try:
        if soak_hours is not None:
            soak.run(soak_hours, gap, flags)
            return
        if interruptions is not None:
            _tell_steering(interruptions, measure_steering(interruptions, quiet, flags), as_json)
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
    daemon, *engine = load.resident_mb
    click.echo(f"memory               {daemon:g} MB, the speech engine {sum(engine):g} MB")


if __name__ == "__main__":
    main()
