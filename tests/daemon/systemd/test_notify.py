"""Messages to systemd, received at a fake NOTIFY_SOCKET; and lines for the journal."""

import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from audio.events import Event, Seed, Triggered
from audio.pcm import AudioChunk
from config.errors import SpeechError
from daemon.loop.main_loop import MainLoop
from daemon.loop.options import LoopOptions
from daemon.loop.pending_reloads import ReloadRequest
from daemon.systemd import journal
from daemon.systemd.notify import Notifier
from tests.daemon.fakes import Generator, Recognition, Source, SpeechOutput


class Systemd:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))

    def close(self) -> None:
        self._socket.close()

    def received(self, seconds: float = 0.1) -> list[str]:
        """All messages that come within this time."""
        messages, end = [], time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._socket.settimeout(left)
            with suppress(TimeoutError):
                messages.append(self._socket.recv(4096).decode())
        return messages


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    server = Systemd(tmp_path / "notify")
    yield server
    server.close()


def notifier(systemd: Systemd, watchdog_seconds: float = 0.0, **more: str) -> Notifier:
    microseconds = str(int(watchdog_seconds * 1e6))
    return Notifier({"NOTIFY_SOCKET": str(systemd.path), "WATCHDOG_USEC": microseconds, **more})


def running(loop: MainLoop) -> threading.Thread:
    thread = threading.Thread(target=loop.run)
    thread.start()
    return thread


def test_states_are_sent_in_order(systemd: Systemd) -> None:
    recognition = Recognition({20: [Triggered("hey computer", 0.1), Seed("a fox", 0.2)]})
    options = LoopOptions(notifier=notifier(systemd))
    source = Source(1_000_000, True, 0.01)
    loop = MainLoop(source, recognition, Generator(), SpeechOutput(0.1), options=options)
    thread = running(loop)
    messages = systemd.received(1.5)
    loop.stop()
    thread.join(5)
    messages += systemd.received()
    assert messages[:2] == ["STATUS=listening", "READY=1"]
    assert messages[2] in ("STATUS=thinking", "STATUS=speaking")
    assert messages[-2:] == ["STATUS=listening", "STOPPING=1"]
    assert messages.count("READY=1") == 1


def test_a_missing_microphone_is_ready_and_in_the_status(systemd: Systemd) -> None:
    from config.errors import AudioDeviceError

    source = Source(1_000_000, True, 0.01)
    source.errors = [AudioDeviceError("No microphone was found.")] * 100
    options = LoopOptions(wait_for_microphone=True, notifier=notifier(systemd, 1.0))
    loop = MainLoop(source, Recognition({}), Generator(), SpeechOutput(), options=options)
    thread = running(loop)
    messages = systemd.received(1.5)
    loop.stop()
    thread.join(5)
    assert messages[:2] == [
        "STATUS=waiting for the microphone: No microphone was found.",
        "READY=1",
    ]
    assert messages.count("WATCHDOG=1") >= 3


def test_the_watchdog_is_fed_only_while_the_loop_ticks(systemd: Systemd) -> None:
    stuck = threading.Event()
    freed = threading.Event()

    class Stuck(Recognition):
        def feed(self, chunk: AudioChunk, *, commands: bool, playing: bool) -> list[Event]:
            if stuck.is_set():
                freed.wait(10)
            return []

    options = LoopOptions(notifier=notifier(systemd, 0.4))
    loop = MainLoop(
        Source(1_000_000, True, 0.01), Stuck({}), Generator(), SpeechOutput(), options=options
    )
    thread = running(loop)
    try:
        fed = systemd.received(1.0).count("WATCHDOG=1")
        stuck.set()
        systemd.received(0.2)
        assert systemd.received(1.0) == []
        assert 6 <= fed <= 10
    finally:  # else its threads would fail the tests after this one
        freed.set()
        loop.stop()
        thread.join(5)


def test_a_dead_responder_stops_the_watchdog(systemd: Systemd) -> None:
    options = LoopOptions(notifier=notifier(systemd, 0.4))
    source = Source(1_000_000, True, 0.01)
    loop = MainLoop(source, Recognition({}), Generator(), SpeechOutput(), options=options)
    loop._responder._jobs.put(None)
    time.sleep(0.1)
    thread = running(loop)
    received = systemd.received(1.0)
    assert "STATUS=listening" in received
    assert "WATCHDOG=1" not in received
    loop.stop()
    thread.join(5)


def test_a_failed_speech_engine_stops_the_watchdog(
    systemd: Systemd, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("daemon.conversation.responder.CHECK_SECONDS", 0.05)
    speech = SpeechOutput()
    options = LoopOptions(notifier=notifier(systemd, 0.4))
    source = Source(1_000_000, True, 0.01)
    loop = MainLoop(source, Recognition({}), Generator(), speech, options=options)
    thread = running(loop)
    assert "WATCHDOG=1" in systemd.received(0.5)
    speech.errors.append(SpeechError("The speech engine failed twice in a row."))
    systemd.received(0.3)
    assert "WATCHDOG=1" not in systemd.received(1.0)
    assert caplog.text.count("failed twice in a row") == 1  # not at every check
    speech.errors.clear()
    assert "WATCHDOG=1" in systemd.received(1.0)
    loop.stop()
    thread.join(5)


def test_a_reload_is_sent_from_its_beginning_to_its_end(systemd: Systemd) -> None:
    reload = ReloadRequest()
    options = LoopOptions(notifier=notifier(systemd), begin_reload=lambda *, on_cpu=False: reload)
    source = Source(1_000_000, True, 0.01)
    loop = MainLoop(source, Recognition({}), Generator(), SpeechOutput(), options=options)
    thread = running(loop)
    systemd.received(0.5)
    loop.reload()
    messages = systemd.received(0.5)
    assert messages[0].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert "READY=1" not in messages
    reload.done.set_result({"changed": []})
    assert "READY=1" in systemd.received(0.5)
    loop.stop()
    thread.join(5)


def test_the_watchdog_of_another_process_is_not_fed(systemd: Systemd) -> None:
    other = notifier(systemd, 1.0, WATCHDOG_PID=str(os.getpid() + 1))
    other.alive()
    own = notifier(systemd, 1.0, WATCHDOG_PID=str(os.getpid()))
    own.alive()
    own.alive()
    assert systemd.received() == ["WATCHDOG=1"]


@pytest.mark.parametrize("address", ["", "/nowhere/notify", "@afterword-nobody-listens"])
def test_a_missing_notify_socket_is_ignored(address: str) -> None:
    quiet = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"})
    quiet.ready()
    quiet.status("listening")
    quiet.alive()
    quiet.stopping()


def test_journal_lines_have_priorities(tmp_path: Path) -> None:
    program = (
        "import logging, os\nfrom daemon.systemd import journal\n"
        "status = os.fstat(2)\n"
        "os.environ['JOURNAL_STREAM'] = f'{status.st_dev}:{status.st_ino}'\n"
        "journal.configure('info')\nlog = logging.getLogger('x')\n"
        "log.info('all well')\n"
        "try:\n    1 / 0\nexcept ZeroDivisionError:\n    log.exception('not so')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    lines = done.stderr.splitlines()
    assert lines[:2] == ["<6>all well", "<3>not so"]
    assert len(lines) > 4
    assert {line[:3] for line in lines[2:]} == {"<3>"}


def test_a_terminal_gets_no_priorities(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1234")  # a parent's stream
    assert journal.format_error("No microphone.") == "afterword: No microphone."
    assert journal.with_priority("a\nb", logging.WARNING) == "<4>a\n<4>b"


def test_a_status_is_one_line_of_utf_8_whatever_a_device_is_called(systemd: Systemd) -> None:
    made = notifier(systemd)
    made.status("waiting for the microphone: mic\udce9\nWATCHDOG=trigger\n is gone")
    made.status("waiting for the microphone: mic\udce9 WATCHDOG=trigger is gone")
    assert systemd.received() == [
        "STATUS=waiting for the microphone: mic? WATCHDOG=trigger is gone"
    ]
