"""The seams of the daemon: what it asks of the parts that audio and model provide.

Implementations need not import these; mypy checks them where daemon/cli/run.py joins them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from audio.events import Event
from audio.pcm import AudioChunk

Cancelled = Callable[[], bool]


class AudioSource(Protocol):
    """Where sound comes from."""

    @property
    def live(self) -> bool:
        """True where time passes by itself (a microphone), False where it waits (a file)."""

    @property
    def drops(self) -> int:
        """Blocks of sound lost because nobody took them in time."""

    def open(self) -> AbstractContextManager[Iterator[AudioChunk]]:
        """Open the source; the iterator ends where the sound ends. It may be opened again.

        While a live source has no sound to give, it gives empty chunks, several a second.

        Raises:
            AudioDeviceError: no such device, or no sound server.
            InputError: the file is missing or holds no sound.
        """

    def stop(self) -> None:
        """Let the iterator end soon; may be called from a signal handler or another thread."""


class Recognition(Protocol):
    """Sound to events."""

    def feed(self, chunk: AudioChunk, *, commands: bool, playing: bool) -> Sequence[Event]:
        """Hear one more chunk.

        Args:
            chunk: the next one of the source.
            commands: whether to report a VoiceCommand that is said without a trigger.
            playing: whether the loudspeaker may be in the chunk.
        """

    def finish(self) -> Sequence[Event]:
        """The sound has ended: report what a capture holds so far."""

    def cancel(self) -> None:
        """Drop a capture that has begun and listen for the trigger again."""


class Generator(Protocol):
    """A seed to its continuation."""

    @property
    def device(self) -> str:
        """Where it computes just now; for any thread."""

    def continue_text(self, seed: str, cancelled: Cancelled) -> Iterator[str]:
        """Yield each sentence as soon as it is complete; looks at `cancelled` at every token."""


class SpeechOutput(Protocol):
    """Sentences to sound."""

    @property
    def sounding(self) -> int:
        """How many sentences of the newest `say` have begun to sound; for any thread."""

    def words_between(self, begin: float, end: float) -> str:
        """The words of the newest `say` that may have sounded between two monotonic times."""

    @property
    def restarts(self) -> int:
        """How many times the speech engine has broken down and gone on."""

    def check(self) -> None:
        """See that the speech engine answers, and mend it where it does not; not during a `say`.

        Raises:
            ConfigError, SpeechError: it cannot be mended.
        """

    @property
    def started_at(self) -> float | None:
        """The monotonic time (seconds) at which the newest `say` began to sound; None before."""

    def say(
        self,
        sentences: Iterable[str],
        cancelled: Cancelled,
        await_leave: Callable[[], None] = lambda: None,
    ) -> None:
        """Speak the sentences without gaps as they come; return when the last has sounded.

        `await_leave` is called when the first sound is ready; nothing sounds until it returns.

        Raises:
            SpeechError: the speech engine failed twice in a row.
            AudioDeviceError: the loudspeaker is gone.
            OutputError: the file that receives the speech cannot be written.
        """

    def cue(self, name: str) -> bool:
        """Sound a short tone at once: "trigger", "captured", "nothing" or "error"; any thread.

        False where that is not possible before the loudspeaker has been looked after by `check`.
        """

    def hold(self, seconds: float) -> None:
        """Fall silent for so long, then go on, unless cancelled meanwhile; any thread."""

    def close(self) -> None:
        """Fall silent at once and free the device and the child process."""


class Observer(Protocol):
    """Who keeps something of what happens, because the user wants it; called by the loop."""

    def tell(self, event: Mapping[str, object]) -> None:
        """Note an event, as followers get it."""

    def sounded(self, chunk: AudioChunk) -> None:
        """Note a chunk that was heard; what it made happen has been told."""

    def turn(self) -> None:
        """Note that time has passed."""

    def close(self) -> None:
        """Note that this is the end."""


@dataclass(frozen=True)
class ComponentUpdate:
    """New parts to go on with, made while the old ones serve; None where the old one stays.

    Attributes:
        speak_anew: lets the speaker go on with new parts; to be called between two `say`, in their
            thread.
        about: what `status` tells of settings and models from now on.
        told: what has changed, in a sentence for the log.
        follow_up_seconds: how long after a reply "go on" and "again" need no trigger.
        done: has a result when the new parts are in their places.
    """

    about: Mapping[str, object]
    told: str
    source: AudioSource | None = None
    hearing: Recognition | None = None
    generator: Generator | None = None
    speak_anew: Callable[[], None] | None = None
    keepers: Sequence[Observer] | None = None
    follow_up_seconds: float | None = None
    done: Future[None] = field(default_factory=Future)


@dataclass(frozen=True)
class UpdateRejected:
    """New settings or weights were not good, and the old ones stay; `reason` is a sentence."""

    reason: str
