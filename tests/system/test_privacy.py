"""Privacy: sockets and file writes of a daemon under strace, from its start to its stop."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from config.paths import runtime_folder
from daemon.control import client
from tests.support.program import ROOT, SECONDS, started
from tests.support.sound_server import SoundServer
from tests.system.test_exchange import FOX, RECORDINGS

# The system calls that make a socket, open or change a file, or write into one.
WATCHED = (
    "%network,open,openat,openat2,creat,rename,renameat,renameat2,link,linkat,write,writev,"
    "pwrite64,pwritev,pwritev2,sendfile,splice,copy_file_range,memfd_create,io_uring_setup"
)
SETTINGS = ("--set", "model.max_sentences=1", "--set", "model.random_seed=7")


@pytest.fixture(scope="module")
def can_trace() -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    tried = subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], capture_output=True)
    if tried.returncode:
        pytest.skip(f"nothing can be traced here: {tried.stderr.decode().strip()}")


@pytest.fixture
def trace_of_a_daemon(
    can_trace: None, sound_server: SoundServer, vosk_en: Path, tmp_path: Path
) -> str:
    """The trace of a daemon that was started, spoken to, controlled, reloaded and stopped."""
    trace = tmp_path / "trace"
    # -s: whole writes, so that words can be searched for. With --seccomp-bpf strace 6.1 hangs.
    before = ("strace", "-f", "-qq", "-y", "-s", "65536", "-e", f"trace={WATCHED}")
    setting = ("--set", f"hearing.model={vosk_en}")
    arguments = ("run", *setting, *SETTINGS)
    with started(*arguments, before=(*before, "-o", str(trace))) as daemon:
        daemon.wait_for("Listening.")
        sound_server.play_into_microphone(RECORDINGS / "one-breath.wav")
        daemon.wait_for("trigger heard")
        turn = wait_for_turn(1)
        assert turn["outcome"] == "completed", daemon.log
        client.ask("say", seed="the old sailor")
        client.ask("hush")
        client.ask("mute")
        client.ask("unmute")
        assert client.ask("reload", wait="yes") == {"changed": []}
        client.ask("stop")
        assert daemon.process.wait(SECONDS) == 0, daemon.log
    assert FOX not in daemon.log
    assert not re.search(r"\bfox\b|\bsailor\b", daemon.log)
    return trace.read_text(errors="replace")


def wait_for_turn(number: int) -> dict[str, object]:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        turn = client.ask("status")["last_turn"]
        if isinstance(turn, dict) and turn["number"] == number and turn["outcome"] != "under way":
            return turn
        time.sleep(0.1)
    raise AssertionError("no reply")


def written_files(trace: str) -> dict[str, str]:
    """The bytes written into each regular file, as strace quotes them, by path."""
    found: dict[str, str] = {}
    for path, data in re.findall(r" (?:p?writev?2?|pwrite64)\(\d+<(/[^>]*)>, (.*)", trace):
        found[path] = found.get(path, "") + data
    return {path: data for path, data in found.items() if not path.startswith("/dev/")}


def test_a_daemon_opens_only_local_sockets_and_writes_no_word(
    trace_of_a_daemon: str,
) -> None:
    life = trace_of_a_daemon
    families = set(re.findall(r" socket\((AF_\w+)", life))
    assert families == {"AF_UNIX"}
    assert not re.search(r" socketpair\((?!AF_UNIX)", life)
    reached = set(re.findall(r"sa_family=(AF_\w+)", life))
    assert reached <= {"AF_UNIX", "AF_UNSPEC"}, reached
    assert not re.search(r" (io_uring_setup|sendfile|splice|copy_file_range)\(", life)

    files = written_files(life)
    kept = {
        path: data
        for path, data in files.items()
        # Python's tempfile writes four letters to see whether a folder can be written.
        if not path.startswith("/memfd:") and not data.startswith('"blat", 4')
    }
    home, lock = os.environ["HOME"], str(runtime_folder() / "control.lock")
    allowed = (
        rf"{re.escape(lock)}|/tmp/afterword-\w+/conf/model\.conf|/tmp/pytest[^ ]*/afterword-.*"
    )
    strange = [path for path in kept if not re.fullmatch(allowed, path)]
    assert lock in kept  # writes are traced
    assert "trigger heard at" in life  # with their text
    assert strange == [], {path: kept[path][:200] for path in strange}
    for path, data in kept.items():
        assert not re.search(r"\bfox\b|\bsailor\b", data), path
        assert len(data) < 4096, f"{path}: as long as sound"
    # The files in the home of the daemon after its end: no words and no audio.
    left = {str(file.relative_to(home)) for file in Path(home).rglob("*") if file.is_file()}
    assert left <= {"run/afterword/control.lock", ".config/pulse/cookie"}, left


# Downloads of vosk and tiktoken, and every socket that is not local, end the program.
TRAPS = """
import socket, sys
import tiktoken.load, vosk
from pathlib import Path
import requests

def trap(*_, **__):
    raise SystemExit("the network was used")

vosk.Model.download_model = vosk.Model.get_model_path = trap
tiktoken.load.read_file = tiktoken.load.read_file_cached = trap
requests.Session.request = trap
real = socket.socket.__init__
def local(self, family=-1, *rest, **more):
    if family != socket.AF_UNIX:
        trap()
    real(self, family, *rest, **more)
socket.socket.__init__ = local
sys.argv = ["afterword", *sys.argv[1:]]
from daemon.cli.main import main
main()
"""


def test_the_downloads_of_vosk_and_tiktoken_are_never_reached(
    vosk_en: Path, tmp_path: Path
) -> None:
    out = tmp_path / "reply.wav"
    setting = f"hearing.model={vosk_en}"
    wav = RECORDINGS / "one-breath.wav"
    arguments = ["run", "--wav", str(wav), "--out", str(out), "--set", setting, *SETTINGS]
    command = [sys.executable, "-c", TRAPS, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=environment)
    assert done.returncode == 0, done.stderr
    assert f"You:       {FOX}" in done.stdout
    assert out.stat().st_size > 10_000
