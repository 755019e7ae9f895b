"""The times of one reply."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class TurnTimings:
    """When a reply came about, in seconds since its seed was decided upon; None: it never did.

    What came before the decision is negative: the last voice always, and what was prepared.

    Attributes:
        last_voice_seconds: the end of the user's last word; None for a typed seed.
        first_token_seconds: the model has chosen its first token.
        first_sentence_seconds: the first sentence, or the first clause, is complete.
        first_sound_seconds: the first sample leaves the loudspeaker.
        seconds: all is over.
        prepared: whether it was begun while the user might still have gone on.
    """

    last_voice_seconds: float | None = None
    first_token_seconds: float | None = None
    first_sentence_seconds: float | None = None
    first_sound_seconds: float | None = None
    seconds: float | None = None
    prepared: bool = False


@dataclass(frozen=True)
class TurnRecord:
    """One reply: its number, how far it came, and its times once it is over."""

    number: int
    sentences: int = 0
    outcome: str = "under way"
    times: TurnTimings = field(default_factory=TurnTimings)

    def in_words(self) -> str:
        """A line without any word of what was said."""
        times = self.times
        parts = [
            ("last voice", times.last_voice_seconds),
            ("first token", times.first_token_seconds),
            ("first sentence", times.first_sentence_seconds),
            ("first sound", times.first_sound_seconds),
            ("end", times.seconds),
        ]
        told = ", ".join(f"{name} {at:+.2f} s" for name, at in parts if at is not None)
        count = f"{self.sentences} sentence{'' if self.sentences == 1 else 's'}"
        prepared = ", prepared" if times.prepared else ""
        return f"{self.outcome}, {count}{prepared}; from the decision: {told or 'nothing'}"
