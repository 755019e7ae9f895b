"""`afterword weights`: lists, fetches, verifies and chooses weights, and lets the daemon reload."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from config.errors import (
    AfterwordError,
    InputError,
    NotRunningError,
    OutputError,
    RefusedError,
    WeightsError,
)
from config.languages import LANGUAGES
from daemon.cli.fetching import conversion
from daemon.cli.fetching import weights as fetching
from daemon.cli.help import examples
from daemon.cli.options import load_settings, settings_options, text
from daemon.control import client
from daemon.control.status import Status
from model.checkpoints import adapter_store, fetched, store
from model.checkpoints.fetched import LARGE
from model.checkpoints.in_use import go_back, remembering
from model.checkpoints.metadata.integrity import content_checksum, is_damaged
from model.checkpoints.metadata.scores import plain_language
from model.checkpoints.store import SHIPPED, WeightsInfo

if TYPE_CHECKING:  # it imports pydantic, which `weights fetch` does without
    from config.settings import Settings

_LEGEND = (
    "Lower is better, before → after a training. Your texts: those that the training held out. "
    "Plain: plain language, the same texts for all weights of a language."
)


@click.group(
    invoke_without_command=True,
    epilog=examples(
        "afterword weights                       the newest first, with their names",
        "afterword weights fetch large           larger ones, for any subject (93 MB)",
        "afterword weights use large             these alone, from now on",
        "afterword weights use auto              each seed chooses between these and the others",
        "afterword weights use --previous        those before the last change",
        "afterword weights use shipped           those that came with Afterword",
        "afterword weights remove NAME           an adapter, or weights of `train --full`",
    ),
)
@settings_options
@click.pass_context
def weights(
    context: click.Context, config_file: Path | None, flags: tuple[str, ...], language: str | None
) -> None:
    """List the weights, fetch larger ones, or change to others."""
    if context.invoked_subcommand is None:
        show(load_settings(config_file, flags, language).settings)


@weights.command("list")
@settings_options
def list_weights(config_file: Path | None, flags: tuple[str, ...], language: str | None) -> None:
    """Print name, date, size and origin of all weights; a star marks those in use."""
    show(load_settings(config_file, flags, language).settings)


@weights.command(
    "fetch",
    epilog=examples(
        "afterword weights fetch large",
        "afterword weights fetch ~/SmolLM2-360M           a folder from Hugging Face",
        "afterword weights fetch model.gguf --name other",
    ),
)
@click.argument("source", type=text, metavar="NAME|PATH")
@click.option("--name", type=text, help="Name for the weights of PATH. [default: that of the file]")
@click.option(
    "--language",
    type=click.Choice(list(LANGUAGES)),
    default="en",
    show_default=True,
    help="Language that the weights speak.",
)
def fetch_weights(source: str, name: str | None, language: str) -> None:
    """Download the weights NAME and check them, or convert those of PATH. Complete ones are left.

    large: SmolLM2-135M, English, for any subject; 93 MB to download, 97 MB on disk.
    PATH: a folder with a Llama-shaped model (config.json, tokenizer.json, safetensors), or a GGUF
    file; it stays as it is.
    """
    known = fetched.catalogue().get(source)
    if known:
        if name:
            raise click.UsageError("--name goes with a PATH.")
        if language != known.language:
            fetched.find_fetched(language, source)  # says which language they speak
        path = fetching.fetch(known, _say, conversion.convert)
        name = source
    else:
        name = _new_name(source, name)
        own = Path(source).expanduser()
        path = fetching.take(own, name, language, _say, conversion.convert)
    click.echo(f"{name}: {path}")
    _say_whether_used(name, language)


def _say_whether_used(name: str, language: str) -> None:
    chosen = fetched.chosen(language)
    if chosen is None and name == LARGE:
        _say(
            "Each seed now chooses between them and the small ones; "
            f"`afterword weights use {name}` uses them alone."
        )
    elif chosen != name:
        _say(f"`afterword weights use {name}` uses them from now on.")


def _say(line: str) -> None:
    click.echo(line, err=True)


def _new_name(source: str, name: str | None) -> str:
    """The name for the user's own weights: the given one, else that of the file or folder.

    Raises:
        InputError: there is no such file or folder.
        UsageError: the name cannot be used.
    """
    path = Path(source).expanduser()
    if not path.exists():
        names = ", ".join(fetched.catalogue())
        raise InputError(
            f"{source} is neither the name of weights to fetch ({names}) nor a file or folder; "
            "check it."
        )
    if name is None:
        stem = path.resolve().name.lower().removesuffix(".gguf")
        name = re.sub(r"[^a-z0-9._-]+", "-", stem).strip("._-")
    if not fetched.is_name(name) or fetched.is_trained(name) or name in fetched.catalogue():
        raise click.UsageError(
            f'"{name}" cannot name weights; give --name another one, of a-z, 0-9 and hyphens.'
        )
    return name


@weights.command("verify")
@settings_options
def verify_weights(config_file: Path | None, flags: tuple[str, ...], language: str | None) -> None:
    """Check every file of all weights against its checksum."""
    damaged = []
    for info in _all(load_settings(config_file, flags, language).settings):
        try:
            _verify(info)
        except WeightsError as error:
            damaged.append(str(error))
        else:
            click.echo(f"{info.name}: its checksum is right.")
    if damaged:
        raise WeightsError(" ".join(damaged))


def _verify(info: WeightsInfo) -> None:
    """Raise WeightsError if a file of these weights is damaged."""
    name = fetched.name_of(info.path)
    if name and not fetched.is_trained(name):
        if problems := fetching.problems(info.path.parent):
            raise WeightsError(
                f"The weights {info.name} in {info.path.parent} are damaged: "
                f"{'; '.join(problems)}; run `{fetched.fetch_command(info.name)}`."
            )
    elif adapter_store.is_adapter(info.path):
        from model.checkpoints.adapters import load_adapter  # imports torch

        load_adapter(info.path)
    else:
        from model.checkpoints.weights_file import load_weights  # imports torch

        load_weights(info.path)


@weights.command("use")
@settings_options
@click.argument("name", required=False)
@click.option("--previous", is_flag=True, help="Use the weights that were in use before.")
def use_weights(
    name: str | None,
    previous: bool,
    config_file: Path | None,
    flags: tuple[str, ...],
    language: str | None,
) -> None:
    """Use the weights of this NAME alone; a running daemon takes them between two replies.

    The weights in use until now are kept: --previous goes back to them, with the adapter that they
    had; a second one undoes the first. auto lets each seed choose between the small ones, yours or
    the shipped, and large; small uses the former alone. An adapter that you have trained is put on
    its weights; the name of these takes it off again. Of an adapter's file elsewhere, its path, a
    copy is kept.
    """
    if bool(name) == previous:
        raise click.UsageError("Give a NAME from `afterword weights`, or --previous.")
    settings = load_settings(config_file, flags, language).settings
    if settings.model.weights is not None:
        raise RefusedError(
            f"The settings want {settings.model.weights}; take model.weights out of them first."
        )
    if name:
        with remembering(settings.language):
            name = _take_adapter(name)
            store.restore(settings.language, name)
        click.echo(f"{name} is in place.")
    else:
        names = go_back(settings.language)
        click.echo(f"{' and '.join(names)} {'are' if names[1:] else 'is'} in place.")
    if fetched.chosen(settings.language) and _has_large(settings.language):
        click.echo("`afterword weights use auto` lets each seed choose again.")
    if not _reload():
        click.echo("It is used from the next start on.")


def _take_adapter(name: str) -> str:
    """The name under which an adapter's file is kept from now on; of other names, the name."""
    if not name.endswith(fetched.SUFFIX):
        return name
    from model.checkpoints.adapters import load_adapter, publish_adapter  # imports torch

    return publish_adapter(load_adapter(Path(name).expanduser())).stem


@weights.command("remove")
@settings_options
@click.argument("name")
def remove_weights(
    name: str, config_file: Path | None, flags: tuple[str, ...], language: str | None
) -> None:
    """Remove an adapter that you have trained, or weights that were trained with --full.

    The weights that they were made of stay.
    """
    language = load_settings(config_file, flags, language).settings.language
    adapter, was_used = adapter_store.find_adapter(language, name), fetched.chosen(language) == name
    if adapter and adapter_store.is_shipped(adapter):
        raise WeightsError(f"{name} comes with Afterword and stays; `weights use` takes another.")
    try:
        if adapter:
            was_used = adapter_store.in_place(adapter_store.base_file(adapter)) == adapter
            adapter_store.remove(adapter)
        elif name in _trained_names(language):
            fetched.remove_trained(language, name)
        else:
            known = [path.stem for path in adapter_store.adapters(language)]
            listed = ", ".join([*known, *_trained_names(language)]) or "there are none"
            raise WeightsError(
                f'No adapter or weights of a training are called "{name}" ({listed}); only these '
                "are removed."
            )
    except OSError as error:
        raise OutputError(f"{name} cannot be removed: {error.strerror}.") from error
    click.echo(f"{name} is removed.")
    if was_used:
        _reload()


def _trained_names(language: str) -> list[str]:
    """Names of the weights that trainings of all parameters have made."""
    names = [info.name for info in store.fetched_weights(language)]
    return [name for name in names if fetched.is_trained(name)]


def _reload() -> bool:
    """Let a running daemon look at what is in place now; False if none runs."""
    try:
        client.ask("reload", wait="yes")
    except NotRunningError:
        return False
    click.echo("The running daemon has looked at it.")
    return True


def show(settings: "Settings") -> None:
    """Print name, date, size, scores and provenance of each; mark those in use, and damaged ones.

    Of damaged ones in use the remedy is printed, too.
    """
    status = _daemon_status(settings.language)
    used = _used_by(status) if status else None
    following, problem = _next(settings)
    listed = list(_all(settings))
    width = max([20, *(len(info.name) for info in listed)])
    for info in listed:
        fault = _fault(info.path)
        in_use = _is_in_use(info, used, following)
        click.echo(_line(info, width, in_use, fault))
        if fault and in_use:
            _say(f"{info.name}: {fault}; {store.remedy(info.path)}.")
    if any(info.scores for info in listed):
        _say(_LEGEND)
    for hint in _hints(settings.language):
        _say(hint)
    if status and (reason := status["refused"]):
        _say(f"Refused: {reason}")
    elif problem:
        _say(problem)


def _fault(path: Path) -> str:
    """What keeps weights or an adapter from being used; empty if nothing does."""
    if is_damaged(path):
        return "damaged"
    return adapter_store.lacks(path) if adapter_store.is_adapter(path) else ""


def _is_in_use(info: WeightsInfo, used: set[tuple[str, str]] | None, following: list[Path]) -> bool:
    """Whether a daemon uses these weights; without one, whether the next start does.

    An adapter is in use where it is in place and its weights are in use.
    """
    name, path = info.name, info.path
    if adapter_store.is_adapter(path):
        name, path = adapter_store.base_name(path), adapter_store.base_file(path)
        if adapter_store.in_place(path) != info.path:
            return False
    return (name, str(path)) in used if used else path in following


def _has_large(language: str) -> bool:
    return LARGE in (info.name for info in store.fetched_weights(language))


def _daemon_status(language: str) -> Status | None:
    """The status of a daemon that serves this language; None if no such daemon answers."""
    try:
        status = client.status()
    except AfterwordError:
        return None
    return status if status.get("language") == language else None


def _used_by(status: Status) -> set[tuple[str, str]]:
    """Name and path of the weights that a daemon uses: `large` may be beside others."""
    models = status["models"]
    return {(status["weights"]["name"], models["weights"]), (LARGE, models.get(LARGE, ""))}


def _next(settings: "Settings") -> tuple[list[Path], str]:
    """The weights files that the next start loads; or none, and why it cannot."""
    try:
        return store.weights_in_use(settings.language, settings.model.weights), ""
    except WeightsError as error:
        return [], str(error)


def _all(settings: "Settings") -> Iterator[WeightsInfo]:
    """A file that the settings name, the user's own, fetched ones, adapters, earlier, shipped."""
    language = settings.language
    own, others = store.own_weights(language), store.fetched_weights(language)
    places, _ = _next(settings)
    shipped = _shipped(language)
    for place in places:
        if place not in (own, shipped, *(info.path for info in others)):
            yield store.describe(place)
    if own.is_file():
        yield store.describe(own)
    yield from others
    yield from map(store.describe, adapter_store.usable_adapters(language))
    yield from store.previous(own)
    if shipped:
        yield store.describe(shipped)


def _shipped(language: str) -> Path | None:
    try:
        return store.shipped_weights(language)
    except WeightsError:  # none are shipped for this language
        return None


def _line(info: WeightsInfo, width: int, in_use: bool, fault: str) -> str:
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime(info.made_at))
    is_shipped = info.name == SHIPPED or adapter_store.is_shipped(info.path)
    date = "with Afterword" if is_shipped else made
    about = fault or f"{_bits(info)}  {info.provenance}"
    text = f"{'*' if in_use else ' '} {info.name:<{width}} {date:<16} {info.size / 1e6:6.1f} MB  "
    return f"{text}{about}".rstrip()


def _bits(info: WeightsInfo) -> str:
    """Scores that may be compared: plain language among all, the user's texts within a training."""
    own = plain = ""
    if info.scores:
        own, plain = f"your texts {info.scores.own},", f"plain {info.scores.plain}"
    elif (bits := plain_language(info.sha256 or content_checksum(info.path))) is not None:
        plain = f"plain {bits:.3f}"
    return f"{own:<25} {plain or 'plain –':<19} bits/byte"


def _hints(language: str) -> Iterator[str]:
    """What can be fetched for this language and is not."""
    for name, known in fetched.catalogue().items():
        if language == known.language and not fetched.folder_of(name).is_dir():
            yield (
                f"`afterword weights fetch {name}` brings {known.title} ({known.about}; "
                f"{known.package['size'] / 1e6:.0f} MB; {known.licence})."
            )
