"""The exchange as text on standard output, as it happens."""

from dataclasses import dataclass, field
from typing import TextIO


@dataclass
class Console:
    """Prints who says what; a reply grows sentence by sentence on its own line."""

    out: TextIO
    _in_reply: bool = field(default=False, init=False)
    _blank: str = field(default=" ", init=False)

    def heard(self, seed: str) -> None:
        """Show the seed as it was understood."""
        self.end()
        print(f"You:       {seed}", file=self.out, flush=True)

    def spoken(self, sentence: str) -> None:
        """Add one sentence of the reply."""
        print(self._blank if self._in_reply else "Afterword: ", end="", file=self.out)
        print(sentence, end="", file=self.out, flush=True)
        self._in_reply = True
        self._blank = " " if sentence[-1:].isascii() else ""  # Chinese has none

    def end(self) -> None:
        """Close the line of a reply."""
        if self._in_reply:
            print(file=self.out, flush=True)
        self._in_reply = False
