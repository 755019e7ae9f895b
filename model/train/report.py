"""The report of a training, one self-contained HTML page: curves, and samples before and after."""

import base64
import html
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.errors import InputError, OutputError
from config.languages import LANGUAGES, Language, join_sentences
from model.checkpoints.weights_file import Weights
from model.inference.engine import InferenceEngine
from model.inference.generator import GeneratorOptions, TextGenerator
from model.inference.sampler import SamplingOptions
from model.text.manner import Manner
from model.text.spoken_form import to_spoken_form
from model.train.plots import Curves, curves_plot

_OWN_SEEDS = 3  # openings of the user's own texts

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
    """A seed and its continuations by two models."""

    seed: str
    before: str
    after: str


def make_samples(
    before: Weights, after: Weights, language: str, own: Sequence[str]
) -> list[Sample]:
    """Continue fixed seeds, and openings of the user's own texts, with both models."""
    openings = [_opening(text, LANGUAGES[language]) for text in own[:_OWN_SEEDS]]
    seeds = [*LANGUAGES[language].report_seeds, *openings]
    both = [[_continue(weights, seed) for seed in seeds] for weights in (before, after)]
    return [Sample(*row) for row in zip(seeds, *both, strict=True)]


def _opening(text: str, language: Language) -> str:
    """The first words of a text, as speech recognition would write them."""
    start = text[: language.opening_characters]
    if not language.word_space:
        return start
    return to_spoken_form(start.rpartition(" ")[0] or start).strip()


def _continue(weights: Weights, seed: str) -> str:
    options = GeneratorOptions(SamplingOptions(temperature=0.65), 4, 120, random_seed=1)
    engine, manner = InferenceEngine(weights.stored), Manner.from_table(weights.manner)
    generator = TextGenerator(engine, weights.vocabulary, options, manner)
    return join_sentences(generator.continue_text(seed, lambda: False))


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


def write_report(folder: Path, samples: Sequence[Sample], summary: str) -> Path:
    """Write `report.png` and `report.html` from the training's log; returns the page's path.

    Raises:
        MissingPackageError: matplotlib is not installed.
        InputError: the log is missing.
        OutputError: the folder cannot be written.
    """
    curves, validations = read_curves(folder / "log.jsonl")
    picture = curves_plot(curves)
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
