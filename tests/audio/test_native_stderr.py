"""Messages of C libraries are withheld, except the last ones before such a library dies."""

import subprocess
import sys

import pytest

from tests.support.program import ROOT

BEGIN = """
import ctypes, os, sys, time
from audio import native_stderr
from audio.native_stderr import let_c_libraries_speak, quiet_stderr
libc = ctypes.CDLL(None)
def report(text):
    print("last:", *text.split(), file=sys.stderr)
close = native_stderr.keep_stderr_for_python(report)
os.write(2, b"chatter\\n")
print("ours", file=sys.stderr)
"""


def run(program: str, code: int = 0, before: str = "") -> str:
    command = [sys.executable, "-c", before + BEGIN + program]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == code, done.stderr
    return done.stderr


def test_only_python_is_heard_unless_debugging() -> None:
    assert run("let_c_libraries_speak(); os.write(2, b'wanted\\n'); close()") == "ours\nwanted\n"


@pytest.mark.parametrize(
    ("end", "code", "told"),
    [
        ("os.write(2, b'MKL FATAL ERROR'); libc.exit(2)", 2, "MKL FATAL ERROR"),
        ("os.write(2, b'terminate called'); libc.abort()", -6, "terminate called"),
        ("libc.__assert_fail(b'stream', b'pa.c', 7, b'read')", -6, "Assertion `stream' failed."),
        ("with quiet_stderr(): os.write(2, b'no model'); libc.abort()", -6, "no model"),
    ],
)
def test_the_fatal_message_of_a_library_is_reported(end: str, code: int, told: str) -> None:
    lines = run(end, code).splitlines()
    assert lines[0] == "ours"
    assert lines[1].startswith("last: chatter ")
    assert lines[1].endswith(told)
    assert len(lines) == 2


def test_messages_long_before_the_end_are_not_its_reason() -> None:
    kill = "time.sleep(0.5); os.kill(os.getpid(), 9)"
    assert run(kill, -9) == "ours\nlast: chatter\n"
    # The limit is read by the second process, so it is changed before that one is forked.
    changed = BEGIN.replace("def report", "native_stderr.LAST_WORDS_SECONDS = 0.1\ndef report")
    for end, told in (
        (kill, ""),
        ("time.sleep(0.5); os.write(2, b'bad'); libc.abort()", "last: bad\n"),
    ):
        command = [sys.executable, "-c", changed + end]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        assert done.stderr == f"ours\n{told}"


def test_the_second_process_holds_no_file_of_the_program_open() -> None:
    told = run(
        "import subprocess\n"
        "(watcher,) = map(int, subprocess.check_output(\n"
        "    ['pgrep', '-P', str(os.getpid()), '-x', 'python.*'], text=True).split())\n"
        "while len(held := os.listdir(f'/proc/{watcher}/fd')) > 6: time.sleep(0.01)\n"
        "places = {os.readlink(f'/proc/{watcher}/fd/{n}') for n in held}\n"
        "assert not any(p.endswith('LICENSE') for p in places), places; close()",
        before="kept = [open('LICENSE') for _ in range(20)]\n",
    )
    assert told == "ours\n"


def test_a_library_that_prints_much_never_waits() -> None:
    told = run(
        "import signal, subprocess\n"
        "(watcher,) = map(int, subprocess.check_output(\n"
        "    ['pgrep', '-P', str(os.getpid()), '-x', 'python.*'], text=True).split())\n"
        "os.kill(watcher, signal.SIGSTOP)\n"
        "for _ in range(100):\n"
        "    try: os.write(2, bytes(10_000))\n"
        "    except BlockingIOError: print('full', file=sys.stderr); break\n"
        "close()"
    )
    assert told == "ours\nfull\n"


def test_the_end_of_the_second_process_is_no_fault() -> None:
    told = run(
        "import signal, subprocess\n"
        "(watcher,) = map(int, subprocess.check_output(\n"
        "    ['pgrep', '-P', str(os.getpid()), '-x', 'python.*'], text=True).split())\n"
        "os.kill(watcher, signal.SIGKILL); time.sleep(0.1)\n"
        "libc.perror(b'more'); close()\n"
    )
    assert told == "ours\n"
