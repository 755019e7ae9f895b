"""What keeps words or sound, where the user wants it; nothing does by default."""

from config.settings import Settings
from daemon.observers.history import History, history_file
from daemon.observers.recordings import DebugRecordings, captures_folder, expire
from daemon.ports import Observer


def open_observers(settings: Settings) -> list[Observer]:
    """Those that the settings ask for; captures kept before they were switched off are deleted."""
    kept: list[Observer] = []
    if settings.history.enabled:
        kept.append(History(history_file(), settings.history.max_kilobytes * 1000))
    chosen = settings.captures
    if chosen.keep:
        kept.append(DebugRecordings(captures_folder(), chosen.keep, chosen.expire_hours * 3600))
    else:
        expire(captures_folder(), 0, 0.0)
    return kept
