"""Plots of `afterword explain` as PNG: the candidates of a token, and temperatures."""

from model.explain.trace import Step, Trace
from model.plotting import BLUE, GREEN, GREY, ORANGE, in_fonts, labels, new_figure, to_png

_TITLE_CHARACTERS = 90  # of the text so far, from its end


def candidates_plot(step: Step, temperature: float) -> bytes:
    """PNG of the candidates of one step: logits, probabilities, and what the filters leave.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    rows = step.candidates
    names, family = labels([(c.completes or c.token.text, c.token.data) for c in rows])
    (title,), more = labels([(_end_of(step.text), b"")])
    places = range(len(rows))
    with in_fonts([*family, *more[1:]]):
        figure, (logits, tempered, drawn) = new_figure(13, 1.2 + 0.3 * len(rows), 3)
        logits.barh(places, [c.penalised for c in rows], color=BLUE)
        logits.set_title("1. logits of the last position")
        height = 0.4
        tempered.barh(
            [p - height / 2 for p in places],
            [c.probability for c in rows],
            height,
            color=GREY,
            label="softmax(z)",
        )
        tempered.barh(
            [p + height / 2 for p in places],
            [c.tempered_probability for c in rows],
            height,
            color=BLUE,
            label=f"softmax(z / {temperature:g})",
        )
        tempered.legend(loc="lower right")
        tempered.set_title("2. the temperature sharpens or flattens")
        colors = [ORANGE if c.token == step.drawn else GREEN for c in rows]
        drawn.barh(places, [c.draw_probability for c in rows], color=colors)
        for place, candidate in enumerate(rows):
            if candidate.left_out_by:
                drawn.text(0, place, f" left out by {candidate.left_out_by}", va="center", size=8)
        drawn.set_title("3. chances after the filters; orange is drawn")
        for part in (logits, tempered, drawn):
            part.set_yticks(places, names)
            part.invert_yaxis()
        figure.suptitle(title, fontsize=11)
        return to_png(figure)


def _end_of(text: str) -> str:
    return text if len(text) <= _TITLE_CHARACTERS else "…" + text[-_TITLE_CHARACTERS:]


def temperature_plot(trace: Trace) -> bytes:
    """PNG of probabilities with the temperature applied correctly and wrongly: `TemperatureRow`.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    curves = {
        "probability": ("softmax(z), that is T = 1", GREY, "-"),
        "logits_divided": (f"softmax(z / T), T = {trace.temperature:g}: right", BLUE, "-"),
        "probabilities_divided": ("softmax(z) / T, made to sum to 1: nothing changes", GREEN, ":"),
        "softmax_twice": ("softmax(softmax(z) / T): nearly all equal", ORANGE, "--"),
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
