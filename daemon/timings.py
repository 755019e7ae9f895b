"""The timings of one reply."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class TurnTimings:
    """Times in seconds since the end of turn was decided; None for what did not happen.

    What came before the decision is negative: the last voice always, and what was prepared.

    Attributes:
        last_voice_seconds: the end of the user's last word; None for a typed seed.
        first_token_seconds: the model has chosen its first token.
        first_sentence_seconds: the first sentence, or the first clause, is complete.
        first_sound_seconds: the first sample leaves the loudspeaker.
        seconds: the reply has ended.
        prepared: True if the reply was begun before the end of turn (preemptive generation).
    """

    last_voice_seconds: float | None = None
    first_token_seconds: float | None = None
    first_sentence_seconds: float | None = None
    first_sound_seconds: float | None = None
    seconds: float | None = None
    prepared: bool = False


@dataclass(frozen=True)
class TurnRecord:
    """One reply: its number, sentences so far, outcome, and its timings once it has ended.

    Attributes:
        weights: the name of the weights that gave it; empty for a text that is said again.
    """

    number: int
    sentences: int = 0
    outcome: str = "under way"
    times: TurnTimings = field(default_factory=TurnTimings)
    weights: str = ""

    def summary(self) -> str:
        """Outcome and timings in one line, without a word of the conversation."""
        times = self.times
        parts = [
            ("last voice", times.last_voice_seconds),
            ("first token", times.first_token_seconds),
            ("first sentence", times.first_sentence_seconds),
            ("first sound", times.first_sound_seconds),
            ("end", times.seconds),
        ]
        known = ", ".join(f"{name} {at:+.2f} s" for name, at in parts if at is not None)
        count = f"{self.sentences} sentence{'' if self.sentences == 1 else 's'}"
        weights = f" by {self.weights}" if self.weights else ""
        prepared = ", prepared" if times.prepared else ""
        return (
            f"{self.outcome}, {count}{weights}{prepared}; from the decision: {known or 'nothing'}"
        )
