"""`afterword models`: lists, fetches and verifies the Vosk models."""

import click

from audio.stt import vosk_download, vosk_models
from config.errors import HearingModelError
from config.languages import LANGUAGES

_language = click.argument("language", type=click.Choice([*LANGUAGES, "all"]), default="en")


@click.group(invoke_without_command=True)
@click.pass_context
def models(context: click.Context) -> None:
    """List, fetch and verify the speech recognition models (Vosk)."""
    if context.invoked_subcommand is None:
        context.invoke(list_models)


@models.command("list")
def list_models() -> None:
    """Print language, name, state and folder of each model."""
    for known in vosk_models.list_models():
        click.echo(f"{known.model.language}  {known.model.name}  {known.state}  {known.folder}")


@models.command("fetch")
@_language
def fetch_models(language: str) -> None:
    """Download a model (40 MB) and check every file of it. A complete model is left alone."""
    for name in _languages(language):
        model = vosk_models.catalogue()[name]
        folder = vosk_download.fetch(model, lambda line: click.echo(line, err=True))
        click.echo(f"{name}: {folder}")


@models.command("verify")
@_language
def verify_models(language: str) -> None:
    """Check every file of a model against its known SHA-256."""
    for name in _languages(language):
        problems = vosk_models.verify(name)
        if problems:
            remedy = f"run `afterword models fetch {name}`"
            raise HearingModelError(
                f"The {name} model is damaged: {'; '.join(problems)}; {remedy}."
            )
        click.echo(f"{name}: every file is as published.")


def _languages(language: str) -> list[str]:
    return list(vosk_models.catalogue()) if language == "all" else [language]
