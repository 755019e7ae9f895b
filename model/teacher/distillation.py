"""Learn from a story model's probabilities, not only from what it has drawn.

The two models cut text alike nearly everywhere. Where both have just ended a piece at the same
byte, the story model's whole distribution is the target (Hinton et al. 2015, "Distilling the
knowledge in a neural network"); where they have not, the next id of the text is.
"""

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from model.loss import mean_gradients
from model.teacher.llama2c import BEGIN, build_story_model, encode_piece, read_story_model
from model.text.vocabulary import Vocabulary
from model.transformer import Transformer

_ROWS = 512  # positions whose probabilities exist at a time
_WORD = re.compile(rb" ?[^ ]*")
_SPECIAL = 3  # the story model's ids below this are unknown, begin and end
_BYTES_END = 259  # those below this and not special are the single bytes


@dataclass(frozen=True)
class AlignedText:
    """A text as both models see it; the teacher's may have another opening.

    Attributes:
        student: (n + 1,) compact ids, `<|endoftext|>` before and after.
        teacher: (m,) the story model's ids, `<s>` before them.
        at: (n,) the teacher's position that stands where the student's does, -1 where none does.
    """

    student: list[int]
    teacher: list[int]
    at: list[int]


class Teacher:
    """A story model whose distribution is put into the words of a vocabulary of ours."""

    def __init__(self, path: Path, vocabulary: Vocabulary) -> None:
        """Read the model.

        Raises:
            WeightsError: the file is missing or is not such a file.
        """
        self._story = read_story_model(path)
        self._vocabulary = vocabulary
        self._kept = set(vocabulary.pieces)
        self._model = build_story_model(self._story, path)
        pieces = [i for i in range(len(self._story.pieces)) if self._is_likely(i)]
        self._head = self._model.embedding.weight.detach()[pieces].bfloat16()  # (P, C)
        self._firsts = torch.tensor([self._first_id(i, b"") for i in pieces])
        self._openers = torch.tensor([self._first_id(i, b" ") for i in pieces])
        self._encode_word = functools.lru_cache(None)(functools.partial(encode_piece, self._story))

    def _is_likely(self, piece: int) -> bool:
        """Whether stories may hold it: half of the pieces are those of other scripts."""
        data = self._story.pieces[piece]
        return piece < _BYTES_END or data.isascii() or data in self._kept

    def _first_id(self, piece: int, dropped: bytes) -> int:
        """The compact id that a text begins with where the teacher's begins with this piece."""
        data = self._story.pieces[piece].removeprefix(dropped)
        if piece < _SPECIAL or not data:
            return self._vocabulary.end
        try:
            return self._vocabulary.encode(data.decode())[0]
        except UnicodeDecodeError:
            return self._vocabulary.pieces.index(data[:1])

    def lesson(self, text: str, original: str) -> AlignedText:
        """How both see a text; `original` is what the teacher reads, alike but for its opening."""
        ours, context = self._vocabulary, self._story.config.context_length
        student = [ours.end, *ours.encode(text), ours.end][: context + 1]
        words = _WORD.findall(f" {original}".encode())
        teacher = [BEGIN, *(i for word in words for i in self._encode_word(word))][:context]
        mine, whole = text.encode(), original.encode()
        shared = _common_suffix(mine, whole)
        begin = 0 if mine == whole else len(mine) - shared + 1
        shift = len(whole) - len(mine)
        ends = np.cumsum([0, *(len(self._story.pieces[i]) for i in teacher[1:])]) - 1
        places = {max(0, int(end)): j for j, end in enumerate(ends)}
        bounds = np.cumsum([0, *(len(ours.pieces[i]) for i in student[1:-1])]).tolist()
        return AlignedText(
            student, teacher, [places.get(b + shift, -1) if b >= begin else -1 for b in bounds]
        )

    @torch.no_grad()
    def states(self, lessons: Sequence[AlignedText]) -> Tensor:
        """What the teacher's head reads at each position of each lesson, (B, T, C)."""
        ids = pad_sequence([torch.tensor(one.teacher) for one in lessons], batch_first=True)
        return self._model.states(ids)

    @torch.no_grad()
    def distribution(self, states: Tensor, opening: Tensor) -> Tensor:
        """The next compact id's probabilities, (V, R), from states (R, C).

        `opening` (R,) tells which are at the beginning of a text, before which this teacher puts a
        space.
        """
        logits = self._head @ states.bfloat16().T  # (P, R)
        probabilities = logits.float().softmax(dim=0)
        told = probabilities.new_zeros(self._vocabulary.size, states.size(0))
        told.index_add_(0, self._firsts, probabilities)
        if opening.any():
            first = told.new_zeros(self._vocabulary.size, int(opening.sum()))
            told[:, opening] = first.index_add_(0, self._openers, probabilities[:, opening])
        return told


def _common_suffix(a: bytes, b: bytes) -> int:
    """How many bytes at the end of both are the same."""
    most = min(len(a), len(b))
    x, y = (np.frombuffer(data, np.uint8)[len(data) - most :][::-1] for data in (a, b))
    other = np.flatnonzero(x != y)
    return int(other[0]) if other.size else most


def distillation_loss(
    student: Transformer, teacher: Teacher, lessons: Sequence[AlignedText]
) -> Tensor:
    """Mean cross entropy, in nats, of what the teacher or the text says comes next."""
    ids = pad_sequence([torch.tensor(one.student) for one in lessons], batch_first=True)
    states = student.states(ids[:, :-1])  # (B, T, C)
    read = teacher.states(lessons)  # (B, T', C)
    rows, columns, at = _positions(lessons)
    labels = ids[rows, columns + 1]  # (N,)
    taught = read[rows, at.clamp(min=0)]  # (N, C)

    def target(part: slice) -> Tensor:
        told = teacher.distribution(taught[part], at[part] == 0)  # (V, R)
        hard = torch.nonzero(at[part] < 0).flatten()
        told[:, hard] = 0
        told[labels[part][hard], hard] = 1
        return told

    head = student.embedding.weight
    return SoftCrossEntropy.apply(states[rows, columns], head, target)  # type: ignore[no-any-return, no-untyped-call]


def _positions(lessons: Sequence[AlignedText]) -> tuple[Tensor, Tensor, Tensor]:
    """Row, column and the teacher's position of every position that has a next id; each (N,)."""
    rows = [row for row, one in enumerate(lessons) for _ in one.at]
    columns = [column for one in lessons for column in range(len(one.at))]
    return (
        torch.tensor(rows),
        torch.tensor(columns),
        torch.tensor([j for one in lessons for j in one.at]),
    )


class SoftCrossEntropy(torch.autograd.Function):
    """Head and mean cross entropy against distributions in one, some positions at a time.

    As model.loss.LinearCrossEntropy, whose targets are single ids.
    """

    @staticmethod
    def forward(
        ctx: Any, states: Tensor, head: Tensor, target: Callable[[slice], Tensor]
    ) -> Tensor:
        """The loss of states (N, C) under head (V, C); target(part) gives (V, R)."""
        with torch.autocast(states.device.type, enabled=False):
            x, weight = states.bfloat16(), head.bfloat16()
            x_gradient, head_gradient = torch.empty_like(states), torch.zeros_like(head)
            loss = torch.zeros((), device=x.device)
            for begin in range(0, len(x), _ROWS):
                part = slice(begin, begin + _ROWS)
                wanted = target(part)  # (V, R)
                log_odds = (weight @ x[part].T).float().log_softmax(dim=0)  # (V, R)
                loss -= (wanted * log_odds).sum()
                gradient = log_odds.exp_().sub_(wanted).bfloat16()
                x_gradient[part] = (gradient.T @ weight).to(states.dtype)
                head_gradient += gradient @ x[part]
        ctx.save_for_backward(x_gradient, head_gradient)
        return loss / len(x)

    backward = staticmethod(mean_gradients)


def batches(
    lessons: Sequence[AlignedText], tokens: int, rng: np.random.Generator
) -> Iterator[list[AlignedText]]:
    """Each lesson once, those of like length together, about so many tokens at a time."""
    order = rng.permutation(len(lessons))
    for begin in range(0, len(order), 512):
        pool = sorted(
            (lessons[i] for i in order[begin : begin + 512]), key=lambda x: len(x.student)
        )
        parts: list[list[AlignedText]] = [[]]
        for one in pool:
            if parts[-1] and len(one.student) * (len(parts[-1]) + 1) > tokens:
                parts.append([])
            parts[-1].append(one)
        yield from (parts[i] for i in rng.permutation(len(parts)))
