import math
from pathlib import Path

import pytest
import torch

from model.checkpoints.store import find_weights
from model.checkpoints.weights_file import load_weights
from model.data.corpus import read_documents
from model.inference.engine import InferenceEngine
from model.transformer import Transformer, TransformerConfig
from tests.model.made import small_model

EVALUATION = Path(__file__).parents[4] / "shared" / "corpora" / "tinystories-eval.txt.xz"
IDS = torch.randint(0, 300, (30,), generator=torch.Generator().manual_seed(1)).tolist()


def reference(model, ids: list[int]) -> torch.Tensor:
    return model(torch.tensor([ids]))[0, -1]


@pytest.mark.parametrize("read_first", [1, 2, 17, 29])
@torch.inference_mode()
def test_the_logits_are_those_of_the_plain_model(read_first: int):
    model = small_model()
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


@pytest.mark.parametrize(("weight_format", "largest"), [("int8", 0.02), ("bfloat16", 0.02)])
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


@torch.inference_mode()
def test_the_newest_that_fit_are_read_of_a_long_beginning():
    model = small_model(context=16)
    torch.testing.assert_close(InferenceEngine(model).prefill(IDS), reference(model, IDS[-16:]))


@torch.inference_mode()
def test_a_full_context_slides():
    """With one layer, keys and values tell of their own token only, so a window is exact."""
    model = small_model(context=16)
    model.blocks = model.blocks[:1]
    engine = InferenceEngine(model, "float32")
    engine._kv_cache = engine._kv_cache[:1]
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
