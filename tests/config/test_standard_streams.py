"""Text on streams whose encoding lacks its letters, and streams that are closed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from config.standard_streams import json_bytes

ROOT = Path(__file__).parents[2]
PREPARED = "from config.standard_streams import *; prepare_standard_streams(); import sys\n"


def run(program: str, encoding: str = "utf-8", given: bytes = b"", redirections: str = "") -> bytes:
    """Standard output of a program on prepared streams; `redirections` are of the shell."""
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {redirections}', "sh", sys.executable, "-c", PREPARED + program],
        input=given,
        capture_output=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding},
    )
    return done.stdout


@pytest.mark.parametrize("encoding", ["ascii", "iso8859-1", "cp437", "iso8859-1:strict"])
def test_a_letter_that_the_encoding_lacks_is_escaped(encoding: str) -> None:
    for stream in ("stdout", "stderr"):
        out = run(f"print('fox 武', file=sys.{stream})", encoding, redirections="2>&1")
        assert out == b"fox \\u6b66\n"


def test_a_letter_that_the_encoding_has_is_not_escaped() -> None:
    assert run("print('Käse')", "iso8859-1") == b"K\xe4se\n"
    assert run("print('武')", "gb18030") == "武\n".encode("gb18030")


def test_a_byte_that_is_not_utf_8_is_escaped() -> None:
    assert run(r"print('caf\udce9')") == b"caf\\udce9\n"
    assert run("print(input())", given=b"caf\xe9\n") == b"caf\\xe9\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_reads_and_writes_nothing(closed: str) -> None:
    run(
        "assert sys.stdin.buffer.read() == b''; print(1); print(2, file=sys.stderr)",
        redirections=closed,
    )
    number = run("print(open('/dev/null').fileno() > 2)", redirections="<&- 2>&-")
    assert number == b"True\n"  # a file does not become standard input


def test_json_is_utf_8_without_lone_surrogates() -> None:
    assert (
        json_bytes({"seed": "武", "path": "caf\udce9"}) == '{"seed": "武", "path": "caf?"}'.encode()
    )


def test_every_program_prepares_its_streams() -> None:
    programs = [
        file
        for name in ("audio", "daemon", "model", "scripts")
        for file in (ROOT / name).rglob("*")
        if (file.suffix == ".py" or name == "scripts") and file.is_file()
        if 'if __name__ == "__main__"' in (text := file.read_text("utf-8"))
        if "from config" in text or "from model" in text
    ]
    assert len(programs) > 10
    for file in programs:
        if file != ROOT / "audio" / "tts" / "worker.py":  # it writes bytes alone
            # model.entry.prepare calls prepare_standard_streams.
            assert re.search(
                r"^    prepare(_standard_streams)?\(\)$", file.read_text("utf-8"), re.M
            ), file
