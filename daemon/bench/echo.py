"""Does a reply that the microphone hears wake us? `python -m daemon.echo_bench`.

Replies that contain the trigger phrase are rendered and mixed into the microphone's sound, some
decibels softer than a speaking user; the real hearing and the real session decide. In every second
reply a user says the trigger phrase over it. Nothing sounds, and no clock is waited for.
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
from audio.pcm import AudioChunk
from config.errors import AfterwordError
from config.settings import Settings
from daemon import components
from daemon.bench import resumption
from daemon.bench.resumption import CHUNK, RATE, ROOM_LEVEL, USERS, at_rate
from daemon.conversation.conversation import REPLY_PAUSE_SECONDS
from daemon.conversation.responder import AHEAD_SECONDS, BEHIND_SECONDS
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

Samples = npt.NDArray[np.int16]

PAUSE_SECONDS = 0.35  # between sentences
LEAD_SECONDS, TAIL_SECONDS = 0.3, 1.5
EARLY_SECONDS = 0.5  # before its sound ends, a phrase may be over
LATE_SECONDS = 3.0  # a trigger that is heard later than this after its phrase is none
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
    """What became of the replies at one level.

    Attributes:
        decibels: how loud the reply is in the microphone, as compared with the user.
        replies: how many were spoken.
        woken: those that woke us, or stopped themselves, by their own words.
        held: how many times a reply fell silent for a moment by its own words.
        asked: how many times the user said the trigger phrase over a reply.
        caught: how many of them interrupted it.
        hidden: how many were taken for the reply's own, because it said the phrase just then.
        delay_seconds: from the end of the user's phrase to the silence, the median of the caught.
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
        AfterwordError: a part does not start.
    """
    from audio.tts.engine import SpeechEngine

    phrase = settings.trigger.phrases[0]
    hearing = components.open_recognition(settings)
    users = []
    for voice in USERS:
        with closing(SpeechEngine(voice, 150, 0.8)) as engine:
            users.append(at_rate(engine.render(phrase), engine.rate))
    with closing(components.open_engine(settings)) as engine:
        for decibels in levels:
            yield _level(hearing, engine, phrase, users, decibels, replies, random_seed)


@dataclass(frozen=True)
class _Reply:
    said: tuple[PlayedText, ...]  # the sentences, in seconds from the start of the sound
    sound: npt.NDArray[np.float32]


def _level(
    hearing: "AudioRecognition",
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
        user, said_until = np.zeros(len(echo) + int(REPLY_PAUSE_SECONDS * RATE)), None
        if number % 2:
            phrase_sound = users[number % len(users)]
            longest = len(echo) - int((LEAD_SECONDS + TAIL_SECONDS) * RATE) - len(phrase_sound)
            at = int(LEAD_SECONDS * RATE) + int(random.integers(0, max(1, longest)))
            user[at : at + len(phrase_sound)] += phrase_sound
            said_until = (at + len(phrase_sound)) / RATE
            asked += 1
        user += random.normal(0, ROOM_LEVEL, len(user))
        interrupted, holds, dropped = _serve(hearing, reply, echo, user, clock)
        clock += len(user) / RATE
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
    hearing: "AudioRecognition",
    reply: _Reply,
    echo: npt.NDArray[np.float32],
    user: npt.NDArray[np.float64],
    clock: float,
) -> tuple[list[float], list[float], list[float]]:
    """When the reply was cancelled, held, and heard its own phrase, in seconds of its sound.

    A reply that is held or cancelled is silent in the microphone, too.
    """
    state = State(Phase.SPEAKING, 1)
    cancelled: list[float] = []
    held: list[float] = []
    dropped: list[float] = []
    played, silent_until = 0, 0.0
    for at in range(0, len(user) - CHUNK, CHUNK):
        block = user[at : at + CHUNK].copy()
        now = (at + CHUNK) / RATE
        playing = played < len(echo) and silent_until < float("inf")
        if now > silent_until:
            part = echo[played : played + CHUNK]
            block[: len(part)] += part
            played += CHUNK
        pcm = np.clip(block, -32_768, 32_767).astype(np.int16).tobytes()
        chunk = AudioChunk(pcm, RATE, clock + now)
        for event in hearing.feed(chunk, commands=True, playing=playing):
            heard_at = getattr(event, "at_seconds", clock + now) - clock
            earliest = heard_at - BEHIND_SECONDS - len(held) * REPLY_PAUSE_SECONDS
            sounding = words_between(reply.said, earliest, heard_at + AHEAD_SECONDS)
            state = replace(state, sounding=sounding)
            after, orders = step(state, event)
            if CancelReply() in orders:
                cancelled.append(now)
                silent_until = float("inf")
                hearing.cancel()
            elif isinstance(event, TriggerSuspected) and PauseReply() in orders:
                held.append(now)
                silent_until = max(silent_until, now + REPLY_PAUSE_SECONDS)
            elif CancelCapture() in orders:
                dropped.append(now)
                hearing.cancel()
            state = after if after.replying else state
    hearing.feed(AudioChunk(bytes(2 * CHUNK), RATE, clock + len(user) / RATE))
    hearing.cancel()
    return cancelled, held, dropped


def _reply(engine: "SpeechEngine", phrase: str, random: Any) -> _Reply:
    """Four sentences, one of which says the trigger phrase."""
    sentences = [FILLERS[index] for index in random.permutation(len(FILLERS))[:3]]
    own = FRAMES[random.integers(len(FRAMES))].format(phrase=phrase)
    sentences.insert(int(random.integers(4)), own)
    sounds = [np.zeros(int(LEAD_SECONDS * RATE), np.int16)]
    said = []
    for sentence in sentences:
        begin = sum(map(len, sounds)) / RATE
        sounds += [at_rate(engine.render(sentence), engine.rate)]
        said.append(PlayedText(sentence, begin, begin + len(sounds[-1]) / RATE))
        sounds += [np.zeros(int(PAUSE_SECONDS * RATE), np.int16)]
    sounds.append(np.zeros(int(TAIL_SECONDS * RATE), np.int16))
    return _Reply(tuple(said), np.concatenate(sounds).astype(np.float32))


@click.command()
@click.option("--replies", default=200, show_default=True, type=click.IntRange(min=1))
@click.option("--level", "levels", multiple=True, type=float, help="Decibels; may be given again.")
@click.option("--going-on", type=click.IntRange(min=2), help="Instead: users who go on, so many.")
@click.option("--set", "flags", multiple=True, metavar="KEY=VALUE", help="Change a setting.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each level.")
def main(
    replies: int,
    levels: tuple[float, ...],
    going_on: int | None,
    flags: tuple[str, ...],
    as_json: bool,
) -> None:
    """Count the replies that wake us, and the users who interrupt them, at each level."""
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
        f"{result.decibels:g} dB: {result.woken} of {result.replies} replies woke us, "
        f"{result.held} held their breath; {result.caught} of {result.asked} users caught, "
        f"{result.hidden} taken for the reply's own words{delay}"
    )


if __name__ == "__main__":
    main()
