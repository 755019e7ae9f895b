"""Who goes on after a seed: heard over the reply? A part of `python -m daemon.echo_bench`.

A user says the trigger phrase and a seed with a long pause in it. The reply begins in the pause
and comes back through the microphone. Every other user has said all before the pause: then only
the reply itself can be taken for the user.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from audio.events import Resumed, Seed
from audio.pcm import CHUNK_SECONDS, AudioChunk
from audio.recognition import AudioRecognition
from config.settings import Settings
from daemon import components

Samples = npt.NDArray[np.int16]
Sound = npt.NDArray[np.float64]

RATE = 16_000
CHUNK = round(CHUNK_SECONDS * RATE)
USERS = ("en-us+f3", "en-gb-scotland", "en-us+f2")
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
REST_SECONDS = 3.0  # after all that a user says
ROOM_LEVEL = 10  # root mean square, of 32,768


@dataclass(frozen=True)
class GoingOn:
    """What became of the users at one level.

    Attributes:
        decibels: how loud the reply is in the microphone, as compared with the user.
        early: how many were answered in their pause.
        heard: how many of them were heard when they went on.
        finished: how many had said all.
        mistaken: how many of their replies were broken off by their own sound.
    """

    decibels: float
    early: int
    heard: int
    finished: int
    mistaken: int


def measure(settings: Settings, levels: Sequence[float], count: int) -> Iterator[GoingOn]:
    """One result for each level, in decibels, of so many users.

    Raises:
        AfterwordError: a part does not start.
    """
    trigger = replace(settings.trigger, cooldown_seconds=0.0)
    hearing = components.open_recognition(replace(settings, trigger=trigger))
    with closing(components.open_engine(settings)) as engine:
        replies = [at_rate(engine.render(text), engine.rate) for text in REPLIES]
    users = [_user(voice, settings.trigger.phrases[0], seed) for voice in USERS for seed in SEEDS]
    for decibels in levels:
        echoes = [reply.astype(np.float64) * 10 ** (decibels / 20) for reply in replies]
        yield _level(hearing, users, echoes, decibels, count)


def _user(voice: str, phrase: str, seed: tuple[str, str]) -> tuple[Samples, Samples]:
    from audio.tts.engine import SpeechEngine

    with closing(SpeechEngine(voice, 150, 0.8)) as engine:
        first, second = engine.render(f"{phrase}, {seed[0]}"), engine.render(seed[1])
    return at_rate(first, engine.rate), at_rate(second, engine.rate)


def _level(
    hearing: AudioRecognition,
    users: Sequence[tuple[Samples, Samples]],
    echoes: Sequence[Sound],
    decibels: float,
    count: int,
) -> GoingOn:
    early = heard = finished = mistaken = 0
    for number in [-2, *range(count)]:  # the first teaches how loud a reply is
        first, second = users[number % len(users)]
        pause = np.zeros(round(PAUSES_SECONDS[number % len(PAUSES_SECONDS)] * RATE))
        goes_on = number % 2 == 1
        more = [pause, second] if goes_on else []
        sound = np.concatenate([np.zeros(RATE), first, *more, np.zeros(round(REST_SECONDS * RATE))])
        in_pause = (len(first) + len(pause)) / RATE + 1.0
        decided, resumed = _serve(hearing, sound, echoes[number % len(echoes)], number)
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
    hearing: AudioRecognition, sound: Sound, echo: Sound, seed: int
) -> tuple[float | None, bool]:
    """When the first seed was decided upon, in seconds, and whether its speaker went on."""
    random = np.random.default_rng(seed + 2)
    sound = np.concatenate([sound, np.zeros(len(echo))])
    sound += random.normal(0, ROOM_LEVEL, len(sound))
    decided, begins, resumed = None, len(sound), False
    for at in range(0, len(sound) - CHUNK, CHUNK):
        block = sound[at : at + CHUNK].copy()
        played = echo[max(0, at - begins) : max(0, at + CHUNK - begins)]
        block[: len(played)] += played
        playing = begins <= at < begins + len(echo)
        pcm = np.clip(block, -32_768, 32_767).astype("<i2").tobytes()
        chunk = AudioChunk(pcm, RATE, (at + CHUNK) / RATE)
        for event in hearing.feed(chunk, playing=playing):
            if isinstance(event, Seed) and decided is None:
                decided = (at + CHUNK) / RATE
                begins = at + CHUNK + round(REPLY_DELAY_SECONDS * RATE)
            if isinstance(event, Resumed):
                resumed, begins = True, len(sound)
    hearing.feed(AudioChunk(bytes(2 * CHUNK), RATE, 0.0))
    hearing.cancel()
    return decided, resumed


def at_rate(samples: Samples, rate: int) -> Samples:
    """Samples of this rate as the hearing wants them."""
    import soxr

    resampled: Samples = soxr.resample(samples, rate, RATE)
    return resampled
