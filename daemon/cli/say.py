"""`afterword say`: continues a typed seed, in print and aloud."""

import codecs
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from config.errors import GenerationError, InputError
from config.languages import end_of_text, sentence_gap
from config.standard_streams import STREAM
from daemon.cli.help import examples
from daemon.cli.options import load_settings, out_option, settings_options, text
from daemon.control import client
from daemon.control.protocol import SEED_CHARACTERS
from daemon.memory import try_within_limit

if TYPE_CHECKING:  # it imports pydantic, which `say --daemon` does without
    from config.settings import Settings

INPUT_BYTES = 64 * 2**20  # of standard input; so that an endless one ends
INPUT_CHARACTERS = 2**16  # kept of its end; more than any model sees
_BLOCK_BYTES = 2**16
_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


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
@click.argument("seed", type=text)
@out_option("speech")
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

    If SEED is "-", it is read from standard input; of a long text the end counts. --out - writes
    the sound to standard output, and the text to standard error. With --daemon nothing is printed,
    and the command returns at once.
    """
    if daemon and (config_file or flags or language or out or no_speech or quiet):
        raise click.UsageError("--daemon goes with no other option.")
    if no_speech and (out or quiet):
        raise click.UsageError("--no-speech goes with neither --out nor --quiet.")
    if seed == "-":
        seed = read_seed(SEED_CHARACTERS if daemon else INPUT_CHARACTERS)
    if daemon:
        client.ask("say", seed=seed)
        return
    if not any(character.isalnum() for character in seed):
        raise click.UsageError("SEED holds no word to carry on from.")
    settings = load_settings(config_file, flags, language).settings
    continue_seed(settings, seed, out, speech=not no_speech, quiet=quiet)


def read_seed(characters: int = INPUT_CHARACTERS) -> str:
    """The seed from standard input: its end, of at most so many characters and of whole words.

    Raises:
        InputError: it is not UTF-8, holds zero bytes or is longer than INPUT_BYTES.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    text, size, is_cut = "", 0, False
    while block := sys.stdin.buffer.read(_BLOCK_BYTES):
        text += _decoded(decoder, block, size)
        size += len(block)
        if size > INPUT_BYTES:
            raise InputError(
                f"Standard input is longer than {INPUT_BYTES // 2**20} MB; "
                "give its end alone, for instance by `tail -n 100`."
            )
        is_cut = is_cut or len(text) > characters
        text = text[-characters - 1 :]  # with one more, which tells whether a word is cut
    text += _decoded(decoder, b"", size)
    text = end_of_text(text, characters) if is_cut else text.removeprefix("\ufeff")
    return "\n".join(text.splitlines()).strip()


def _decoded(decoder: codecs.IncrementalDecoder, block: bytes, position: int) -> str:
    """The text of a block that begins at a byte of standard input; an empty one is the end."""
    if position == 0 and block.startswith(_UTF_16_MARKS):
        raise InputError("Standard input is UTF-16; convert it: `iconv -f UTF-16 -t UTF-8`.")
    if (zero := block.find(0)) >= 0:
        raise InputError(f"Standard input is no text: byte {position + zero} is zero.")
    held_back = len(decoder.getstate()[0])
    try:
        return decoder.decode(block, final=not block)
    except UnicodeDecodeError as error:
        raise InputError(
            f"Standard input is not UTF-8 at byte {position - held_back + error.start}; "
            "convert it, for instance by iconv."
        ) from error


def continue_seed(
    settings: "Settings", seed: str, out: Path | None, *, speech: bool, quiet: bool
) -> None:
    """Continue a seed: print each sentence as it comes, unless `quiet`, and speak it.

    The sound is written whole: to `out` when all is spoken, or to standard output if it is STREAM;
    the text then goes to standard error. A kill leaves no sound on the disk.

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
    else:
        from daemon.components import whole_speech_output

        with whole_speech_output(settings, out) as speech_output:
            speech_output.speak(sentences, _never)


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
