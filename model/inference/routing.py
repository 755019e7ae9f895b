"""Chooses between two generators for each seed: the small weights tell stories, the large the rest.

The small weights decide by themselves: a seed whose tokens they expect is one of their stories. The
mean of the bits of its tokens separates better than bits per byte, because words that a vocabulary
of children's stories lacks fall into many tokens. Who speaks of himself, to somebody or asks a
question tells no children's story, however simple his words are. `scripts/fit-routing` fits the
rule to seeds written for it, and has the counts.
"""

import copy
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from config.languages import join_sentences
from model.inference.generator import Cancelled, GeneratorOptions, TextGenerator
from model.inference.verse.prose_answers import ProseAnswers
from model.text.orthography.questions import is_question
from model.text.spoken_form import is_written, to_spoken_form

TEXTS = 100  # remembered for "go on", as many as daemon/wyoming/ remembers conversations

_PERSONS = """
i i'm i've i'd i'll me my mine myself we we're we've we'd we'll us our ours
you you're you've you'd you'll your yours yourself
"""


@dataclass(frozen=True)
class RoutingRule:
    """When the small weights continue a seed.

    Attributes:
        limit_bits: mean bits of its tokens up to which a seed is a story.
        address_bits: added where it is in the first or second person or asks a question.
    """

    limit_bits: float
    address_bits: float

    def is_story(self, seed: str, bits: float) -> bool:
        """True for a seed that the small weights continue; `bits`: the mean of its tokens."""
        return bits + self.address_bits * is_address(seed) < self.limit_bits


STORIES = RoutingRule(limit_bits=7.09, address_bits=3.77)
"""For the shipped weights, as `scripts/fit-routing` prints it."""
OWN_TEXTS = RoutingRule(limit_bits=7.09, address_bits=0.0)
"""For the user's own weights, which may have learnt letters and diaries."""


def is_address(seed: str) -> bool:
    """True if the words of a seed are in the first or second person, or a question."""
    words = to_spoken_form(seed).strip()
    return not frozenset(_PERSONS.split()).isdisjoint(words.split()) or is_question(words)


@dataclass(eq=False)
class _Text:
    """A seed with all sentences of its continuation, and whether the large weights gave them."""

    is_large: bool
    words: str = ""


class RoutedGenerator:
    """Continues each seed with one of two generators; one caller at a time, as for each of them."""

    def __init__(
        self,
        small: TextGenerator,
        large: TextGenerator,
        rule: RoutingRule = STORIES,
    ) -> None:
        """`small` continues the seeds that the rule calls stories, `large` all others."""
        self._small = small
        self._large = large
        self._rule = rule
        self._newest = small
        self._chosen: tuple[str, TextGenerator] = ("", small)  # the newest choice, by its seed
        self._texts: deque[_Text] = deque(maxlen=TEXTS)  # the newest is last

    @property
    def parts(self) -> tuple[TextGenerator, TextGenerator]:
        """The small and the large."""
        return self._small, self._large

    @property
    def device(self) -> str:
        """The device that computes, as torch names it."""
        return self._large.device

    @property
    def name(self) -> str:
        """The name of the weights that gave the newest continuation, and of their adapter."""
        return self._newest.name

    def with_options(self, options: GeneratorOptions) -> "RoutedGenerator":
        """A generator with the same loaded models; the two must not run at the same time."""
        other = copy.copy(self)
        other._small = self._small.with_options(options)
        other._large = self._large.with_options(options)
        other._newest, other._chosen = other._small, ("", other._small)
        other._texts = copy.deepcopy(self._texts)
        return other

    def read_ahead(self, seed: str) -> None:
        """Choose for what may become the beginning of a seed, and let the chosen one read it.

        Raises:
            As `TextGenerator.read_ahead`.
        """
        self.choose(seed).read_ahead(seed)

    def continue_text(self, seed: str, cancelled: Cancelled) -> Iterator[str]:
        """Yield the sentences of the chosen generator; see `TextGenerator.continue_text`.

        A seed with marks that lies within a text of before ("go on") stays with its generator;
        texts of several conversations may alternate.
        """
        text = self._text_with(seed) or _Text(self.choose(seed) is self._large)
        self._newest = self._large if text.is_large else self._small
        text.words = seed
        self._texts.append(text)
        for sentence in self._newest.continue_text(seed, cancelled):
            text.words = join_sentences([text.words, sentence])
            yield sentence

    def _text_with(self, seed: str) -> "_Text | None":
        """The newest text that the seed lies within, taken out of those remembered."""
        if not is_written(seed):
            return None
        found = next((text for text in reversed(self._texts) if seed in text.words), None)
        if found:
            self._texts.remove(found)
        return found

    def choose(self, seed: str) -> TextGenerator:
        """The generator that continues a seed.

        Raises:
            As `TextGenerator.continue_text`.
        """
        if self._chosen[0] != seed:
            is_story = self._rule.is_story(seed, self._small.bits_per_token(seed))
            self._chosen = seed, self._small if is_story else self._large
        return self._chosen[1]


Generator = TextGenerator | RoutedGenerator | ProseAnswers
