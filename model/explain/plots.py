"""Plots of `afterword explain` as PNG: the candidates of a token, and temperatures."""

from collections.abc import Sequence
from typing import Any

from model.explain.trace import Candidate, Step, Trace
from model.plotting import BLUE, GREEN, GREY, ORANGE, in_fonts, labels, new_figure, to_png

_TITLE_CHARACTERS = 90  # of the text so far, from its end
_TITLE_BYTES = 24  # of its end, where no font has its characters


def candidates_plot(step: Step, temperature: float) -> bytes:
    """PNG of the candidates of one step: logits, probabilities, and what the filters leave.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    rows = step.candidates
    names, family = labels([(c.completes or c.token.text, c.token.data) for c in rows])
    (title,), more = labels([(_end_of(step.text), step.text.encode()[-_TITLE_BYTES:])])
    places = range(len(rows))
    with in_fonts([*family, *more[1:]]):
        figure, (logits, tempered, drawn) = new_figure(13, 1.2 + 0.3 * len(rows), 3)
        logits.barh(places, [c.penalised for c in rows], color=BLUE)
        logits.set_title("1. logits of the last position")
        _probabilities(tempered, rows, temperature)
        colors = [ORANGE if c.token == step.drawn else GREEN for c in rows]
        drawn.barh(places, [c.draw_probability for c in rows], color=colors)
        for place, candidate in enumerate(rows):
            if candidate.left_out_by:
                drawn.text(0, place, f" left out by {candidate.left_out_by}", va="center", size=8)
        drawn.set_title(
            "3. chances after the filters; orange is drawn"
            if temperature
            else "3. the likeliest that is left is certain"
        )
        for part in (logits, tempered, drawn):
            part.set_yticks(places, names)
            part.invert_yaxis()
        figure.suptitle(title, fontsize=11)
        return to_png(figure)


def _probabilities(axes: Any, rows: Sequence[Candidate], temperature: float) -> None:
    """Bars of the probabilities without the temperature and, unless it is 0, with it."""
    kinds = [("softmax(z)", GREY, [c.probability for c in rows])]
    if temperature:
        divided = [c.tempered_probability for c in rows if c.tempered_probability is not None]
        kinds.append((f"softmax(z ÷ {temperature:g})", BLUE, divided))
    height = 0.8 / len(kinds)
    for number, (label, color, values) in enumerate(kinds):
        shift = (number - (len(kinds) - 1) / 2) * height
        axes.barh([p + shift for p in range(len(rows))], values, height, color=color, label=label)
    axes.legend(loc="lower right")
    what = "sharpens or flattens" if temperature else "0 divides nothing"
    axes.set_title(f"2. the temperature {what}")


def _end_of(text: str) -> str:
    return text if len(text) <= _TITLE_CHARACTERS else "…" + text[-_TITLE_CHARACTERS:]


def temperature_plot(trace: Trace) -> bytes:
    """PNG of probabilities with the temperature applied correctly and wrongly: `TemperatureRow`.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    t = f"{trace.temperature:g}"
    curves = {
        "probability": ("softmax(z): temperature 1", GREY, "-"),
        "logits_divided": (f"softmax(z ÷ {t}): right", BLUE, "-"),
        "probabilities_divided": (
            f"softmax(z) ÷ {t}, made to sum to 1: nothing changes",
            GREEN,
            ":",
        ),
        "softmax_twice": (f"softmax(softmax(z) ÷ {t}): nearly all equal", ORANGE, "--"),
    }
    rows = trace.temperature_rows
    names, family = labels([(row.token.text, row.token.data) for row in rows])
    by_rank = trace.distributions["probability"].argsort(descending=True)  # (V,)
    width = 0.2
    with in_fonts(family):
        figure, (ranks, bars) = new_figure(13, 4.5, 2)
        for number, (name, (label, color, style)) in enumerate(curves.items()):
            values = trace.distributions[name][by_rank].clamp(min=1e-12).tolist()
            ranks.plot(range(1, len(values) + 1), values, style, color=color, label=label, lw=2)
            places = [place + (number - 1.5) * width for place in range(len(rows))]
            bars.bar(places, [getattr(row, name) for row in rows], width, color=color)
        ranks.set(xscale="log", yscale="log", ylim=(1e-9, 1.5), title="all ids, by rank")
        ranks.set(xlabel="rank", ylabel="probability")
        ranks.legend(loc="lower left")
        bars.set_xticks(range(len(rows)), names)
        bars.set_title("the likeliest ids")
        return to_png(figure)


def texts_of(trace: Trace) -> list[str]:
    """The texts that the plots of a trace show."""
    candidates = [c for step in trace.steps for c in step.candidates]
    return [
        *(step.text for step in trace.steps),
        *(c.completes or c.token.text for c in candidates),
    ]
