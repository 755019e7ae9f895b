"""Standard streams that take any text: closed ones are opened, unknown letters are escaped.

Every program of this repository calls `prepare_standard_streams` first: `afterword`,
`python -m model.train` and the like, and the scripts.
"""

import io
import json
import os
import sys
from pathlib import Path

STREAM = Path("-")
"""As a file: standard input or standard output."""


def prepare_standard_streams() -> None:
    r"""Open closed standard streams, and let no letter end the program, whatever their encoding is.

    A letter that the encoding of standard output or standard error lacks, as 武 in ISO 8859-1, and
    a byte of an argument that is not UTF-8 are printed as `\u6b66` and `\udcff`; a byte of an
    answer to a question that is not UTF-8 is read as `\xff`. Python's default is an exception.
    """
    _open_closed_streams()
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _open_closed_streams() -> None:
    """Open /dev/null as each closed standard stream; a file would get its number otherwise."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def can_show(text: str) -> bool:
    """True if the encoding of standard output has every letter of the text."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def json_bytes(content: object) -> bytes:
    """JSON as UTF-8: it has no other encoding, whatever that of the terminal is.

    Lone surrogates, of paths that are not UTF-8, become question marks.
    """
    return json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")
