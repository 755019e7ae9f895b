"""Benchmark of users who resume speaking over a reply: `python -m daemon.bench.echo --going-on 60`.

A user says the trigger phrase and a seed with a long pause in it. The reply begins in the pause
(a false end of turn) and comes back through the microphone. Every other user has finished before
the pause, so that only the reply's echo can be mistaken for the user.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from audio.events import Resumed, Seed
from audio.pcm import SAMPLE_RATE, AudioChunk, Samples
from audio.recognition import AudioRecognition
from config.settings import Settings
from daemon import components
from daemon.bench.speech import CHUNK, ROOM_LEVEL, USERS, noise, speak, synthesize

Sound = npt.NDArray[np.float64]

SEEDS = (
    ("once upon a time there was a fox", "who lived in the forest with his mother"),
    ("the old man went down to the river", "because he wanted to catch a fish"),
    ("my grandmother had a red house", "and a little garden near the sea"),
)
REPLIES = (
    "He was very happy to see his friend the bear. They went home together.",
    "It rained all night, and the road was under water. Nobody came.",
    "The children played in the park until it was dark. Then they were tired.",
)
PAUSES_SECONDS = (0.8, 1.1, 1.4)
REPLY_DELAY_SECONDS = 0.1  # from the decision to the first sound
REST_SECONDS = 3.0  # of silence after a user's last word


@dataclass(frozen=True)
class GoingOn:
    """Counts at one level of echo.

    Attributes:
        decibels: level of the reply in the microphone, relative to the user.
        early: users who were answered in their pause.
        heard: of these, the users who were heard when they resumed.
        finished: users who had finished before the pause.
        mistaken: of these, the users whose reply was cancelled by its own echo.
    """

    decibels: float
    early: int
    heard: int
    finished: int
    mistaken: int


def measure(settings: Settings, levels: Sequence[float], count: int) -> Iterator[GoingOn]:
    """One result for each level, in decibels, of `count` users.

    Raises:
        AfterwordError: a component does not start.
    """
    trigger = replace(settings.trigger, cooldown_seconds=0.0)
    recognition = components.open_recognition(replace(settings, trigger=trigger))
    with closing(components.open_engine(settings)) as engine:
        replies = [synthesize(engine, text) for text in REPLIES]
    users = [_user(voice, settings.trigger.phrases[0], seed) for voice in USERS for seed in SEEDS]
    for decibels in levels:
        echoes = [reply.astype(np.float64) * 10 ** (decibels / 20) for reply in replies]
        yield _level(recognition, users, echoes, decibels, count)


def _user(voice: str, phrase: str, seed: tuple[str, str]) -> tuple[Samples, Samples]:
    first, second = speak(voice, [f"{phrase}, {seed[0]}", seed[1]])
    return first, second


def _level(
    recognition: AudioRecognition,
    users: Sequence[tuple[Samples, Samples]],
    echoes: Sequence[Sound],
    decibels: float,
    count: int,
) -> GoingOn:
    early = heard = finished = mistaken = 0
    for number in [-2, *range(count)]:  # the first teaches the echo level
        first, second = users[number % len(users)]
        pause = np.zeros(round(PAUSES_SECONDS[number % len(PAUSES_SECONDS)] * SAMPLE_RATE))
        goes_on = number % 2 == 1
        more = [pause, second] if goes_on else []
        sound = np.concatenate(
            [np.zeros(SAMPLE_RATE), first, *more, np.zeros(round(REST_SECONDS * SAMPLE_RATE))]
        )
        in_pause = (len(first) + len(pause)) / SAMPLE_RATE + 1.0
        decided, resumed = _serve(recognition, sound, echoes[number % len(echoes)], number)
        if number < 0 or decided is None:
            continue
        if not goes_on:
            finished += 1
            mistaken += resumed
        elif decided < in_pause:
            early += 1
            heard += resumed
    return GoingOn(decibels, early, heard, finished, mistaken)


def _serve(
    recognition: AudioRecognition, sound: Sound, echo: Sound, seed: int
) -> tuple[float | None, bool]:
    """The time of the first seed's end of turn, in seconds, and whether the user resumed."""
    random = np.random.default_rng(seed + 2)
    sound = np.concatenate([sound, np.zeros(len(echo))])
    sound += noise(len(sound), ROOM_LEVEL, random)
    decided, begins, resumed = None, len(sound), False
    for at in range(0, len(sound) - CHUNK, CHUNK):
        block = sound[at : at + CHUNK].copy()
        played = echo[max(0, at - begins) : max(0, at + CHUNK - begins)]
        block[: len(played)] += played
        playing = begins <= at < begins + len(echo)
        pcm = np.clip(block, -32_768, 32_767).astype("<i2").tobytes()
        chunk = AudioChunk(pcm, SAMPLE_RATE, (at + CHUNK) / SAMPLE_RATE)
        for event in recognition.feed(chunk, playing=playing):
            if isinstance(event, Seed) and decided is None:
                decided = (at + CHUNK) / SAMPLE_RATE
                begins = at + CHUNK + round(REPLY_DELAY_SECONDS * SAMPLE_RATE)
            if isinstance(event, Resumed):
                resumed, begins = True, len(sound)
    recognition.feed(AudioChunk(bytes(2 * CHUNK), SAMPLE_RATE, 0.0))
    recognition.cancel()
    return decided, resumed
