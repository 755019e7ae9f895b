"""Training batches: passes over a corpus, packed into sequences and shuffled."""

import random
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from model.data.corpus import Corpus
from model.text.spoken_form import with_spoken_opening
from model.text.vocabulary import Vocabulary


def render_pass(
    corpus: Corpus, vocabulary: Vocabulary, spoken_share: float, seed: int, number: int
) -> npt.NDArray[np.int32]:
    """Compact ids (N,) of one pass over the corpus, `<|endoftext|>` before and after each document.

    Order, drawn shares and spoken openings depend only on `seed` and the pass's `number`.
    """
    rng = random.Random(f"{seed} {number}")  # noqa: S311
    chosen = [
        (source, i)
        for source in corpus.sources
        for i in range(len(source.documents))
        if rng.random() < source.share
    ]
    rng.shuffle(chosen)
    end = np.array([vocabulary.end], dtype=np.int32)
    parts = [end]
    for source, i in chosen:
        if source.spoken and rng.random() < spoken_share:
            opened = with_spoken_opening(source.documents[i], rng)
            parts += [np.array(vocabulary.encode(opened), dtype=np.int32), end]
        else:
            parts.append(vocabulary.compact(source.tokens[source.starts[i] : source.starts[i + 1]]))
    return np.concatenate(parts)


class Batches:
    """Endless batches of packed sequences, reshuffled in each pass; resumable at two numbers.

    Attributes:
        number: the current pass over the corpus, from 0.
        position: how many sequences of this pass have been returned.
    """

    def __init__(
        self,
        render: Callable[[int], npt.NDArray[np.int32]],
        batch: int,
        context: int,
        seed: int,
        number: int = 0,
        position: int = 0,
    ) -> None:
        self._render = render
        self._batch = batch
        self._context = context
        self._seed = seed
        self.position = position
        self._start_pass(number)

    def _start_pass(self, number: int) -> None:
        """Render a pass and cut it into sequences of context + 1 tokens that overlap by one."""
        self.number = number
        self._tokens = self._render(number)  # (N,)
        count = max(1, (len(self._tokens) - 1) // self._context)
        self._order = np.random.default_rng((self._seed, number)).permutation(count)

    def next(self) -> npt.NDArray[np.int64]:
        """The next sequences (B, T + 1), of which [:, :-1] are inputs and [:, 1:] targets."""
        rows: list[npt.NDArray[np.int32]] = []
        while len(rows) < self._batch:
            if self.position == len(self._order):
                self.position = 0
                self._start_pass(self.number + 1)
            begin = int(self._order[self.position]) * self._context
            self.position += 1
            row = self._tokens[begin : begin + self._context + 1]
            rows.append(np.resize(row, self._context + 1))  # (T + 1,) a shorter corpus repeats
        return np.stack(rows).astype(np.int64)
