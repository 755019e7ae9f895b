"""Traces one continuation: all the numbers that lead to each token, for `afterword explain`.

The whole context is read again for every token, as textbooks do. Until the context is full, the
logits are those of model.inference.engine with its key–value cache, but for the rounding of 8-bit
weights. The tokens are drawn by model.inference.sampler's own functions.

Letters in shapes: T tokens read, V vocabulary, C width, F hidden, K ids that a filter leaves.
"""

import codecs
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

import torch
from torch import Tensor, nn

from model.checkpoints.weights_file import Weights
from model.inference.generator import model_input
from model.inference.manner_mask import MannerMask
from model.inference.sampler import SamplingOptions, filter_logits, penalise, sample
from model.inference.utf8_mask import FORBIDDEN, Utf8Mask
from model.inference.word_boundary_mask import WordBoundaryMask
from model.text.manner import Manner
from model.text.orthography.names import names_in
from model.text.spoken_form import prepare_seed
from model.text.vocabulary import Vocabulary
from model.transformer import Transformer

_TEMPERATURE_ROWS = 6
_EXAMPLE_TEMPERATURE = 0.65  # instead of 0 and 1, which show nothing
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
class Candidate:
    """A token that could come next.

    Attributes:
        logit: the model's output for it.
        penalised: the logit after the repetition penalty.
        tempered: `penalised` divided by the temperature; `penalised` at temperature 0.
        probability: by softmax of `penalised`: temperature 1, no filter.
        tempered_probability: by softmax of `tempered`: no filter.
        draw_probability: with which it is drawn; 0 where a filter has left it out.
        completes: the characters that pending bytes and its own make; empty if none are pending.
        left_out_by: "new word", because it would go on with the seed's last word, or "top-k",
            "top-p", "min-p" or "temperature 0"; empty where it is kept.
    """

    token: Token
    logit: float
    penalised: float
    tempered: float
    probability: float
    tempered_probability: float
    draw_probability: float
    completes: str
    left_out_by: str


@dataclass(frozen=True)
class Step:
    """How one token was generated.

    Attributes:
        number: from 1.
        tokens: the number of tokens before it, the seed's included.
        read: T, the number of these that the model reads: the newest that fit into its context.
        shapes: of the output of each part of the model.
        logits: (V,) of the last position, on the CPU.
        candidates: the likeliest, and the drawn one if it is not among them.
        left: the number of ids that each mask and filter leaves, in order.
        drawn: the token.
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
    """A candidate's probability with the temperature T applied correctly and wrongly to logits z.

    Attributes:
        token: the candidate.
        probability: softmax(z), p.
        logits_divided: softmax(z / T), which is correct.
        power: p^(1/T), made to sum to 1: equal to `logits_divided`.
        probabilities_divided: p / T, made to sum to 1: p again, T cancels out.
        softmax_twice: softmax(p / T): close to 1 / V, whatever the logits.
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
        weights: the model and its vocabulary.
        sampling: how tokens are chosen.
        tokens: of the seed.
        steps: one for each token drawn.
        temperature: T, which `temperature_rows` applies to the logits of the first step.
        temperature_rows: the likeliest tokens.
        distributions: (V,) each, over all ids, by the names of TemperatureRow's fields.
    """

    seed: str
    weights: Weights
    sampling: SamplingOptions
    tokens: list[Token]
    steps: list[Step]
    temperature: float
    temperature_rows: list[TemperatureRow]
    distributions: dict[str, Tensor]


def make_trace(
    weights: Weights, seed: str, sampling: SamplingOptions, random_seed: int, count: int, top: int
) -> Trace:
    """Draw `count` tokens, or until the text ends, with the `top` likeliest candidates of each.

    Raises:
        GenerationError: the model computed numbers that are not finite.
    """
    vocabulary = weights.vocabulary
    sampling = sampling.cooled(Manner.from_table(weights.manner).temperature_factor)
    steps = list(islice(_steps(weights, seed, sampling, random_seed, top), count))
    instructive = sampling.temperature not in (0, 1)
    temperature = sampling.temperature if instructive else _EXAMPLE_TEMPERATURE
    rows, distributions = _temperature_rows(
        steps[0].logits, temperature, vocabulary, min(top, _TEMPERATURE_ROWS)
    )
    tokens = [_token(vocabulary, i) for i in _seed_ids(weights, seed)]
    return Trace(seed, weights, sampling, tokens, steps, temperature, rows, distributions)


def _token(vocabulary: Vocabulary, compact_id: int) -> Token:
    return Token(compact_id, vocabulary.spelling(compact_id), vocabulary.pieces[compact_id])


def _seed_ids(weights: Weights, seed: str) -> list[int]:
    """The model's input for a seed, as compact ids."""
    manner = Manner.from_table(weights.manner)
    return model_input(_prepared(weights, seed), manner, weights.vocabulary)


def _prepared(weights: Weights, seed: str) -> str:
    manner = Manner.from_table(weights.manner)
    names = names_in(weights.vocabulary.pieces) if manner.capitals else ()
    return prepare_seed(seed, manner, names)


def _steps(
    weights: Weights, seed: str, sampling: SamplingOptions, random_seed: int, top: int
) -> Iterator[Step]:
    """Continue the seed, one step for each token; the last one is `<|endoftext|>`."""
    model, vocabulary = weights.model, weights.vocabulary
    random = torch.Generator().manual_seed(random_seed)
    device = model.embedding.weight.device
    ids = _seed_ids(weights, seed)
    begin = len(ids)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = "".join(decoder.decode(vocabulary.pieces[i]) for i in ids)
    utf8_mask = Utf8Mask(vocabulary.pieces)
    word_boundary_mask = WordBoundaryMask(vocabulary.pieces)
    manner = Manner.from_table(weights.manner)
    manner_mask = MannerMask(vocabulary.pieces, vocabulary.end, manner)
    word_boundary_mask.reset(_prepared(weights, seed))
    while ids[-1] != vocabulary.end or len(ids) == begin:
        context = torch.tensor([ids[-model.config.context_length :]], device=device)  # (1, T)
        logits, shapes = _forward(model, context)  # (V,)
        whole = logits + utf8_mask.mask() + manner_mask.mask()  # (V,)
        words = word_boundary_mask.mask()  # (V,)
        recent = ids[begin:]
        drawn = sample(whole + words, recent, sampling, random)
        utf8_mask.feed(drawn)
        manner_mask.feed(drawn)
        word_boundary_mask.feed(drawn)
        ids.append(drawn)
        pending = decoder.getstate()[0]
        text += decoder.decode(vocabulary.pieces[drawn])
        candidates, left = _candidates(
            whole, words, recent, pending, sampling, drawn, vocabulary, top
        )
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
def _forward(model: Transformer, context: Tensor) -> tuple[Tensor, list[Shape]]:
    """Logits (V,) after context (1, T), on the CPU, and the shapes of the layers' outputs."""
    shapes = [Shape("ids", tuple(context.shape), "one sequence of T token ids")]

    def record(name: str, meaning: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda _module, _input, out: shapes.append(Shape(name, tuple(out.shape), meaning))

    meanings = {**_MEANINGS, f"blocks.{model.config.layers - 1}": "the stream after the last block"}
    hooks = [
        part.register_forward_hook(record(name, meanings[name]))
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


def _candidates(
    logits: Tensor,
    words: Tensor,
    recent: list[int],
    pending: bytes,
    sampling: SamplingOptions,
    drawn: int,
    vocabulary: Vocabulary,
    top: int,
) -> tuple[list[Candidate], dict[str, int]]:
    """The likeliest candidates by logits (V,), and the number of ids that each filter leaves.

    `words` (V,) is the mask of ids that would go on with the seed's last word; `recent` are the ids
    drawn so far; `pending` are the bytes of an incomplete character.
    """
    penalised = penalise(logits, recent, sampling.repetition_penalty)  # (V,)
    tempered = penalised / (sampling.temperature or 1)  # (V,)
    probability = penalised.softmax(dim=-1)  # (V,)
    tempered_probability = tempered.softmax(dim=-1)  # (V,)
    rows = penalised.topk(min(top, logits.numel())).indices.tolist()
    rows += [] if drawn in rows else [drawn]
    masked = tempered + words  # (V,)
    left = {"vocabulary": logits.numel(), "whole characters": _allowed(logits)}
    if words.any():
        left["new word"] = _allowed(logits + words)
    reason = {row: "new word" for row in rows if words[row]}
    draw_probabilities: dict[int, float] = {}
    for name, options in _filters(sampling).items():
        values, ids = filter_logits(masked, options)  # (K,) each
        draw_probabilities = dict(zip(ids.tolist(), values.softmax(dim=-1).tolist(), strict=True))
        left[name] = len(draw_probabilities)
        for row in rows:
            if row not in draw_probabilities:
                reason.setdefault(row, name)
    if sampling.temperature == 0:
        likeliest = int(masked.argmax())
        draw_probabilities, left["temperature 0"] = {likeliest: 1.0}, 1
        reason = {row: "temperature 0" for row in rows if row != likeliest} | reason
    candidates = [
        Candidate(
            _token(vocabulary, row),
            float(logits[row]),
            float(penalised[row]),
            float(tempered[row]),
            float(probability[row]),
            float(tempered_probability[row]),
            draw_probabilities.get(row, 0.0),
            _completed(pending, vocabulary.pieces[row]),
            reason.get(row, ""),
        )
        for row in rows
    ]
    return candidates, left


def _allowed(logits: Tensor) -> int:
    """The number of ids that masks have left in logits (V,)."""
    return int((logits > FORBIDDEN / 2).sum())


def _completed(pending: bytes, data: bytes) -> str:
    """The whole characters that pending bytes and a token's bytes make; else empty."""
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(pending + data)
    return text if pending and "\ufffd" not in text else ""


def _filters(sampling: SamplingOptions) -> dict[str, SamplingOptions]:
    """The filters in use by name, in the sampler's order, each with all those before it."""
    if sampling.temperature == 0:
        return {}
    options = replace(sampling, top_k=0, top_p=1.0, min_p=0.0)
    found = {}
    if sampling.top_k:
        options = found["top-k"] = replace(options, top_k=sampling.top_k)
    if sampling.top_p < 1:
        options = found["top-p"] = replace(options, top_p=sampling.top_p)
    if sampling.min_p > 0:
        options = found["min-p"] = replace(options, min_p=sampling.min_p)
    return found or {"no filter": options}


def _temperature_rows(
    logits: Tensor, temperature: float, vocabulary: Vocabulary, top: int
) -> tuple[list[TemperatureRow], dict[str, Tensor]]:
    """The likeliest ids by logits (V,) under each way to apply a temperature T; the distributions.

    softmax(z / T) is proportional to exp(z)^(1/T), so dividing logits takes powers of
    probabilities: ratios between them grow (T < 1) or shrink (T > 1). Dividing the probabilities
    themselves leaves their ratios as they are.
    """
    p = logits.double().softmax(dim=-1)  # (V,)
    distributions = {  # (V,) each
        "probability": p,
        "logits_divided": (logits.double() / temperature).softmax(dim=-1),
        "power": p ** (1 / temperature) / (p ** (1 / temperature)).sum(),
        "probabilities_divided": (p / temperature) / (p / temperature).sum(),
        "softmax_twice": (p / temperature).softmax(dim=-1),
    }
    rows = p.topk(min(top, p.numel())).indices.tolist()
    table = [
        TemperatureRow(
            _token(vocabulary, row),
            **{name: float(values[row]) for name, values in distributions.items()},
        )
        for row in rows
    ]
    return table, distributions
