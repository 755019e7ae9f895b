"""Messages of C libraries are discarded, those of Python are not."""

import subprocess
import sys

from tests.support.program import ROOT

PROGRAM = """
import os, sys
from audio.native_stderr import keep_stderr_for_python, let_c_libraries_speak
keep_stderr_for_python()
os.write(2, b"chatter\\n")
print("ours", file=sys.stderr)
let_c_libraries_speak()
os.write(2, b"wanted\\n")
"""


def test_only_python_is_heard_unless_debugging() -> None:
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stderr == "ours\nwanted\n"
