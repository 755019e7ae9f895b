"""What one check of `afterword doctor` has found."""

from dataclasses import dataclass
from typing import Literal

from config.errors import AfterwordError

Level = Literal["ok", "warning", "fault"]


@dataclass(frozen=True)
class Finding:
    """One line of the page.

    Attributes:
        name: what was looked at, such as "microphone".
        level: "ok" works, "warning" works, but not as it should, "fault" does not work.
        detail: what was seen.
        remedy: what to do about it, or a hint where all is well; may be empty.
    """

    name: str
    level: Level
    detail: str
    remedy: str = ""


def fault(name: str, error: AfterwordError) -> Finding:
    """The finding in an error, whose sentence names its remedy after a semicolon."""
    detail, _, remedy = str(error).rstrip(".").partition("; ")
    return Finding(name, "fault", detail, remedy)
