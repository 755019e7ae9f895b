"""High-pass filter on 16-bit blocks: takes offset and hum away, and leaves speech."""

import math

from audio.pcm import SAMPLE_RATE

BELOW_SPEECH_HZ = 100.0
"""Cutoff for recognition: mains hum is below, the words of the deepest voice are above."""
_BLOCK_SAMPLES = 128  # computed at once; the cost of a matrix of this size is least


class HighPass:
    """A streaming second-order Butterworth high-pass filter for mono sound at 16 kHz.

    12 dB an octave below the cutoff, at which it takes 3 dB; 0.1 dB an octave above it. The
    coefficients are those of Robert Bristow-Johnson's "Cookbook formulae for audio EQ biquad filter
    coefficients". Each block is one matrix product, for a loop over samples costs thirty times as
    much: with the state s and the input x of a filter s' = A s + B x, y = C s + D x, the block's
    output is O s + T x, and the state after it A^n s + K x.
    """

    def __init__(self, cutoff_hz: float) -> None:
        """`cutoff_hz` is the frequency at which half of the power passes."""
        import numpy as np  # here, for the command line imports modules that import this one

        b, a = _coefficients(cutoff_hz)
        step = np.array([[-a[0], 1.0], [-a[1], 0.0]])  # A
        into = np.array([b[1] - a[0] * b[0], b[2] - a[1] * b[0]])  # B
        n = _BLOCK_SAMPLES
        self._powers = [np.eye(2)]  # A^k, (2, 2)
        for _ in range(n):
            self._powers.append(step @ self._powers[-1])
        self._from_state = np.array([power[0] for power in self._powers[:n]])  # O, (n, 2)
        self._to_state = np.array([self._powers[n - 1 - k] @ into for k in range(n)]).T  # K, (2, n)
        response = np.array([b[0], *(self._from_state[: n - 1] @ into)])
        delays = np.subtract.outer(np.arange(n), np.arange(n))
        self._from_input = np.where(delays >= 0, response[delays], 0.0)  # T, (n, n)
        self._steady = np.array([-b[0], b[2]])  # state after an endless input of 1
        self._state = np.zeros(2)
        self.reset()

    def reset(self) -> None:
        """Forget all sound: what follows is not its continuation."""
        self._is_fresh = True

    def filter(self, pcm: bytes) -> bytes:
        """The filtered 16-bit samples of the next block, of any length."""
        import numpy as np

        samples = np.frombuffer(pcm, "<i2").astype(np.float64)
        if self._is_fresh and len(samples):  # else the beginning of an offset is a click
            self._state, self._is_fresh = self._steady * samples[0], False
        out = np.empty_like(samples)
        for at in range(0, len(samples), _BLOCK_SAMPLES):
            x = samples[at : at + _BLOCK_SAMPLES]
            n = len(x)
            out[at : at + n] = self._from_input[:n, :n] @ x + self._from_state[:n] @ self._state
            to_state = self._to_state[:, _BLOCK_SAMPLES - n :]
            self._state = self._powers[n] @ self._state + to_state @ x
        return np.clip(np.rint(out), -32768, 32767).astype("<i2").tobytes()


def _coefficients(cutoff_hz: float) -> tuple[tuple[float, float, float], tuple[float, float]]:
    """Numerator (b0, b1, b2) and denominator (a1, a2; a0 is 1)."""
    omega = 2 * math.pi * cutoff_hz / SAMPLE_RATE
    alpha = math.sin(omega) / math.sqrt(2)
    b0 = (1 + math.cos(omega)) / 2 / (1 + alpha)
    return (b0, -2 * b0, b0), (-2 * math.cos(omega) / (1 + alpha), (1 - alpha) / (1 + alpha))
