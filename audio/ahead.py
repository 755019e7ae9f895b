"""A recogniser that hears in the background, so that its answer is there when it is asked for."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from audio.stt.vosk_engine import Hypothesis, PathRecognizer


class BackgroundRecognizer:
    """Hears what it is given in a thread of its own, in order.

    The engine lets other threads run meanwhile. The thread ends with `finish` or `drop`.
    """

    def __init__(self, make: Callable[[], PathRecognizer], pcm: bytes) -> None:
        """Have the recogniser made there, and let it hear 16-bit samples."""
        self._thread = ThreadPoolExecutor(1, "ahead")
        self._recognizer = self._thread.submit(make)
        self.hear(pcm)

    def hear(self, pcm: bytes) -> None:
        """Let it hear more, without waiting for it."""
        self._thread.submit(lambda: self._recognizer.result().accept(pcm))

    def finish(self) -> Future[list[Hypothesis]]:
        """That was all; what it will have heard."""
        answer = self._thread.submit(lambda: self._recognizer.result().finish())
        self._thread.shutdown(wait=False)
        return answer

    def drop(self) -> None:
        """Its answer is not needed; what it has not begun to hear, it need not."""
        self._thread.shutdown(wait=False, cancel_futures=True)
