"""The mute state, kept over restarts as an empty file in the state folder."""

from config.errors import OutputError
from config.paths import state_folder


def is_muted() -> bool:
    """True if the user has muted the microphone, in this run or an earlier one."""
    return (state_folder() / "muted").exists()


def remember(muted: bool) -> None:
    """Save the mute state for the next start.

    Raises:
        OutputError: the file cannot be written.
    """
    file = state_folder() / "muted"
    try:
        if muted:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file.touch()
        else:
            file.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"This holds until the next start only: {file} cannot be changed ({error.strerror})."
        ) from error
