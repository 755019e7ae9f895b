"""Answers prose with a poem about its subject, where the weights write Chinese verse alone.

The shipped Chinese weights continue the beginning of a verse. Prose has no continuation in verse:
"今天天气很好" is answered by "题“天气”一首：" and four lines of a poem that begins anew.
"""

import copy
from collections.abc import Iterator, Sequence

import torch

from config.languages import join_sentences
from model.inference.generator import Cancelled, GeneratorOptions, TextGenerator
from model.inference.verse.couplet_writer import Couplet, CoupletWriter
from model.text.form_faults import Candidate
from model.text.spoken_form import prepare_seed
from model.text.verse.couplets import MARKS, last_character
from model.text.verse.plans import Plan, Planner
from model.text.verse.prose import SHIPPED_RULE, ModernWords, ProseRule, may_be_prose
from model.text.verse.rhymes import Rhymes
from model.text.verse.subjects import Subjects

_COUPLETS = 2  # of a poem, and of what "go on" adds
_FEWEST_TOKENS = 72  # that two couplets may need; with fewer, prose is continued
_DRAWS = 16  # of each couplet: 0.2 s on one core, and two of three poems rhyme
_ROUNDS = 3  # of draws, where none of the first may be spoken; the last has no set beginning
# What is as good as a mean of so many bits less for each character; the draws differ by one or two.
_RHYME_BITS = 1.5
_LEVEL_BITS = 0.5  # the first couplet ends in a level tone, so that the second can rhyme
_REPEATED_BITS = 0.2  # for each character that the poem has twice, on which it then turns


class ProseAnswers:
    """Continues verse as its generator does, and answers prose with a poem; one caller at a time.

    Prose stays prose when it goes on: a text that ends with such a poem gets further couplets.
    """

    def __init__(
        self, generator: TextGenerator, rule: ProseRule = SHIPPED_RULE, draws: int = _DRAWS
    ) -> None:
        """Continue verse and answer prose.

        Args:
            generator: continues verse.
            rule: tells which seeds are prose.
            draws: of each couplet, of which the best is kept.
        """
        self._rule = rule
        self._draws = draws
        self._subjects = Subjects()
        self._modern = ModernWords(self._subjects)
        self._rhymes = Rhymes()
        self._use(generator)
        self._decided = "", False  # the newest seed, and whether it is prose

    def _use(self, generator: TextGenerator) -> None:
        self._generator = generator
        self._planner = Planner(self._subjects, generator.bits_per_character)
        sampling = generator.options.sampling
        self._writer = CoupletWriter(generator.engine, generator.vocabulary, sampling)
        self._random = torch.Generator()
        self._random.seed()

    @property
    def parts(self) -> tuple[TextGenerator]:
        """The generator of verse."""
        return (self._generator,)

    @property
    def name(self) -> str:
        """The name of the weights."""
        return self._generator.name

    @property
    def device(self) -> str:
        """The device that computes, as torch names it."""
        return self._generator.device

    def with_options(self, options: GeneratorOptions) -> "ProseAnswers":
        """A generator with the same loaded model; the two must not run at the same time."""
        other = copy.copy(self)
        other._use(self._generator.with_options(options))
        return other

    def read_ahead(self, seed: str) -> None:
        """Read what may become the beginning of a verse; see `TextGenerator.read_ahead`."""
        if not self._is_prose(seed):
            self._generator.read_ahead(seed)

    def continue_text(self, seed: str, cancelled: Cancelled) -> Iterator[str]:
        """Yield the continuation of a verse, or a lead and then the couplets of a poem.

        Each couplet is the best of several that the checks allow; `cancelled` is polled at every
        token. Where no couplet may be spoken, the reply ends.

        Raises:
            DeviceError, GenerationError: as `TextGenerator.continue_text`.
        """
        plan = self.plan(seed)
        if plan is None:
            yield from self._generator.continue_text(seed, cancelled)
            return
        if plan.lead:
            yield plan.lead
        yield from self._write(plan, cancelled)

    def plan(self, seed: str) -> Plan | None:
        """The poem that answers a seed; None for verse, which is continued.

        Raises:
            DeviceError, GenerationError: as `TextGenerator.continue_text`.
        """
        if self._generator.options.max_new_tokens < _FEWEST_TOKENS:
            return None
        if plan := self._planner.go_on(seed):
            return plan
        if not self._is_prose(seed):
            return None
        return self._planner.begin(seed, lambda lead: not self._fault("", (), lead))

    def _is_prose(self, seed: str) -> bool:
        text = prepare_seed(seed)
        if self._decided[0] != text:
            is_prose = may_be_prose(text) and self._rule.is_prose(
                self._generator.bits_per_character(text), self._modern.are_in(text)
            )
            self._decided = text, is_prose
        return self._decided[1]

    def _write(self, plan: Plan, cancelled: Cancelled) -> Iterator[str]:
        options = self._generator.options
        if options.random_seed is not None:
            self._random.manual_seed(options.random_seed)
            self._generator.engine.forget()  # as TextGenerator does
        poem = list(plan.poem)
        for _ in range(min(_COUPLETS, options.max_sentences)):
            couplet = self._best(plan, poem, cancelled)
            if couplet is None:
                return
            yield couplet
            poem.append(couplet)

    def _best(self, plan: Plan, poem: Sequence[str], cancelled: Cancelled) -> str | None:
        """The best new couplet that may be spoken; None if cancelled, or if there is none."""
        images = plan.images(poem)
        for attempt in range(_ROUNDS):
            chosen = self._choose(images) if attempt < _ROUNDS - 1 else ""
            drawn = self._writer.draw(poem, [chosen] * self._draws, self._random, cancelled)
            ranked = sorted(drawn, key=lambda couplet: self._cost(couplet, poem))
            if cancelled():
                return None
            for couplet in ranked:
                if not self._fault(plan.lead, poem, couplet.text):
                    return couplet.text
        return None

    def _choose(self, images: Sequence[str]) -> str:
        """One of these, by chance; empty if there is none."""
        if not images:
            return ""
        return images[int(torch.randint(len(images), (), generator=self._random))]

    def _cost(self, couplet: Couplet, poem: Sequence[str]) -> float:
        """The bits of a couplet, with what speaks for it taken off; fewer are better."""
        end = last_character(couplet.text)
        text = [c for c in "".join([*poem, couplet.text]) if c not in MARKS]
        cost = couplet.bits + _REPEATED_BITS * (len(text) - len(set(text)))
        if not poem:
            return cost - _LEVEL_BITS * self._rhymes.is_level(end)
        return cost - _RHYME_BITS * self._rhymes.rhyme(last_character(poem[-1]), end)

    def _fault(self, lead: str, poem: Sequence[str], text: str) -> str | None:
        candidate = Candidate(lead, join_sentences(poem), text)
        found = (check(candidate) for check in self._generator.options.checks)
        return next((kind for kind in found if kind), None)
