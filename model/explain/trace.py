"""What a traced continuation is: all the numbers that lead to each token.

Letters in shapes: T tokens read, W the newest of them (at most `SHOWN`), V vocabulary, C width,
F hidden, H heads, L layers.
"""

from dataclasses import dataclass

from torch import Tensor

from model.checkpoints.weights_file import Weights
from model.inference.sampler import SamplingOptions

SHOWN = 12
"""The most positions whose numbers a picture shows: the newest."""


@dataclass(frozen=True)
class Token:
    """A token: its compact id, the cl100k_base ids that spell it and the bytes it stands for."""

    id: int
    cl100k_ids: tuple[int, ...]
    data: bytes

    @property
    def text(self) -> str:
        """The bytes as text; control characters and bytes of incomplete ones are escaped."""
        if not self.data:
            return "<|endoftext|>"
        text = self.data.decode("utf-8", errors="backslashreplace")
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


@dataclass(frozen=True)
class Shape:
    """The output of one part of the model: the part's name, the shape and its meaning."""

    name: str
    shape: tuple[int, ...]
    meaning: str


@dataclass(frozen=True)
class Inside:
    """What the model computed on its way to the logits, of the newest positions.

    Attributes:
        shapes: of the output of each part.
        embeddings: (W, C), the row of each id.
        attention: (L, H, W, W), how much each position (row) gathers from each (column). A row sums
            to less than 1 where older positions are not shown.
        guesses: at each of the W positions the likeliest next id, and its logit.
    """

    shapes: list[Shape]
    embeddings: Tensor
    attention: Tensor
    guesses: list[tuple[int, float]]


@dataclass(frozen=True)
class Candidate:
    """A token that could come next.

    Attributes:
        logit: the model's output for it.
        penalised: the logit after the repetition penalty.
        tempered: `penalised` divided by the temperature; None at temperature 0, which divides none.
        probability: by softmax of `penalised`: temperature 1, no mask, no filter.
        tempered_probability: by softmax of `tempered`: no mask, no filter; None at temperature 0.
        draw_probability: with which it is drawn; 0 where a mask or a filter has left it out.
        cumulative: of the ids that are left, in the order of the filters, the sum of the
            probabilities before this one, and with it: a random number between the two draws it.
            None where it is left out, and at temperature 0, which draws no number.
        completes: the characters that pending bytes and its own make; empty if none are pending.
        left_out_by: what left it out, a key of `Step.left`; empty where it is kept.
    """

    token: Token
    logit: float
    penalised: float
    tempered: float | None
    probability: float
    tempered_probability: float | None
    draw_probability: float
    cumulative: tuple[float, float] | None
    completes: str
    left_out_by: str


@dataclass(frozen=True)
class Step:
    """How one token was generated.

    Attributes:
        number: from 1.
        tokens: the number of tokens before it, the seed's included.
        read: T, the number of these that the model reads: the newest that fit into its context.
        inside: what the model computed.
        logits: (V,) of the last position, on the CPU.
        candidates: the likeliest, and the drawn one if it is not among them.
        left: the number of ids that remain after each mask and filter, in the order in which these
            are applied: "vocabulary" (all), "whole characters" (bytes that make one), "new word"
            (nothing that goes on with the seed's last word), "manner" (what the weights never say),
            "top-k", "top-p" and "min-p", or "temperature 0" in place of these three.
        random_number: from 0 to 1, drawn by the random generator; None at temperature 0.
        drawn: the token.
        text: seed and continuation so far, whole characters only.
    """

    number: int
    tokens: int
    read: int
    inside: Inside
    logits: Tensor
    candidates: list[Candidate]
    left: dict[str, int]
    random_number: float | None
    drawn: Token
    text: str

    @property
    def drawn_candidate(self) -> Candidate:
        """The candidate that was drawn."""
        return next(c for c in self.candidates if c.token == self.drawn)


@dataclass(frozen=True)
class TemperatureRow:
    """A candidate's probability with the temperature applied correctly and wrongly to logits z.

    Attributes:
        token: the candidate.
        probability: softmax(z), p.
        logits_divided: softmax(z / temperature), which is correct.
        power: p^(1 / temperature), made to sum to 1: equal to `logits_divided`.
        probabilities_divided: p / temperature, made to sum to 1: p again, the temperature cancels
            out.
        softmax_twice: softmax(p / temperature): close to 1 / V, whatever the logits.
    """

    token: Token
    probability: float
    logits_divided: float
    power: float
    probabilities_divided: float
    softmax_twice: float


@dataclass(frozen=True)
class Trace:
    """A continuation with all its numbers.

    Attributes:
        seed: as it was given.
        opening: what the weights' manner puts before this seed; empty if nothing.
        text: as the model reads it, with the opening.
        weights: the model and its vocabulary.
        sampling: how tokens are chosen.
        random_seed: of the random numbers.
        tokens: of the seed.
        steps: one for each token drawn.
        temperature: which `temperature_rows` applies to the logits of the first step.
        temperature_rows: the likeliest tokens.
        distributions: (V,) each, over all ids, by the names of TemperatureRow's fields.
    """

    seed: str
    opening: str
    text: str
    weights: Weights
    sampling: SamplingOptions
    random_seed: int
    tokens: list[Token]
    steps: list[Step]
    temperature: float
    temperature_rows: list[TemperatureRow]
    distributions: dict[str, Tensor]

    def tokens_before(self, step: Step) -> list[Token]:
        """The tokens of the seed, and those drawn before this step."""
        return [*self.tokens, *(earlier.drawn for earlier in self.steps[: step.number - 1])]
