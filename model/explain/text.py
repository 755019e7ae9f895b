"""Renders a trace as lines of text and as JSON."""

import json
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from model.checkpoints.weights_file import Weights
from model.explain.trace import Candidate, Step, Token, Trace

Row = Sequence[str]

_JSON_KEYS = {
    "probability": "plain",
    "tempered_probability": "warm",
    "draw_probability": "chance",
    "logits_divided": "right",
    "probabilities_divided": "scaled",
    "softmax_twice": "twice",
}
"""Fields of a trace whose keys in JSON are older than their names; programs may read them."""


def render(trace: Trace) -> Iterator[str]:
    """The whole trace as text, line by line."""
    yield from _render_seed(trace)
    for step in trace.steps:
        yield from _render_step(step, trace)
        if step.number == 1:
            yield from _render_temperature(trace)


def as_json(trace: Trace) -> str:
    """The whole trace as one JSON object; bytes in hexadecimal, without the logits of all ids."""
    return json.dumps(
        {
            "seed": trace.seed,
            "tokens": _json_value(trace.tokens),
            "model": asdict(trace.weights.model.config),
            "sampling": _json_value(trace.sampling),
            "steps": _json_value(trace.steps),
            "temperature": {
                "temperature": trace.temperature,
                "candidates": _json_value(trace.temperature_rows),
            },
        },
        ensure_ascii=False,
    )


def _json_value(value: Any) -> Any:
    """The value in types of JSON; a token gets its text in addition."""
    if is_dataclass(value) and not isinstance(value, type):
        items = {f.name: getattr(value, f.name) for f in fields(value) if f.name != "logits"}
        items |= {"text": value.text} if isinstance(value, Token) else {}
        return {_JSON_KEYS.get(name, name): _json_value(item) for name, item in items.items()}
    if isinstance(value, bytes):
        return value.hex(" ")
    return [_json_value(item) for item in value] if isinstance(value, list) else value


def _render_seed(trace: Trace) -> Iterator[str]:
    """The tokens of the seed, and the sizes of the model."""
    c = trace.weights.stored.config
    yield f"The seed “{trace.seed}” as tokens; <|endoftext|> begins every text:"
    rows = [
        (_quoted(t), _bytes(t), " ".join(map(str, t.cl100k_ids)), str(t.id)) for t in trace.tokens
    ]
    yield from _table(("text", "bytes", "cl100k_base", "id"), rows, left=(0, 1))
    yield _vocabulary_of(trace.weights)
    yield (
        f"T tokens are read, V = {c.vocabulary_size} ids, C = {c.width} wide, F = {c.hidden} "
        f"hidden; {c.layers} layers, {c.heads} heads, context {c.context_length}."
    )


def _vocabulary_of(weights: Weights) -> str:
    """Where the model's ids come from."""
    if weights.vocabulary.lengths.size:
        several = int((weights.vocabulary.lengths > 1).sum())
        return (
            f"The model has the {weights.vocabulary.size:,} pieces of its own tokenizer as ids; "
            f"{several:,} of them are spelt by several ids of cl100k_base, the others by one."
        )
    return (
        f"The model keeps {weights.vocabulary.size:,} of cl100k_base's 100,257 ids and numbers "
        "them anew; others fall into smaller pieces that it keeps, in the end into single bytes."
    )


def _render_step(step: Step, trace: Trace) -> Iterator[str]:
    """One token: context, shapes, candidates, filters and the draw."""
    context = trace.weights.model.config.context_length
    cropped = step.tokens - step.read
    yield ""
    yield f"Token {step.number}"
    yield (
        f"  crop: {step.tokens} tokens so far, the context holds {context}; "
        + (f"the oldest {cropped} are left out" if cropped else "all are read")
    )
    shapes = [(s.name, f"[{', '.join(map(str, s.shape))}]", s.meaning) for s in step.shapes]
    yield from _table(("part", "shape", "meaning"), shapes, left=(0, 1, 2))
    yield f"  the likeliest at the last position; T = {trace.sampling.temperature:g}:"
    head = ("text", "id", "logit z", "penalised", "z / T", "softmax(z)", "softmax(z/T)", "chance")
    rows = [_candidate_row(c, step) for c in step.candidates]
    yield from _table((*head, ""), rows, left=(0, 8))
    yield "  left: " + ", then ".join(f"{count:,} ({name})" for name, count in step.left.items())
    yield f"  drawn: {_quoted(step.drawn)}, bytes {_bytes(step.drawn)}"
    yield f"  text:  {step.text}"


def _candidate_row(c: Candidate, step: Step) -> Row:
    return (
        _quoted(c.token) + (f" → {c.completes}" if c.completes else ""),
        str(c.token.id),
        f"{c.logit:.3f}",
        f"{c.penalised:.3f}" if c.penalised != c.logit else "",
        f"{c.tempered:.3f}",
        f"{c.probability:.4f}",
        f"{c.tempered_probability:.4f}",
        f"{c.draw_probability:.4f}" if c.draw_probability else "0",
        "← drawn" if c.token == step.drawn else c.left_out_by and f"out by {c.left_out_by}",
    )


def _render_temperature(trace: Trace) -> Iterator[str]:
    """The table that shows why the temperature divides logits."""
    yield ""
    yield (
        "Why the temperature T divides the logits z and not the probabilities p = softmax(z); "
        f"here T = {trace.temperature:g}:"
    )
    rows = [
        (_quoted(row.token), *(f"{getattr(row, name):.6f}" for name in trace.distributions))
        for row in trace.temperature_rows
    ]
    head = ("text", "p", "softmax(z/T)", "p^(1/T) to sum 1", "p/T to sum 1", "softmax(p/T)")
    yield from _table(head, rows, left=(0,))
    yield (
        "  softmax(z/T) is p^(1/T), made to sum to 1: T < 1 makes the likely likelier, T > 1 evens "
        "out, the order stays."
    )
    yield "  From p/T, made to sum to 1, T cancels out: it is p again."
    yield (
        "  softmax(p/T) makes all ids nearly alike: p/T lies between 0 and 1/T, so no exp(p/T) is "
        "far from another."
    )


def _table(head: Row, rows: Sequence[Row], left: tuple[int, ...]) -> Iterator[str]:
    """Lines of a table; the columns `left` are aligned left, all others right."""
    widths = [max(map(_width, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        cells = []
        for at, (cell, width) in enumerate(zip(row, widths, strict=True)):
            blank = " " * (width - _width(cell))
            cells.append(cell + blank if at in left else blank + cell)
        yield f"    {'  '.join(cells)}".rstrip()


def _width(text: str) -> int:
    """Columns on a terminal: a Chinese character takes two, a combining mark none."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) > 0 for c in text)


def _quoted(token: Token) -> str:
    return f"“{token.text}”"


def _bytes(token: Token) -> str:
    return token.data.hex(" ") or "none"
