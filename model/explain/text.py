"""A walkthrough as lines of text and as JSON."""

import json
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from model.explain.trace import Candidate, Step, Token, Trace

Row = Sequence[str]


def tell(lesson: Trace) -> Iterator[str]:
    """The whole walkthrough, line by line."""
    yield from _tell_seed(lesson)
    for step in lesson.steps:
        yield from _tell_step(step, lesson)
        if step.number == 1:
            yield from _tell_heat(lesson)


def as_json(lesson: Trace) -> str:
    """The same as one JSON object; bytes in hexadecimal, without the logits of all ids."""
    return json.dumps(
        {
            "seed": lesson.seed,
            "tokens": _plain(lesson.tokens),
            "model": asdict(lesson.weights.model.config),
            "sampling": _plain(lesson.sampling),
            "steps": _plain(lesson.steps),
            "temperature": {"temperature": lesson.temperature, "candidates": _plain(lesson.heats)},
        },
        ensure_ascii=False,
    )


def _plain(value: Any) -> Any:
    """What JSON knows; a token also tells its text."""
    if is_dataclass(value) and not isinstance(value, type):
        found = {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
        found.pop("logits", None)
        return {**found, "text": value.text} if isinstance(value, Token) else found
    if isinstance(value, bytes):
        return value.hex(" ")
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _tell_seed(lesson: Trace) -> Iterator[str]:
    """How the seed becomes ids."""
    c = lesson.weights.model.config
    yield f"The seed “{lesson.seed}” as tokens; <|endoftext|> begins every text:"
    rows = [(_quoted(t), _bytes(t), str(t.cl100k_id), str(t.id)) for t in lesson.tokens]
    yield from _table(("text", "bytes", "cl100k_base", "id"), rows, left=(0, 1))
    yield (
        f"The model keeps {c.vocabulary_size:,} of cl100k_base's 100,257 ids and numbers them "
        "anew; others fall into smaller pieces that it keeps, in the end into single bytes."
    )
    yield (
        f"T tokens are read, V = {c.vocabulary_size} ids, C = {c.width} wide, F = {c.hidden} "
        f"hidden; {c.layers} layers, {c.heads} heads, context {c.context_length}."
    )


def _tell_step(step: Step, lesson: Trace) -> Iterator[str]:
    """How one token came about."""
    context = lesson.weights.model.config.context_length
    cropped = step.tokens - step.read
    yield ""
    yield f"Token {step.number}"
    yield (
        f"  crop: {step.tokens} tokens so far, the context holds {context}; "
        + (f"the oldest {cropped} are left out" if cropped else "all are read")
    )
    shapes = [(s.name, f"[{', '.join(map(str, s.shape))}]", s.meaning) for s in step.shapes]
    yield from _table(("part", "shape", "meaning"), shapes, left=(0, 1, 2))
    yield f"  the likeliest at the last position; T = {lesson.sampling.temperature:g}:"
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
        f"{c.plain:.4f}",
        f"{c.warm:.4f}",
        f"{c.chance:.4f}" if c.chance else "0",
        "← drawn" if c.token == step.drawn else c.left_out_by and f"out by {c.left_out_by}",
    )


def _tell_heat(lesson: Trace) -> Iterator[str]:
    """Why the temperature divides logits."""
    yield ""
    yield (
        "Why the temperature T divides the logits z and not the probabilities p = softmax(z); "
        f"here T = {lesson.temperature:g}:"
    )
    rows = [
        (_quoted(h.token), *(f"{x:.6f}" for x in (h.plain, h.right, h.power, h.scaled, h.twice)))
        for h in lesson.heats
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
    """Lines of a table; the columns `left` begin alike, all others end alike."""
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
