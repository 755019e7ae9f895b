"""The audio source in use, and the state of the microphone."""

from audio.input.microphone import RETRY_SECONDS
from daemon.conversation.publisher import MUTED, OPEN, SILENT
from daemon.ports import AudioSource


class InputState:
    """The source in use, and what has become of it; for the loop's thread.

    Attributes:
        source: the source in use.
        muted: the source is to be closed.
        retry: open the source again where it is missing, instead of failing.
        state: as last reported: OPEN, SILENT, MUTED, or the reason why the microphone is missing.
        attempts: attempts to open the source since it last gave sound.
        recoveries: how many times the source came back after it was lost.
    """

    def __init__(self, source: AudioSource, *, muted: bool, retry: bool) -> None:
        self.source = source
        self.muted = muted
        self.retry = retry or muted
        self.state = ""
        self.attempts = 0
        self.recoveries = 0
        self._is_awaited = True  # by the user: at the start, and after the microphone was muted
        self._drops = 0  # of sources used before

    @property
    def drops(self) -> int:
        """Blocks of sound lost because they were not read in time."""
        return self._drops + self.source.drops

    @property
    def retry_seconds(self) -> float:
        """Seconds until the next attempt to open the source."""
        return RETRY_SECONDS[min(self.attempts, len(RETRY_SECONDS) - 1)]

    @property
    def is_open(self) -> bool:
        """True if the source gives sound, be it digital silence."""
        return self.state in (OPEN, SILENT)

    def replace(self, source: AudioSource) -> None:
        """Use another source from now on."""
        self._drops += self.source.drops
        self.source = source

    def set(self, state: str) -> bool:
        """Note a new state.

        Returns:
            True if the source is open for the first time, or for the first time since it was muted.
        """
        opened = state == OPEN and self.state != SILENT
        awaited = opened and self._is_awaited
        self.recoveries += opened and not awaited
        self.state = state
        self._is_awaited = state == MUTED or (self._is_awaited and not opened)
        return awaited
