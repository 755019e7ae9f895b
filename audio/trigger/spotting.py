"""Spotting: the trigger phrases of whole sounds, each detected and verified while it comes."""

from collections.abc import Sequence
from pathlib import Path

from audio.high_pass import BELOW_SPEECH_HZ, HighPass
from audio.pcm import SAMPLE_RATE
from audio.phrases import Phrase, parse_phrases
from audio.stt.vosk_engine import VoskEngine
from audio.trigger.detector import UTTERANCE_END_SECONDS, TriggerDetector
from audio.trigger.likelihood_ratio import LikelihoodRatio
from audio.vad import VoiceDetector
from config.settings import TriggerSettings

_BLOCK_BYTES = 2 * SAMPLE_RATE // 10  # heard at a time: 0.1 s


class PhraseSpotter:
    """A loaded recogniser of trigger phrases; each sound is a Spotting."""

    def __init__(
        self, engine: VoskEngine, phrases: Sequence[Phrase], trigger: TriggerSettings
    ) -> None:
        self._engine = engine
        self._phrases = phrases
        self._trigger = trigger
        self._likelihood = LikelihoodRatio(engine)

    def begin(self) -> "Spotting":
        """Begin a sound."""
        detector = TriggerDetector(
            self._engine,
            self._phrases,
            VoiceDetector(),
            likelihood=self._likelihood,
            must_begin=self._trigger.must_begin,
            refractory_seconds=self._trigger.cooldown_seconds,
        )
        return Spotting(detector)


class Spotting:
    """The trigger phrases of one sound, as the microphone's are detected. For one thread a time."""

    def __init__(self, detector: TriggerDetector) -> None:
        self._detector = detector
        self._high_pass = HighPass(BELOW_SPEECH_HZ)

    def accept(self, pcm: bytes) -> list[str]:
        """Hear 16-bit samples at 16 kHz; the phrases said, as in the settings, mostly none."""
        pcm = self._high_pass.filter(pcm)
        found = []
        for at in range(0, len(pcm), _BLOCK_BYTES):
            _, detection = self._detector.process(pcm[at : at + _BLOCK_BYTES])
            if detection is not None:
                found.append(detection.phrase.text)
        return found

    def finish(self) -> list[str]:
        """The sound has ended; the phrase said at last, if there is one."""
        detection = self._detector.finish()
        return [detection.phrase.text] if detection is not None else []


def open_spotter(folder: Path, trigger: TriggerSettings) -> PhraseSpotter:
    """Load the Vosk model in `folder` (0.5 s, 120 MB).

    Raises:
        HearingModelError: the model is missing, incomplete or damaged.
        ConfigError: a phrase has a word that the model does not know.
    """
    engine = VoskEngine(folder, UTTERANCE_END_SECONDS)
    phrases = parse_phrases(trigger.phrases, engine.knows, engine.vocabulary)
    return PhraseSpotter(engine, phrases, trigger)
