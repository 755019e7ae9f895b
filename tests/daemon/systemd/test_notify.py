"""What systemd is told, caught at a socket of our own; and what the journal gets."""

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

from audio.events import Seed, Triggered
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

    def told(self, seconds: float = 0.1) -> list[str]:
        """Everything that is said within this time."""
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


def running(service: MainLoop) -> threading.Thread:
    thread = threading.Thread(target=service.run)
    thread.start()
    return thread


def test_a_life_is_told_in_order(systemd: Systemd) -> None:
    hearing = Recognition({20: [Triggered("hey computer", 0.1), Seed("a fox", 0.2)]})
    options = LoopOptions(notifier=notifier(systemd))
    source = Source(1_000_000, True, 0.01)
    service = MainLoop(source, hearing, Generator(), SpeechOutput(0.1), options=options)
    thread = running(service)
    messages = systemd.told(1.5)
    service.stop()
    thread.join(5)
    told = messages + systemd.told()
    assert told[:2] == ["STATUS=listening", "READY=1"]
    assert told[2] in ("STATUS=thinking", "STATUS=speaking")
    assert told[-2:] == ["STATUS=listening", "STOPPING=1"]
    assert told.count("READY=1") == 1


def test_ready_but_honest_without_a_microphone(systemd: Systemd) -> None:
    from config.errors import AudioDeviceError

    source = Source(1_000_000, True, 0.01)
    source.errors = [AudioDeviceError("No microphone was found.")] * 100
    options = LoopOptions(wait_for_microphone=True, notifier=notifier(systemd, 1.0))
    service = MainLoop(source, Recognition({}), Generator(), SpeechOutput(), options=options)
    thread = running(service)
    told = systemd.told(1.5)
    service.stop()
    thread.join(5)
    assert told[:2] == ["STATUS=waiting for the microphone: No microphone was found.", "READY=1"]
    assert told.count("WATCHDOG=1") >= 3


def test_the_watchdog_is_fed_by_the_loop_and_only_while_it_turns(systemd: Systemd) -> None:
    stuck = threading.Event()
    freed = threading.Event()

    class Sticky(Recognition):
        def feed(self, chunk: object, **_: object) -> list[object]:  # type: ignore[override]
            if stuck.is_set():
                freed.wait(10)
            return []

    options = LoopOptions(notifier=notifier(systemd, 0.4))
    service = MainLoop(
        Source(1_000_000, True, 0.01), Sticky({}), Generator(), SpeechOutput(), options=options
    )
    thread = running(service)
    try:
        turning = systemd.told(1.0).count("WATCHDOG=1")
        stuck.set()
        systemd.told(0.2)
        assert systemd.told(1.0) == []
        assert 6 <= turning <= 10
    finally:  # else its threads would fail the tests after this one
        freed.set()
        service.stop()
        thread.join(5)


def test_a_dead_responder_is_not_hidden(systemd: Systemd) -> None:
    options = LoopOptions(notifier=notifier(systemd, 0.4))
    source = Source(1_000_000, True, 0.01)
    service = MainLoop(source, Recognition({}), Generator(), SpeechOutput(), options=options)
    service._responder._jobs.put(None)
    time.sleep(0.1)
    thread = running(service)
    told = systemd.told(1.0)
    assert "STATUS=listening" in told
    assert "WATCHDOG=1" not in told
    service.stop()
    thread.join(5)


def test_a_speech_engine_that_cannot_be_mended_is_not_hidden(
    systemd: Systemd, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("daemon.conversation.responder.CHECK_SECONDS", 0.05)
    speaker = SpeechOutput()
    options = LoopOptions(notifier=notifier(systemd, 0.4))
    source = Source(1_000_000, True, 0.01)
    service = MainLoop(source, Recognition({}), Generator(), speaker, options=options)
    thread = running(service)
    assert "WATCHDOG=1" in systemd.told(0.5)
    speaker.errors.append(SpeechError("The speech engine failed twice in a row."))
    systemd.told(0.3)
    assert "WATCHDOG=1" not in systemd.told(1.0)
    assert caplog.text.count("failed twice in a row") == 1  # not at every look
    speaker.errors.clear()
    assert "WATCHDOG=1" in systemd.told(1.0)
    service.stop()
    thread.join(5)


def test_a_reload_is_told_from_its_beginning_to_its_end(systemd: Systemd) -> None:
    reload = ReloadRequest()
    options = LoopOptions(notifier=notifier(systemd), begin_reload=lambda *, on_cpu=False: reload)
    source = Source(1_000_000, True, 0.01)
    service = MainLoop(source, Recognition({}), Generator(), SpeechOutput(), options=options)
    thread = running(service)
    systemd.told(0.5)
    service.reload()
    told = systemd.told(0.5)
    assert told[0].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert "READY=1" not in told
    reload.done.set_result({"changed": []})
    assert "READY=1" in systemd.told(0.5)
    service.stop()
    thread.join(5)


def test_another_process_watchdog_is_not_ours(systemd: Systemd) -> None:
    other = notifier(systemd, 1.0, WATCHDOG_PID=str(os.getpid() + 1))
    other.alive()
    ours = notifier(systemd, 1.0, WATCHDOG_PID=str(os.getpid()))
    ours.alive()
    ours.alive()
    assert systemd.told() == ["WATCHDOG=1"]


@pytest.mark.parametrize("address", ["", "/nowhere/notify", "@afterword-nobody-listens"])
def test_nobody_to_tell(address: str) -> None:
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
    monkeypatch.setenv("JOURNAL_STREAM", "8:1234")  # a parent's, not ours
    assert journal.format_error("No microphone.") == "afterword: No microphone."
    assert journal.with_priority("a\nb", logging.WARNING) == "<4>a\n<4>b"
