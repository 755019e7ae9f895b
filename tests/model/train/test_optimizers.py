import pytest
import torch
from torch import nn

from model.train.optimizers import Muon, orthogonalize


def matrix(*shape: int) -> torch.Tensor:
    """One whose singular values go down to a thirtieth of the largest."""
    numbers = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    u, s, v = torch.linalg.svd(numbers, full_matrices=False)
    return 5 * u * torch.logspace(0, -1.5, len(s)) @ v


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(32, 32), (32, 80), (80, 32)])
def test_all_directions_become_equally_long(shape: tuple[int, int], dtype: torch.dtype):
    u, _, v = torch.linalg.svd(matrix(*shape), full_matrices=False)
    found = orthogonalize(matrix(*shape), dtype)
    lengths = (u.mT @ found @ v.mT).diag()  # along each of the old directions
    assert 0.5 < lengths.min() < lengths.max() < 1.15
    across = found - u * lengths @ v
    assert across.abs().max() < 0.03


def test_the_size_of_the_gradient_does_not_matter():
    small, large = orthogonalize(1e-9 * matrix(8, 8), torch.float32), matrix(8, 8)
    torch.testing.assert_close(small, orthogonalize(1e9 * large, torch.float32))
    assert orthogonalize(torch.zeros(4, 4), torch.float32).norm() == 0


def test_its_step_is_as_large_as_one_of_adamw():
    weights = [nn.Parameter(torch.zeros(64, 160)) for _ in range(2)]
    for weight in weights:
        weight.grad = matrix(64, 160)
    groups = [{"params": [weight], "lr": 0.01, "weight_decay": 0.0} for weight in weights]
    Muon([groups[0]], torch.float32).step()
    torch.optim.AdamW([groups[1]]).step()
    ours, adamw = (weight.detach().square().mean().sqrt() for weight in weights)
    assert 0.1 * adamw < ours < 0.3 * adamw  # AdamW's first step is its largest: it averages 0.2


def test_a_matrix_without_gradient_only_decays():
    weight = nn.Parameter(torch.ones(3, 5))
    weight.grad = torch.zeros(3, 5)
    Muon([{"params": [weight], "lr": 0.1, "weight_decay": 0.5}], torch.float32).step()
    torch.testing.assert_close(weight.detach(), torch.full((3, 5), 0.95))
