"""What keeps words or sound, where the user wants it; nothing does by default."""

from config.settings import Settings
from daemon.observers.history import History, history_file
from daemon.observers.recordings import Captures, captures_folder, expire
from daemon.ports import Keeper


def open_keepers(settings: Settings) -> list[Keeper]:
    """Those that the settings ask for; captures kept before they were switched off are deleted."""
    kept: list[Keeper] = []
    if settings.history.enabled:
        kept.append(History(history_file(), settings.history.max_kilobytes * 1000))
    chosen = settings.captures
    if chosen.keep:
        kept.append(Captures(captures_folder(), chosen.keep, chosen.expire_hours * 3600))
    else:
        expire(captures_folder(), 0, 0.0)
    return kept
