"""Prints the exchange to standard output as it happens."""

from dataclasses import dataclass, field
from typing import TextIO

from config.languages import sentence_gap


@dataclass
class Console:
    """Prints seed and reply, each on a line; the reply grows sentence by sentence."""

    out: TextIO
    _in_reply: bool = field(default=False, init=False)
    _last_sentence: str = field(default="", init=False)

    def heard(self, seed: str) -> None:
        """Print the seed as it was recognised."""
        self.end()
        print(f"You:       {seed}", file=self.out, flush=True)

    def spoken(self, sentence: str) -> None:
        """Add one sentence of the reply."""
        gap = sentence_gap(self._last_sentence, sentence) if self._in_reply else "Afterword: "
        print(f"{gap}{sentence}", end="", file=self.out, flush=True)
        self._in_reply = True
        self._last_sentence = sentence

    def end(self) -> None:
        """End the line of a reply."""
        if self._in_reply:
            print(file=self.out, flush=True)
        self._in_reply = False
