"""Renders a trace as lines of text and as JSON."""

import json
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from torch import Tensor

from model.checkpoints.weights_file import Weights
from model.explain.trace import Step, Token, Trace

Row = Sequence[str]

_SMALL_SHARE = 0.001  # of the cumulative chances: its ends need more digits to differ

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
    """The value in types of JSON, without tensors; a token gets its text in addition."""
    if is_dataclass(value) and not isinstance(value, type):
        items = {f.name: getattr(value, f.name) for f in fields(value)}
        if isinstance(value, Step):
            items["shapes"] = items.pop("inside").shapes
        if isinstance(value, Token):
            items["text"] = value.text
        items = {name: item for name, item in items.items() if not isinstance(item, Tensor)}
        return {_JSON_KEYS.get(name, name): _json_value(item) for name, item in items.items()}
    if isinstance(value, bytes):
        return value.hex(" ")
    return [_json_value(item) for item in value] if isinstance(value, list) else value


def _render_seed(trace: Trace) -> Iterator[str]:
    """The tokens of the seed, and the sizes of the model."""
    c = trace.weights.stored.config
    yield f"The seed “{trace.seed}” as tokens; <|endoftext|> begins every text:"
    if trace.opening:
        yield f"These weights read “{trace.opening.strip()}” before it."
    rows = [
        (quoted(t), _bytes(t), " ".join(map(str, t.cl100k_ids)), str(t.id)) for t in trace.tokens
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
    shapes = [(s.name, f"[{', '.join(map(str, s.shape))}]", s.meaning) for s in step.inside.shapes]
    yield from _table(("part", "shape", "meaning"), shapes, left=(0, 1, 2))
    yield f"  the likeliest at the last position; temperature {trace.sampling.temperature:g}:"
    yield from _candidate_table(step, trace.sampling.temperature)
    yield "  left: " + ", then ".join(f"{count:,} ({name})" for name, count in step.left.items())
    yield f"  draw:  {_describe_draw(step)}"
    yield f"  drawn: {quoted(step.drawn)}, bytes {_bytes(step.drawn)}"
    yield f"  text:  {step.text}"


def _candidate_table(step: Step, temperature: float) -> Iterator[str]:
    """The candidates; at temperature 0, which divides nothing, without the columns of division."""
    found = step.candidates
    columns = {
        "text": [quoted(c.token) + (f" → {c.completes}" if c.completes else "") for c in found],
        "id": [str(c.token.id) for c in found],
        "logit z": [f"{c.logit:.3f}" for c in found],
        "penalised": [f"{c.penalised:.3f}" if c.penalised != c.logit else "" for c in found],
        f"z ÷ {temperature:g}": [_number(c.tempered, 3) for c in found],
        "softmax(z)": [_number(c.probability) for c in found],
        f"softmax(z ÷ {temperature:g})": [_number(c.tempered_probability) for c in found],
        "chance": [_number(c.draw_probability or None) or "0" for c in found],
        "cumulative": ["–".join(_number(n) for n in c.cumulative or ()) for c in found],
        "": [
            "← drawn" if c.token == step.drawn else c.left_out_by and f"out by {c.left_out_by}"
            for c in found
        ],
    }
    if temperature == 0:
        names = ("text", "id", "logit z", "penalised", "softmax(z)", "chance", "")
        columns = {name: columns[name] for name in names}
    rows = list(zip(*columns.values(), strict=True))
    yield from _table(list(columns), rows, left=(0, len(columns) - 1))


def _number(value: float | None, digits: int = 4) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _describe_draw(step: Step) -> str:
    """The random number, and whose share it falls into."""
    share = step.drawn_candidate.cumulative
    if step.random_number is None or share is None:
        return "no random number; temperature 0 takes the likeliest id that is left"
    digits = 4 if share[1] - share[0] > _SMALL_SHARE else 9
    number, begin, end = (_number(n, digits) for n in (step.random_number, *share))
    return (
        f"the random number {number} falls between {begin} and {end} of the cumulative chances, "
        f"the share of {quoted(step.drawn)}"
    )


def _render_temperature(trace: Trace) -> Iterator[str]:
    """The table that shows why the temperature divides logits."""
    t = f"{trace.temperature:g}"
    yield ""
    yield (
        "Why the temperature divides the logits z and not the probabilities p = softmax(z); "
        f"here it is {t}:"
    )
    rows = [
        (quoted(row.token), *(f"{getattr(row, name):.6f}" for name in trace.distributions))
        for row in trace.temperature_rows
    ]
    head = (
        *("text", "p", f"softmax(z ÷ {t})", f"p^(1 ÷ {t}) to sum 1"),
        *(f"p ÷ {t} to sum 1", f"softmax(p ÷ {t})"),
    )
    yield from _table(head, rows, left=(0,))
    yield (
        f"  softmax(z ÷ {t}) is p^(1 ÷ {t}), made to sum to 1: below 1 the temperature makes the "
        "likely likelier, above 1 it evens out, the order stays."
    )
    yield f"  From p ÷ {t}, made to sum to 1, the temperature cancels out: it is p again."
    yield (
        f"  softmax(p ÷ {t}) makes all ids nearly alike: p ÷ {t} lies between 0 and 1 ÷ {t}, so "
        "its exponentials are close to each other."
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


def quoted(token: Token) -> str:
    """The token's text between quotation marks, which show blanks at its ends."""
    return f"“{token.text}”"


def _bytes(token: Token) -> str:
    return token.data.hex(" ") or "none"
