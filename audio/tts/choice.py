"""The voice that speaks for a `voice.name`, by whether its files have been fetched."""

from audio.tts.neural import voice_files
from audio.tts.neural.engines import engine_of
from config.errors import ConfigError
from config.languages import LANGUAGES


def voice_in_force(voice: str, language: str) -> str:
    """The `voice.name` that speaks: espeak-ng's instead of a default that is not fetched.

    Looks at the names and sizes of the files alone.

    Args:
        voice: the setting `voice.name`.
        language: the setting `language`.

    Raises:
        ConfigError: the user has chosen a voice whose files are not there.
    """
    known = LANGUAGES[language]
    is_default = voice.strip().casefold() == known.default_voice
    if is_default and fetch_command(voice):
        return known.espeak_voice
    require_files(voice)
    return voice


def require_files(voice: str) -> None:
    """Refuse a voice whose files are still to be fetched.

    Raises:
        ConfigError: they are not there; the message names the command that fetches them.
    """
    if command := fetch_command(voice):
        raise ConfigError(
            f"voice.name: the files of the voice {voice!r} are not here; `{command}` fetches them."
        )


def fetch_command(voice: str) -> str:
    """The command that fetches the files of a voice; empty where they are there, or not needed."""
    files = voice_files.catalogue().get(engine_of(voice))
    if files is None or files.state == "ready":
        return ""
    return f"afterword voices fetch {files.language}"
