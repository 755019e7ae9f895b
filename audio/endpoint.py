"""When has a speaker finished? A voice detector and the recogniser's own words, asked together."""

from audio.vosk_engine import RATE

_FRAME = RATE // 50  # samples; webrtcvad takes 10, 20 or 30 ms
_AGGRESSIVENESS = 3  # 0 to 3; the highest takes least noise for speech


class VoiceDetector:
    """Says how long the sound has been without voice; https://github.com/wiseman/py-webrtcvad."""

    def __init__(self) -> None:
        import webrtcvad

        self._vad = webrtcvad.Vad(_AGGRESSIVENESS)
        self._rest = b""
        self._quiet_frames = 0

    def accept(self, pcm: bytes) -> float:
        """Hear 16-bit samples; the seconds of silence up to their end."""
        pcm = self._rest + pcm
        whole = len(pcm) // (2 * _FRAME) * 2 * _FRAME
        for at in range(0, whole, 2 * _FRAME):
            voiced = self._vad.is_speech(pcm[at : at + 2 * _FRAME], RATE)
            self._quiet_frames = 0 if voiced else self._quiet_frames + 1
        self._rest = pcm[whole:]
        return self._quiet_frames * _FRAME / RATE
