"""Benchmark of echo and barge-in: `python -m daemon.bench.echo`.

Replies that contain the trigger phrase are synthesized and mixed into the microphone's sound, some
decibels softer than a speaking user; the real recognition and the real state machine decide. In
every second reply a user says the trigger phrase over it. Nothing sounds, and it runs faster than
real time.
"""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import numpy.typing as npt

from audio.events import TriggerSuspected
from audio.output.word_timeline import PlayedText, words_between
from audio.pcm import SAMPLE_RATE, AudioChunk, Samples
from config.errors import AfterwordError
from config.settings import Settings
from config.standard_streams import prepare_standard_streams
from daemon import components
from daemon.bench import resumption
from daemon.bench.speech import CHUNK, ROOM_LEVEL, USERS, noise, speak, synthesize
from daemon.conversation.conversation import (
    ECHO_AFTER_SECONDS,
    ECHO_BEFORE_SECONDS,
    REPLY_PAUSE_SECONDS,
)
from daemon.conversation.state_machine import (
    CancelCapture,
    CancelReply,
    PauseReply,
    Phase,
    State,
    step,
)

if TYPE_CHECKING:
    from audio.recognition import AudioRecognition
    from audio.tts.engine import SpeechEngine

PAUSE_SECONDS = 0.35  # between sentences
LEAD_SECONDS, TAIL_SECONDS = 0.3, 1.5
EARLY_SECONDS = 0.5  # a phrase may be detected so long before its sound ends
LATE_SECONDS = 3.0  # a detection later than this after a phrase does not count for it
FRAMES = (
    'One day a little fox said "{phrase}" to the moon.',
    "The old man laughed. {phrase}, he said, and went home.",
    "They all cried {phrase} and ran to the river.",
    "She did not know what {phrase} was, but she liked it.",
)
FILLERS = (
    "He was very happy to see his friend the bear.",
    "It rained all night, and the road was under water.",
    "The children played in the park until it was dark.",
    "Then the computer went away, and nobody said hey.",
    "Please stop, said his mother, and be quiet now.",
    "There was a big red house near the sea.",
)


@dataclass(frozen=True)
class Result:
    """Counts at one level of echo.

    Attributes:
        decibels: level of the reply in the microphone, relative to the user.
        replies: number of replies spoken.
        woken: replies that triggered or stopped themselves by their own words (false accepts).
        held: pauses of a reply by its own words.
        asked: replies over which the user said the trigger phrase (barge-ins).
        caught: barge-ins that interrupted the reply.
        hidden: barge-ins taken for echo, because the reply said the phrase at the same time.
        delay_seconds: median time from the end of the user's phrase to silence, of the caught.
    """

    decibels: float
    replies: int
    woken: int
    held: int
    asked: int
    caught: int
    hidden: int
    delay_seconds: float | None


def measure(
    settings: Settings, levels: Sequence[float], replies: int, random_seed: int = 1
) -> Iterator[Result]:
    """One result for each level, in decibels.

    Raises:
        AfterwordError: a component does not start.
    """
    phrase = settings.trigger.phrases[0]
    recognition = components.open_recognition(settings)
    users = [speak(voice, [phrase])[0] for voice in USERS]
    with closing(components.open_engine(settings)) as engine:
        for decibels in levels:
            yield _level(recognition, engine, phrase, users, decibels, replies, random_seed)


@dataclass(frozen=True)
class _Reply:
    said: tuple[PlayedText, ...]  # the sentences, in seconds from the start of the sound
    sound: npt.NDArray[np.float32]


def _level(
    recognition: "AudioRecognition",
    engine: "SpeechEngine",
    phrase: str,
    users: Sequence[Samples],
    decibels: float,
    replies: int,
    random_seed: int,
) -> Result:
    random = np.random.default_rng(random_seed)
    clock, woken, held, asked, hidden, delays = 0.0, 0, 0, 0, 0, []
    for number in range(replies):
        reply = _reply(engine, phrase, random)
        echo = reply.sound * 10 ** (decibels / 20)
        user, said_until = np.zeros(len(echo) + int(REPLY_PAUSE_SECONDS * SAMPLE_RATE)), None
        if number % 2:
            phrase_sound = users[number % len(users)]
            longest = (
                len(echo) - int((LEAD_SECONDS + TAIL_SECONDS) * SAMPLE_RATE) - len(phrase_sound)
            )
            at = int(LEAD_SECONDS * SAMPLE_RATE) + int(random.integers(0, max(1, longest)))
            user[at : at + len(phrase_sound)] += phrase_sound
            said_until = (at + len(phrase_sound)) / SAMPLE_RATE
            asked += 1
        user += noise(len(user), ROOM_LEVEL, random)
        interrupted, holds, dropped = _serve(recognition, reply, echo, user, clock)
        clock += len(user) / SAMPLE_RATE
        real = said_until is not None and [
            at for at in interrupted if -EARLY_SECONDS <= at - said_until <= LATE_SECONDS
        ]
        own = [at for at in holds if said_until is None or abs(at - said_until) > LATE_SECONDS]
        held += len(own)
        if real and said_until is not None:
            silences = [at for at in holds if abs(at - said_until) <= 1.2]
            delays.append(min([*real, *silences]) - said_until)
        elif interrupted:
            woken += 1
        elif said_until is not None:
            hidden += any(0 <= at - said_until <= LATE_SECONDS for at in dropped)
    delay = round(float(np.median(delays)), 3) if delays else None
    return Result(decibels, replies, woken, held, asked, len(delays), hidden, delay)


def _serve(
    recognition: "AudioRecognition",
    reply: _Reply,
    echo: npt.NDArray[np.float32],
    user: npt.NDArray[np.float64],
    clock: float,
) -> tuple[list[float], list[float], list[float]]:
    """Times of cancellations, pauses and dropped captures, in seconds from the reply's start.

    A paused or cancelled reply is silent in the microphone, too.
    """
    state = State(Phase.SPEAKING, 1)
    cancelled: list[float] = []
    held: list[float] = []
    dropped: list[float] = []
    played, silent_until = 0, 0.0
    for at in range(0, len(user) - CHUNK, CHUNK):
        block = user[at : at + CHUNK].copy()
        now = (at + CHUNK) / SAMPLE_RATE
        playing = played < len(echo) and silent_until < float("inf")
        if now > silent_until:
            part = echo[played : played + CHUNK]
            block[: len(part)] += part
            played += CHUNK
        pcm = np.clip(block, -32_768, 32_767).astype(np.int16).tobytes()
        chunk = AudioChunk(pcm, SAMPLE_RATE, clock + now)
        for event in recognition.feed(chunk, commands=True, playing=playing):
            heard_at = getattr(event, "at_seconds", clock + now) - clock
            earliest = heard_at - ECHO_BEFORE_SECONDS - len(held) * REPLY_PAUSE_SECONDS
            sounding = words_between(reply.said, earliest, heard_at + ECHO_AFTER_SECONDS)
            state = replace(state, playing_words=sounding)
            after, orders = step(state, event)
            if CancelReply() in orders:
                cancelled.append(now)
                silent_until = float("inf")
                recognition.cancel()
            elif isinstance(event, TriggerSuspected) and PauseReply() in orders:
                held.append(now)
                silent_until = max(silent_until, now + REPLY_PAUSE_SECONDS)
            elif CancelCapture() in orders:
                dropped.append(now)
                recognition.cancel()
            state = after if after.replying else state
    recognition.feed(AudioChunk(bytes(2 * CHUNK), SAMPLE_RATE, clock + len(user) / SAMPLE_RATE))
    recognition.cancel()
    return cancelled, held, dropped


def _reply(engine: "SpeechEngine", phrase: str, random: Any) -> _Reply:
    """Four sentences, one of which says the trigger phrase."""
    sentences = [FILLERS[index] for index in random.permutation(len(FILLERS))[:3]]
    own = FRAMES[random.integers(len(FRAMES))].format(phrase=phrase)
    sentences.insert(int(random.integers(4)), own)
    sounds = [np.zeros(int(LEAD_SECONDS * SAMPLE_RATE), np.int16)]
    said = []
    for sentence in sentences:
        begin = sum(map(len, sounds)) / SAMPLE_RATE
        sounds += [synthesize(engine, sentence)]
        said.append(PlayedText(sentence, begin, begin + len(sounds[-1]) / SAMPLE_RATE))
        sounds += [np.zeros(int(PAUSE_SECONDS * SAMPLE_RATE), np.int16)]
    sounds.append(np.zeros(int(TAIL_SECONDS * SAMPLE_RATE), np.int16))
    return _Reply(tuple(said), np.concatenate(sounds).astype(np.float32))


@click.command()
@click.option(
    "--replies",
    default=200,
    show_default=True,
    type=click.IntRange(min=1),
    help="Replies at each level.",
)
@click.option(
    "--level",
    "levels",
    multiple=True,
    type=float,
    help="Level of the echo in decibels relative to the user; may be given several times.",
)
@click.option(
    "--going-on",
    type=click.IntRange(min=2),
    help="Instead: hold so many turns in which users resume speaking.",
)
@click.option("--set", "flags", multiple=True, metavar="KEY=VALUE", help="Change a setting.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON for each level.")
def main(
    replies: int,
    levels: tuple[float, ...],
    going_on: int | None,
    flags: tuple[str, ...],
    as_json: bool,
) -> None:
    """Count the replies that trigger themselves, and the barge-ins detected, at each level."""
    from config.load import load

    begin, levels = time.monotonic(), levels or (-10, -20, -30)
    try:
        settings = load(None, flags).settings
        if going_on is not None:
            for found in resumption.measure(settings, levels, going_on):
                click.echo(json.dumps(asdict(found)) if as_json else found)
            return
        for result in measure(settings, levels, replies):
            click.echo(json.dumps(asdict(result)) if as_json else _in_words(result))
    except AfterwordError as error:
        click.echo(f"afterword: {error}", err=True)
        raise SystemExit(error.exit_code) from error
    click.echo(f"{(time.monotonic() - begin) / 60:.1f} minutes", err=True)


def _in_words(result: Result) -> str:
    delay = f", silent after {result.delay_seconds:g} s" if result.delay_seconds is not None else ""
    return (
        f"{result.decibels:g} dB: {result.woken} of {result.replies} replies triggered themselves, "
        f"{result.held} were paused by their own words; "
        f"{result.caught} of {result.asked} users caught, "
        f"{result.hidden} taken for the reply's own words{delay}"
    )


if __name__ == "__main__":
    prepare_standard_streams()
    main()
