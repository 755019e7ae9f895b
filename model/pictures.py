"""Pictures (PNG) with matplotlib, an extra: candidates of a token, temperatures, loss curves.

Figures are drawn with the Agg canvas of their own, without pyplot and its global state. Characters
that no font of this machine has are written as their bytes, never as empty boxes.
"""

import functools
import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from config.errors import MissingPackageError
from model.walkthrough import Lesson, Step

_BLUE, _ORANGE, _GREY, _GREEN = "#3b6ea5", "#d9822b", "#c4c4c4", "#3f8f4f"
_FONT = "DejaVu Sans"  # comes with matplotlib


def _matplotlib() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise MissingPackageError(
            'Pictures need matplotlib; `pip install "afterword[train]"` brings it.'
        ) from error
    return matplotlib


def labels(texts: Sequence[tuple[str, bytes]]) -> tuple[list[str], list[str]]:
    """Texts that the fonts here can draw, bytes in their place where not; and those fonts.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    family = [_FONT]
    glyphs = set(_glyphs(_font_file(_FONT)))
    wanted = {ord(c) for text, _ in texts for c in text} - glyphs
    if wanted and (found := _best_font(frozenset(wanted))):
        family.append(found)
        glyphs |= _glyphs(_font_file(found))
    readable = [
        text if all(ord(c) in glyphs for c in text) else data.hex(" ") for text, data in texts
    ]
    return [text.replace("$", r"\$") for text in readable], family


def _best_font(wanted: frozenset[int]) -> str | None:
    """The installed font that has most of these characters, if one has any."""
    manager = _font_manager().fontManager
    counts = {}
    for entry in manager.ttflist:
        boxes = entry.name.startswith("Last Resort")  # it draws one for everything there is
        if entry.style == "normal" and entry.name not in counts and not boxes:
            counts[entry.name] = len(wanted & _glyphs(entry.fname))
    best = max(counts, key=lambda name: counts[name], default=None)
    return best if best and counts[best] else None


def _font_manager() -> Any:
    _matplotlib()
    from matplotlib import font_manager

    return font_manager


def _font_file(name: str) -> str:
    manager = _font_manager()
    return str(manager.findfont(manager.FontProperties(family=name)))


@functools.cache
def _glyphs(file: str) -> frozenset[int]:
    """The code points that a font has; none where it cannot be read."""
    try:
        return frozenset(_font_manager().get_font(file).get_charmap())
    except (OSError, RuntimeError, TypeError):
        return frozenset()


def _in_fonts(family: list[str]) -> "AbstractContextManager[None]":
    """Drawing with these fonts, each where those before it lack a character."""
    context: AbstractContextManager[None] = _matplotlib().rc_context({"font.family": family})
    return context


def _figure(width: float, height: float, parts: int) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    return figure, figure.subplots(1, parts, squeeze=False)[0]


def _png(figure: Any) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_figure(buffer, format="png")
    return buffer.getvalue()


def candidates_picture(step: Step, temperature: float) -> bytes:
    """The candidates of one step: logits, probabilities, and what the filters leave (PNG).

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    rows = step.candidates
    names, family = labels([(c.completes or c.token.text, c.token.data) for c in rows])
    (title,), more = labels([(_shortened(step.text), b"")])
    places = range(len(rows))
    with _in_fonts([*family, *more[1:]]):
        figure, (logits, warm, chance) = _figure(13, 1.2 + 0.3 * len(rows), 3)
        logits.barh(places, [c.penalised for c in rows], color=_BLUE)
        logits.set_title("1. logits of the last position")
        height = 0.4
        warm.barh(
            [p - height / 2 for p in places],
            [c.plain for c in rows],
            height,
            color=_GREY,
            label="softmax(z)",
        )
        warm.barh(
            [p + height / 2 for p in places],
            [c.warm for c in rows],
            height,
            color=_BLUE,
            label=f"softmax(z / {temperature:g})",
        )
        warm.legend(loc="lower right")
        warm.set_title("2. the temperature sharpens or flattens")
        colors = [_ORANGE if c.token == step.drawn else _GREEN for c in rows]
        chance.barh(places, [c.chance for c in rows], color=colors)
        for place, candidate in enumerate(rows):
            if candidate.left_out_by:
                chance.text(0, place, f" left out by {candidate.left_out_by}", va="center", size=8)
        chance.set_title("3. chances after the filters; orange is drawn")
        for part in (logits, warm, chance):
            part.set_yticks(places, names)
            part.invert_yaxis()
        figure.suptitle(title, fontsize=11)
        return _png(figure)


def _shortened(text: str, most: int = 90) -> str:
    return text if len(text) <= most else "…" + text[-most:]


def temperature_picture(lesson: Lesson) -> bytes:
    """Probabilities when the temperature is applied rightly and wrongly (PNG); see `Heat`.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    drawn = {
        "plain": ("softmax(z), that is T = 1", _GREY, "-"),
        "right": (f"softmax(z / T), T = {lesson.temperature:g}: right", _BLUE, "-"),
        "scaled": ("softmax(z) / T, made to sum to 1: nothing changes", _GREEN, ":"),
        "twice": ("softmax(softmax(z) / T): nearly all equal", _ORANGE, "--"),
    }
    names, family = labels([(row.token.text, row.token.data) for row in lesson.heats])
    by_rank = lesson.ways["plain"].argsort(descending=True)  # (V,)
    width = 0.2
    with _in_fonts(family):
        figure, (ranks, bars) = _figure(13, 4.5, 2)
        for number, (way, (label, color, style)) in enumerate(drawn.items()):
            values = lesson.ways[way][by_rank].clamp(min=1e-12).tolist()
            ranks.plot(range(1, len(values) + 1), values, style, color=color, label=label, lw=2)
            places = [place + (number - 1.5) * width for place in range(len(lesson.heats))]
            bars.bar(places, [getattr(row, way) for row in lesson.heats], width, color=color)
        ranks.set(xscale="log", yscale="log", ylim=(1e-9, 1.5), title="all ids, by rank")
        ranks.set(xlabel="rank", ylabel="probability")
        ranks.legend(loc="lower left")
        bars.set_xticks(range(len(lesson.heats)), names)
        bars.set_title("the likeliest ids")
        return _png(figure)


@dataclass(frozen=True)
class Curves:
    """How a training went: (step, nats a token) and (step, bits per byte of held-out texts)."""

    losses: Sequence[tuple[int, float]]
    held_out: Sequence[tuple[int, float]]


def curves_picture(curves: Curves) -> bytes:
    """The two curves of a training beside each other (PNG).

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    with _in_fonts([_FONT]):
        figure, (losses, held_out) = _figure(11, 4, 2)
        losses.plot(*_columns(curves.losses), color=_GREY, lw=1, label="each step")
        losses.plot(*_columns(_smoothed(curves.losses)), color=_BLUE, lw=2, label="smoothed")
        losses.set(title="training loss", xlabel="step", ylabel="nats a token")
        losses.legend()
        held_out.plot(*_columns(curves.held_out), "o-", color=_ORANGE)
        if curves.held_out:
            best = min(curves.held_out, key=lambda point: point[1])
            held_out.plot(*best, "o", color=_GREEN, ms=10, label=f"best: {best[1]:.4f}")
            held_out.legend()
        held_out.set(title="held-out texts", xlabel="step", ylabel="bits per byte")
        return _png(figure)


def _columns(points: Sequence[tuple[int, float]]) -> tuple[list[int], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _smoothed(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """The mean of each point and those before it, a tenth of all."""
    reach = max(1, len(points) // 10)
    windows = (points[max(0, i + 1 - reach) : i + 1] for i in range(len(points)))
    return [(window[-1][0], sum(y for _, y in window) / len(window)) for window in windows]
