"""`afterword say`: continues a typed seed, in print and aloud."""

import codecs
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from config.errors import GenerationError, InputError
from config.languages import sentence_gap
from daemon.cli.help import examples
from daemon.cli.options import FILE, load_settings, settings_options
from daemon.control import client
from daemon.memory import try_within_limit

if TYPE_CHECKING:  # it imports pydantic, which `say --daemon` does without
    from config.settings import Settings

STREAM = Path("-")
"""As a file: standard output."""
SEED_BYTES = 64 * 1024  # read from standard input; the model sees the end of it anyway


@click.command(
    epilog=examples(
        'afterword say "Once upon a time there was a fox"',
        'afterword say "The old sailor" --no-speech --set model.temperature=0.9',
        "afterword say 武 --language zh",
        'afterword say "The old sailor" --out reply.wav',
        "fortune | afterword say - --out - | aplay",
    )
)
@settings_options
@click.argument("seed")
@click.option("--out", type=FILE, help="Write the speech to this WAV file instead of playing it.")
@click.option("--no-speech", is_flag=True, help="Print the continuation without speaking it.")
@click.option("--quiet", is_flag=True, help="Speak the continuation without printing it.")
@click.option(
    "--daemon", is_flag=True, help="Let the running daemon speak the reply, with its settings."
)
def say(
    seed: str,
    config_file: Path | None,
    flags: tuple[str, ...],
    language: str | None,
    out: Path | None,
    no_speech: bool,
    quiet: bool,
    daemon: bool,
) -> None:
    """Continue SEED: print the continuation as it comes, and speak it.

    If SEED is "-", it is read from standard input. --out - writes the sound to standard output, and
    the text to standard error. With --daemon nothing is printed, and the command returns at once.
    """
    if daemon and (config_file or flags or language or out or no_speech or quiet):
        raise click.UsageError("--daemon goes with no other option.")
    if no_speech and (out or quiet):
        raise click.UsageError("--no-speech goes with neither --out nor --quiet.")
    if out == STREAM and sys.stdout.isatty():
        raise click.UsageError("--out - would write a sound file onto the terminal.")
    if seed == "-":
        seed = read_seed()
    if daemon:
        client.ask("say", seed=seed)
        return
    if not any(character.isalnum() for character in seed):
        raise click.UsageError("SEED holds no word to carry on from.")
    settings = load_settings(config_file, flags, language).settings
    continue_seed(settings, seed, out, speech=not no_speech, quiet=quiet)


def read_seed() -> str:
    """The seed from standard input.

    Raises:
        InputError: it is not UTF-8.
    """
    data = sys.stdin.buffer.read(SEED_BYTES)
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        return decoder.decode(data, final=len(data) < SEED_BYTES).strip()
    except UnicodeDecodeError as error:
        raise InputError(
            f"Standard input is not UTF-8 at byte {error.start}; convert it, for instance by iconv."
        ) from error


def continue_seed(
    settings: "Settings", seed: str, out: Path | None, *, speech: bool, quiet: bool
) -> None:
    """Continue a seed: print each sentence as it comes, unless `quiet`, and speak it.

    With STREAM as `out` the sound goes to standard output, whole, and the text to standard error.

    Raises:
        GenerationError: the model gave no sentence, or memory is short.
    """
    from model.inference.loading import load_weights

    try_within_limit(lambda: load_weights(settings))
    generator, _ = load_weights(settings)
    sentences: Iterable[str] = generator.continue_text(seed, _never)
    shown = None if quiet else sys.stderr if out == STREAM else sys.stdout
    sentences = _at_least_one(sentences if shown is None else _printed(sentences, shown))
    if not speech:
        deque(sentences, maxlen=0)  # runs the generator, which prints
    elif out == STREAM:
        with tempfile.TemporaryDirectory() as folder:  # a WAV file has its length in the header
            path = Path(folder) / "speech.wav"
            _speak(settings, path, sentences)
            with path.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()
    else:
        _speak(settings, out, sentences)


def _speak(settings: "Settings", out: Path | None, sentences: Iterable[str]) -> None:
    from daemon.components import open_speech_output

    with closing(open_speech_output(settings, out)) as speech:
        speech.speak(sentences, _never)


def _at_least_one(sentences: Iterable[str]) -> Iterator[str]:
    """Pass the sentences on; raise GenerationError if there is none, for a script to see."""
    nothing = True
    for sentence in sentences:
        nothing = False
        yield sentence
    if nothing:
        raise GenerationError("The model has nothing to say to this; try it again or otherwise.")


def _printed(sentences: Iterable[str], shown: TextIO) -> Iterator[str]:
    """Pass the sentences on, printing each; the line is ended also on Ctrl-C."""
    before = ""
    try:
        for sentence in sentences:
            click.echo(sentence_gap(before, sentence) + sentence, shown, nl=False)
            before = sentence
            yield sentence
    finally:
        if before:
            click.echo(file=shown)


def _never() -> bool:
    return False
