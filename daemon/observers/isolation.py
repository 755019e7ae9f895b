"""Isolation: a fault of an observer is logged, and ends neither the main loop nor the others."""

import logging
import traceback
from collections.abc import Callable

log = logging.getLogger(__name__)


def succeeds(name: str, act: Callable[[], object]) -> bool:
    """Call `act`; on an error, log one line that names what has failed, and return False.

    The line holds the kind of the error and its place, not its message, in which there may be
    words of the conversation. The traceback follows at debug level.
    """
    try:
        act()
    except Exception as error:
        log.error("%s failed; all else goes on without it: %s.", name, _reason(error))
        log.debug("%s failed", name, exc_info=True)
        return False
    return True


def _reason(error: Exception) -> str:
    """The system's reason, or the kind of the error and the line of code."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    *_, last = traceback.extract_tb(error.__traceback__)
    return f"{kind} in {last.filename}, line {last.lineno}"
