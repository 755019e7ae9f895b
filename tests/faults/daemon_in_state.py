"""A daemon with real signals, loop and control socket, and fake components: `python FILE STATE`.

It enters this state without a user and stays there until it is stopped.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import closing

from audio.events import Event, Seed, Triggered
from config.errors import AudioDeviceError
from daemon.cli import run
from daemon.control.lock import single_instance_lock
from daemon.control.protocol import socket_path
from daemon.control.server import ControlServer
from daemon.loop.main_loop import MainLoop
from daemon.loop.options import LoopOptions
from tests.daemon.fakes import Generator, Recognition, Source, SpeechOutput

TRIGGER = Triggered("hey computer", 0.1)
SCRIPTS: dict[str, dict[int, list[Event]]] = {
    "capturing": {3: [TRIGGER]},
    "thinking": {3: [TRIGGER, Seed("a fox", 0.2)]},
    "speaking": {3: [TRIGGER, Seed("a fox", 0.2)]},
}


class HangingGenerator(Generator):
    """Never yields a sentence, as a model whose processor hangs."""

    def continue_text(self, seed: str, cancelled: object) -> Iterator[str]:  # type: ignore[override]
        time.sleep(600)
        yield "never"


def main(state: str) -> None:
    """Serve until stopped, in this state."""
    source = Source(10_000_000, live=True, seconds_each=0.01)
    if state == "waiting for the microphone: none":
        source.errors = [AudioDeviceError("none")] * 1000
    generator = HangingGenerator() if state == "thinking" else Generator()
    recognition, speech = Recognition(SCRIPTS.get(state, {})), SpeechOutput(600.0)
    options = LoopOptions(wait_for_microphone=True, muted=state == "muted")
    with single_instance_lock(socket_path()):
        loop = MainLoop(source, recognition, generator, speech, options=options)
        run.install_signal_handlers(loop)
        with closing(ControlServer(socket_path(), loop.inbox.ask)):
            loop.run()


if __name__ == "__main__":
    main(sys.argv[1])
