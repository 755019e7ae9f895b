"""Plots with matplotlib, an optional package: fonts, colours, PNG and SVG.

Each figure has an Agg canvas of its own, without pyplot and its global state. Characters that no
installed font has are written as their bytes, never as empty boxes.
"""

import functools
import html
import io
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any

from config.errors import MissingPackageError
from config.installation import add_extra_command

BLUE, ORANGE, GREY, GREEN = "#3b6ea5", "#d9822b", "#c4c4c4", "#3f8f4f"
FONT = "DejaVu Sans"  # comes with matplotlib
_IN_PAGES = {  # a page has a light and a dark scheme
    "#000000": "currentColor",
    BLUE: "var(--blue)",
    ORANGE: "var(--orange)",
    GREY: "var(--grey)",
    GREEN: "var(--green)",
}


def _matplotlib() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise MissingPackageError(
            f"Pictures need matplotlib; `{add_extra_command('train')}` brings it."
        ) from error
    return matplotlib


def labels(texts: Sequence[tuple[str, bytes]]) -> tuple[list[str], list[str]]:
    """Texts that the installed fonts can draw, else their bytes in hexadecimal; and those fonts.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    family = [FONT]
    glyphs = set(_glyphs(_font_file(FONT)))
    wanted = {ord(c) for text, _ in texts for c in text} - glyphs
    if wanted and (found := _best_font(frozenset(wanted))):
        family.append(found)
        glyphs |= _glyphs(_font_file(found))
    readable = [
        text if all(ord(c) in glyphs for c in text) else data.hex(" ") for text, data in texts
    ]
    return [text.replace("$", r"\$") for text in readable], family


def _best_font(wanted: frozenset[int]) -> str | None:
    """The installed font that has the most of these code points; None if no font has any."""
    manager = _font_manager().fontManager
    _add_new_fonts()
    counts = {}
    for entry in manager.ttflist:
        boxes = entry.name.startswith("Last Resort")  # draws a box for every character
        if entry.style == "normal" and entry.name not in counts and not boxes:
            counts[entry.name] = len(wanted & _glyphs(entry.fname))
    best = max(counts, key=lambda name: counts[name], default=None)
    return best if best and counts[best] else None


def _add_new_fonts() -> None:
    """Tell matplotlib the fonts that were installed since it made its own list of them."""
    module = _font_manager()
    known = {entry.fname for entry in module.fontManager.ttflist}
    for file in set(module.findSystemFonts()) - known:
        with suppress(OSError, RuntimeError):  # no font that it can read
            module.fontManager.addfont(file)


def missing_font(texts: Iterable[str]) -> str | None:
    """What to install where the fonts lack characters of these texts; None if they have them.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    wanted = frozenset(ord(c) for text in texts for c in text) - _glyphs(_font_file(FONT))
    found = _best_font(wanted) if wanted else None
    missing = wanted - (_glyphs(_font_file(found)) if found else frozenset())
    if not missing:
        return None
    return (
        f"The installed fonts lack {len(missing):,} of the pictures' characters, such as "
        f"“{chr(min(missing))}”, so bytes stand in their place; for Chinese, Debian's package "
        "fonts-noto-cjk has them."
    )


def _font_manager() -> Any:
    _matplotlib()
    from matplotlib import font_manager

    return font_manager


def _font_file(name: str) -> str:
    """The path of the font of this name."""
    manager = _font_manager()
    return str(manager.findfont(manager.FontProperties(family=name)))


@functools.cache
def _glyphs(file: str) -> frozenset[int]:
    """The code points that a font file has; none where it cannot be read."""
    try:
        return frozenset(_font_manager().get_font(file).get_charmap())
    except (OSError, RuntimeError, TypeError):
        return frozenset()


def in_fonts(family: list[str]) -> "AbstractContextManager[None]":
    """Context that draws with these fonts, each where those before it lack a glyph."""
    context: AbstractContextManager[None] = _matplotlib().rc_context({"font.family": family})
    return context


def new_figure(width: float, height: float, parts: int) -> tuple[Any, Any]:
    """A figure of this size in inches, and its axes: `parts` in one row."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    return figure, figure.subplots(1, parts, squeeze=False)[0]


def to_png(figure: Any) -> bytes:
    """Render a figure as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_figure(buffer, format="png")
    return buffer.getvalue()


def to_svg(figure: Any, label: str) -> str:
    """Render a figure as an SVG element for a page, on the page's own background.

    Lines and text have the page's colour of text; it gives the others as --blue, --orange, --grey
    and --green. `label` says in words what is drawn. Text stays text.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    figure.set_facecolor("none")
    for axes in figure.axes:
        axes.set_facecolor("none")
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with _matplotlib().rc_context({"svg.fonttype": "none", "svg.hashsalt": label}):
        FigureCanvasSVG(figure).print_figure(buffer, format="svg", metadata=nothing)
    drawn = buffer.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    for colour, in_page in _IN_PAGES.items():
        drawn = drawn.replace(colour, in_page)
    return drawn.replace("<svg", f'<svg role="img" aria-label="{html.escape(label)}"', 1)
