"""Continues a seed, sentence by sentence.

The engine reads the seed, then one token at a time: each is sampled and decoded to text, and a
sentence is yielded as soon as it is complete.
"""

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from config.errors import WeightsError
from model.checkpoints.weights_file import load_weights
from model.device import choose_device, device_faults
from model.inference.engine import InferenceEngine
from model.inference.manner_mask import MannerMask
from model.inference.sampler import SamplingOptions, sample
from model.inference.utf8_mask import Utf8Mask
from model.inference.word_boundary_mask import WordBoundaryMask
from model.memory import refuse_without_memory, return_freed_memory
from model.text.manner import SPOKEN, Manner
from model.text.names import names_in
from model.text.sentences import SentenceSplitter, within_speech
from model.text.spoken_form import prepare_seed
from model.text.vocabulary import TextDecoder, Vocabulary

Cancelled = Callable[[], bool]

SCORED_TOKENS = 48  # of a seed; more cannot change what it is about
_EXTRA_SENTENCES = 2  # more than max_sentences, to end a quotation


@dataclass(frozen=True)
class GeneratorOptions:
    """How to choose tokens, and when to stop.

    Attributes:
        sampling: how the next token is chosen.
        max_sentences: stop after this sentence, or up to two later inside a quotation.
        max_new_tokens: stop after this many tokens, in mid-sentence if need be.
        random_seed: equal seeds give equal words; None draws others each time.
    """

    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    max_sentences: int = 5
    max_new_tokens: int = 200
    random_seed: int | None = None


class TextGenerator:
    """Continues texts with one model; one caller at a time.

    Attributes:
        name: of the weights.
    """

    def __init__(
        self,
        engine: InferenceEngine,
        vocabulary: Vocabulary,
        options: GeneratorOptions,
        manner: Manner = SPOKEN,
        name: str = "",
    ) -> None:
        """Continue texts with this model.

        Args:
            engine: runs the model.
            vocabulary: of the model's ids.
            options: how to choose tokens, and when to stop.
            manner: how the weights want a seed, and what they never say.
            name: of the weights, for `status`.
        """
        self.name = name
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

    def continue_text(self, seed: str, cancelled: Cancelled) -> Iterator[str]:
        """Yield each sentence as soon as it is complete; `cancelled` is polled at every token.

        The first continues the seed, often in mid-sentence, but not its last word, unless the seed
        ends in a hyphen. It may come in two parts, its first clause and the rest, so that speech
        can begin sooner. No sentence is empty, and there may be none at all.

        Raises:
            DeviceError: the GPU failed in mid-reply, or its memory is full.
            GenerationError: the model computed numbers that are not finite, or memory is short.
        """
        decoder = TextDecoder(self._vocabulary.pieces)
        splitter = SentenceSplitter()
        count, text = 0, ""
        ended = False
        for token in self._tokens(seed):
            if cancelled():
                return
            ended = token == self._vocabulary.end
            for sentence in splitter.feed(decoder.feed(token)):
                yield sentence
                count += 1
                text += f" {sentence}"
                extra = count - self._options.max_sentences
                if extra >= _EXTRA_SENTENCES or (extra >= 0 and not within_speech(text)):
                    return
            if clause := splitter.first_clause():
                yield clause
        if ended:
            rest = splitter.rest()
        else:  # an unfinished sentence is better than silence, but only than silence
            rest = splitter.finished_rest() if count else splitter.whole_words_of_rest()
        if rest:
            yield rest

    def _tokens(self, seed: str) -> Iterator[int]:
        """The ids that continue the seed, at most `max_new_tokens`; `<|endoftext|>` is the last."""
        if self._options.random_seed is not None:  # for each text: some are begun and discarded
            self._random.manual_seed(self._options.random_seed)
        end = self._vocabulary.end
        text = self._prepare(seed)
        ids = model_input(text, self._manner, self._vocabulary)
        begin = len(ids)
        self._utf8_mask.reset()
        self._word_boundary_mask.reset(text)
        self._manner_mask.reset()
        while True:
            with refuse_without_memory():
                with device_faults(self._engine.device):
                    reads_seed = len(ids) == begin
                    logits = self._engine.prefill(ids) if reads_seed else self._engine.step(ids[-1])
                    logits = logits.cpu()  # (V,)
                logits = logits + self._utf8_mask.mask()  # (V,)
                if self._word_boundary_mask.in_force:  # for the first ids only
                    logits = logits + self._word_boundary_mask.mask()  # (V,)
                if self._manner_mask.in_force:
                    logits = logits + self._manner_mask.mask()  # (V,)
                token = sample(logits, ids[begin:], self._options.sampling, self._random)
            yield token
            self._utf8_mask.feed(token)
            self._word_boundary_mask.feed(token)
            self._manner_mask.feed(token)
            ids.append(token)
            if token == end or len(ids) - begin == self._options.max_new_tokens:
                return

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
        return sum(bits) / len(bits) if bits else math.inf

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
        chosen = choose_device(device)
        weights = load_weights(path)
        manner = _read_manner(weights.manner, path)
        with device_faults(chosen):
            engine = InferenceEngine(weights.stored, device=chosen)
            engine.prefill([weights.vocabulary.end])  # the first call of each is slow
            engine.step(weights.vocabulary.end).cpu()
    generator = TextGenerator(engine, weights.vocabulary, options, manner, name)
    del weights
    return_freed_memory()
    return generator


def _read_manner(content: Mapping[str, Any], path: Path) -> Manner:
    try:
        return Manner.from_table(content)
    except WeightsError as error:
        raise WeightsError(f"{path} cannot be used: {error}") from error
