"""Knowledge distillation from a llama2.c teacher (Hinton et al. 2015).

The two tokenizers cut text alike nearly everywhere. Where both have just ended a piece at the same
byte, the teacher's distribution over the next piece is the target, elsewhere the next id of the
text. Letters in shapes: N positions with a next id, V compact ids, P the teacher's pieces, R rows
of a part, C width.
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
from model.teacher.llama2c import (
    BEGIN,
    FIRST_BYTE,
    build_story_model,
    encode_piece,
    read_story_model,
)
from model.teacher.piece_vocabulary import PATTERN
from model.text.vocabulary import Vocabulary
from model.transformer import Transformer

_ROWS = 512  # positions whose probabilities exist at a time
_POOL = 512  # texts sorted by length at a time
_PERSONS = frozenset(
    ["i", "me", "my", "we", "us", "our", "he", "him", "his", "she", "her", "they", "them", "their"]
)
_NAME = re.compile(rb" ?[A-Z][a-z]*")  # or the first word of a sentence
_OPEN_PERSON = 0.02  # probability of words that may change the person


@dataclass(frozen=True)
class AlignedText:
    """A text tokenized for both models; the teacher's may have another opening.

    Attributes:
        student: (n + 1,) compact ids, `<|endoftext|>` before and after.
        teacher: (m,) the teacher's ids, `<s>` before them.
        at: (n,) for each student position, the teacher's position at the same byte, or -1.
        keeps_person: the target is the next id of the text, too, where the teacher may go on with
            a name, a pronoun or a new sentence: it would soon change the person of such a text.
    """

    student: list[int]
    teacher: list[int]
    at: list[int]
    keeps_person: bool = False


class Teacher:
    """A story model whose distributions are mapped to the ids of a vocabulary of ours."""

    def __init__(self, path: Path, vocabulary: Vocabulary) -> None:
        """Read the model.

        Raises:
            WeightsError: the file is missing or no llama2.c model.
        """
        self._story = read_story_model(path)
        self._vocabulary = vocabulary
        self._kept = set(vocabulary.pieces)
        self._model = build_story_model(self._story, path)
        pieces = [i for i in range(len(self._story.pieces)) if self._is_likely(i)]
        self._head = self._model.embedding.weight.detach()[pieces].bfloat16()  # (P, C)
        self._firsts = torch.tensor([self._first_id(i, b"") for i in pieces])
        self._openers = torch.tensor([self._first_id(i, b" ") for i in pieces])
        self._persons = torch.tensor(
            [i for i, piece in enumerate(vocabulary.pieces) if _is_person(piece)]
        )
        self._encode_word = functools.lru_cache(None)(functools.partial(encode_piece, self._story))

    def _is_likely(self, piece: int) -> bool:
        """True for pieces that stories may contain; half of all are in other scripts."""
        data = self._story.pieces[piece]
        return piece < FIRST_BYTE + 256 or data.isascii() or data in self._kept

    def _first_id(self, piece: int, dropped: bytes) -> int:
        """The first compact id of a text whose first piece, without `dropped`, is this one."""
        data = self._story.pieces[piece].removeprefix(dropped)
        if piece < FIRST_BYTE or not data:
            return self._vocabulary.end
        try:
            return self._vocabulary.encode(data.decode())[0]
        except UnicodeDecodeError:
            return self._vocabulary.pieces.index(data[:1])

    def align(self, text: str, original: str, keeps_person: bool = False) -> AlignedText:
        """Align a text with `original`, the teacher's, which may differ in its opening."""
        vocabulary, context = self._vocabulary, self._story.config.context_length
        student = [vocabulary.end, *vocabulary.encode(text), vocabulary.end][: context + 1]
        words = re.findall(PATTERN, f" {original}")
        pieces = (i for word in words for i in self._encode_word(word.encode()))
        teacher = [BEGIN, *pieces][:context]
        mine, whole = text.encode(), original.encode()
        shared = _common_suffix(mine, whole)
        begin = 0 if mine == whole else len(mine) - shared + 1
        shift = len(whole) - len(mine)
        ends = np.cumsum([0, *(len(self._story.pieces[i]) for i in teacher[1:])]) - 1
        places = {max(0, int(end)): j for j, end in enumerate(ends)}
        bounds = np.cumsum([0, *(len(vocabulary.pieces[i]) for i in student[1:-1])]).tolist()
        at = [places.get(b + shift, -1) if b >= begin else -1 for b in bounds]
        return AlignedText(student, teacher, at, keeps_person)

    @torch.no_grad()
    def states(self, texts: Sequence[AlignedText]) -> Tensor:
        """The teacher's hidden states (B, T, C), the input of its head, at each position."""
        ids = pad_sequence([torch.tensor(x.teacher) for x in texts], batch_first=True)  # (B, T)
        return self._model.states(ids)

    @torch.no_grad()
    def distribution(self, states: Tensor, opening: Tensor) -> Tensor:
        """Probabilities (V, R) of the next compact id, from states (R, C).

        `opening` (R,) is True at the beginning of a text, where the teacher's pieces begin with a
        space.
        """
        logits = self._head @ states.bfloat16().T  # (P, R)
        probabilities = logits.float().softmax(dim=0)  # (P, R)
        mapped = probabilities.new_zeros(self._vocabulary.size, states.size(0))  # (V, R)
        mapped.index_add_(0, self._firsts, probabilities)
        if opening.any():
            first = mapped.new_zeros(self._vocabulary.size, int(opening.sum()))
            mapped[:, opening] = first.index_add_(0, self._openers, probabilities[:, opening])
        return mapped

    def leaves_person_open(self, probabilities: Tensor) -> Tensor:
        """True (R,) where by probabilities (V, R) a name, pronoun or new sentence may follow."""
        return probabilities[self._persons].sum(dim=0) > _OPEN_PERSON


def _is_person(piece: bytes) -> bool:
    """True for a pronoun, a name or another word with a capital."""
    word = piece.decode(errors="replace").strip().lower()
    return word in _PERSONS or _NAME.fullmatch(piece) is not None


def _common_suffix(a: bytes, b: bytes) -> int:
    """Length in bytes of the common suffix."""
    most = min(len(a), len(b))
    x, y = (np.frombuffer(data, np.uint8)[len(data) - most :][::-1] for data in (a, b))
    other = np.flatnonzero(x != y)
    return int(other[0]) if other.size else most


def distillation_loss(
    student: Transformer, teacher: Teacher, texts: Sequence[AlignedText]
) -> Tensor:
    """Mean cross entropy, in nats, with the teacher's distributions or the next ids as targets."""
    ids = pad_sequence([torch.tensor(x.student) for x in texts], batch_first=True)  # (B, T + 1)
    states = student.states(ids[:, :-1])  # (B, T, C)
    teacher_states = teacher.states(texts)  # (B, T', C')
    rows, columns, at, keeps_person = _positions(texts)
    labels = ids[rows, columns + 1]  # (N,)
    aligned = teacher_states[rows, at.clamp(min=0)]  # (N, C')

    def target(part: slice) -> Tensor:
        probabilities = teacher.distribution(aligned[part], at[part] == 0)  # (V, R)
        as_written = (at[part] < 0) | (  # (R,) without a teacher's position, or against it
            keeps_person[part] & teacher.leaves_person_open(probabilities)
        )
        hard = torch.nonzero(as_written).flatten()
        probabilities[:, hard] = 0
        probabilities[labels[part][hard], hard] = 1
        return probabilities

    head = student.embedding.weight
    return SoftCrossEntropy.apply(states[rows, columns], head, target)  # type: ignore[no-any-return, no-untyped-call]


def _positions(texts: Sequence[AlignedText]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Row, column and teacher's position of every position with a next id, (N,) each.

    The last is True where the text keeps its person; its end may be a cut, so it does not count.
    """
    rows = [row for row, x in enumerate(texts) for _ in x.at]
    columns = [column for x in texts for column in range(len(x.at))]
    keeps_person = [x.keeps_person and i < len(x.at) - 1 for x in texts for i in range(len(x.at))]
    return (
        torch.tensor(rows),
        torch.tensor(columns),
        torch.tensor([j for x in texts for j in x.at]),
        torch.tensor(keeps_person),
    )


class SoftCrossEntropy(torch.autograd.Function):
    """Head and mean cross entropy against distributions in one, _ROWS positions at a time.

    See model.loss.LinearCrossEntropy, whose targets are single ids.
    """

    @staticmethod
    def forward(
        ctx: Any, states: Tensor, head: Tensor, target: Callable[[slice], Tensor]
    ) -> Tensor:
        """The loss of states (N, C) under head (V, C); target(part) returns (V, R)."""
        with torch.autocast(states.device.type, enabled=False):
            x, weight = states.bfloat16(), head.bfloat16()
            x_gradient, head_gradient = torch.empty_like(states), torch.zeros_like(head)
            loss = torch.zeros((), device=x.device)
            for begin in range(0, len(x), _ROWS):
                part = slice(begin, begin + _ROWS)
                expected = target(part)  # (V, R)
                log_probabilities = (weight @ x[part].T).float().log_softmax(dim=0)  # (V, R)
                loss -= (expected * log_probabilities).sum()
                gradient = log_probabilities.exp_().sub_(expected).bfloat16()  # (V, R)
                x_gradient[part] = (gradient.T @ weight).to(states.dtype)
                head_gradient += gradient @ x[part]
        ctx.save_for_backward(x_gradient, head_gradient)
        return loss / len(x)

    backward = staticmethod(mean_gradients)


def batches(
    texts: Sequence[AlignedText], tokens: int, rng: np.random.Generator
) -> Iterator[list[AlignedText]]:
    """Each text once, in batches of similar lengths and at most about this many tokens."""
    order = rng.permutation(len(texts))
    for begin in range(0, len(order), _POOL):
        pool = [texts[i] for i in order[begin : begin + _POOL]]
        parts: list[list[AlignedText]] = [[]]
        for text in sorted(pool, key=lambda x: len(x.student)):
            if parts[-1] and len(text.student) * (len(parts[-1]) + 1) > tokens:
                parts.append([])
            parts[-1].append(text)
        yield from (parts[i] for i in rng.permutation(len(parts)))
