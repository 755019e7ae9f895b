"""The user's own texts for a refresh: read, with a list of what is read and what is left out."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from config.errors import InputError, OutputError
from model.command import first_lines, left_out, printable
from model.data.corpus import MAX_REASONS, MIN_CHARACTERS, all_unusable
from model.data.user_texts import SUFFIXES, UserText, UserTexts, find_user_texts, read_user_texts

_MAX_KINDS = 10  # of files that are left out, the most frequent


def read_own_texts(folder: Path, language: str) -> list[UserText]:
    """Read the user's texts for a language; prints what is read and what is left out.

    Raises:
        InputError: there are no texts, none can be read, or they are too few.
        MissingPackageError: the only text needs a package.
        OutputError: the folder of the texts cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {folder} cannot be made: {error.strerror}.") from error
    found, others = find_user_texts(folder, language)
    read = read_user_texts(found)
    _tell(folder, read, others)
    if not found:
        raise InputError(
            f"There are no texts in {folder} yet; put some there ({', '.join(SUFFIXES)}), or name "
            "them with --corpus and a folder with --out."
        )
    if not read.texts:
        raise all_unusable(read.errors)
    if read.characters < MIN_CHARACTERS:
        raise InputError(
            f"The texts in {folder} hold {read.characters:,} characters; at least about 5,000 are "
            "needed."
        )
    return read.texts


def _tell(folder: Path, read: UserTexts, others: Sequence[Path]) -> None:
    """Print what was read, first what is remarkable, and what is left out."""
    texts = sorted(read.texts, key=lambda text: not text.note)
    lines = [
        f"{text.path.relative_to(folder)}: {len(text.text):,} characters"
        + (f", {text.note}" if text.note else "")
        for text in texts
    ]
    if lines:
        click.echo(first_lines(lines))
        click.echo(f"Read {len(lines):,} texts of {read.characters:,} characters in {folder}.")
    if read.errors and (read.texts or len(read.errors) > MAX_REASONS):  # else one error names all
        click.echo(left_out(read.errors))
    if others:
        counts = Counter(path.suffix.lower() or "without a suffix" for path in others)
        kinds = (f"{count:,} {printable(kind)}" for kind, count in counts.most_common(_MAX_KINDS))
        click.echo(
            f"Left out {len(others):,} files of other kinds: {', '.join(kinds)}; save them as one "
            f"of {', '.join(SUFFIXES)} to have them read."
        )
