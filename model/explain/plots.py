"""Plots (PNG) of `python -m model.explain`: the candidates of a token, and temperatures."""

from model.explain.trace import Step, Trace
from model.plotting import BLUE, GREEN, GREY, ORANGE, in_fonts, labels, new_figure, to_png


def candidates_picture(step: Step, temperature: float) -> bytes:
    """The candidates of one step: logits, probabilities, and what the filters leave (PNG).

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    rows = step.candidates
    names, family = labels([(c.completes or c.token.text, c.token.data) for c in rows])
    (title,), more = labels([(_shortened(step.text), b"")])
    places = range(len(rows))
    with in_fonts([*family, *more[1:]]):
        figure, (logits, warm, chance) = new_figure(13, 1.2 + 0.3 * len(rows), 3)
        logits.barh(places, [c.penalised for c in rows], color=BLUE)
        logits.set_title("1. logits of the last position")
        height = 0.4
        warm.barh(
            [p - height / 2 for p in places],
            [c.plain for c in rows],
            height,
            color=GREY,
            label="softmax(z)",
        )
        warm.barh(
            [p + height / 2 for p in places],
            [c.warm for c in rows],
            height,
            color=BLUE,
            label=f"softmax(z / {temperature:g})",
        )
        warm.legend(loc="lower right")
        warm.set_title("2. the temperature sharpens or flattens")
        colors = [ORANGE if c.token == step.drawn else GREEN for c in rows]
        chance.barh(places, [c.chance for c in rows], color=colors)
        for place, candidate in enumerate(rows):
            if candidate.left_out_by:
                chance.text(0, place, f" left out by {candidate.left_out_by}", va="center", size=8)
        chance.set_title("3. chances after the filters; orange is drawn")
        for part in (logits, warm, chance):
            part.set_yticks(places, names)
            part.invert_yaxis()
        figure.suptitle(title, fontsize=11)
        return to_png(figure)


def _shortened(text: str, most: int = 90) -> str:
    return text if len(text) <= most else "…" + text[-most:]


def temperature_picture(lesson: Trace) -> bytes:
    """Probabilities when the temperature is applied rightly and wrongly (PNG): `TemperatureRow`.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    drawn = {
        "plain": ("softmax(z), that is T = 1", GREY, "-"),
        "right": (f"softmax(z / T), T = {lesson.temperature:g}: right", BLUE, "-"),
        "scaled": ("softmax(z) / T, made to sum to 1: nothing changes", GREEN, ":"),
        "twice": ("softmax(softmax(z) / T): nearly all equal", ORANGE, "--"),
    }
    names, family = labels([(row.token.text, row.token.data) for row in lesson.heats])
    by_rank = lesson.ways["plain"].argsort(descending=True)  # (V,)
    width = 0.2
    with in_fonts(family):
        figure, (ranks, bars) = new_figure(13, 4.5, 2)
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
        return to_png(figure)
