"""Speech as the engines give it and the player takes it: its rate, and the silence around it."""

import numpy as np

from audio.pcm import Samples

RATE = 22_050  # samples per second; the only rate of pyttsx3's espeak driver
LEAD_SECONDS, TAIL_SECONDS = 0.005, 0.03  # of silence that trimming leaves around the speech
SILENCE_LEVEL = 0.01  # of the loudest sample; softer samples are silence


def trim(samples: Samples, *, keep_tail: bool = False) -> Samples:
    """Cut off the silence at both ends, but for LEAD_SECONDS and TAIL_SECONDS.

    Args:
        samples: the speech.
        keep_tail: leave the end as it is, a pause.
    """
    loudness = np.abs(samples.astype(np.int32))
    # Most voices end in zeros, but voices with an echo (en-us+f3) in a murmur.
    loud = np.flatnonzero(loudness > SILENCE_LEVEL * loudness.max(initial=0))
    if len(loud) == 0:
        return samples[:0]
    begin = max(0, loud[0] - int(LEAD_SECONDS * RATE))
    end = len(samples) if keep_tail else loud[-1] + 1 + int(TAIL_SECONDS * RATE)
    return samples[begin:end]
