"""The voices that the speech engine offers on this machine, asked of a child process."""

import json
import subprocess
from dataclasses import dataclass

from audio.tts.engine import COMMAND, START_SECONDS, speech_environment
from config.errors import SpeechError

_CHINESE = ("cmn", "yue", "hak", "nan", "zh")


@dataclass(frozen=True)
class Voice:
    """One voice: its id ("gmw/en-US"), its name, and the language it speaks ("en-us")."""

    id: str
    name: str
    language: str

    @property
    def short(self) -> str:
        """What to write in the settings."""
        return self.id.rpartition("/")[2].lower()


def installed_voices() -> tuple[list[Voice], list[str]]:
    """All voices, in the engine's order, and the variants that go with any of them.

    Raises:
        SpeechError: there is no speech engine, or it gives no list.
    """
    try:
        done = subprocess.run(
            (*COMMAND, "--voices"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=START_SECONDS,
            env=speech_environment(),
        )
        listing = json.loads(done.stdout)
        voices = [Voice(**voice) for voice in listing["details"]]
        return voices, list(listing["variants"])
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError) as error:
        raise SpeechError(
            "The speech engine gives no list of its voices; see `afterword doctor`."
        ) from error


def of_language(voices: list[Voice], language: str) -> list[Voice]:
    """Those that speak a language, such as "en", "en-gb" or "zh" (all of Chinese)."""
    wanted = language.casefold()
    starts = _CHINESE if wanted == "zh" else (wanted,)
    return [
        voice
        for voice in voices
        if any(f"{voice.language}-".startswith(f"{start}-") for start in starts)
    ]
