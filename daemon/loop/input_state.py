"""Where the sound comes from, and what has become of it."""

from daemon.conversation.publisher import MUTED, OPEN, SILENT
from daemon.ports import AudioSource

RETRY_SECONDS = (0.25, 0.5, 1.0, 1.5)  # between attempts to open a microphone that is not there


class InputState:
    """The source in use; owned by the loop.

    Attributes:
        source: it.
        muted: it is to be closed.
        patient: wait for it where it is missing.
        state: as last told: OPEN, SILENT, MUTED, or why it is missing.
        attempts: to open it since it last gave sound.
        returns: how often it came back.
    """

    def __init__(self, source: AudioSource, *, muted: bool, patient: bool) -> None:
        self.source = source
        self.muted = muted
        self.patient = patient or muted
        self.state = ""
        self.attempts = 0
        self.returns = 0
        self._was_open = False
        self._drops = 0  # of sources we had before

    @property
    def drops(self) -> int:
        """Blocks of sound lost because nobody took them in time."""
        return self._drops + self.source.drops

    @property
    def retry_seconds(self) -> float:
        """How long to wait before it is tried again."""
        return RETRY_SECONDS[min(self.attempts, len(RETRY_SECONDS) - 1)]

    @property
    def is_open(self) -> bool:
        """Whether it gives sound, if only silence."""
        return self.state in (OPEN, SILENT)

    def replace(self, source: AudioSource) -> None:
        """Take another source from now on."""
        self._drops += self.source.drops
        self.source = source

    def become(self, state: str) -> bool:
        """Note a new state.

        Returns:
            whether it is open for the first time, or after it was muted.
        """
        opened = state == OPEN and self.state != SILENT
        came_back = opened and self._was_open and self.state != MUTED
        self.returns += came_back
        self.state = state
        self._was_open = self._was_open or opened
        return opened and not came_back
