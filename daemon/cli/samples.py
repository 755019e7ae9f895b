"""One sentence in many voices: aloud, or each into a WAV file of its own."""

from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Self

from audio.output.loudspeaker import Loudspeaker
from audio.output.wav_file import WavFilePlayer
from audio.tts.engine import SpeechEngine
from config.errors import OutputError
from config.settings import Settings, VoiceSettings
from daemon.cli.voices import sample_text


class Samples:
    """Plays a sentence again and again; the loudspeaker stays open between them."""

    def __init__(self, settings: Settings, text: str | None, folder: Path | None) -> None:
        """`folder` receives WAV files, numbered as they come, instead of the loudspeaker.

        Raises:
            OutputError: the folder cannot be made.
        """
        self._text = text
        self._folder = folder
        self._count = 0
        self._player = Loudspeaker(settings.audio.output)
        if folder:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OutputError(
                    f"The folder {folder} cannot be made: {error.strerror}."
                ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._player.close()

    def play(self, voice: VoiceSettings) -> None:
        """Speak the sentence so; returns when it has sounded.

        Raises:
            ConfigError: there is no such voice.
            AudioDeviceError, OutputError, SpeechError: it cannot be heard.
        """
        engine = SpeechEngine(voice.name, voice.rate_wpm, voice.volume)
        with ExitStack() as stack:
            stack.enter_context(closing(engine))
            samples = engine.synthesize(self._text or sample_text(voice.name))
            player: Loudspeaker | WavFilePlayer = self._player
            if self._folder:
                player = stack.enter_context(closing(WavFilePlayer(self._file(voice))))
            player.open()
            player.play(samples, _never)
            player.wait(_never)

    def _file(self, voice: VoiceSettings) -> Path:
        assert self._folder is not None  # noqa: S101
        self._count += 1
        name = f"{voice.name.replace('/', '-')}-{voice.rate_wpm}-{round(100 * voice.volume)}"
        return self._folder / f"{self._count:02}-{name}.wav"


def _never() -> bool:
    return False
