"""`afterword models`: lists, fetches and verifies the models of the recognisers."""

import click

from audio.fetching.files import full_problems
from audio.stt import vosk_download, vosk_larger, vosk_models
from audio.stt.careful import model_files
from config.errors import HearingModelError
from config.languages import LANGUAGES

CAREFUL = "careful"
_VERIFIABLE = [*LANGUAGES, "all", CAREFUL]
_FETCHABLE = [*_VERIFIABLE, *vosk_larger.LARGER_MODELS]


@click.group(invoke_without_command=True)
@click.pass_context
def models(context: click.Context) -> None:
    """List, fetch and verify the speech recognition models (Vosk, Whisper)."""
    if context.invoked_subcommand is None:
        context.invoke(list_models)


@models.command("list")
def list_models() -> None:
    """Print language, name, state and folder of each model."""
    for known in vosk_models.list_models():
        click.echo(f"{known.model.language}  {known.model.name}  {known.state}  {known.folder}")
    careful = model_files.published()
    click.echo(f"{CAREFUL}  {careful.name}  {careful.state}  {careful.folder}")


@models.command("fetch")
@click.argument("model", type=click.Choice(_FETCHABLE), default="en")
def fetch_models(model: str) -> None:
    """Download a model and check every file of it. A complete model is left alone.

    en, zh: Vosk's, 40 MB each; all: both. careful: Whisper base of all languages, 133 MB, for
    hearing.seed. en-lgraph, en-large, zh-large: Vosk's larger ones, 128, 1800 and 1300 MB.
    """
    if model in vosk_larger.LARGER_MODELS:
        click.echo(f"{model}: {vosk_larger.fetch(vosk_larger.LARGER_MODELS[model], _say)}")
        return
    if model == CAREFUL:
        click.echo(f"{CAREFUL}: {model_files.fetch(model_files.published(), _say)}")
    for name in _languages(model):
        click.echo(f"{name}: {vosk_download.fetch(vosk_models.catalogue()[name], _say)}")


def _say(line: str) -> None:
    click.echo(line, err=True)


@models.command("verify")
@click.argument("model", type=click.Choice(_VERIFIABLE), default="en")
def verify_models(model: str) -> None:
    """Check every file of a model against its known SHA-256."""
    problems = {name: vosk_models.verify(name) for name in _languages(model)}
    if model == CAREFUL:
        careful = model_files.published()
        problems[CAREFUL] = full_problems(careful.files, careful.folder)
    for name, found in problems.items():
        if found:
            remedy = f"run `afterword models fetch {name}`"
            raise HearingModelError(f"The {name} model is damaged: {'; '.join(found)}; {remedy}.")
        click.echo(f"{name}: every file is as published.")


def _languages(model: str) -> list[str]:
    if model == CAREFUL:
        return []
    return list(vosk_models.catalogue()) if model == "all" else [model]
