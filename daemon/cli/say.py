"""What `afterword say` does: a typed seed, continued in print and aloud."""

import codecs
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TextIO

import click

from config.errors import GenerationError, InputError
from config.settings import Settings
from daemon import components

STREAM = Path("-")
"""As a file: standard output."""
_LONGEST_SEED = 64 * 1024  # bytes from standard input; the model reads the end of it anyway


def read_seed() -> str:
    """The seed from standard input.

    Raises:
        InputError: it is not UTF-8.
    """
    data = sys.stdin.buffer.read(_LONGEST_SEED)
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        return decoder.decode(data, final=len(data) < _LONGEST_SEED).strip()
    except UnicodeDecodeError as error:
        raise InputError(
            f"Standard input is not UTF-8 at byte {error.start}; convert it, for instance by iconv."
        ) from error


def say(settings: Settings, seed: str, out: Path | None, *, speech: bool, quiet: bool) -> None:
    """Continue a seed: each sentence is printed as it comes, unless we are quiet, and spoken.

    With STREAM as `out` the sound goes to standard output, whole, and the text to standard error.

    Raises:
        GenerationError: nothing came.
    """
    sentences = components.open_generator(settings).continue_text(seed, _never)
    shown = None if quiet else sys.stderr if out == STREAM else sys.stdout
    sentences = _not_none(sentences if shown is None else _printed(sentences, shown))
    if not speech:
        deque(sentences, maxlen=0)  # printing is all that happens
    elif out == STREAM:
        with tempfile.TemporaryDirectory() as folder:  # a WAV file tells its length at its start
            path = Path(folder) / "speech.wav"
            _speak(settings, path, sentences)
            with path.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()
    else:
        _speak(settings, out, sentences)


def _speak(settings: Settings, out: Path | None, sentences: Iterable[str]) -> None:
    with closing(components.open_speech_output(settings, out)) as speaker:
        speaker.speak(sentences, _never)


def _not_none(sentences: Iterable[str]) -> Iterator[str]:
    """The same sentences; scripts must see when there are none."""
    nothing = True
    for sentence in sentences:
        nothing = False
        yield sentence
    if nothing:
        raise GenerationError("The model has nothing to say to this; try it again or otherwise.")


def _printed(sentences: Iterable[str], shown: TextIO) -> Iterator[str]:
    """The same sentences, printed on their way; the line is closed also on Ctrl-C."""
    before = ""
    try:
        for sentence in sentences:
            gap = " " if before.isascii() and before else ""
            click.echo(gap + sentence, shown, nl=False)
            before = sentence[-1]
            yield sentence
    finally:
        if before:
            click.echo(file=shown)


def _never() -> bool:
    return False
