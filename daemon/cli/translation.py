"""What the command line says, in the language of the locale where a catalogue is at hand.

`daemon/locale/zh_CN/LC_MESSAGES/afterword.po` is the source; scripts/make-translations compiles it.
"""

import gettext
from pathlib import Path


def translate(message: str) -> str:
    """The message as LANGUAGE, LC_ALL, LC_MESSAGES or LANG ask; itself where none is at hand."""
    folder = Path(__file__).parents[1] / "locale"
    return gettext.translation("afterword", folder, fallback=True).gettext(message)
