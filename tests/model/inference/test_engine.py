import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from model.checkpoints.blocks import BLOCK, Matrix, quantize, quantize_8_bits
from model.checkpoints.store import find_weights
from model.checkpoints.stored_model import StoredModel
from model.checkpoints.weights_file import load_weights
from model.data.corpus import read_documents
from model.inference import engine as engine_module
from model.inference import quantization
from model.inference.engine import InferenceEngine
from model.transformer import Transformer, TransformerConfig
from tests.model.inference.test_quantization import refuses
from tests.model.made import small_model

EVALUATION = Path(__file__).parents[4] / "shared" / "corpora" / "tinystories-eval.txt.xz"
IDS = torch.randint(0, 300, (30,), generator=torch.Generator().manual_seed(1)).tolist()


def reference(model, ids: list[int]) -> torch.Tensor:
    return model(torch.tensor([ids]))[0, -1]


GROUPED = {"heads": 4, "kv_heads": 2, "rotary_base": 100_000.0}


@pytest.mark.parametrize("read_first", [1, 2, 17, 29])
@pytest.mark.parametrize("shape", [{}, GROUPED], ids=["plain", "grouped"])
@torch.inference_mode()
def test_the_logits_are_those_of_the_plain_model(read_first: int, shape: dict[str, float]):
    model = small_model(**shape)
    for block in model.blocks:  # so that a norm weight left out would show
        block.norm1.weight.uniform_(0.5, 2)
        block.norm2.weight.uniform_(0.5, 2)
    model.norm.weight.uniform_(0.5, 2)
    engine = InferenceEngine(model, "float32")
    found = [engine.prefill(IDS[:read_first])]
    found += [engine.step(token) for token in IDS[read_first:]]
    expected = [reference(model, IDS[:n]) for n in range(read_first, 31)]
    torch.testing.assert_close(torch.stack(found), torch.stack(expected), rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_small_numbers_are_normed_with_the_same_epsilon():
    model = small_model()
    model.embedding.weight *= 1e-3
    engine = InferenceEngine(model, "float32")
    engine.prefill(IDS[:5])
    torch.testing.assert_close(engine.step(IDS[5]), reference(model, IDS[:6]))


@pytest.mark.parametrize(
    ("weight_format", "largest"), [("int8", 0.02), ("bfloat16", 0.02), ("int4", 0.2)]
)
@torch.inference_mode()
def test_rounded_weights_give_nearly_the_same_logits(weight_format: str, largest: float):
    torch.manual_seed(1)
    model = Transformer(TransformerConfig(300, 32, 3, 2, 64, 96))
    engine = InferenceEngine(model, weight_format)
    found = [engine.prefill(IDS[:10])]
    found += [engine.step(token) for token in IDS[10:]]
    for n, logits in enumerate(found, start=10):
        expected = reference(model, IDS[:n])
        assert (logits - expected).norm() / expected.norm() < largest


@torch.inference_mode()
def test_a_new_prefill_forgets_what_was_before():
    model = small_model()
    engine = InferenceEngine(model, "float32")
    engine.prefill(IDS)
    engine.step(5)
    engine.prefill(IDS[:4])
    torch.testing.assert_close(engine.step(9), reference(model, [*IDS[:4], 9]))


class Reading:
    """An engine, and the number of tokens that each prefill really reads."""

    def __init__(self, engine: InferenceEngine) -> None:
        self.engine = engine
        self.lengths: list[int] = []
        self._rows = engine._head.rows
        engine._head = replace(engine._head, rows=self._noted)

    def _noted(self, index: int | torch.Tensor) -> torch.Tensor:
        if isinstance(index, torch.Tensor):
            self.lengths.append(len(index))
        return self._rows(index)


@pytest.mark.parametrize(
    ("sequences", "lengths"),
    [
        ([IDS[:5], IDS[:12], IDS[:30]], [5, 7, 18]),  # a seed that grows
        ([IDS[:12], IDS[:5]], [12, 1]),  # the last is read again
        ([IDS[:12], IDS[:5], IDS[:5]], [12, 1]),  # the same once more is not
        ([IDS[:12], [*IDS[:8], 299, 298]], [12, 2]),  # the recogniser has changed its mind
        ([IDS[:12], IDS[1:12]], [12, 11]),  # nothing in common
    ],
)
@torch.inference_mode()
def test_a_common_beginning_is_not_read_again(sequences: list[list[int]], lengths: list[int]):
    model = small_model(**GROUPED)
    reading = Reading(InferenceEngine(model, "float32"))
    for ids in sequences:
        found = reading.engine.prefill(ids)
        torch.testing.assert_close(found, reference(model, ids), rtol=1e-4, atol=1e-4)
        token = int(found.argmax())
    assert reading.lengths == lengths
    torch.testing.assert_close(
        reading.engine.step(token), reference(model, [*ids, token]), rtol=1e-4, atol=1e-4
    )


@torch.inference_mode()
def test_the_same_again_is_read_where_a_token_came_between():
    model = small_model()
    reading = Reading(InferenceEngine(model, "float32"))
    for _ in range(2):
        found = reading.engine.prefill(IDS[:5])
        torch.testing.assert_close(found, reference(model, IDS[:5]), rtol=1e-4, atol=1e-4)
        found = reading.engine.step(IDS[5])
        torch.testing.assert_close(found, reference(model, IDS[:6]), rtol=1e-4, atol=1e-4)
    assert reading.lengths == [5, 1]


@torch.inference_mode()
def test_what_was_generated_counts_as_read():
    model = small_model()
    reading = Reading(InferenceEngine(model, "float32"))
    reading.engine.prefill(IDS[:5])
    for token in IDS[5:9]:
        reading.engine.step(token)
    found = reading.engine.prefill(IDS[:20])
    assert reading.lengths == [5, 11]
    torch.testing.assert_close(found, reference(model, IDS[:20]), rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_an_overwritten_beginning_is_read_again():
    model = small_model(context=16)
    reading = Reading(InferenceEngine(model, "float32"))
    reading.engine.prefill(IDS[:10])
    for token in IDS[10:17]:
        reading.engine.step(token)
    found = reading.engine.prefill(IDS[:12])
    assert reading.lengths == [10, 12]
    torch.testing.assert_close(found, reference(model, IDS[:12]), rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_a_prefill_that_failed_is_not_counted_as_read(monkeypatch: pytest.MonkeyPatch):
    model = small_model()
    engine = InferenceEngine(model, "float32")
    engine.prefill(IDS[:10])
    with monkeypatch.context() as patch:
        patch.setattr(engine_module, "rotate", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            engine.prefill([*IDS[:4], 7, 8, 9])
    reading = Reading(engine)
    found = engine.prefill(IDS[:10])
    assert reading.lengths == [6]
    torch.testing.assert_close(found, reference(model, IDS[:10]), rtol=1e-4, atol=1e-4)


def in_blocks(model: Transformer) -> StoredModel:
    """The model with its matrices in blocks: of 8 bits the embedding, of 4 the others."""

    def blocks(name: str, tensor: torch.Tensor) -> Matrix:
        if tensor.dim() < 2:
            return tensor
        return (quantize_8_bits if name == "embedding.weight" else quantize)(tensor)

    state = model.state_dict().items()
    return StoredModel(model.config, {name: blocks(name, tensor) for name, tensor in state})


@pytest.mark.parametrize(
    ("weight_format", "largest"),
    [("float32", 1e-5), ("int4", 0.02), ("int8", 0.02), ("bfloat16", 0.02)],
)
@torch.inference_mode()
def test_blocks_are_computed_in_each_format(weight_format: str, largest: float):
    torch.manual_seed(1)
    shape = TransformerConfig(300, 32, 3, heads=4, width=64, hidden=96, kv_heads=2)
    stored = in_blocks(Transformer(shape))
    for name, tensor in stored.tensors.items():
        if "norm" in name:
            tensor.uniform_(0.5, 2)
    model = stored.transformer()
    engine = InferenceEngine(stored, weight_format)
    found = [engine.prefill(IDS[:10]), engine.step(IDS[10])]
    for n, logits in enumerate(found, start=10):
        expected = reference(model, IDS[:n])
        assert (logits - expected).norm() / expected.norm() < largest


@torch.inference_mode()
def test_blocks_of_4_bits_stay_so_where_the_operator_is_good(monkeypatch: pytest.MonkeyPatch):
    torch.manual_seed(1)
    stored = in_blocks(Transformer(TransformerConfig(300, 32, 3, 2, 64, 96)))
    monkeypatch.setattr(quantization, "_seconds", lambda *_: next(seconds))
    seconds = iter([1.0, 2.0] * 9)
    assert InferenceEngine(stored).weight_format == "int4"
    monkeypatch.setitem(quantization.FORMATS, "int4", refuses)
    seconds = iter([1.0, 2.0] * 9)
    engine = InferenceEngine(stored)
    assert engine.weight_format == "int8"
    expected = reference(stored.transformer(), IDS[:9])
    assert (engine.prefill(IDS[:9]) - expected).norm() / expected.norm() < 0.02


@torch.inference_mode()
def test_the_newest_that_fit_are_read_of_a_long_beginning():
    model = small_model(context=16)
    torch.testing.assert_close(InferenceEngine(model).prefill(IDS), reference(model, IDS[-16:]))


@torch.inference_mode()
def test_a_full_context_slides():
    """With one layer, keys and values tell of their own token only, so a window is exact."""
    model = small_model(context=16, layers=1)
    engine = InferenceEngine(model, "float32")
    engine.prefill(IDS[:7])
    for n in range(7, 200):
        found = engine.step(IDS[n % 30])
        window = [IDS[i % 30] for i in range(max(7, n - 15), n + 1)]
        if n >= 22:
            torch.testing.assert_close(found, reference(model, window), rtol=1e-3, atol=1e-3)


def nats(engine: InferenceEngine, ids: list[int]) -> float:
    """Negative log likelihood of ids[1:], token by token as when speaking."""
    total = 0.0
    logits = engine.prefill(ids[:1])
    for token in ids[1:]:
        total -= logits.log_softmax(dim=-1)[token].item()
        logits = engine.step(token)
    return total


@pytest.mark.slow
@pytest.mark.skipif(not EVALUATION.exists(), reason="needs the shared evaluation stories")
def test_int8_costs_less_than_a_hundredth_of_a_bit_per_byte():
    weights = load_weights(find_weights("en", None))
    exact, rounded = (
        InferenceEngine(weights.model, "float32"),
        InferenceEngine(weights.model, "int8"),
    )
    losses, size = [0.0, 0.0], 0
    for document in read_documents(EVALUATION)[::250]:
        ids = [weights.vocabulary.end, *weights.vocabulary.encode(document)]
        losses = [a + nats(d, ids) for a, d in zip(losses, (exact, rounded), strict=True)]
        size += len(document.encode())
    plain, eight = (loss / math.log(2) / size for loss in losses)
    assert plain < 0.8
    assert abs(eight - plain) < 0.01


@pytest.mark.parametrize("shape", [{"hidden": 48}, {"heads": 32, "kv_heads": 1}])
def test_shapes_that_the_operator_of_4_bits_refuses(
    shape: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.inference.engine.choose_format", lambda _: "int4")
    sizes = {"heads": 4, "width": 64, "hidden": 64, **shape}
    model = Transformer(TransformerConfig(300, 16, 1, **sizes))
    tensors = {
        name: quantize(tensor) if tensor.dim() == 2 and tensor.size(1) % BLOCK == 0 else tensor
        for name, tensor in model.state_dict().items()
    }
    tensors["embedding.weight"] = quantize(torch.randn(304, 64))
    config = TransformerConfig(304, 16, 1, **sizes)
    engine = InferenceEngine(StoredModel(config, tensors))
    assert engine.weight_format == "int8"
    assert torch.isfinite(engine.prefill([1, 2])).all()
