"""The result of one check of `afterword doctor`."""

from dataclasses import dataclass
from typing import Literal

from config.errors import AfterwordError

Level = Literal["ok", "warning", "fault"]


@dataclass(frozen=True)
class Finding:
    """The result of one check: one line of the report.

    Attributes:
        name: what was checked, such as "microphone".
        level: "ok": works; "warning": works, but not as it should; "fault": does not work.
        detail: what the check saw.
        remedy: what the user can do, or a hint where all is well; may be empty.
    """

    name: str
    level: Level
    detail: str
    remedy: str = ""


def fault(name: str, error: AfterwordError) -> Finding:
    """A finding made of an error, whose message names the remedy after a semicolon."""
    detail, _, remedy = str(error).rstrip(".").partition("; ")
    return Finding(name, "fault", detail, remedy)
