"""Continues a seed, sentence by sentence.

The engine reads the seed, then one token at a time: each is sampled and decoded to text, and a
sentence is yielded as soon as it is complete. A sentence that fails a check is drawn anew.
"""

import copy
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from config.errors import WeightsError
from config.languages import join_sentences
from model.checkpoints.adapter_store import with_adapter
from model.checkpoints.adapters import load_adapted
from model.checkpoints.weights_file import Weights, load_weights
from model.device import choose_device, device_faults
from model.inference.draft import Draft, Part
from model.inference.engine import InferenceEngine
from model.inference.manner_mask import MannerMask
from model.inference.sampler import SamplingOptions, sample
from model.inference.utf8_mask import Utf8Mask
from model.inference.word_boundary_mask import WordBoundaryMask
from model.memory import refuse_without_memory, return_freed_memory
from model.text.form_faults import Candidate
from model.text.manner import SPOKEN, Manner
from model.text.orthography.names import names_in
from model.text.repair import open_quotation, repair
from model.text.sentences import within_speech
from model.text.spoken_form import prepare_seed
from model.text.vocabulary import Vocabulary

log = logging.getLogger(__name__)

Cancelled = Callable[[], bool]
Check = Callable[[Candidate], str | None]
"""Returns the kind of a sentence's fault; None if it may be spoken."""

SCORED_TOKENS = 48  # of a seed; more cannot change what it is about
_EXTRA_SENTENCES = 2  # more than max_sentences, to end a quotation
_MAX_REDRAWS = 3  # of one sentence
# Greedy decoding would draw the refused sentence again. Warmer redraws are how Whisper leaves its
# loops (Radford et al. 2022, temperature fallback).
_MIN_REDRAW_TEMPERATURE = 0.6
_BETTER_THAN_SILENCE = ("break", "loop")  # faults with which a reply may begin if all draws fail


@dataclass(frozen=True)
class GeneratorOptions:
    """How to choose tokens, and when to stop.

    Attributes:
        sampling: how the next token is chosen.
        max_sentences: stop after this sentence, or up to two later inside a quotation.
        max_new_tokens: stop after this many tokens, in mid-sentence if need be.
        random_seed: equal seeds give equal words; None draws others each time.
        checks: decide which sentences may be spoken.
    """

    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    max_sentences: int = 5
    max_new_tokens: int = 200
    random_seed: int | None = None
    checks: tuple[Check, ...] = ()


class TextGenerator:
    """Continues texts with one model; one caller at a time.

    Attributes:
        name: of the weights, and of their adapter.
        adapter: name of the adapter; empty if there is none.
    """

    def __init__(
        self,
        engine: InferenceEngine,
        vocabulary: Vocabulary,
        options: GeneratorOptions,
        manner: Manner = SPOKEN,
        name: str = "",
        adapter: str = "",
    ) -> None:
        """Continue texts with this model.

        Args:
            engine: runs the model.
            vocabulary: of the model's ids.
            options: how to choose tokens, and when to stop.
            manner: how the weights want a seed, and what they never say.
            name: of the weights, for `status`.
            adapter: name of the adapter that they have; empty if there is none.
        """
        self.name = with_adapter(name, adapter)
        self.adapter = adapter
        self._engine = engine
        self._vocabulary = vocabulary
        self._utf8_mask = Utf8Mask(vocabulary.pieces)
        self._word_boundary_mask = WordBoundaryMask(vocabulary.pieces)
        self._manner = manner
        self._names = names_in(vocabulary.pieces) if manner.capitals else frozenset()
        self._manner_mask = MannerMask(vocabulary.pieces, vocabulary.end, manner)
        self._options = options
        self._random = torch.Generator()
        self._random.seed()
        self._scored_ids: list[int] = []  # of the newest `bits_per_token`
        self._scored_bits: list[float] = []  # of each but the first, which begins every text

    def with_options(self, options: GeneratorOptions) -> "TextGenerator":
        """A generator with the same loaded model; the two must not run at the same time."""
        other = copy.copy(self)  # with the masks, which take a moment to make
        other._options = options
        other._random = torch.Generator()
        other._random.seed()
        return other

    @property
    def device(self) -> str:
        """The device that computes, as torch names it: "cpu", "cuda"."""
        return str(self._engine.device)

    @property
    def engine(self) -> InferenceEngine:
        """Runs the model."""
        return self._engine

    @property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary of the model's ids."""
        return self._vocabulary

    @property
    def options(self) -> GeneratorOptions:
        """How tokens are chosen, and when to stop."""
        return self._options

    def continue_text(self, seed: str, cancelled: Cancelled) -> Iterator[str]:
        """Yield each sentence as soon as it is complete; `cancelled` is polled at every token.

        The first continues the seed, often in mid-sentence, but not its last word, unless the seed
        ends in a hyphen. It may come in two parts, its first clause and the rest, so that speech
        can begin sooner. No sentence is empty, and there may be none at all.

        A sentence that fails a check is drawn anew, at most three times; then the reply ends. A
        first sentence whose last draw says too little, or the seed again, is spoken all the same.

        Raises:
            DeviceError: the GPU failed in mid-reply, or its memory is full.
            GenerationError: the model computed numbers that are not finite, or memory is short.
        """
        draft = Draft(self._vocabulary.pieces)
        said = clause = ""  # the whole sentences, and the first clause of the next one
        count = redraws = 0
        tokens = self._tokens(seed)
        while part := self._next_part(tokens, draft, cancelled, alone=count == 0):
            fault = self._fault(Candidate(seed, said, part.raw, part.whole, part.last))
            if fault and redraws < _MAX_REDRAWS:
                redraws += 1
                tokens = self._tokens(seed, draft.rewind())
                continue
            if fault and (draft.accepted or fault not in _BETTER_THAN_SILENCE):
                return
            redraws = 0
            draft.accept(part)
            text = repair(part.text, join_sentences([seed, said, clause]))
            reply = join_sentences([said, clause, text])
            count += part.whole
            if part.last or (part.whole and self._is_long_enough(count, reply)):
                yield text + open_quotation(join_sentences([seed, reply]))
                return
            yield text
            said, clause = (reply, "") if part.whole else (said, text)

    def _next_part(
        self, tokens: Iterator[int], draft: Draft, cancelled: Cancelled, *, alone: bool
    ) -> Part | None:
        """Draw ids until a part is complete; None at the end of the reply, or if cancelled."""
        if part := draft.next_part():
            return part
        for token in tokens:
            if cancelled():
                return None
            if token == self._vocabulary.end:
                return draft.rest(ended=True, alone=alone)
            draft.feed(token)
            if part := draft.next_part():
                return part
        return draft.rest(ended=False, alone=alone)

    def _fault(self, candidate: Candidate) -> str | None:
        """The kind of the first fault that the checks find; None if there is none."""
        for check in self._options.checks:
            if kind := check(candidate):
                log.debug("a sentence was refused: %s", kind)  # never its words
                return kind
        return None

    def _is_long_enough(self, sentences: int, reply: str) -> bool:
        extra = sentences - self._options.max_sentences
        return extra >= _EXTRA_SENTENCES or (extra >= 0 and not within_speech(reply))

    def _tokens(self, seed: str, kept: Sequence[int] | None = None) -> Iterator[int]:
        """The ids that continue the seed, at most `max_new_tokens`; `<|endoftext|>` is the last.

        With `kept`, they go on behind these ids of a continuation, on the same random numbers.
        """
        if kept is None and self._options.random_seed is not None:
            self._random.manual_seed(self._options.random_seed)  # some texts are discarded
            self._engine.forget()  # logits of 4 bits depend a little on how a seed was read
        end = self._vocabulary.end
        text = self._prepare(seed)
        ids = model_input(text, self._manner, self._vocabulary)
        begin = len(ids)
        self._utf8_mask.reset()
        self._word_boundary_mask.reset(text)
        self._manner_mask.reset()
        for token in kept or ():
            self._append(token, ids)
        known = len(ids)
        sampling = self._sampling if kept is None else self._redraw_sampling()
        while True:
            with refuse_without_memory():
                with device_faults(self._engine.device):
                    is_first = len(ids) == known
                    logits = self._engine.prefill(ids) if is_first else self._engine.step(ids[-1])
                    logits = logits.cpu()  # (V,)
                logits = logits + self._utf8_mask.mask()  # (V,)
                if self._word_boundary_mask.in_force:  # for the first ids only
                    logits = logits + self._word_boundary_mask.mask()  # (V,)
                if self._manner_mask.in_force:
                    logits = logits + self._manner_mask.mask()  # (V,)
                token = sample(logits, ids[begin:], sampling, self._random)
            yield token
            self._append(token, ids)
            if token == end or len(ids) - begin == self._options.max_new_tokens:
                return

    def _append(self, token: int, ids: list[int]) -> None:
        self._utf8_mask.feed(token)
        self._word_boundary_mask.feed(token)
        self._manner_mask.feed(token)
        ids.append(token)

    @property
    def _sampling(self) -> SamplingOptions:
        return self._options.sampling.cooled(self._manner.temperature_factor)

    def _redraw_sampling(self) -> SamplingOptions:
        temperature = max(self._sampling.temperature, _MIN_REDRAW_TEMPERATURE)
        return replace(self._sampling, temperature=temperature)

    def read_ahead(self, seed: str) -> None:
        """Read what may become the beginning of a seed, while its speaker goes on.

        The engine keeps its keys and values; of the seed it then reads what is new or differs.

        Raises:
            DeviceError, GenerationError: as `continue_text`.
        """
        with refuse_without_memory(), device_faults(self._engine.device):
            self._engine.prefill(self._input(seed))

    def bits_per_token(self, seed: str) -> float:
        """The mean bits of the seed's first tokens (cross-entropy); infinite for an empty seed.

        It costs a step of the engine for each token that the seed of the last call did not have.

        Raises:
            DeviceError, GenerationError: as `continue_text`.
        """
        bits = self._score(seed)
        return sum(bits) / len(bits) if bits else math.inf

    def bits_per_character(self, seed: str) -> float:
        """The mean bits of the characters that the seed's first tokens spell; infinite for none.

        Raises:
            DeviceError, GenerationError: as `continue_text`.
        """
        bits = self._score(seed)
        text = self._vocabulary.decode(self._scored_ids)
        return sum(bits) / len(text) if text else math.inf

    def _score(self, seed: str) -> list[float]:
        """The bits of each of the seed's first tokens."""
        ids = self._input(seed)[: SCORED_TOKENS + 1]
        pairs = enumerate(zip(self._scored_ids, ids, strict=False))
        known = next((i for i, (a, b) in pairs if a != b), min(len(self._scored_ids), len(ids)))
        bits = self._scored_bits[: max(0, known - 1)]
        with refuse_without_memory(), device_faults(self._engine.device):
            if len(bits) + 1 < len(ids):
                logits = self._engine.prefill(ids[: len(bits) + 1]).cpu()  # (V,)
            for token in ids[len(bits) + 1 :]:
                bits.append(-float(logits.log_softmax(0)[token]) / math.log(2))
                logits = self._engine.step(token).cpu()  # (V,)
        self._scored_ids, self._scored_bits = ids, bits
        return bits

    def _prepare(self, seed: str) -> str:
        return prepare_seed(seed, self._manner, self._names)

    def _input(self, seed: str) -> list[int]:
        return model_input(self._prepare(seed), self._manner, self._vocabulary)


def model_input(text: str, manner: Manner, vocabulary: Vocabulary) -> list[int]:
    """The ids that the model reads for a prepared seed: `<|endoftext|>` begins every text."""
    return [vocabulary.end, *vocabulary.encode(manner.opening(text) + text)]


def load_generator(
    path: Path,
    options: GeneratorOptions,
    device: str = "auto",
    threads: int = 1,
    name: str = "",
) -> TextGenerator:
    """Load a weights file and warm the engine up.

    `threads` holds for all of torch in this process; one is right beside a recogniser that is
    always running. `name` is that of the weights.

    Raises:
        WeightsError: the file cannot be used.
        ConfigError: there is no such device.
        DeviceError: the GPU failed, or its memory is full.
        GenerationError: memory is short.
    """
    torch.set_num_threads(threads)
    with refuse_without_memory():
        generator = make_generator(_load_adapted(path), path, options, device, name)
    return_freed_memory()
    return generator


def make_generator(
    weights: Weights, path: Path, options: GeneratorOptions, device: str = "auto", name: str = ""
) -> TextGenerator:
    """A generator with weights that were read from this path, its engine warmed up.

    Raises:
        WeightsError: the manner of the weights cannot be used.
        ConfigError, DeviceError: as `load_generator`.
    """
    chosen = choose_device(device)
    manner = _read_manner(weights.manner, path)
    with device_faults(chosen):
        engine = InferenceEngine(weights.stored, device=chosen)
        engine.prefill([weights.vocabulary.end])  # the first call of each is slow
        engine.step(weights.vocabulary.end).cpu()
    return TextGenerator(engine, weights.vocabulary, options, manner, name, weights.adapter)


def _load_adapted(path: Path) -> Weights:
    """The weights with their adapter; without it, and a line in the log, if it cannot be used."""
    try:
        return load_adapted(path)
    except WeightsError as error:
        weights = load_weights(path)  # raises the same error if the adapter is not its cause
        log.error("%s The weights are used without it meanwhile.", error)
        return weights


def _read_manner(content: Mapping[str, Any], path: Path) -> Manner:
    try:
        return Manner.from_table(content)
    except WeightsError as error:
        raise WeightsError(f"{path} cannot be used: {error}") from error
