from dataclasses import replace

import pytest
import torch

from model.checkpoints.adapters import Adapter, apply
from model.checkpoints.stored_model import StoredModel
from model.checkpoints.weights_file import Weights
from model.text.vocabulary import Vocabulary
from model.train.style.average import average, average_adapters
from model.transformer import Transformer, TransformerConfig


def weights(seed: int) -> Weights:
    torch.manual_seed(seed)
    vocabulary = Vocabulary([279])
    model = Transformer(TransformerConfig(vocabulary.size, 16, 1, 2, 32, 64))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return Weights(StoredModel.of(model), vocabulary, "en", "MIT", "test", 1.5, sha256="base")


def test_weights_between_two():
    start, trained = weights(1), weights(2)
    middle = average(start, trained, 0.75)
    for name, tensor in trained.stored.tensors.items():
        expected = 0.25 * start.stored.tensors[name] + 0.75 * tensor
        torch.testing.assert_close(middle.stored.tensors[name], expected)
    assert middle.bits_per_byte is None  # that of the trained ones is not theirs
    assert average(start, trained, 1) is trained


def adapter(seed: int, alpha: float) -> Adapter:
    torch.manual_seed(seed)
    name = next(n for n, t in weights(1).stored.tensors.items() if tuple(t.shape) == (32, 32))
    return Adapter(
        {name: (torch.randn(4, 32), torch.randn(32, 4))}, 4, alpha, "base", "tiny", "en", "MIT", ""
    )


def change(made: Adapter) -> torch.Tensor:
    """What an adapter adds to its matrix."""
    ((down, up),) = made.changes.values()
    return up @ down * (made.alpha / made.rank)


def test_part_of_a_new_adapter_changes_so_much_less():
    trained = adapter(1, 8)
    part = average_adapters(None, trained, 0.6)
    torch.testing.assert_close(change(part), 0.6 * change(trained))
    apply(part, weights(1), "part")


@pytest.mark.parametrize("alpha", [8.0, 4.0])
def test_an_adapter_between_two_ends_where_they_are(alpha: float):
    start, trained = adapter(1, alpha), adapter(2, 8)
    ends = [average_adapters(start, trained, kept) for kept in (0, 1)]
    for end, expected in zip(ends, (start, trained), strict=True):
        torch.testing.assert_close(change(end), change(expected))
    near = average_adapters(start, replace(start, alpha=alpha), 0.5)
    torch.testing.assert_close(change(near), change(start))
