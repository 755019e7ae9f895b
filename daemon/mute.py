"""Being muted outlasts a restart: an empty file says so."""

from config.errors import OutputError
from config.paths import state_folder


def is_muted() -> bool:
    """Whether the user has muted us, now or in an earlier run."""
    return (state_folder() / "muted").exists()


def remember(muted: bool) -> None:
    """Keep it for the next start.

    Raises:
        OutputError: it cannot be written.
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
