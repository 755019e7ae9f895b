"""Faults of a microphone that its sound shows: hum, offset, distortion and the like.

`find_faults` judges a few seconds of sound; `MicrophoneMonitor` logs what lasts in a stream.
"""

import logging
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audio.pcm import SAMPLE_RATE, AudioChunk

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

log = logging.getLogger(__name__)

QUIET_DB = -40.0  # a peak below this is no speech at arm's length
_CLIPPED_SHARE = 0.001  # of the samples at full scale; above it, the sound is distorted
_OFFSET = 0.01  # of full scale
_MAINS_HZ = (50.0, 60.0)
_HARMONICS = 4  # of the mains that count as hum
_LINE_HZ = 1.0  # to either side of a harmonic
_HUM_DB = -50.0  # RMS
_HUM_SHARE = 0.25  # of the power of all sound
_UPPER_BANDS_HZ = ((2000.0, 3400.0), (4600.0, 7600.0))  # of a telephone, and above it
_TELEPHONE_DB = 30.0  # by which the second is weaker in a telephone; in a voice it is 0 to 20

_RAISE = "raise its level in your sound settings, or choose another one with audio.input"


@dataclass(frozen=True)
class MicrophoneFault:
    """What is wrong with a microphone.

    Attributes:
        kind: "muted", "distorted", "offset", "hum", "quiet" or "telephone".
        seen: what its sound shows, with the microphone as the subject.
        remedy: what the user can do.
    """

    kind: str
    seen: str
    remedy: str


def find_faults(pcm: bytes) -> list[MicrophoneFault]:
    """The faults in some seconds of 16-bit samples at 16 kHz, in which somebody speaks."""
    import numpy as np  # here, for the command line imports modules that import this one

    samples = np.frombuffer(pcm, "<i2") / 32768
    if not len(samples) or samples.min() == samples.max():
        remedy = "unmute it: a switch on it, or your sound settings"
        return [MicrophoneFault("muted", "gives perfect silence: it is muted", remedy)]
    found = [*_distortion(samples), *_offset(samples)]
    samples = samples - samples.mean()
    spectrum = _power_spectrum(samples)
    hum = [*_hum(spectrum)]
    # The peak of a hum says nothing of the speech in it.
    return found + (hum or [*_quiet(samples)]) + [*_telephone(spectrum)]


def _distortion(samples: "Floats") -> Iterator[MicrophoneFault]:
    share = float((abs(samples) > 0.999).mean())
    if share > _CLIPPED_SHARE:
        seen = f"is distorted: {100 * share:.1f} % of its samples are at full scale"
        yield MicrophoneFault("distorted", seen, "lower its level, or speak farther from it")


def _offset(samples: "Floats") -> Iterator[MicrophoneFault]:
    offset = float(samples.mean())
    if abs(offset) > _OFFSET:
        seen = f"has an offset of {100 * offset:.0f} % of full scale, which is filtered out"
        yield MicrophoneFault("offset", seen, "plug it in elsewhere, or use another sound card")


def _hum(spectrum: "Floats") -> Iterator[MicrophoneFault]:
    """`spectrum` is the power of each frequency, from 0 to 8 kHz."""
    total = float(spectrum.sum())
    for mains in _MAINS_HZ:
        lines = [mains * k for k in range(1, _HARMONICS + 1)]
        power = sum(_power(spectrum, hz - _LINE_HZ, hz + _LINE_HZ) for hz in lines)
        level = _db(power)
        if level > _HUM_DB and power > _HUM_SHARE * total:
            seen = f"hums at {mains:.0f} Hz, at a level of {level:.0f} dB"
            remedy = "move it and its cable away from power supplies, or use another socket"
            yield MicrophoneFault("hum", seen, remedy)


def _quiet(samples: "Floats") -> Iterator[MicrophoneFault]:
    peak = _db(float(abs(samples).max()) ** 2)
    if peak < QUIET_DB:
        seen = f"is very quiet: its peak of {peak:.0f} dB is no speech"
        yield MicrophoneFault("quiet", seen, f"speak up, or {_RAISE}")


def _telephone(spectrum: "Floats") -> Iterator[MicrophoneFault]:
    below, above = (
        _db(_power(spectrum, low, high) / (high - low)) for low, high in _UPPER_BANDS_HZ
    )
    if below - above > _TELEPHONE_DB:
        seen = "has nothing above 4 kHz, like a telephone, so words are heard less well"
        remedy = "a headset: choose its mode mSBC, or another microphone with audio.input"
        yield MicrophoneFault("telephone", seen, remedy)


def _power_spectrum(samples: "Floats") -> "Floats":
    """The power of each frequency from 0 to 8 kHz; their sum is that of the samples."""
    import numpy as np

    window = np.hanning(len(samples))
    spectrum = np.fft.rfft(samples * window)
    power: Floats = spectrum.real**2 + spectrum.imag**2
    power *= 2 / (len(samples) * (window**2).sum())
    return power


def _power(spectrum: "Floats", low_hz: float, high_hz: float) -> float:
    per_hz = 2 * (len(spectrum) - 1) / SAMPLE_RATE
    return float(spectrum[round(low_hz * per_hz) : round(high_hz * per_hz) + 1].sum())


def _db(power: float) -> float:
    return 10 * math.log10(max(power, 1e-15))


class MicrophoneMonitor:
    """Logs each fault of a microphone once, when it has been found several times.

    The daemon makes one whenever it opens the microphone. Its cost is 3 ms every 5 s.
    """

    _WINDOW_SECONDS = 5.0
    _WINDOWS = 3  # with a fault, before it is logged
    _QUIET_WINDOWS = 6  # in a row, for a sound may be far away
    _ACTIVE_DB = 15.0  # from noise to sound, in a window that can be judged as quiet

    def __init__(self) -> None:
        self._sound = bytearray()
        self._found: Counter[str] = Counter()  # windows, by the kind of fault

    def feed(self, chunk: AudioChunk) -> None:
        """Examine one more chunk, as the source gives it; an empty one changes nothing."""
        self._sound += chunk.pcm
        if len(self._sound) < 2 * SAMPLE_RATE * self._WINDOW_SECONDS:
            return
        pcm, self._sound = bytes(self._sound), bytearray()
        faults = {fault.kind: fault for fault in find_faults(pcm)}
        faults.pop("muted", None)  # digital silence is reported by itself
        if _activity_db(pcm) < self._ACTIVE_DB:
            faults.pop("quiet", None)  # for nobody speaks
        elif "quiet" not in faults:
            self._found["quiet"] = 0
        for kind, fault in faults.items():
            self._found[kind] += 1
            if self._found[kind] == (self._QUIET_WINDOWS if kind == "quiet" else self._WINDOWS):
                log.warning("The microphone %s; %s.", fault.seen, fault.remedy)


def _activity_db(pcm: bytes) -> float:
    """Decibels between the quietest and the loudest tenth of the sound."""
    import numpy as np

    blocks: Any = np.frombuffer(pcm, "<i2").astype(np.float64)[: len(pcm) // 1024 * 512]
    powers = np.sort((blocks - blocks.mean()).reshape(-1, 512).var(axis=1)) + 1e-3
    tenth = len(powers) // 10
    return 10 * math.log10(powers[-tenth - 1] / powers[tenth])
