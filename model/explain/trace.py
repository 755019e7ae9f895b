"""One continuation with all the numbers that led to it, for `python -m model.explain`.

It reads the whole context anew for every token, as textbooks do. Until the context is full, that
gives what model.inference.engine gives with kept keys and values, but for the rounding of 8-bit
weights. The choice itself is made by model.inference.sampler's own functions.
"""

import codecs
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

import torch
from torch import Tensor, nn

from model.checkpoints.weights_file import Weights
from model.inference.sampler import SamplingOptions, filter_logits, penalise, sample
from model.inference.utf8_mask import FORBIDDEN, Utf8Mask
from model.text.spoken_form import prepare_seed
from model.text.vocabulary import Vocabulary
from model.transformer import Transformer

_EXAMPLE_TEMPERATURE = 0.65  # in place of those that show nothing: 0 and 1
_MEANINGS = {
    "embedding": "a row of C numbers for each id",
    "blocks.0.norm1": "the same, scaled to length √C (RMSNorm)",
    "blocks.0.attention.qkv": "query, key and value of each position, all heads side by side",
    "blocks.0.attention.out": "what each position gathered from itself and those before it",
    "blocks.0.mlp.gate_up": "gate and value of the SwiGLU, 2F numbers",
    "blocks.0.mlp.down": "back to C numbers, added to the stream",
    "norm": "what the head reads, after all blocks",
}


@dataclass(frozen=True)
class Token:
    """A token: its compact id, its cl100k_base id and the bytes it stands for."""

    id: int
    cl100k_id: int
    data: bytes

    @property
    def text(self) -> str:
        """The bytes as text; those that form no whole character, and controls, are escaped."""
        if not self.data:
            return "<|endoftext|>"
        text = self.data.decode("utf-8", errors="backslashreplace")
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


@dataclass(frozen=True)
class Shape:
    """What one part of the model gave: its name, its shape and what that means."""

    name: str
    shape: tuple[int, ...]
    meaning: str


@dataclass(frozen=True)
class Candidate:
    """A token that could come next.

    Attributes:
        logit: the model's number for it.
        penalised: the same, smaller if it was said lately.
        tempered: `penalised` divided by the temperature; the same at temperature 0.
        plain: its probability by `penalised`, at temperature 1 with no filter.
        warm: its probability by `tempered`, with no filter.
        chance: its probability in the draw; 0 where a filter has left it out.
        completes: the characters it makes of bytes that wait and its own; empty if none wait.
        left_out_by: "top-k", "top-p", "min-p" or "temperature 0"; empty where it stays.
    """

    token: Token
    logit: float
    penalised: float
    tempered: float
    plain: float
    warm: float
    chance: float
    completes: str
    left_out_by: str


@dataclass(frozen=True)
class Step:
    """How one token came about.

    Attributes:
        number: from 1.
        tokens: how many there are so far, the seed's and those drawn.
        read: T, how many of them the model reads: the newest that fit into its context.
        shapes: what each part of the model gave.
        logits: (V,) of the last position, on the CPU.
        candidates: the likeliest, and the drawn one if it is not among them.
        left: how many ids each filter leaves, in order.
        drawn: the token that came.
        text: seed and continuation so far, whole characters only.
    """

    number: int
    tokens: int
    read: int
    shapes: list[Shape]
    logits: Tensor
    candidates: list[Candidate]
    left: dict[str, int]
    drawn: Token
    text: str


@dataclass(frozen=True)
class TemperatureRow:
    """A candidate's probability when the temperature T is applied rightly and wrongly.

    Attributes:
        plain: softmax(z), p.
        right: softmax(z / T).
        power: p^(1/T), made to sum to 1: the same as `right`.
        scaled: p / T, made to sum to 1: p again, T cancels out.
        twice: softmax(p / T): close to 1 / V, whatever the model thinks.
    """

    token: Token
    plain: float
    right: float
    power: float
    scaled: float
    twice: float


@dataclass(frozen=True)
class Trace:
    """A whole walkthrough.

    Attributes:
        seed: as it was given.
        weights: the model.
        sampling: how tokens are chosen.
        tokens: those of the seed.
        steps: those drawn.
        temperature: the one that `heats` apply to the logits of the first step.
        heats: the likeliest tokens.
        ways: (V,) all probabilities, by the names of Heat's.
    """

    seed: str
    weights: Weights
    sampling: SamplingOptions
    tokens: list[Token]
    steps: list[Step]
    temperature: float
    heats: list[TemperatureRow]
    ways: dict[str, Tensor]


def make_lesson(
    weights: Weights, seed: str, sampling: SamplingOptions, random_seed: int, count: int, top: int
) -> Trace:
    """Draw `count` tokens, or until the text ends, with the `top` likeliest candidates of each.

    Raises:
        GenerationError: the model computed numbers that are not finite.
    """
    vocabulary = weights.vocabulary
    steps = list(islice(_walk(weights, seed, sampling, random_seed, top), count))
    shown = sampling.temperature not in (0, 1)
    temperature = sampling.temperature if shown else _EXAMPLE_TEMPERATURE
    heats, ways = _heat(steps[0].logits, temperature, vocabulary, min(top, 6))
    tokens = [_token(vocabulary, i) for i in _seed_ids(vocabulary, seed)]
    return Trace(seed, weights, sampling, tokens, steps, temperature, heats, ways)


def _token(vocabulary: Vocabulary, number: int) -> Token:
    return Token(number, int(vocabulary.kept[number]), vocabulary.pieces[number])


def _seed_ids(vocabulary: Vocabulary, seed: str) -> list[int]:
    """The compact ids that the model gets for a seed: `<|endoftext|>` begins every text."""
    return [vocabulary.end, *vocabulary.encode(prepare_seed(seed))]


def _walk(
    weights: Weights, seed: str, sampling: SamplingOptions, random_seed: int, top: int
) -> Iterator[Step]:
    """Continue the seed token by token, telling how; ends after `<|endoftext|>`."""
    model, vocabulary = weights.model, weights.vocabulary
    random = torch.Generator().manual_seed(random_seed)
    device = model.embedding.weight.device
    ids = _seed_ids(vocabulary, seed)
    begin = len(ids)
    spelling = codecs.getincrementaldecoder("utf-8")("replace")
    text = "".join(spelling.decode(vocabulary.pieces[i]) for i in ids)
    characters = Utf8Mask(vocabulary.pieces)
    while ids[-1] != vocabulary.end or len(ids) == begin:
        context = torch.tensor([ids[-model.config.context_length :]], device=device)  # (1, T)
        logits, shapes = _compute(model, context)  # (V,)
        fitting = logits + characters.mask()  # (V,)
        recent = ids[begin:]
        drawn = sample(fitting, recent, sampling, random)
        characters.feed(drawn)
        ids.append(drawn)
        waiting = spelling.getstate()[0]
        text += spelling.decode(vocabulary.pieces[drawn])
        candidates, left = _weigh(fitting, recent, waiting, sampling, drawn, vocabulary, top)
        yield Step(
            number=len(ids) - begin,
            tokens=len(ids) - 1,
            read=context.size(1),
            shapes=shapes,
            logits=logits,
            candidates=candidates,
            left=left,
            drawn=_token(vocabulary, drawn),
            text=text,
        )


@torch.inference_mode()
def _compute(model: Transformer, context: Tensor) -> tuple[Tensor, list[Shape]]:
    """The logits (V,) after context (1, T), on the CPU, and the shapes on the way to them."""
    shapes = [Shape("ids", tuple(context.shape), "one sequence of T token ids")]

    def note(name: str, meaning: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda _module, _input, out: shapes.append(Shape(name, tuple(out.shape), meaning))

    meanings = {**_MEANINGS, f"blocks.{model.config.layers - 1}": "the stream after the last block"}
    hooks = [
        part.register_forward_hook(note(name, meanings[name]))
        for name, part in model.named_modules()
        if name in meanings
    ]
    try:
        logits = model(context)  # (1, T, V)
    finally:
        for hook in hooks:
            hook.remove()
    last = logits[:, -1, :]  # (1, V)
    shapes.append(Shape("logits", tuple(logits.shape), "a number for each id at each position"))
    shapes.append(Shape("logits[:, -1]", tuple(last.shape), "only the last position counts"))
    return last[0].float().cpu(), shapes


def _weigh(
    logits: Tensor,
    recent: list[int],
    waiting: bytes,
    sampling: SamplingOptions,
    drawn: int,
    vocabulary: Vocabulary,
    top: int,
) -> tuple[list[Candidate], dict[str, int]]:
    """The likeliest candidates by logits (V,), and how many ids each filter leaves.

    `recent` are the ids drawn so far; `waiting` are bytes that form no whole character yet.
    """
    penalised = penalise(logits, recent, sampling.repetition_penalty)  # (V,)
    tempered = penalised / (sampling.temperature or 1)  # (V,)
    plain, warm = penalised.softmax(dim=-1), tempered.softmax(dim=-1)  # (V,) each
    rows = penalised.topk(min(top, logits.numel())).indices.tolist()
    rows += [] if drawn in rows else [drawn]
    whole = int((logits > FORBIDDEN / 2).sum())
    left: dict[str, int] = {"vocabulary": logits.numel(), "whole characters": whole}
    reason: dict[int, str] = {}
    chances: dict[int, float] = {}
    for name, options in _filters(sampling).items():
        values, ids = filter_logits(tempered, options)  # (K,) each
        chances = dict(zip(ids.tolist(), values.softmax(dim=-1).tolist(), strict=True))
        left[name] = len(chances)
        for row in rows:
            if row not in chances:
                reason.setdefault(row, name)
    if sampling.temperature == 0:
        likeliest = int(penalised.argmax())
        chances, left["temperature 0"] = {likeliest: 1.0}, 1
        reason |= {row: "temperature 0" for row in rows if row != likeliest}
    candidates = [
        Candidate(
            _token(vocabulary, row),
            float(logits[row]),
            float(penalised[row]),
            float(tempered[row]),
            float(plain[row]),
            float(warm[row]),
            chances.get(row, 0.0),
            _completed(waiting, vocabulary.pieces[row]),
            reason.get(row, ""),
        )
        for row in rows
    ]
    return candidates, left


def _completed(waiting: bytes, data: bytes) -> str:
    """The whole characters that waiting bytes and those of a token make."""
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(waiting + data)
    return text if waiting and "\ufffd" not in text else ""


def _filters(sampling: SamplingOptions) -> dict[str, SamplingOptions]:
    """The filters in force, each with those before it, in the sampler's order."""
    if sampling.temperature == 0:
        return {}
    none = replace(sampling, top_k=0, top_p=1.0, min_p=0.0)
    found = {}
    if sampling.top_k:
        none = found["top-k"] = replace(none, top_k=sampling.top_k)
    if sampling.top_p < 1:
        none = found["top-p"] = replace(none, top_p=sampling.top_p)
    if sampling.min_p > 0:
        none = found["min-p"] = replace(none, min_p=sampling.min_p)
    return found or {"no filter": none}


def _heat(
    logits: Tensor, temperature: float, vocabulary: Vocabulary, top: int
) -> tuple[list[TemperatureRow], dict[str, Tensor]]:
    """The likeliest by logits (V,) under each way to apply a temperature; all of them, (V,) each.

    softmax(z / T) is proportional to exp(z)^(1/T), so dividing logits takes powers of
    probabilities: ratios between them grow (T < 1) or shrink (T > 1). Dividing the probabilities
    themselves leaves their ratios as they are.
    """
    p = logits.double().softmax(dim=-1)  # (V,)
    ways = {
        "plain": p,
        "right": (logits.double() / temperature).softmax(dim=-1),
        "power": p ** (1 / temperature) / (p ** (1 / temperature)).sum(),
        "scaled": (p / temperature) / (p / temperature).sum(),
        "twice": (p / temperature).softmax(dim=-1),
    }
    rows = p.topk(min(top, p.numel())).indices.tolist()
    table = [
        TemperatureRow(
            _token(vocabulary, row), **{way: float(values[row]) for way, values in ways.items()}
        )
        for row in rows
    ]
    return table, ways
