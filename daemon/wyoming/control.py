"""The service's control socket, beside the daemon's: `afterword status` and `reload` ask there."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any

from config.errors import OutputError, RefusedError
from daemon.control.lock import single_instance_lock
from daemon.control.protocol import Request, wyoming_socket_path
from daemon.control.server import ControlServer
from daemon.control.subscriber import Subscriber

log = logging.getLogger(__name__)

Result = Mapping[str, object]
Command = Callable[[], Coroutine[Any, Any, Result]]


@contextlib.contextmanager
def control_socket(commands: Mapping[str, Command]) -> Iterator[None]:
    """Answer these commands of the same user, in the event loop that runs now.

    Where another Wyoming service has the socket, or it cannot be made, this one runs without.
    """
    loop = asyncio.get_running_loop()

    def ask(request: Request, _: Subscriber | None) -> Result:
        """Called in a thread for each client."""
        if request.command not in commands:
            known = " and ".join(commands)
            raise RefusedError(f"The Wyoming service has the commands {known}.")
        return asyncio.run_coroutine_threadsafe(commands[request.command](), loop).result()

    path = wyoming_socket_path()
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(single_instance_lock(path))
            held.enter_context(contextlib.closing(ControlServer(path, ask)))
        except RefusedError:
            log.info("Another Wyoming service answers `afterword status` and `reload`.")
        except OutputError as error:
            log.warning("%s `afterword status` and `reload` do not reach this service.", error)
        yield
