import pytest
import torch

from model.checkpoints.blocks import Matrix, concatenate, dense, quantize, quantize_8_bits
from model.inference import quantization
from model.inference.quantization import FORMATS, INPUT_DTYPES, choose_format


def matrix(rows: int = 2048, columns: int = 256) -> torch.Tensor:
    return 0.02 * torch.randn(rows, columns, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("weight_format", "largest"),
    [("float32", 1e-6), ("bfloat16", 0.005), ("int8", 0.01), ("int4", 0.1)],
)
def test_each_format_computes_the_product(weight_format: str, largest: float):
    weight, x = matrix(), torch.randn(1, 256, generator=torch.Generator().manual_seed(2))
    linear = FORMATS[weight_format](weight)
    found = linear(x)
    torch.testing.assert_close(linear(x.to(INPUT_DTYPES[weight_format])), found)
    expected = x.double() @ weight.double().T
    assert (found - expected).norm() / expected.norm() < largest


@pytest.mark.parametrize("weight_format", FORMATS)
def test_each_format_returns_its_rows(weight_format: str):
    weight, places = matrix(), torch.tensor([7, 0, 7])
    rows = FORMATS[weight_format](weight).rows
    found = rows(places)
    torch.testing.assert_close(rows(7), found[0])
    largest = 0.08 / 15 if weight_format == "int4" else 0.005 * 0.08
    torch.testing.assert_close(found, weight[places], rtol=0.005, atol=largest)


def test_int8_bears_rows_of_zeros_and_of_any_scale():
    weight = matrix() * torch.logspace(-4, 4, 2048)[:, None]
    weight[7] = 0
    x = torch.ones(1, 256)
    found, expected = FORMATS["int8"](weight)(x)[0].float(), weight.sum(dim=1)
    assert found[7] == 0
    errors = (found - expected).abs() / weight.norm(dim=1).clamp(min=1e-9)
    assert errors.max() < 0.1


def refuses(weight: Matrix) -> quantization.QuantizedLinear:
    raise RuntimeError("no such operator")


def miscomputes(weight: Matrix) -> quantization.QuantizedLinear:
    return quantization.QuantizedLinear(
        lambda x: torch.zeros(1, len(weight)), lambda which: weight[which]
    )


def dawdles(weight: Matrix) -> quantization.QuantizedLinear:
    def product(x: torch.Tensor) -> torch.Tensor:
        for _ in range(50):
            y = x @ dense(weight).T
        return y

    return quantization.QuantizedLinear(product, lambda which: weight[which])


@pytest.mark.parametrize("worse", [refuses, miscomputes, dawdles])
def test_float32_stays_where_int8_is_no_good(worse, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(FORMATS, "int8", worse)
    assert choose_format(matrix(64)) == "float32"


@pytest.mark.parametrize(
    ("worse", "seconds"),
    [(refuses, [1.0, 2.0]), (miscomputes, [1.0, 2.0]), (dawdles, [3.0, 2.0, 1.0, 2.0])],
)
def test_int8_takes_the_place_of_an_int4_that_is_no_good(
    worse, seconds: list[float], monkeypatch: pytest.MonkeyPatch
):
    took = iter(seconds)
    monkeypatch.setitem(FORMATS, "int4", worse)
    monkeypatch.setattr(quantization, "_seconds", lambda linear, x: next(took))
    assert choose_format(quantize(matrix(64))) == "int8"
    assert list(took) == []


def test_blocks_hold_what_they_are_made_of():
    weight = matrix() * torch.logspace(-3, 3, 2048)[:, None] + 0.01
    for make, levels in ((quantize, 15), (quantize_8_bits, 250)):
        blocks = make(weight)
        assert blocks.shape == weight.shape
        assert len(blocks) == 2048
        spread = weight.abs().amax(dim=1, keepdim=True) * 2
        assert ((blocks.dense() - weight).abs() <= 0.55 * spread / levels).all()
        torch.testing.assert_close(blocks[7:9].dense(), blocks.dense()[7:9])
        torch.testing.assert_close(concatenate([blocks[:5], blocks[5:]]).dense(), blocks.dense())
        assert (make(torch.zeros(1, 32)).dense() == 0).all()


def test_int8_is_chosen_where_it_is_faster(monkeypatch: pytest.MonkeyPatch):
    seconds = iter([1.0, 2.0])
    monkeypatch.setattr(quantization, "_seconds", lambda matrix, x: next(seconds))
    assert choose_format(matrix(64)) == "int8"
