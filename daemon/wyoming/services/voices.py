"""The voices that are offered, and the choice of one for a text."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from audio.tts.voices import ESPEAK, Voice, find_voice, of_language
from config.errors import RefusedError
from daemon.wyoming.services.languages import find_language, guess_language, normal_tag

_SUGGESTIONS = 3
_SHOWN = 60  # characters of a wish, in a message


@dataclass(frozen=True)
class Wish:
    """The voice that a client wishes for; empty where it names none.

    Attributes:
        name: of the voice; it counts before the language.
        language: its tag.
    """

    name: str = ""
    language: str = ""

    @staticmethod
    def of(data: Mapping[str, object]) -> "Wish":
        """The field `voice` of an event; what is of the wrong type is left out."""
        voice = data.get("voice")
        fields = voice if isinstance(voice, dict) else {}
        name, language = (fields.get(key) for key in ("name", "language"))
        return Wish(*(one.strip() if isinstance(one, str) else "" for one in (name, language)))


@dataclass(frozen=True)
class OfferedVoices:
    """All voices that can be asked for.

    Attributes:
        defaults: by language, the `voice.name` that speaks where none is asked for.
        listed: the voices of this machine.
        variants: of espeak-ng's voices: "f3" in "en-us+f3".
    """

    defaults: Mapping[str, str]
    listed: Sequence[Voice] = ()
    variants: frozenset[str] = field(default_factory=frozenset)

    def choose(self, wish: Wish, text: str) -> str:
        """The `voice.name` that speaks a text.

        Raises:
            RefusedError: no voice is as wished; the message says it in words.
        """
        if wish.name:
            return self._named(wish.name)
        if wish.language:
            return self._of_language(wish.language)
        return self.defaults[guess_language(text, [*self.defaults])]

    def language_of(self, voice: str) -> str:
        """The code of the language whose settings hold for a voice; else the default one."""
        for code, default in self.defaults.items():
            if voice == default:
                return code
        found = find_voice(voice, self.listed)
        codes = [*self.defaults]
        return (found and find_language(found.language, codes)) or codes[0]

    def _named(self, name: str) -> str:
        """The voice of this name. Files that a client names are not opened."""
        for default in self.defaults.values():
            if name.casefold() == default.casefold():
                return default
        voice = find_voice(name, self.listed)
        _, plus, variant = name.partition("+")
        if voice is not None and not (voice.engine == ESPEAK and plus):
            return voice.short
        if voice is not None and variant in self.variants:
            return f"{voice.short}+{variant}"
        near = difflib.get_close_matches(
            name.casefold(), [voice.short for voice in self.listed], _SUGGESTIONS
        )
        hint = f"; these are near: {', '.join(near)}" if near else ""
        raise RefusedError(f"Afterword has no voice {name[:_SHOWN]!r}{hint}.")

    def _of_language(self, tag: str) -> str:
        exact = {voice.short for voice in of_language(self.listed, normal_tag(tag))}
        code = find_language(tag, [*self.defaults])
        if code is not None and (self.defaults[code] in exact or normal_tag(tag) == code):
            return self.defaults[code]
        listed = [voice.short for voice in self.listed if voice.short in exact]
        if listed:
            return listed[0]
        if code is not None:
            return self.defaults[code]
        if "-" in tag or "_" in tag:  # a region without a voice of its own
            return self._of_language(normal_tag(tag).partition("-")[0])
        raise RefusedError(f"Afterword has no voice for the language {tag[:_SHOWN]!r}.")
