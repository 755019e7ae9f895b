"""`python -m model.explain "武"`: watch the model continue a seed, number by number.

Tokens and their bytes, the crop to the context, the shapes inside, the last position's logits, what
temperature, top-k, top-p and min-p make of them, the draw, the growing text. For teaching.
"""

from pathlib import Path

import click

from config.errors import OutputError
from config.load import load
from model.checkpoints.store import find_weights
from model.checkpoints.weights_file import load_weights
from model.command import report_errors
from model.device import choose_device
from model.explain.text import as_json, tell
from model.explain.trace import Trace, make_lesson
from model.inference.sampler import SamplingOptions


def write_pictures(folder: Path, lesson: Trace) -> list[Path]:
    """A PNG for each token and one for the temperature.

    Raises:
        MissingPackageError: matplotlib is not installed.
        OutputError: a file cannot be written.
    """
    from model.explain.plots import candidates_picture, temperature_picture

    digits = len(str(len(lesson.steps)))
    pictures = {
        f"token-{step.number:0{digits}}.png": candidates_picture(step, lesson.sampling.temperature)
        for step in lesson.steps
    }
    pictures["temperature.png"] = temperature_picture(lesson)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in pictures.items():
            (folder / name).write_bytes(data)
    except OSError as error:
        raise OutputError(f"{error.filename} cannot be written: {error.strerror}.") from error
    return [folder / name for name in pictures]


@click.command(context_settings={"show_default": True})
@click.argument("seed")
@click.option("--language", type=click.Choice(["en", "zh"]), help="Instead of the set one.")
@click.option("--weights", help="Weights file; default: those that afterword would use.")
@click.option("--tokens", type=click.IntRange(1, 1000), default=3, help="How many to draw.")
@click.option("--top", type=click.IntRange(1, 40), default=10, help="Candidates to show.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for pictures (PNG).")
@click.option("--json", "as_one_object", is_flag=True, help="Print one JSON object instead.")
@click.option("--random-seed", type=click.IntRange(0, 2**63 - 1), default=1, help="Of the draws.")
@click.option(
    "--set",
    "flags",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a setting, such as --set model.temperature=1.2.",
)
@report_errors
def main(
    seed: str,
    language: str | None,
    weights: str | None,
    tokens: int,
    top: int,
    out: Path | None,
    as_one_object: bool,
    random_seed: int,
    flags: tuple[str, ...],
) -> None:
    """Continue SEED and show the numbers that lead to each token."""
    settings = load(None, [*flags, *([f"language={language}"] if language else [])]).settings
    m = settings.model
    loaded = load_weights(find_weights(settings.language, weights or m.weights))
    loaded.model.to(choose_device(m.device))
    sampling = SamplingOptions(m.temperature, m.top_k, m.top_p, m.repetition_penalty, m.min_p)
    lesson = make_lesson(loaded, seed, sampling, random_seed, tokens, top)
    click.echo(as_json(lesson) if as_one_object else "\n".join(tell(lesson)))
    if out is not None:
        for path in write_pictures(out, lesson):
            click.echo(f"Wrote {path}.", err=True)


if __name__ == "__main__":
    main()
