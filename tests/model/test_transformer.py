import pytest
import torch
import torch.nn.functional as F

from model.loss import batch_loss
from model.transformer import TransformerConfig, attend, rotary_table, rotate
from tests.model.made import small_model

IDS = torch.randint(0, 300, (3, 30), generator=torch.Generator().manual_seed(1))


def test_no_position_sees_a_later_token():
    model = small_model()
    changed = IDS.clone()
    changed[:, 20:] = (changed[:, 20:] + 1) % 300
    before, after = model(IDS), model(changed)
    torch.testing.assert_close(before[:, :20], after[:, :20])
    assert (before[:, 20:] - after[:, 20:]).abs().amax(dim=-1).min() > 1e-3


def test_more_tokens_than_the_context_are_refused():
    model = small_model(context=29)
    with pytest.raises(ValueError, match="30 tokens exceed the context of 29"):
        model(IDS)


def test_rotated_products_depend_on_the_distance_only():
    rotations = rotary_table(TransformerConfig(1, 64, 1, 1, 8, 1))
    q, k = torch.randn(2, 1, 1, 1, 8, generator=torch.Generator().manual_seed(1))

    def product(at_q: int, at_k: int) -> float:
        a, b = rotate(q, rotations[at_q : at_q + 1]), rotate(k, rotations[at_k : at_k + 1])
        return float((a * b).sum())

    assert product(5, 2) == pytest.approx(product(60, 57), abs=1e-5)
    assert product(5, 2) != pytest.approx(product(5, 3), abs=1e-3)


def test_plain_attention_and_its_gradients_are_those_of_torch():
    generator = torch.Generator().manual_seed(1)
    qkv = torch.randn(3, 2, 3, 7, 8, generator=generator, requires_grad=True)
    ours, torchs = attend(*qkv), F.scaled_dot_product_attention(*qkv, is_causal=True)
    torch.testing.assert_close(ours, torchs)
    weights = torch.randn(ours.shape, generator=generator)
    gradients = [torch.autograd.grad((y * weights).sum(), qkv)[0] for y in (ours, torchs)]
    torch.testing.assert_close(*gradients)


def test_a_head_of_keys_and_values_serves_a_group_of_queries():
    grouped, plain = small_model(heads=4, kv_heads=2), small_model(heads=4)
    state = grouped.state_dict()
    for name in [n for n in state if n.endswith("qkv.weight")]:
        q, k, v = state[name].view(8, 4, 16).split((4, 2, 2))  # heads of 4 numbers
        state[name] = torch.cat([q, k.repeat_interleave(2, 0), v.repeat_interleave(2, 0)]).flatten(
            0, 1
        )
    plain.load_state_dict(state)
    torch.testing.assert_close(grouped(IDS), plain(IDS))  # with gradients: in plain steps
    with torch.no_grad():
        torch.testing.assert_close(grouped(IDS), plain(IDS), rtol=1e-4, atol=1e-4)


def test_a_larger_rotary_base_turns_more_slowly():
    slow = rotary_table(TransformerConfig(1, 64, 1, 1, 8, 1, rotary_base=1e6))
    fast = rotary_table(TransformerConfig(1, 64, 1, 1, 8, 1))
    assert (slow[1, 1:].angle() < fast[1, 1:].angle()).all()
    assert slow[1, 3].angle() == pytest.approx(1e6**-0.75)


@pytest.mark.parametrize("kv_heads", [1, 2])
def test_training_computes_what_use_computes(kv_heads: int):
    model = small_model(context=32, kv_heads=kv_heads)
    trained = model(IDS)  # with gradients, which takes the other way through attention
    with torch.no_grad():
        torch.testing.assert_close(trained, model(IDS), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("layers", 0),
        ("width", 17),
        ("heads", 3),
        ("kv_heads", 3),
        ("kv_heads", -1),
        ("rotary_base", 0.0),
        ("rotary_base", float("inf")),
        ("rotary_base", float("nan")),
    ],
)
def test_impossible_shapes_are_refused(field: str, value: int):
    shape = {
        "vocabulary_size": 9,
        "context_length": 8,
        "layers": 1,
        "heads": 2,
        "width": 16,
        "hidden": 8,
    }
    TransformerConfig(**shape)
    with pytest.raises(ValueError, match="no Transformer has the shape"):
        TransformerConfig(**{**shape, field: value})


def test_the_loss_in_parts_equals_that_of_all_logits_at_once():
    model = small_model()
    rows = torch.randint(0, 300, (40, 20), generator=torch.Generator().manual_seed(2))
    loss = batch_loss(model, rows)
    (3 * loss).backward()
    found = [weight.grad.clone() for weight in model.parameters()]
    model.zero_grad()
    expected = F.cross_entropy(model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())
    (3 * expected).backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(found, [weight.grad for weight in model.parameters()])


def test_one_batch_can_be_learned_by_heart():
    torch.manual_seed(1)
    model = small_model(vocabulary_size=50).train()
    rows = torch.randint(0, 50, (4, 17), generator=torch.Generator().manual_seed(3))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(300):
        optimizer.zero_grad()
        loss = batch_loss(model, rows)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
