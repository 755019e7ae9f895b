import json
from dataclasses import replace
from pathlib import Path

import pytest
from torch import Tensor

from config.errors import WeightsError
from model.checkpoints.weights_file import load_weights, save_weights
from model.explain.tracing import make_trace
from model.inference.generator import GeneratorOptions, TextGenerator, load_generator
from model.inference.manner_mask import MannerMask
from model.inference.sampler import SamplingOptions
from model.text.manner import SPOKEN, Manner, Opening
from model.text.vocabulary import Vocabulary
from tests.model.made import ScriptedEngine, small_weights

PIECES = [b"Yes", b".", b" no", b"\n", b".\n\n", b'"', b" www.", b""]
END = 7


def allowed(mask: MannerMask) -> list[bytes]:
    return [piece for piece, value in zip(PIECES, mask.mask(), strict=True) if value == 0]


def test_texts_that_never_come_are_masked_wherever_a_piece_holds_them():
    mask = MannerMask(PIECES, END, Manner(never=("\n", "www")))
    assert mask.in_force
    assert allowed(mask) == [b"Yes", b".", b" no", b'"', b""]


@pytest.mark.parametrize(
    ("tokens", "may_end"),
    [([], False), ([0], False), ([0, 1], True), ([0, 1, 5], True), ([0, 1, 2], False)],
)
def test_the_text_ends_after_a_sentence_only(tokens: list[int], may_end: bool):
    mask = MannerMask(PIECES, END, Manner(ends_after_sentence=True))
    mask.feed(1)  # of another text
    mask.reset()
    for token in tokens:
        mask.feed(token)
    assert (b"" in allowed(mask)) is may_end


def test_spoken_weights_have_no_mask():
    mask = MannerMask(PIECES, END, SPOKEN)
    assert not mask.in_force
    assert allowed(mask) == PIECES


class ListeningEngine(ScriptedEngine):
    """An engine that remembers what it reads, and would end every text at once."""

    read: list[int]

    def prefill(self, ids: list[int]) -> Tensor:
        self.read = list(ids)
        return super().prefill(ids)

    def step(self, token: int) -> Tensor:
        logits = super().step(token)
        logits[-1] = 200.0  # the end is the likeliest
        return logits


def test_a_generator_reads_the_opening_and_ends_after_a_sentence():
    vocabulary = Vocabulary.full()
    script = vocabulary.encode(" sails on. The end.\n")
    engine = ListeningEngine(script, vocabulary.size)
    generator = TextGenerator(
        engine,  # type: ignore[arg-type]
        vocabulary,
        GeneratorOptions(SamplingOptions(temperature=0)),
        Manner(capitals=True, openings=(Opening("", "A story.\n\n"),), ends_after_sentence=True),
    )
    assert list(generator.continue_text("the old sailor", lambda: False)) == ["sails on."]
    assert vocabulary.decode(engine.read) == "A story.\n\nThe old sailor"
    assert engine.read[0] == vocabulary.end


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Weights of another manner."""
    path = tmp_path / "en.safetensors"
    manner = Manner(capitals=True, openings=(Opening("", "A story. "),), never=("e",))
    save_weights(path, replace(small_weights(), manner=json.loads(manner.to_json())))
    return path


def test_a_generator_has_the_manner_of_its_weights(written: Path):
    options = GeneratorOptions(max_new_tokens=40, random_seed=1)
    generator = load_generator(written, options, "cpu")
    weights, sampling = load_weights(written), SamplingOptions()
    trace = make_trace(weights, generator.engine, "fox", sampling, 1, count=3, top=5)
    assert trace.steps[0].text.startswith("A story. Fox")
    assert [token.id for token in trace.tokens] == generator._input("fox")
    text = " ".join(generator.continue_text("fox", lambda: False))
    assert text
    assert "e" not in text
    assert not any("e" in step.drawn.text for step in trace.steps if step.drawn.data)


def test_a_bad_manner_is_reported_with_its_file(written: Path):
    save_weights(written, replace(small_weights(), manner={"capitals": 1}))
    with pytest.raises(WeightsError, match=rf'{written} cannot be used: .* of "capitals"'):
        load_generator(written, GeneratorOptions(), "cpu")
