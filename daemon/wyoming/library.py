"""The package `wyoming`, which is an extra: whether it is there, and new enough."""

import importlib.metadata
import re

from config.errors import MissingPackageError
from config.installation import add_extra_command

# As in pyproject.toml. 1.7.0 is the first with streamed answers; until 1.7.2 its client fails at an
# event without data, and 1.7.0 excludes Python 3.14.
OLDEST_LIBRARY = (1, 7, 2)


def check_library() -> None:
    """Refuse to start without the package `wyoming`, or with one that is too old.

    Raises:
        MissingPackageError: it is so.
    """
    remedy = f"`{add_extra_command('wyoming')}` brings it."
    try:
        found = importlib.metadata.version("wyoming")
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingPackageError(f"Wyoming needs its library; {remedy}") from error
    if tuple(map(int, re.findall(r"\d+", found)[:3])) < OLDEST_LIBRARY:
        oldest = ".".join(map(str, OLDEST_LIBRARY))
        raise MissingPackageError(
            f"Wyoming needs its library in version {oldest} or newer, and {found} is installed; "
            f"{remedy}"
        )
