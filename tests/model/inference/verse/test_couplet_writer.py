import pytest
import torch

from config.errors import GenerationError
from model.inference.engine import InferenceEngine
from model.inference.sampler import SamplingOptions
from model.inference.verse.couplet_writer import CoupletWriter
from model.text.vocabulary import Vocabulary
from tests.model.made import ScriptedEngine, small_weights

BYTES = Vocabulary([])
GREEDY = SamplingOptions(0.0, 0, 1.0, 1.0)
FIVE, SEVEN = "春眠不觉晓，处处闻啼鸟。", "两个黄鹂鸣翠柳，一行白鹭上青天。"


def never() -> bool:
    return False


def drawn(texts: list[str], beginning: str, poem: tuple[str, ...] = ()) -> list[str]:
    """The couplets of a writer whose model says these texts, one for each draw."""
    script = [i for text in texts for i in BYTES.encode(text.removeprefix(beginning))]
    writer = CoupletWriter(ScriptedEngine(script, BYTES.size), BYTES, GREEDY)  # type: ignore[arg-type]
    beginnings = [beginning] * len(texts)
    return [c.text for c in writer.draw(poem, beginnings, torch.Generator(), never)]


def test_a_couplet_is_drawn_from_its_beginning():
    assert drawn([FIVE, "春风不相识，何事入罗帷？"], "春") == [FIVE, "春风不相识，何事入罗帷？"]


@pytest.mark.parametrize("bad", ["春眠不觉晓，处处闻。", "春眠。鸟。", "春眠不觉\n", "春" * 17])
def test_what_is_no_couplet_is_left_out(bad: str):
    assert drawn([bad, FIVE], "春") == [FIVE]


def test_the_lines_are_as_long_as_those_of_the_poem():
    assert drawn([FIVE, SEVEN], "", (SEVEN,)) == [SEVEN]


def test_the_poem_comes_before_the_beginning_a_couplet_a_line():
    weights = small_weights()
    engine = InferenceEngine(weights.model, "float32")
    read: list[list[int]] = []

    def prefill(ids: list[int]) -> torch.Tensor:
        read.append(ids)
        raise GenerationError("enough")

    engine.prefill = prefill  # type: ignore[method-assign]
    writer = CoupletWriter(engine, weights.vocabulary, SamplingOptions())
    with pytest.raises(GenerationError, match="enough"):
        list(writer.draw([FIVE], ["夜"], torch.Generator(), never))
    end = weights.vocabulary.end
    assert read == [[end, *weights.vocabulary.encode(f"{FIVE}\n夜")]]


def test_cancelled_is_polled_at_every_token():
    engine = ScriptedEngine(BYTES.encode(FIVE * 3), BYTES.size)
    writer = CoupletWriter(engine, BYTES, GREEDY)  # type: ignore[arg-type]
    polls = iter([False] * 5)
    couplets = writer.draw((), [""] * 3, torch.Generator(), lambda: next(polls, True))
    assert list(couplets) == []
    assert engine.calls == 5


def test_the_text_does_not_end_before_the_couplet():
    """The likeliest id of all is the end of the text."""
    writer = CoupletWriter(ScriptedEngine([BYTES.end] * 60, BYTES.size), BYTES, GREEDY)  # type: ignore[arg-type]
    assert list(writer.draw((), ["春"], torch.Generator(), never)) == []


def test_fewer_bits_are_likelier():
    engine = ScriptedEngine(BYTES.encode(FIVE), BYTES.size)
    writer = CoupletWriter(engine, BYTES, GREEDY)  # type: ignore[arg-type]
    (couplet,) = writer.draw((), [""], torch.Generator(), never)
    assert couplet.bits >= 0
