"""A sentence that a check refuses is drawn anew."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from config.load import load
from model.inference.draft import Draft
from model.inference.engine import InferenceEngine
from model.inference.generator import GeneratorOptions, TextGenerator
from model.inference.loading import generator_options, try_out
from model.inference.sampler import SamplingOptions
from model.text.form_faults import Candidate
from model.text.vocabulary import Vocabulary
from tests.model.made import small_weights

BYTES = Vocabulary([])
NEVER = lambda: False  # noqa: E731
GREEDY = SamplingOptions(0.0, 0, 1.0, 1.0)
SEED = "a-"  # any id may follow


class Drafts:
    """An engine that says a text of its own after each prefill, byte by byte, then ends it."""

    device = torch.device("cpu")

    def __init__(self, *texts: str) -> None:
        self._texts = iter(texts)
        self.read: list[str] = []  # what each prefill was given, without the seed

    def forget(self) -> None:
        pass

    def prefill(self, ids: list[int]) -> Tensor:
        self.read.append(BYTES.decode(ids[1:]).removeprefix(f" {SEED}"))
        self._script = iter([*BYTES.encode(next(self._texts)), BYTES.end])
        return self.step(ids[-1])

    def step(self, token: int) -> Tensor:
        logits = torch.zeros(BYTES.size)
        logits[next(self._script)] = 1000.0
        return logits


def bad(candidate: Candidate) -> str | None:
    """Refuses sentences with the word "bad", and "loop"s that are better than silence."""
    return "bad" if "bad" in candidate.raw else "loop" if "again" in candidate.raw else None


def speaking(engine: Drafts, check: Callable[[Candidate], str | None] = bad) -> TextGenerator:
    return TextGenerator(engine, BYTES, GeneratorOptions(GREEDY, checks=(check,)))  # type: ignore[arg-type]


def said(engine: Drafts, check: Callable[[Candidate], str | None] = bad) -> list[str]:
    return list(speaking(engine, check).continue_text(SEED, NEVER))


def test_a_refused_sentence_is_drawn_anew_behind_those_spoken():
    engine = Drafts("One. Two bad. Three.", " Two good. Three.")
    assert said(engine) == ["One.", "Two good.", "Three."]
    assert engine.read == ["", "One."]


def test_the_first_sentence_is_drawn_anew_behind_the_seed():
    engine = Drafts("One bad. Two.", "One. Two.")
    assert said(engine) == ["One.", "Two."]
    assert engine.read == ["", ""]


def test_after_three_redraws_the_reply_ends():
    engine = Drafts("One. Two bad. Three.", " Bad bad.", " Bad bad.", " Bad bad.")
    assert said(engine) == ["One."]
    assert engine.read == ["", "One.", "One.", "One."]


def test_each_sentence_has_three_redraws():
    bad_draws = (" bad.",) * 3
    engine = Drafts("One bad.", *bad_draws[1:], "One. Two bad.", *bad_draws[1:], " Two.")
    assert said(engine) == ["One.", "Two."]


def test_a_first_sentence_that_stays_refused_is_not_spoken():
    assert said(Drafts("bad.", "bad.", "bad.", "bad.")) == []


def test_a_first_sentence_with_a_harmless_fault_is_better_than_silence():
    assert said(Drafts("bad.", "again.", "bad.", "Once again. On.")) == ["Once again.", "On."]
    assert said(Drafts("One. Two again.", *[" Two again."] * 3)) == ["One."]


def test_the_first_clause_is_checked_by_itself_before_it_is_spoken():
    engine = Drafts("and the bad little fox, who ran. On.", "and the little fox, who ran. On.")
    assert said(engine) == ["and the little fox,", "who ran.", "On."]
    assert engine.read == ["", ""]


def test_the_rest_is_checked_with_its_first_clause_and_drawn_anew_behind_it():
    engine = Drafts("and the little fox, who ran. On.", " which ran. On.")
    seen: list[Candidate] = []

    def check(candidate: Candidate) -> str | None:
        seen.append(candidate)
        return "bad" if "fox, who" in candidate.raw else None

    assert said(engine, check) == ["and the little fox,", "which ran.", "On."]
    assert engine.read == ["", "and the little fox,"]
    whole = [(c.said, c.raw.strip(), c.whole) for c in seen]
    assert whole == [
        ("", "and the little fox,", False),
        ("", "and the little fox, who ran.", True),
        ("", "and the little fox, which ran.", True),
        ("and the little fox, which ran.", "On.", True),
    ]
    assert seen[-1].last


def test_no_second_clause_is_taken_after_a_refused_rest():
    engine = Drafts("and the little fox, who bad. On.", " or the large fox, who ran. On.")
    assert said(engine) == ["and the little fox,", "or the large fox, who ran.", "On."]


def test_an_unfinished_rest_is_checked_too():
    assert said(Drafts("One. Two bad", " Two")) == ["One.", "Two"]


def test_chinese_is_drawn_anew_behind_the_last_whole_sentence():
    engine = Drafts("他笑。bad。", "他去。")
    assert said(engine) == ["他笑。", "他去。"]
    assert engine.read == ["", "他笑。"]


def test_a_cancelled_redraw_says_nothing_more():
    polls = iter([False] * 12)
    engine = Drafts("One. Two bad. T", " Two good.")
    assert list(speaking(engine).continue_text(SEED, lambda: next(polls, True))) == ["One."]


def test_a_sentence_is_not_held_back_until_the_next_is_checked():
    sentences = speaking(Drafts("One. Two.")).continue_text(SEED, NEVER)
    assert next(sentences) == "One."


def test_the_log_has_the_kind_and_never_the_words(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.DEBUG, logger="model"):
        said(Drafts("One. Secretly bad. Three.", " Two."))
    assert [r.getMessage() for r in caplog.records] == ["a sentence was refused: bad"]
    assert caplog.records[0].levelno == logging.DEBUG


def small_generator(check: Callable[[Candidate], str | None], seed: int) -> TextGenerator:
    weights = small_weights()
    engine = InferenceEngine(weights.model, "float32")
    options = GeneratorOptions(SamplingOptions(top_k=0), 4, 100, seed, (check,))
    return TextGenerator(engine, weights.vocabulary, options)


def refusing(count: int) -> Callable[[Candidate], str | None]:
    """Refuses the first `count` candidates."""
    refusals = iter(["bad"] * count)
    return lambda _candidate: next(refusals, None)


def test_redraws_are_equal_for_equal_random_seeds_and_go_on_with_the_numbers():
    first, second, unchecked = (
        list(small_generator(check, 7).continue_text("a fox", NEVER))
        for check in (refusing(1), refusing(1), refusing(0))
    )
    assert first == second != unchecked


def test_a_redraw_reads_and_masks_what_an_undisturbed_reply_would():
    """The logits behind the kept ids are those of a fresh prefill, whatever was drawn between."""
    generator = small_generator(refusing(0), 7)
    ids = list(generator._tokens("a fox"))[:20]
    expected = list(generator._tokens("a fox", ids))
    generator._random.manual_seed(7)
    list(generator._tokens("another", ids[:5]))
    generator._random.manual_seed(3)
    first = list(generator._tokens("a fox", ids))
    generator._random.manual_seed(3)
    assert list(generator._tokens("a fox", ids)) == first != expected
    assert len(ids) + len(first) <= 100


@pytest.mark.parametrize(
    ("family", "said_then"), [("true", ["They sang."]), ("false", ["He had a gun.", "They sang."])]
)
def test_the_setting_family_decides_whether_unfit_sentences_are_spoken(
    family: str, said_then: list[str]
):
    engine = Drafts("He had a gun. They sang.", "They sang.")
    options = generator_options(load(flags=[f"model.family={family}"], environment={}).settings)
    generator = TextGenerator(engine, BYTES, options)  # type: ignore[arg-type]
    assert list(generator.continue_text(SEED, NEVER)) == said_then


def test_new_weights_may_say_anything_in_their_trial():
    settings = load(environment={}).settings
    engine = Drafts(*["1. A gun."] * 4)
    generator = TextGenerator(engine, BYTES, generator_options(settings))  # type: ignore[arg-type]
    assert list(generator.continue_text(SEED, NEVER)) == []
    try_out(TextGenerator(Drafts("1. A gun."), BYTES, generator._options), settings, Path("w"))  # type: ignore[arg-type]


def fed(pieces: Sequence[bytes]) -> Draft:
    draft = Draft(pieces)
    for token in range(len(pieces)):
        draft.feed(token)
    return draft


def test_an_id_that_spells_both_sides_of_a_boundary_is_kept():
    draft = fed([b" He", b" ran.\nS", b"he sat", b". On"])
    part = draft.next_part()
    assert part
    assert part.text == "He ran."
    draft.accept(part)
    assert draft.rewind() == [0, 1]
    for token in (2, 3):
        draft.feed(token)
    part = draft.next_part()
    assert part
    assert (part.text, part.raw) == ("She sat.", "She sat. ")


def test_ids_that_are_parts_of_characters_are_dropped_together():
    draft = fed([bytes([byte]) for byte in "他笑。她去".encode()])
    part = draft.next_part()
    assert part
    assert part.text == "他笑。"
    draft.accept(part)
    assert draft.rewind() == list(range(9))
    assert draft.next_part() is None


def test_two_sentences_of_one_id_are_two_parts():
    draft = fed([b"One. Two. T", b"hree"])
    for text in ("One.", "Two."):
        part = draft.next_part()
        assert part
        assert part.text == text
        draft.accept(part)
    assert draft.next_part() is None
