from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from model.teacher.distillation import (
    AlignedText,
    SoftCrossEntropy,
    Teacher,
    batches,
    distillation_loss,
)
from model.teacher.llama2c import read_story_model, shared_ids, start_from_story_model
from model.text.vocabulary import Vocabulary
from tests.model.story_model import PIECES, write_story_model


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_story_model(tmp_path / "llama2.data")


@pytest.fixture
def vocabulary(path: Path) -> Vocabulary:
    return Vocabulary(shared_ids(path))


@pytest.fixture
def teacher(path: Path, vocabulary: Vocabulary) -> Teacher:
    return Teacher(path, vocabulary)


@pytest.fixture
def embedding(path: Path) -> torch.Tensor:
    """The story model's embedding, which is its head as well, (P, C)."""
    return torch.from_numpy(read_story_model(path).embedding.copy())


def texts(aligned: AlignedText, vocabulary: Vocabulary) -> list[str]:
    """What each has read where both stand: the student's text, a bar, the teacher's."""
    told = []
    for i, j in enumerate(aligned.at):
        if j >= 0:
            student = b"".join(vocabulary.pieces[k] for k in aligned.student[1 : i + 1])
            read = b"".join(PIECES[k] for k in aligned.teacher[1 : j + 1])
            told.append(f"{student.decode()}|{read.decode()}")
    return told


def test_both_stand_at_the_same_place(teacher: Teacher, vocabulary: Vocabulary):
    aligned = teacher.align("the hen", "the hen")
    assert aligned.student[0] == aligned.student[-1] == vocabulary.end
    assert texts(aligned, vocabulary) == [
        "|",
        "the| the",
        "the | the ",
        "the he| the he",
        "the hen| the hen",
    ]


def test_after_another_opening_both_meet_again(teacher: Teacher, vocabulary: Vocabulary):
    aligned = teacher.align(" het the", "Het the")
    told = texts(aligned, vocabulary)
    assert aligned.at[0] == -1
    assert told[-1] == " het the| Het the"
    assert all(
        pair.split("|")[0].strip().lower() == pair.split("|")[1].strip().lower() for pair in told
    )
    assert all(pair.split("|")[0] for pair in told)


def test_a_distribution_is_the_story_models_own(
    teacher: Teacher, vocabulary: Vocabulary, embedding: torch.Tensor
):
    aligned = teacher.align("het", "het")
    with torch.autocast("cpu", enabled=False):
        states = teacher.states([aligned])[0]  # (T, C)
    told = teacher.distribution(states, torch.zeros(len(states), dtype=torch.bool))  # (V, T)
    torch.testing.assert_close(told.sum(0), torch.ones(len(states)), rtol=0.01, atol=0.01)
    own = F.linear(states, embedding).softmax(dim=-1)  # (T, P)
    for piece in (b" the", b"he", b"q"):
        same = [i for i, p in enumerate(PIECES) if p == piece]
        torch.testing.assert_close(
            told[vocabulary.pieces.index(piece)], own[:, same].sum(-1), rtol=0.05, atol=1e-4
        )


def test_at_the_beginning_the_teachers_space_is_dropped(
    teacher: Teacher, vocabulary: Vocabulary, embedding: torch.Tensor
):
    states = teacher.states([teacher.align("the", "the")])[0, :1]
    own = F.linear(states, embedding).softmax(dim=-1)[0]
    told = teacher.distribution(states, torch.tensor([True]))[:, 0]
    the = vocabulary.pieces.index(b"the")
    both = own[PIECES.index(b" the")] + own[PIECES.index(b"the")]
    torch.testing.assert_close(told[the], both, rtol=0.05, atol=1e-4)


def test_the_loss_and_its_gradients_are_those_of_plain_cross_entropy():
    torch.manual_seed(1)
    states = torch.randn(1100, 8, requires_grad=True)
    head = torch.randn(30, 8, requires_grad=True)
    wanted = torch.rand(1100, 30).softmax(dim=-1)
    found = SoftCrossEntropy.apply(states, head, lambda part: wanted[part].T)
    found_gradients = torch.autograd.grad(found * 2, [states, head])
    expected = F.cross_entropy(states @ head.T, wanted)
    expected_gradients = torch.autograd.grad(expected * 2, [states, head])
    torch.testing.assert_close(found, expected, rtol=0.01, atol=0.01)
    for one, other in zip(found_gradients, expected_gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=0.05, atol=other.abs().max().item() / 50)


def test_a_student_learns_what_the_teacher_thinks(
    teacher: Teacher, vocabulary: Vocabulary, path: Path
):
    student = start_from_story_model(path, vocabulary).train()
    with torch.no_grad():
        student.embedding.weight.mul_(0.2)
    aligned_texts = [teacher.align(text, text) for text in ("the hen het", "he the", "hat the hen")]
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-2)
    losses = []
    for _ in range(40):
        loss = distillation_loss(student, teacher, aligned_texts)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.2


def test_each_lesson_comes_once_and_like_lengths_together():
    aligned_texts = [AlignedText([0] * n, [1], [0]) for n in (3, 9, 4, 8, 2, 10)]
    found = list(batches(aligned_texts, 20, np.random.default_rng(1)))
    assert sorted(len(one.student) for batch in found for one in batch) == [2, 3, 4, 8, 9, 10]
    assert all(max(len(x.student) for x in batch) * len(batch) <= 20 for batch in found)


def test_a_text_that_keeps_its_person_is_learnt_as_written_where_the_person_is_open(
    teacher: Teacher, vocabulary: Vocabulary, path: Path, monkeypatch: pytest.MonkeyPatch
):
    student = start_from_story_model(path, vocabulary)
    free = teacher.align("the hen he", "the hen he")
    kept = teacher.align("the hen he", "the hen he", keeps_person=True)
    as_written = replace(free, at=[-1] * (len(free.at) - 1) + free.at[-1:])
    assert free.at != as_written.at

    def loss(aligned: AlignedText, is_open: bool) -> float:
        monkeypatch.setattr(
            teacher, "leaves_person_open", lambda p: torch.full((p.size(1),), is_open)
        )
        return distillation_loss(student, teacher, [aligned]).item()

    assert loss(kept, is_open=False) == pytest.approx(loss(free, is_open=True))
    assert loss(kept, is_open=True) == pytest.approx(loss(as_written, is_open=False))
    assert loss(kept, is_open=True) != pytest.approx(loss(free, is_open=True))


def test_the_person_is_open_where_a_pronoun_may_follow(teacher: Teacher, vocabulary: Vocabulary):
    probabilities = torch.full((vocabulary.size, 3), 1e-6)
    he, the, capital = (vocabulary.pieces.index(piece) for piece in (b"he", b" the", b"A"))
    probabilities[he, 0] = probabilities[the, 1] = probabilities[capital, 2] = 0.9
    assert teacher.leaves_person_open(probabilities).tolist() == [True, False, True]
