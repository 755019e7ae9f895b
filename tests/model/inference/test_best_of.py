"""Of several drawings of a sentence, the one is spoken that fits best to the text before it."""

import pytest
import torch
from torch import Tensor

from model.inference import best_of
from model.inference.best_of import SpeechTime
from model.inference.engine import InferenceEngine
from model.inference.generator import GeneratorOptions, TextGenerator
from model.inference.sampler import SamplingOptions
from tests.model.inference.test_redraw import BYTES, GREEDY, NEVER, SEED, Drafts, bad
from tests.model.made import small_weights


class ScoredDrafts(Drafts):
    """Texts with a mean log-probability of their own; all are equally likely behind the seed."""

    def __init__(self, *texts: str, alone: dict[str, float]) -> None:
        super().__init__(*texts)
        self._alone = alone

    def log_probabilities(self, ids: list[int]) -> Tensor:
        return torch.full((len(ids) - 1,), self._alone[BYTES.decode(ids[1:]).strip()])


def speaking(engine: Drafts, best_of: int = 3, random_seed: int | None = 1) -> TextGenerator:
    options = GeneratorOptions(
        GREEDY, max_sentences=3, random_seed=random_seed, checks=(bad,), best_of=best_of
    )
    return TextGenerator(engine, BYTES, options)  # type: ignore[arg-type]


def said(generator: TextGenerator) -> list[str]:
    return list(generator.continue_text(SEED, NEVER))


ALONE = {"Two a.": -1.0, "Two b.": -3.0, "Two c.": -2.0, "Two bad.": -9.0}


def test_the_sentence_is_spoken_that_says_least_to_any_other_text():
    engine = ScoredDrafts("One. Two.", " Two a.", " Two b.", " Two c.", alone=ALONE)
    assert said(speaking(engine)) == ["One.", "Two b."]
    assert engine.read == ["", *["One."] * 3]


def test_a_drawing_that_fails_a_check_is_not_chosen():
    engine = ScoredDrafts("One. Two.", " Two a.", " Two bad.", " Two c.", alone=ALONE)
    assert said(speaking(engine)) == ["One.", "Two c."]


def test_if_all_fail_the_sentence_is_drawn_anew():
    drawn = (" Two bad.", " Two bad.", " Two bad.", " Two c.")
    assert said(speaking(ScoredDrafts("One. Two.", *drawn, alone=ALONE))) == ["One.", "Two c."]


def test_the_first_drawing_ends_the_reply():
    engine = ScoredDrafts("One. Two.", "", " Two b.", alone=ALONE)
    assert said(speaking(engine)) == ["One."]
    assert engine.read == ["", "One."]


def test_without_time_the_first_drawing_is_spoken(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(best_of, "_SYNTHESIS_SECONDS", 100.0)
    engine = ScoredDrafts("One. Two.", " Two a.", alone=ALONE)
    assert said(speaking(engine, random_seed=None)) == ["One.", "Two a."]


def test_the_time_is_that_of_the_speech_so_far(monkeypatch: pytest.MonkeyPatch):
    now = 0.0
    monkeypatch.setattr(best_of.time, "monotonic", lambda: now)
    speech = SpeechTime()
    assert not speech.allows(0.0)
    speech.add("." * 15 * 10)  # ten seconds
    assert speech.allows(8.0)
    assert not speech.allows(9.0)
    now = 6.0
    assert speech.allows(2.0)
    assert not speech.allows(3.0)


def test_the_real_engine_draws_the_same_with_the_same_random_seed():
    weights = small_weights()
    engine = InferenceEngine(weights.stored)
    options = GeneratorOptions(SamplingOptions(1.0, 0, 1.0, 1.0), 3, 60, 7, best_of=3)
    generator = TextGenerator(engine, weights.vocabulary, options)
    texts = [list(generator.continue_text("the fox", NEVER)) for _ in range(2)]
    assert texts[0] == texts[1]
    assert len(texts[0]) > 0


def test_log_probabilities_are_those_of_single_steps_and_leave_the_sequence_alone():
    weights = small_weights()
    engine = InferenceEngine(weights.stored)
    ids = [weights.vocabulary.end, 5, 9, 17, 3]
    expected = []
    logits = engine.prefill(ids[:1])
    for token in ids[1:]:
        expected.append(logits.float().log_softmax(0)[token])
        logits = engine.step(token)
    engine.prefill([weights.vocabulary.end, 7, 8])
    after = engine.step(4).clone()
    engine.prefill([weights.vocabulary.end, 7, 8])
    found = engine.log_probabilities(ids)
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(engine.step(4), after)
