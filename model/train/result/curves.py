"""Curves of a training: the loss of each step, and the bits per byte of held-out texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from model.plotting import BLUE, FONT, GREEN, GREY, ORANGE, in_fonts, new_figure, to_png, to_svg


@dataclass(frozen=True)
class Curves:
    """Curves of a training: (step, nats a token) and (step, bits per byte of held-out texts)."""

    losses: Sequence[tuple[int, float]]
    held_out: Sequence[tuple[int, float]]


def curves_png(curves: Curves) -> bytes:
    """The two curves of a training side by side (PNG).

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    with in_fonts([FONT]):
        figure, (losses, held_out) = new_figure(11, 4, 2)
        _draw_losses(losses, curves)
        _draw_held_out(held_out, curves)
        return to_png(figure)


def curves_svg(curves: Curves) -> list[str]:
    """The two curves, each as an SVG element for a page.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    pictures = []
    for draw, label in (
        (_draw_losses, "Loss of the training by step"),
        (_draw_held_out, "Bits per byte of held-out texts by step"),
    ):
        with in_fonts([FONT]):
            figure, (axes,) = new_figure(4.6, 3.4, 1)
            draw(axes, curves)
            pictures.append(to_svg(figure, label))
    return pictures


def _draw_losses(axes: Any, curves: Curves) -> None:
    axes.plot(*_columns(curves.losses), color=GREY, lw=1, label="each step")
    axes.plot(*_columns(_smoothed(curves.losses)), color=BLUE, lw=2, label="smoothed")
    axes.set(title="training loss", xlabel="step", ylabel="nats a token")
    axes.legend(frameon=False)


def _draw_held_out(axes: Any, curves: Curves) -> None:
    axes.plot(*_columns(curves.held_out), "o-", color=ORANGE)
    if curves.held_out:
        best = min(curves.held_out, key=lambda point: point[1])
        axes.plot(*best, "o", color=GREEN, ms=10, label=f"best: {best[1]:.4f}")
        axes.legend(frameon=False)
    axes.set(title="held-out texts", xlabel="step", ylabel="bits per byte")


def _columns(points: Sequence[tuple[int, float]]) -> tuple[list[int], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _smoothed(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Moving average over the tenth of all points before each point."""
    reach = max(1, len(points) // 10)
    windows = (points[max(0, i + 1 - reach) : i + 1] for i in range(len(points)))
    return [(window[-1][0], sum(y for _, y in window) / len(window)) for window in windows]
