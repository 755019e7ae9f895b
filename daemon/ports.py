"""The Protocols of the daemon's components, which audio and model implement.

Implementations do not import these; mypy checks them where daemon/cli/run.py joins them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from audio.events import Event
from audio.pcm import AudioChunk
from daemon.control.status import ComponentStatus

Cancelled = Callable[[], bool]


class AudioSource(Protocol):
    """A microphone or a recording."""

    @property
    def live(self) -> bool:
        """True for a microphone, which is real-time; False for a file."""

    @property
    def drops(self) -> int:
        """Blocks of sound lost because they were not read in time."""

    def open(self) -> AbstractContextManager[Iterator[AudioChunk]]:
        """Open the source; the iterator ends where the sound ends. It may be opened again.

        The times of the chunks begin at 0 whenever it is opened.

        While a live source has no sound, it gives empty chunks, several a second.

        Raises:
            AudioDeviceError: there is no such device, or no sound server.
            InputError: the file is missing or holds no sound.
        """

    def stop(self) -> None:
        """End the iterator soon; may be called from a signal handler or another thread."""


class Recognition(Protocol):
    """Sound to events: trigger phrases, seeds, commands."""

    def feed(self, chunk: AudioChunk, *, commands: bool, playing: bool) -> Sequence[Event]:
        """Recognise speech in one more chunk.

        Args:
            chunk: the next chunk; where its time does not follow on, the microphone was closed.
            commands: report commands that are said without a trigger phrase.
            playing: the loudspeaker may be in the chunk.
        """

    def finish(self) -> Sequence[Event]:
        """The sound has ended: report the words of an active capture."""

    def cancel(self) -> None:
        """Discard an active capture and await the trigger phrase again."""


class Generator(Protocol):
    """A seed to its continuation."""

    def continue_text(self, seed: str, cancelled: Cancelled) -> Iterator[str]:
        """Yield each sentence as soon as it is complete; `cancelled` is called at every token.

        Raises:
            DeviceError: the device of the model has failed.
            GenerationError: the model gives no usable numbers.
        """

    def read_ahead(self, seed: str) -> None:
        """Read what may become the beginning of a seed, so that its continuation begins sooner.

        Raises:
            As `continue_text`.
        """

    @property
    def name(self) -> str:
        """The name of the weights that gave the newest continuation."""


class SpeechOutput(Protocol):
    """Sentences to sound."""

    @property
    def sounding(self) -> int:
        """Number of the newest reply's sentence that is playing, 0 before the first; any thread."""

    def words_between(self, begin: float, end: float) -> str:
        """The words of the newest reply that may have played between two monotonic times."""

    @property
    def voice(self) -> str:
        """The voice in force; not that of the settings where that one does not work."""

    @property
    def restarts(self) -> int:
        """How many times the speech engine was restarted after a failure."""

    def check(self) -> None:
        """Check that the speech engine answers, and restart it if not; never during `speak`.

        Raises:
            ConfigError, SpeechError: it cannot be restarted.
        """

    @property
    def started_at(self) -> float | None:
        """The monotonic time (seconds) at which the newest reply began to play; None before."""

    def speak(
        self,
        sentences: Iterable[str],
        cancelled: Cancelled,
        wait_until_confirmed: Callable[[], None] = lambda: None,
    ) -> None:
        """Speak the sentences without gaps as they come; return when the last has been played.

        `wait_until_confirmed` is called when the first sound is ready; nothing plays until it
        returns.

        Raises:
            SpeechError: the speech engine failed twice in a row.
            AudioDeviceError: the loudspeaker is lost.
            OutputError: the file that receives the speech cannot be written.
        """

    def cue(self, name: str) -> bool:
        """Play the cue "trigger", "captured", "nothing" or "error" at once; any thread.

        Returns:
            False if the loudspeaker must be opened again first: see `check`.
        """

    def pause(self, seconds: float) -> None:
        """Pause playback for so many seconds, then resume unless cancelled; any thread."""

    def close(self) -> None:
        """Stop playback at once and free the device and the child process."""


class Observer(Protocol):
    """An observer of events and audio; called from the main loop."""

    def on_event(self, event: Mapping[str, object]) -> None:
        """An event, as subscribers get it."""

    def on_audio(self, chunk: AudioChunk) -> None:
        """A chunk of the microphone, after the events that it caused."""

    def on_tick(self) -> None:
        """Time has passed."""

    def close(self) -> None:
        """The daemon ends, or observes no more."""


@dataclass(frozen=True)
class ComponentUpdate:
    """New components, built while the old ones serve; None where the old one stays.

    Attributes:
        status_info: what `status` reports of settings and models from now on.
        summary: what has changed, in a sentence for the log.
        source: the audio source.
        recognition: the recognition.
        generator: the generator.
        reconfigure_speech: gives the speech output its new parts; to be called between two
            replies, in the thread that calls `speak`.
        observers: the observers.
        follow_up_seconds: how long after a reply "go on" and "again" need no trigger phrase.
        done: done when the new components are in use.
    """

    status_info: ComponentStatus
    summary: str
    source: AudioSource | None = None
    recognition: Recognition | None = None
    generator: Generator | None = None
    reconfigure_speech: Callable[[], None] | None = None
    observers: Sequence[Observer] | None = None
    follow_up_seconds: float | None = None
    done: Future[None] = field(default_factory=Future)


@dataclass(frozen=True)
class UpdateRejected:
    """New settings or weights were rejected, and the old ones stay; `reason` is a sentence."""

    reason: str
