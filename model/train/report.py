"""What a training has brought, as one HTML page without server or network: curves and samples."""

import base64
import html
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.errors import InputError, OutputError
from model.checkpoints.weights_file import Weights
from model.inference.engine import InferenceEngine
from model.inference.generator import GeneratorOptions, TextGenerator
from model.inference.sampler import SamplingOptions
from model.text.spoken_form import to_spoken_form
from model.train.plots import Curves, curves_picture

SEEDS = {"en": ["the old sailor", "once upon a time there was a fox"], "zh": ["春", "武"]}
_OWN_SEEDS = 3  # openings of the user's own texts
_OPENING = {"en": 40, "zh": 2}  # characters of such an opening

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>Afterword: training report</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; }}
img {{ max-width: 100%; }}
table {{ border-collapse: collapse; }}
td, th {{ border: 1px solid #ccc; padding: .4rem .6rem; text-align: left; vertical-align: top; }}
</style>
<h1>Training report</h1>
<p>{summary}</p>
<img alt="Loss of the training and bits per byte of held-out texts, by step"
 src="data:image/png;base64,{picture}">
<h2>Samples before and after</h2>
<table>
<tr><th>seed</th><th>before</th><th>after</th></tr>
{samples}
</table>
<h2>As it went</h2>
<table>
<tr><th>step</th><th>bits/byte</th><th>sample</th></tr>
{course}
</table>
</html>
"""


@dataclass(frozen=True)
class Sample:
    """What two models make of one seed."""

    seed: str
    before: str
    after: str


def make_samples(
    before: Weights, after: Weights, language: str, own: Sequence[str]
) -> list[Sample]:
    """Continue fixed seeds, and openings of the user's own texts, with both models."""
    seeds = [*SEEDS[language], *(_opening(text, language) for text in own[:_OWN_SEEDS])]
    both = [[_continue(weights, seed) for seed in seeds] for weights in (before, after)]
    return [Sample(*row) for row in zip(seeds, *both, strict=True)]


def _opening(text: str, language: str) -> str:
    start = text[: _OPENING[language]]
    if language == "zh":
        return start
    return to_spoken_form(start.rpartition(" ")[0] or start).strip()


def _continue(weights: Weights, seed: str) -> str:
    options = GeneratorOptions(SamplingOptions(temperature=0.65), 4, 120, random_seed=1)
    generator = TextGenerator(InferenceEngine(weights.model), weights.vocabulary, options)
    return " ".join(generator.continue_text(seed, lambda: False))


def read_curves(log: Path) -> tuple[Curves, list[dict[str, Any]]]:
    """The curves of a training's `log.jsonl`, and its validations.

    Raises:
        InputError: it is missing or is no such log.
    """
    try:
        entries = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
        steps = [(e["step"], e["loss"]) for e in entries if "loss" in e]
        validations = [e for e in entries if "bits_per_byte" in e]
        held_out = [(e["step"], e["bits_per_byte"]) for e in validations]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{log} is missing or no log of a training.") from error
    return Curves(steps, held_out), validations


def write_report(folder: Path, samples: Sequence[Sample], summary: str) -> Path:
    """Write `report.png` and `report.html` from the training's log; the path of the page.

    Raises:
        MissingPackageError: matplotlib is not installed.
        InputError: there is no log.
        OutputError: the folder cannot be written.
    """
    curves, validations = read_curves(folder / "log.jsonl")
    picture = curves_picture(curves)
    page = _PAGE.format(
        summary=html.escape(summary),
        picture=base64.b64encode(picture).decode(),
        samples="\n".join(_row(s.seed, s.before, s.after) for s in samples),
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


def _row(*cells: str) -> str:
    return "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"
