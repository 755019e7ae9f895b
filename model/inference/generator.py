"""A seed to its continuation, sentence by sentence.

The decoder reads the seed and then a token at a time; each is sampled, and what they spell leaves
as soon as a sentence is complete.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch

from model.checkpoints.weights_file import load_weights
from model.device import choose_device
from model.inference.cpu_fallback import FallbackDecoder, decoder_on
from model.inference.engine import InferenceEngine
from model.inference.sampler import SamplingOptions, sample
from model.inference.utf8_mask import Utf8Mask
from model.memory import refuse_without_memory
from model.text.sentences import SentenceSplitter, within_speech
from model.text.spoken_form import prepare_seed
from model.text.vocabulary import TextDecoder, Vocabulary

Cancelled = Callable[[], bool]

_LONGER_FOR_SPEECH = 2  # sentences more than wanted, if they end what somebody is saying


@dataclass(frozen=True)
class GeneratorOptions:
    """What to say and when to stop.

    Attributes:
        sampling: how the next token is chosen.
        max_sentences: stop at the end of this sentence, or up to two later if somebody is speaking.
        max_new_tokens: stop after so many tokens, whatever has come until then.
        random_seed: the same seeds give the same words; none is a new start each time.
    """

    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    max_sentences: int = 5
    max_new_tokens: int = 200
    random_seed: int | None = None


class TextGenerator:
    """Continues texts with one model; one caller at a time."""

    def __init__(
        self,
        decoder: InferenceEngine | FallbackDecoder,
        vocabulary: Vocabulary,
        options: GeneratorOptions,
    ) -> None:
        self._decoder = decoder
        self._vocabulary = vocabulary
        self._characters = Utf8Mask(vocabulary.pieces)
        self._options = options
        self._random = torch.Generator()
        self._random.seed()

    def with_options(self, options: GeneratorOptions) -> "TextGenerator":
        """Another one with the same loaded model; the two must not run at a time."""
        return TextGenerator(self._decoder, self._vocabulary, options)

    @property
    def device(self) -> str:
        """Where it computes, in torch's words: "cpu", "cuda"."""
        return str(self._decoder.device)

    def continue_text(self, seed: str, cancelled: Cancelled) -> Iterator[str]:
        """Yield each sentence as soon as it is complete; looks at `cancelled` at every token.

        The first carries on the seed, often in the middle of a sentence; it may come in two parts,
        its first clause and the rest, so that a voice can begin sooner. None is empty, and there
        may be none at all.

        Raises:
            GenerationError: the model computed numbers that are not finite, or memory is short.
        """
        decoder = TextDecoder(self._vocabulary.pieces)
        splitter = SentenceSplitter()
        count, said = 0, ""
        ended = False
        for token in self._tokens(seed):
            if cancelled():
                return
            ended = token == self._vocabulary.end
            for sentence in splitter.feed(decoder.feed(token)):
                yield sentence
                count += 1
                said += f" {sentence}"
                over = count - self._options.max_sentences
                if over >= _LONGER_FOR_SPEECH or (over >= 0 and not within_speech(said)):
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
        if self._options.random_seed is not None:  # each text anew: some are begun in vain
            self._random.manual_seed(self._options.random_seed)
        end = self._vocabulary.end
        ids = [end, *self._vocabulary.encode(prepare_seed(seed))]
        begin = len(ids)
        self._characters.reset()
        with refuse_without_memory():
            logits = self._decoder.prefill(ids)  # (V,)
            while True:
                logits = logits.cpu() + self._characters.mask()
                token = sample(logits, ids[begin:], self._options.sampling, self._random)
                yield token
                self._characters.feed(token)
                ids.append(token)
                if token == end or len(ids) - begin == self._options.max_new_tokens:
                    return
                logits = self._decoder.step(token)  # (V,)


def load_generator(
    path: Path, options: GeneratorOptions, device: str = "auto", threads: int = 1
) -> TextGenerator:
    """Read weights and make them ready; `threads` holds for all of torch in this process.

    One thread is the right number beside a recogniser that is always running.

    Raises:
        WeightsError: the file cannot be used.
        ConfigError: there is no such device.
        GenerationError: memory is short.
    """
    torch.set_num_threads(threads)
    with refuse_without_memory():
        chosen = choose_device(device)
        weights = load_weights(path)
        decoder = decoder_on(chosen, weights.model)
        decoder.prefill([weights.vocabulary.end])  # the first of each is slow; here nobody waits
        decoder.step(weights.vocabulary.end)
    return TextGenerator(decoder, weights.vocabulary, options)
