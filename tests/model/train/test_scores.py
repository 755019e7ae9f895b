"""Weights are scored on texts by which they can be compared."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from config.languages import LANGUAGES
from model.checkpoints.metadata.integrity import content_checksum
from model.checkpoints.metadata.scores import Change, Scores, plain_language, read_scores
from model.checkpoints.store import describe, shipped_weights
from model.checkpoints.weights_file import load_weights, save_weights
from model.data.corpus import load_corpus
from model.train.result import scores
from model.train.result.scores import STARTER_SEED, plain_texts, score_texts, starter_file
from tests.model.made import small_weights

CPU = torch.device("cpu")


@pytest.mark.parametrize("language", LANGUAGES)
def test_plain_language_of_the_shipped_weights_is_as_listed(
    language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If it is not: `scripts/score-plain-language`."""
    monkeypatch.setattr(scores, "_CHARACTERS", 16_000)
    weights = load_weights(shipped_weights(language))
    listed = plain_language(content_checksum(shipped_weights(language)))
    assert listed == pytest.approx(score_texts(weights, plain_texts(language), CPU), abs=5e-3)


def test_plain_language_of_the_large_weights_is_listed(fetched_large: Path) -> None:
    large = content_checksum(fetched_large / "en.safetensors")
    spoken = content_checksum(shipped_weights("en").with_name("large-spoken.safetensors"))
    assert plain_language(large) != plain_language(spoken)
    assert None not in (plain_language(large), plain_language(spoken))


def test_plain_language_is_never_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "_CHARACTERS", 16_000)
    starter = load_corpus([starter_file("zh")], STARTER_SEED)
    plain = plain_texts("zh")
    assert len(plain) > 10
    assert set(plain) <= set(starter.held_out)
    assert not set(plain) & {text for source in starter.sources for text in source.documents}


def test_scores_come_back(tmp_path: Path) -> None:
    path = tmp_path / "en.safetensors"
    measured = Scores(Change(1.6094, 1.25), Change(0.5, 0.625))
    save_weights(path, replace(small_weights(), scores=measured))
    assert load_weights(path).scores == describe(path).scores == measured


@pytest.mark.parametrize(
    "content",
    [
        *("", "[", "[]", "{}", "[" * 100_000),
        *('{"own": [1], "plain": [1, 2]}', '{"own": 1, "plain": 2}'),
        *('{"own": [1, NaN], "plain": [1, 2]}', '{"own": "12", "plain": ["a", 2]}'),
    ],
)
def test_scores_that_cannot_be_read_are_none(content: str) -> None:
    assert read_scores({"scores": content}) is None
    assert read_scores({}) is None
