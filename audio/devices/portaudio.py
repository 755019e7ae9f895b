"""All access to PortAudio, whose state is global to the process.

PortAudio lists the devices when it starts, and can be restarted only while no stream is open; so
all streams are opened and closed here.
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

_CLOSE_SECONDS = 0.3  # to close a stream: 1 ms, or for ever while the sound server hangs

_OPENING = threading.Lock()  # PortAudio is not thread-safe
# Each open stream, by its id, and the function that asks its owner to close it.
_OPEN: dict[int, tuple[Any, Callable[[], bool]]] = {}


def import_sounddevice() -> ModuleType:
    """Import PortAudio's Python binding, which probes the sound hardware.

    Raises:
        AudioDeviceError: PortAudio is missing or does not start.
    """
    try:
        import sounddevice

        sounddevice._ffi_string = _text_of
        module: ModuleType = sounddevice
    except OSError as error:
        raise AudioDeviceError(
            "The PortAudio library, through which sound is recorded and played, was not found; "
            "install it (Debian and Ubuntu: `sudo apt-get install libportaudio2`)."
        ) from error
    except Exception as error:  # sounddevice.PortAudioError cannot be named if its import fails
        raise AudioDeviceError(f"PortAudio does not start: {error}.") from error
    return module


class _Name(bytes):
    """Bytes from PortAudio that decode whatever they are.

    A name in a configuration of ALSA may be in any encoding, as may an error message of the C
    library, and sounddevice raises a UnicodeDecodeError for all devices then.
    """

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The text; bytes that are not UTF-8 are taken for those of Windows' code page 1252."""
        try:
            return super().decode(encoding, errors)
        except UnicodeDecodeError:
            return super().decode("cp1252", "replace")


def _text_of(pointer: Any) -> _Name:
    """Replaces sounddevice's conversion of C strings."""
    import sounddevice

    return _Name(sounddevice._ffi.string(pointer))


def start_stream(
    make: Callable[[], Any],
    environment: Mapping[str, str],
    release: Callable[[], bool] = lambda: False,
) -> Any:
    """Make a stream in this environment and start it; to be closed by `close_stream`.

    Args:
        make: gives the stream.
        environment: variables to set meanwhile.
        release: called in any thread, so that PortAudio can list devices again: closes the stream
            and returns True, unless it is in use.

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
        _OPEN[id(stream)] = stream, release
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
    """Close a stream at once, without what has not sounded; abandon one that hangs.

    Does nothing for None.
    """
    if stream is None:
        return

    def close() -> None:
        with suppress(Exception):  # a dead stream may raise anything
            stream.abort()
        with suppress(Exception):
            stream.close()
        _OPEN.pop(id(stream), None)

    closing = threading.Thread(target=close, name="close-stream", daemon=True)
    closing.start()
    closing.join(_CLOSE_SECONDS)
    if closing.is_alive():
        import sounddevice

        # sounddevice closes PortAudio when the process ends, which would hang, too.
        atexit.unregister(sounddevice._exit_handler)


def look_again() -> bool:
    """Restart PortAudio, so that it lists the devices anew (0.15 s).

    Returns:
        False if a stream is in use; nothing is done then.

    Raises:
        AudioDeviceError: PortAudio does not start.
    """
    sounddevice = import_sounddevice()
    with _OPENING:
        if not all(release() for _, release in list(_OPEN.values())) or _OPEN:
            return False
        try:
            if sounddevice._initialized:
                sounddevice._terminate()
            sounddevice._initialize()
        except sounddevice.PortAudioError as error:
            raise AudioDeviceError(f"PortAudio does not start: {error}.") from error
        return True


class Opener:
    """Opens a stream in a thread, for with a sound server that hangs it takes 30 s."""

    PATIENCE_SECONDS = 5.0  # to open a stream: 10 ms, or seconds on a machine under load

    def __init__(self, start: Callable[[], Any]) -> None:
        """`start` returns a running stream."""
        self._start = start
        self._thread: threading.Thread | None = None

    def open(self, cancelled: Callable[[], bool]) -> Any:
        """The running stream; one that comes too late is closed again.

        Raises:
            AudioDeviceError: opening took too long, or was `cancelled`.
            Exception: any that `start` raises.
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
