"""`afterword explain "武"`: shows how the model continues a seed, number by number.

Tokens and their bytes, the crop to the context, the shapes inside, the last position's logits, the
effect of temperature, top-k, top-p and min-p, the draw, the growing text. For teaching, also as
pictures and as a page.
torch is imported when the command runs, so that `--help` and completion are quick.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from config.errors import OutputError
from config.languages import LANGUAGES
from model.command import report_errors

if TYPE_CHECKING:
    from model.explain.trace import Trace


def write_plots(folder: Path, trace: "Trace") -> list[Path]:
    """Write a PNG for each token and one for the temperature; returns their paths.

    Raises:
        MissingPackageError: matplotlib is not installed.
        OutputError: a file cannot be written.
    """
    from model.explain.plots import candidates_plot, temperature_plot

    digits = len(str(len(trace.steps)))
    plots = {
        f"token-{step.number:0{digits}}.png": candidates_plot(step, trace.sampling.temperature)
        for step in trace.steps
    }
    plots["temperature.png"] = temperature_plot(trace)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in plots.items():
            (folder / name).write_bytes(data)
    except OSError as error:
        raise OutputError(f"{error.filename} cannot be written: {error.strerror}.") from error
    return [folder / name for name in plots]


@click.command(context_settings={"show_default": True})
@click.argument("seed")
@click.option(
    "--language", type=click.Choice(list(LANGUAGES)), help="Override the configured language."
)
@click.option("--weights", help="Weights file.  [default: those in use]")
@click.option("--tokens", type=click.IntRange(1, 1000), default=3, help="Number of tokens to draw.")
@click.option(
    "--top",
    type=click.IntRange(1, 40),
    default=10,
    help="Number of candidates to show for each token.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write plots to (PNG).")
@click.option(
    "--page",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write a page to (HTML) that walks through the ten steps, for learners.",
)
@click.option(
    "--json", "as_one_object", is_flag=True, help="Print one JSON object instead of text."
)
@click.option(
    "--random-seed", type=click.IntRange(0, 2**63 - 1), default=1, help="Random seed of the draws."
)
@click.option(
    "--set",
    "flags",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a setting, such as --set model.temperature=1.2.",
)
@report_errors
def explain(
    seed: str,
    language: str | None,
    weights: str | None,
    tokens: int,
    top: int,
    out: Path | None,
    page: Path | None,
    as_one_object: bool,
    random_seed: int,
    flags: tuple[str, ...],
) -> None:
    """Continue SEED and show the numbers that lead to each token."""
    from config.load import load
    from model.device import device_faults
    from model.explain.chosen import choose
    from model.explain.text import as_json, render
    from model.explain.tracing import make_trace
    from model.inference.loading import sampling_options
    from model.memory import refuse_without_memory

    settings = load(None, [*flags, *([f"language={language}"] if language else [])]).settings
    chosen = choose(settings, weights or settings.model.weights, seed)
    if chosen.note:
        click.echo(chosen.note, err=as_one_object)
    engine, sampling = chosen.generator.engine, sampling_options(settings.model)
    with refuse_without_memory(), device_faults(engine.device):
        chosen.weights.model.to(engine.device)
        trace = make_trace(chosen.weights, engine, chosen.seed, sampling, random_seed, tokens, top)
    click.echo(as_json(trace) if as_one_object else "\n".join(render(trace)))
    if out is not None:
        from model.explain.plots import texts_of
        from model.plotting import missing_font

        for path in write_plots(out, trace):
            click.echo(f"Wrote {path}.", err=True)
        if advice := missing_font(texts_of(trace)):
            click.echo(advice, err=True)
    if page is not None:
        from model.checkpoints.weights_file import write_bytes
        from model.explain.page.page import write_page

        write_bytes(page, write_page(trace, seed, chosen.generator.name).encode())
        click.echo(f"Wrote {page}.", err=True)
