"""Faults of the running daemon: signals in every state, clients, clocks, endless replies."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from audio.events import Event, Seed, Triggered
from config.errors import NotRunningError
from daemon.control import client, protocol
from daemon.loop.main_loop import MainLoop
from tests.daemon.fakes import Generator, Recognition, Source, SpeechOutput
from tests.daemon.loop.running import running
from tests.support.program import ROOT

EXCHANGE: list[Event] = [Triggered("hey computer", 0.1), Seed("a fox", 0.2)]
STATES = [
    "listening",
    "capturing",
    "thinking",
    "speaking",
    "muted",
    "waiting for the microphone: none",
]


@contextlib.contextmanager
def daemon_in(state: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A daemon in a child process, in this state."""
    command = [sys.executable, "-m", "tests.faults.daemon_in_state", state]
    settings = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    process = subprocess.Popen(command, env=settings, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: state_of_daemon(process) == state)
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stderr
        process.stderr.close()


def state_of_daemon(process: subprocess.Popen[str]) -> object:
    assert process.poll() is None, process.stderr and process.stderr.read()
    with contextlib.suppress(NotRunningError):
        return client.ask("status")["state"]
    return None


def wait_until(holds: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("state", STATES)
def test_sigterm_ends_it_in_every_state(state: str) -> None:
    with daemon_in(state) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr
        assert "Traceback" not in process.stderr.read()
    assert not protocol.socket_path().exists()


def test_sigterm_while_loading_ends_it_silently() -> None:
    command = [sys.executable, "-m", "daemon", "say", "a fox", "--no-speech"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    signals = Path(f"/proc/{process.pid}/status")
    # As soon as SIGTERM (bit 14) has a handler; torch and the weights still take seconds.
    wait_until(lambda: bool(int(signals.read_text().split("SigCgt:")[1].split()[0], 16) >> 14 & 1))
    process.terminate()
    error = process.communicate(timeout=60)[1]
    assert (process.returncode, error) == (128 + signal.SIGTERM, "")


def test_a_client_that_never_reads_does_not_delay_the_others() -> None:
    with daemon_in("listening") as process, contextlib.ExitStack() as stack:
        for command in ("status", "follow", "watch"):
            client_socket = stack.enter_context(socket.socket(socket.AF_UNIX))
            client_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            client_socket.connect(str(protocol.socket_path()))
            client_socket.sendall(protocol.request_line(command, {}))
        for _ in range(150):  # more than the buffers of a socket and of a subscriber hold
            client.ask("say", seed="word " * 390)
        assert client.ask("status")["replies"] == 150
        client.ask("stop")
        assert process.wait(10) == 0


# Every call of time.time() is an hour, a day or ten years off the one before, in both directions.
JUMPS = """
import itertools, pathlib, time
jumps = itertools.cycle([0.0, 3600.0, -86400.0, 3e8, -3e8])
real = time.time
def jumping():
    pathlib.Path(__file__).with_name("jumped").touch()
    return real() + next(jumps)
time.time = jumping
time.time_ns = lambda: int(time.time() * 1e9)
"""


def test_a_clock_that_jumps_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(JUMPS)
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    with daemon_in("speaking", PYTHONPATH=path) as process:
        client.ask("hush")
        wait_until(lambda: state_of_daemon(process) == "listening")
        uptime = client.ask("status")["uptime_seconds"]
        assert isinstance(uptime, float)
        assert 0 <= uptime < 300
        client.ask("say", seed="the crow")
        wait_until(lambda: state_of_daemon(process) == "speaking")
        client.ask("stop")
        assert process.wait(10) == 0
    assert (tmp_path / "jumped").exists()  # sitecustomize.py was in use


def test_no_decision_is_made_by_the_wall_clock() -> None:
    """Dates are for users to read; code that waits or measures takes the monotonic clock."""
    found = {
        str(file.relative_to(ROOT))
        for package in ("audio", "config", "daemon", "model")
        for file in (ROOT / package).rglob("*.py")
        if any(
            call in file.read_text()
            for call in ("time.time()", "time_ns()", "datetime.", "import datetime")
        )
    }
    dates_for_users = {"daemon/conversation/publisher.py", "daemon/observers/recordings.py"}
    reads_event_dates = {"daemon/bench/interruption.py"}  # a bench, not part of the daemon
    assert found == dates_for_users | reads_event_dates


def microphone() -> Source:
    return Source(1_000_000, live=True, seconds_each=0.005)


class EndlessGenerator(Generator):
    """Yields sentences until it is cancelled."""

    def continue_text(self, seed: str, cancelled: Callable[[], bool]) -> Iterator[str]:
        self.seeds.append(seed)
        while not cancelled():
            yield "And on."


def test_an_endless_reply_can_be_hushed_and_interrupted() -> None:
    generator, speech = EndlessGenerator(), SpeechOutput(0.001)
    loop = MainLoop(microphone(), Recognition({3: EXCHANGE}), generator, speech)
    with running(loop):
        wait_until(lambda: len(speech.spoken) > 20)
        loop.inbox.ask(protocol.Request("hush", {}))
        wait_until(lambda: loop.inbox.ask(protocol.Request("status", {}))["state"] == "listening")
        spoken = len(speech.spoken)
        loop.inbox.ask(protocol.Request("say", {"seed": "the crow"}))
        wait_until(lambda: len(speech.spoken) > spoken + 20)
    assert generator.seeds == ["a fox", "the crow"]


def test_an_empty_reply_is_logged_and_the_next_is_served(caplog: pytest.LogCaptureFixture) -> None:
    generator, speech = Generator([]), SpeechOutput()
    loop = MainLoop(Source(60), Recognition({3: EXCHANGE, 9: EXCHANGE}), generator, speech)
    assert loop.run().replies == 2
    assert caplog.text.count("The model had nothing to say to that.") == 2
