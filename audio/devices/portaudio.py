"""The one door to PortAudio, whose state belongs to the whole process.

PortAudio lists the devices when it starts, and can start anew only while no stream is open; so
streams are opened and closed here.
"""

import atexit
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any

from config.errors import AudioDeviceError

_CLOSE_SECONDS = 0.3  # closing takes 1 ms, but never ends while the sound server hangs

_OPENING = threading.Lock()  # PortAudio is not made for several threads
# Each stream that is not closed, by its id, and how to get rid of it.
_OPEN: dict[int, tuple[Any, Callable[[], bool]]] = {}


def import_sounddevice() -> ModuleType:
    """Load PortAudio's Python binding; it probes the sound hardware, which takes a moment.

    Raises:
        AudioDeviceError: PortAudio is missing or does not start.
    """
    try:
        import sounddevice

        module: ModuleType = sounddevice
    except OSError as error:
        raise AudioDeviceError(
            "The PortAudio library, through which sound is recorded and played, was not found; "
            "install it (Debian and Ubuntu: `sudo apt-get install libportaudio2`)."
        ) from error
    except Exception as error:  # sounddevice.PortAudioError cannot be named if its import fails
        raise AudioDeviceError(f"PortAudio does not start: {error}.") from error
    return module


def start_stream(
    make: Callable[[], Any],
    environment: Mapping[str, str],
    let_go: Callable[[], bool] = lambda: False,
) -> Any:
    """The stream that `make` gives in this environment, running; close it with `close_stream`.

    `let_go` is asked, in any thread, to close a stream that nobody uses just now, so that
    PortAudio can look for devices again.

    Raises:
        sounddevice.PortAudioError: it cannot be opened or started.
    """
    with _OPENING, _with_environment(environment):
        stream = make()
        try:
            stream.start()
        except Exception:
            stream.close()
            raise
        _OPEN[id(stream)] = stream, let_go
        return stream


@contextmanager
def _with_environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def close_stream(stream: Any) -> None:
    """Close it at once, dropping what has not sounded; leave one that does not let itself be.

    None is no stream, and closed already.
    """
    if stream is None:
        return

    def close() -> None:
        with suppress(Exception):  # dead streams complain in many ways
            stream.abort()
        with suppress(Exception):
            stream.close()
        _OPEN.pop(id(stream), None)

    closing = threading.Thread(target=close, name="close-stream", daemon=True)
    closing.start()
    closing.join(_CLOSE_SECONDS)
    if closing.is_alive():
        import sounddevice

        # It closes PortAudio when the process ends, and would wait for ever as we would here.
        atexit.unregister(sounddevice._exit_handler)


def look_again() -> bool:
    """Let PortAudio list the devices anew (0.15 s); False, and nothing is done, while one is used.

    Raises:
        AudioDeviceError: PortAudio does not start.
    """
    sounddevice = import_sounddevice()
    with _OPENING:
        if not all(let_go() for _, let_go in list(_OPEN.values())) or _OPEN:
            return False
        try:
            if sounddevice._initialized:
                sounddevice._terminate()
            sounddevice._initialize()
        except sounddevice.PortAudioError as error:
            raise AudioDeviceError(f"PortAudio does not start: {error}.") from error
        return True


class Opener:
    """Opens a stream in a thread of its own: with a sound server that hangs it takes 30 s."""

    PATIENCE_SECONDS = 5.0  # it takes 10 ms, or seconds on a machine that is short of breath

    def __init__(self, start: Callable[[], Any]) -> None:
        """`start` gives a running stream."""
        self._start = start
        self._thread: threading.Thread | None = None

    def open(self, cancelled: Callable[[], bool]) -> Any:
        """The running stream; one that comes too late is closed again.

        Raises:
            AudioDeviceError: it took too long, or was `cancelled`.
            Exception: whatever `start` raises.
        """
        if self._thread is None or not self._thread.is_alive():
            outcome: Future[Any] = Future()
            self._thread = threading.Thread(
                target=self._work, args=[outcome], name="open-stream", daemon=True
            )
            self._thread.start()
            end = time.monotonic() + self.PATIENCE_SECONDS
            while time.monotonic() < end and not cancelled():
                with suppress(TimeoutError):
                    return outcome.result(0.1)
            if not outcome.cancel():
                return outcome.result()
        raise AudioDeviceError("The sound server does not answer; restart it if that lasts.")

    def _work(self, outcome: "Future[Any]") -> None:
        stream, error = None, None
        try:
            stream = self._start()
        except Exception as problem:
            error = problem
        if not outcome.set_running_or_notify_cancel():
            close_stream(stream)
        elif error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(stream)
