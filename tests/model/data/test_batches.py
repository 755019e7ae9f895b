from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.data.batches import Batches, render_pass
from model.data.corpus import CorpusFile, choose_vocabulary, load_corpus
from model.text.vocabulary import Vocabulary
from tests.model.made import story_text


@pytest.fixture
def stories(tmp_path: Path) -> Path:
    path = tmp_path / "stories.txt"
    path.write_text(story_text())
    return path


def pass_text(stories: Path, share: float = 1.0, spoken: float = 0.0, number: int = 0) -> str:
    corpus = load_corpus([CorpusFile(stories, share)], seed=1)
    vocabulary = choose_vocabulary(corpus, Vocabulary.full(), 8)
    ids = render_pass(corpus, vocabulary, spoken, 1, number)
    parts = np.split(ids, np.flatnonzero(ids == vocabulary.end))
    assert [len(parts[0]), len(parts[-1])] == [0, 1]
    return "\n".join(vocabulary.decode(part) for part in parts[1:-1])


def test_a_pass_holds_every_document_once(stories: Path):
    corpus = load_corpus([CorpusFile(stories)], seed=1)
    assert sorted(pass_text(stories).split("\n")) == sorted(corpus.sources[0].documents)
    assert pass_text(stories, number=1) != pass_text(stories, number=0)
    assert pass_text(stories, number=1) == pass_text(stories, number=1)


def test_a_share_draws_anew_in_each_pass(stories: Path):
    draws = [set(pass_text(stories, 0.3, number=n).split("\n")) for n in range(3)]
    assert all(8 <= len(draw) <= 28 for draw in draws)
    assert draws[0] != draws[1]


def test_openings_are_spoken_at_the_asked_rate(stories: Path):
    lines = pass_text(stories, spoken=0.5).split("\n")
    assert 15 <= sum(line.startswith(" the ") for line in lines) <= 45
    assert not any(line.startswith(" ") for line in pass_text(stories).split("\n"))


def numbers(_: int) -> np.ndarray:
    return np.arange(101, dtype=np.int32)


def test_batches_hand_out_each_sequence_once_in_a_pass():
    batches = Batches(numbers, batch=2, context=10, seed=1)
    rows = np.concatenate([batches.next() for _ in range(5)])
    assert sorted(rows[:, 0].tolist()) == list(range(0, 100, 10))
    assert (np.diff(rows) == 1).all()
    following = np.concatenate([batches.next() for _ in range(5)])
    assert batches.number == 1
    assert sorted(following[:, 0].tolist()) == list(range(0, 100, 10))
    assert following[:, 0].tolist() != rows[:, 0].tolist()


def test_batches_go_on_from_two_numbers():
    batches = Batches(numbers, batch=3, context=10, seed=1)
    for _ in range(5):
        batches.next()
    again = Batches(numbers, 3, 10, 1, batches.number, batches.position)
    for _ in range(5):
        np.testing.assert_array_equal(again.next(), batches.next())


def test_a_source_may_have_no_spoken_openings(stories: Path):
    corpus = load_corpus([CorpusFile(stories)], seed=1)
    written = replace(corpus.sources[0], spoken=False)
    vocabulary = choose_vocabulary(corpus, Vocabulary.full(), 8)
    both = replace(corpus, sources=[written, replace(written, spoken=True)])
    count = len(written.documents)
    ids = render_pass(both, vocabulary, 1.0, 1, 0)
    parts = np.split(ids, np.flatnonzero(ids == vocabulary.end))[1:-1]
    spoken = sum(vocabulary.decode(part[1:]).startswith(" ") for part in parts)
    assert len(parts) == 2 * count
    assert 0.9 * count < spoken <= count  # a short document stays as it is
