"""The manner of a model: how it wants a seed to be written, and what it never says.

A record of data that belongs to the weights, stored as JSON in their file. Weights trained by this
project read spoken openings in lower case (the default); others have learnt written English, and
continue "Why is the sea salty?" better than "why is the sea salty".
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from config.errors import WeightsError

_MOST_ITEMS = 1000  # of a list: each costs a search, or time at loading
_MOST_CHARACTERS = 2000  # of an opening: it is read before every seed


@dataclass(frozen=True)
class Opening:
    """A text that is read before a seed.

    Attributes:
        first_words: lower case; the opening is for seeds that begin with these words. Empty: for
            every seed.
        text: goes before the seed as it is.
    """

    first_words: str
    text: str


@dataclass(frozen=True)
class Manner:
    """How the weights want a seed, and what they never say.

    Attributes:
        capitals: the first letter, the word "I" and names are capital, and no space goes before
            the seed; else spoken words are lower case, each after a space.
        question_mark: a spoken question ends in one.
        openings: the first that fits the seed is read before it; none fits: nothing.
        never: no piece that holds one of these texts is drawn, such as a line break.
        ends_after_sentence: the text may end after a complete sentence only.
        temperature_factor: multiplies the temperature of the settings. Of two models, the one that
            knows more words has more bad ones to draw.
    """

    capitals: bool = False
    question_mark: bool = False
    openings: tuple[Opening, ...] = ()
    never: tuple[str, ...] = ()
    ends_after_sentence: bool = False
    temperature_factor: float = 1.0

    def opening(self, seed: str) -> str:
        """The text that is read before this seed; empty if there is none."""
        words = f"{seed.strip().lower()} "
        fitting = (o.text for o in self.openings if words.startswith(_whole_words(o.first_words)))
        return next(fitting, "")

    def to_json(self) -> str:
        """The manner as a line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Manner":
        """The manner that `to_json` has written; keys left out have their defaults.

        Raises:
            WeightsError: the text is no JSON, or as `from_table`.
        """
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise WeightsError("The manner of the weights is no JSON.") from error
        if not isinstance(content, Mapping):
            raise WeightsError("The manner of the weights is no table of names and values.")
        return cls.from_table(content)

    @classmethod
    def from_table(cls, content: Mapping[str, object]) -> "Manner":
        """The manner with these values, as JSON has them; keys left out have their defaults.

        Raises:
            WeightsError: a key is unknown, or a value of another type.
        """
        known = {field.name: field.default for field in fields(cls)}
        for name in content:
            if name not in known:
                raise WeightsError(
                    f'The manner of the weights has "{name}", which this version of afterword '
                    "does not know; update afterword."
                )
        return cls(
            capitals=_flag(content, "capitals"),
            question_mark=_flag(content, "question_mark"),
            openings=tuple(map(_opening, _list(content, "openings"))),
            never=tuple(_text(item, "never", least=1) for item in _list(content, "never")),
            ends_after_sentence=_flag(content, "ends_after_sentence"),
            temperature_factor=_factor(content, "temperature_factor"),
        )


SPOKEN = Manner()
"""The manner of weights that this project trains: words as a recogniser gives them."""


def _whole_words(first_words: str) -> str:
    return f"{first_words} " if first_words else ""


def _wrong(name: str) -> WeightsError:
    return WeightsError(f'The manner of the weights has no usable value of "{name}".')


def _flag(content: Mapping[str, object], name: str) -> bool:
    value = content.get(name, False)
    if not isinstance(value, bool):
        raise _wrong(name)
    return value


def _factor(content: Mapping[str, object], name: str) -> float:
    value = content.get(name, 1.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 2:
        raise _wrong(name)
    return float(value)


def _list(content: Mapping[str, object], name: str) -> list[object]:
    value = content.get(name, [])
    if not isinstance(value, list) or len(value) > _MOST_ITEMS:
        raise _wrong(name)
    return value


def _text(value: object, name: str, least: int = 0) -> str:
    if not isinstance(value, str) or not least <= len(value) <= _MOST_CHARACTERS:
        raise _wrong(name)
    return value


def _opening(value: object) -> Opening:
    names = {"first_words", "text"}
    if not isinstance(value, Mapping) or value.keys() != names:
        raise _wrong("openings")
    return Opening(*(_text(value[name], "openings") for name in ("first_words", "text")))
