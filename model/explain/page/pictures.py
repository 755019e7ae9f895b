"""Pictures of the page as SVG: bars, attention, the draw.

They are as wide as a phone, in units of its pixels. Colours are those of page.css.
"""

from collections.abc import Sequence

from model.explain.page.markup import Html, element

_WIDTH = 328
_LABEL = 88  # of the names of rows
_CELL_HEIGHT = 20
_LABEL_WIDTH = 12  # characters; a Chinese one counts twice
_DARKEST = 0.55  # opacity of 100 %, on which the number can still be read
_STRIP_HEIGHT = 34


def bar(part: float) -> Html:
    """A bar whose length is this part of its cell, from 0 to 1."""
    length = f"{100 * min(max(part, 0.0), 1.0):.2f}"
    rect = element("rect", width=length, height=10)
    frame = {"viewBox": "0 0 100 10", "preserveAspectRatio": "none", "aria_hidden": "true"}
    return element("svg", rect, class_="bar", **frame)


def heat_map(
    title: str, rows: Sequence[str], columns: int, values: Sequence[Sequence[float]]
) -> Html:
    """Rows of cells, darker and with the percentage for larger values (from 0 to 1).

    A row may have fewer values than there are columns; the cells behind them stay empty.
    """
    width = (_WIDTH - _LABEL) / max(columns, 1)
    parts = []
    for y, (name, row) in enumerate(zip(rows, values, strict=True)):
        base = y * _CELL_HEIGHT + 14
        parts.append(element("text", label(name), x=0, y=base))
        for x, value in enumerate(row):
            cell = element(
                "rect",
                x=f"{_LABEL + x * width:.1f}",
                y=y * _CELL_HEIGHT + 1,
                width=f"{width - 2:.1f}",
                height=_CELL_HEIGHT - 2,
                fill_opacity=f"{_DARKEST * value:.3f}",
                class_="heat",
            )
            middle = f"{_LABEL + (x + 0.5) * width:.1f}"
            percent = element("text", f"{100 * value:.0f}", x=middle, y=base, class_="number")
            parts += [cell, percent]
    height = len(rows) * _CELL_HEIGHT
    return _figure(title, height, *parts)


def strip(title: str, shares: Sequence[tuple[float, float]], drawn: int, number: float) -> Html:
    """The interval from 0 to 1 with each candidate's share, and a line at the random number."""
    top, bottom = 14, 14 + _STRIP_HEIGHT
    parts = [element("rect", x=0, y=top, width=_WIDTH, height=_STRIP_HEIGHT, class_="others")]
    for at, (begin, end) in enumerate(shares):
        kind = "drawn" if at == drawn else "share"
        x, width = f"{_WIDTH * begin:.2f}", f"{_WIDTH * (end - begin):.2f}"
        parts.append(element("rect", x=x, y=top, width=width, height=_STRIP_HEIGHT, class_=kind))
    x = f"{_WIDTH * number:.2f}"
    anchor = "start" if number < 1 / 3 else "end" if number > 2 / 3 else "middle"
    parts += [
        element("line", x1=x, x2=x, y1=top - 4, y2=bottom + 4, class_="needle"),
        element("text", f"{number:.4f}", x=x, y=9, text_anchor=anchor),
        element("text", "0", x=0, y=bottom + 14),
        element("text", "1", x=_WIDTH, y=bottom + 14, text_anchor="end"),
    ]
    return _figure(title, bottom + 18, *parts)


def label(text: str) -> str:
    """The text with its blanks made visible, cut with "…" where a label has no room for it."""
    text = text.replace(" ", "␣")
    width = 0
    for at, character in enumerate(text):
        width += 2 if ord(character) > 0x2E7F else 1
        if width > _LABEL_WIDTH:
            return text[:at] + "…"
    return text


def _figure(title: str, height: int, *parts: Html) -> Html:
    picture = element("svg", *parts, viewBox=f"0 0 {_WIDTH} {height}", role="img", aria_label=title)
    return element("figure", element("figcaption", title), picture)
