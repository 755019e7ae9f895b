"""Close a PortAudio stream that may be dead."""

import atexit
import threading
from contextlib import suppress
from typing import Any

_CLOSE_SECONDS = 0.3  # closing takes 1 ms, but never ends while the sound server hangs


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

    closing = threading.Thread(target=close, name="close-stream", daemon=True)
    closing.start()
    closing.join(_CLOSE_SECONDS)
    if closing.is_alive():
        import sounddevice

        # It closes PortAudio when the process ends, and would wait for ever as we would here.
        atexit.unregister(sounddevice._exit_handler)
