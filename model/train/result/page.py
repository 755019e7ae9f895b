"""The report of a training, one self-contained HTML page: scores, curves, samples.

It asks no host for anything, fits a phone, and follows the reader's light or dark scheme.
"""

import html
import json
import math
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from config.errors import InputError, OutputError
from model.checkpoints.metadata.scores import Scores
from model.train.result.curves import Curves, curves_png, curves_svg
from model.train.result.samples import Sample


def read_curves(log: Path) -> tuple[Curves, list[dict[str, Any]]]:
    """The curves and the validations in a training's `log.jsonl`.

    Raises:
        InputError: the file is missing or no such log.
    """
    try:
        entries = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
        steps = [(e["step"], e["loss"]) for e in entries if "loss" in e]
        validations = [e for e in entries if "bits_per_byte" in e]
        held_out = [(e["step"], e["bits_per_byte"]) for e in validations]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{log} is missing or no log of a training.") from error
    return Curves(steps, held_out), validations


def write_report(
    folder: Path, language: str, summary: str, scores: Scores | None, samples: Sequence[Sample]
) -> Path:
    """Write `report.png` and `report.html` from the training's log; returns the page's path.

    Args:
        folder: of the training.
        language: its code, such as "en".
        summary: how the training ended.
        scores: what it has changed; None if nothing was better.
        samples: before and after.

    Raises:
        MissingPackageError: matplotlib is not installed.
        InputError: the log is missing.
        OutputError: the folder cannot be written.
    """
    curves, validations = read_curves(folder / "log.jsonl")
    picture = curves_png(curves)
    template = resources.files("model.train.result").joinpath("page.html").read_text("utf-8")
    page = Template(template).substitute(
        language=language,
        summary=html.escape(summary),
        scores=_scores(scores) if scores else "",
        pictures="\n".join(curves_svg(curves)),
        samples="\n".join(map(_sample, samples)),
        course="\n".join(
            _row(str(v["step"]), f"{v['bits_per_byte']:.4f}", v.get("sample", ""))
            for v in validations
            if math.isfinite(v["bits_per_byte"])
        ),
    )
    path = folder / "report.html"
    try:
        (folder / "report.png").write_bytes(picture)
        path.write_text(page, "utf-8")
    except OSError as error:
        raise OutputError(f"{error.filename} cannot be written: {error.strerror}.") from error
    return path


def _scores(scores: Scores) -> str:
    rows = [
        _row(name, f"{change.before:.3f}", f"{change.after:.3f}")
        for name, change in (("your texts", scores.own), ("plain language", scores.plain))
    ]
    return (
        '<table class="scores">\n<tr><th>bits per byte</th><th>before</th><th>after</th></tr>\n'
        + "\n".join(rows)
        + "\n</table>\n<p>Lower is better. Your texts are those that the training has held out; "
        "plain language are texts of the starter corpus, the same for all trainings.</p>"
    )


def _sample(sample: Sample) -> str:
    before, after = (html.escape(text) or "–" for text in (sample.before, sample.after))
    return (
        f"<h3>{html.escape(sample.seed)} …</h3>\n"
        f'<div class="side"><p><b>before</b>{before}</p><p><b>after</b>{after}</p></div>'
    )


def _row(*cells: str) -> str:
    return "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"
