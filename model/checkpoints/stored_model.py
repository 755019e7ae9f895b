"""A model as its file holds it: shape and tensors, not yet a Transformer.

Inference converts the tensors one at a time into its own number formats. A Transformer, in float32,
is built for what needs one: training, evaluation and `afterword explain`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.overrides import TorchFunctionMode

from model.checkpoints.blocks import Blocks, Matrix, dense, quantize_8_bits
from model.transformer import Transformer, TransformerConfig


@dataclass(frozen=True)
class StoredModel:
    """The shape of a model, and its tensors by the names of the Transformer's state."""

    config: TransformerConfig
    tensors: Mapping[str, Matrix]

    @classmethod
    def of(cls, model: Transformer) -> "StoredModel":
        """The shape and tensors of a Transformer, which are not copied."""
        return cls(model.config, model.state_dict())

    @property
    def has_blocks(self) -> bool:
        """True if matrices are in blocks."""
        return any(isinstance(tensor, Blocks) for tensor in self.tensors.values())

    def transformer(self) -> Transformer:
        """The Transformer in float32, on the tensors' device, in evaluation mode."""
        with _SkipInitialisation():
            model = Transformer(self.config)
        state = {name: dense(tensor) for name, tensor in self.tensors.items()}
        device = next(iter(state.values())).device
        model.load_state_dict(state, assign=True)
        return model.to(device).eval()

    def in_8_bits(self) -> "StoredModel":
        """The same with all matrices in blocks of 8 bits; they are a multiple of 32 wide."""
        tensors = {
            name: quantize_8_bits(dense(tensor)) if len(tensor.shape) == 2 else dense(tensor)
            for name, tensor in self.tensors.items()
        }
        return StoredModel(self.config, tensors)

    def misfit(self) -> str | None:
        """The name of a tensor that does not fit the shape; None if all do."""
        expected = shapes(self.config)
        found = {name: tuple(t.shape) for name, t in self.tensors.items()}
        return next((n for n in {**expected, **found} if expected.get(n) != found.get(n)), None)


def shapes(config: TransformerConfig) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of the Transformer's state, without building one."""
    c = config
    layer = {
        "norm1.weight": (c.width,),
        "attention.qkv.weight": ((c.heads + 2 * c.kv_heads) * c.head_width, c.width),
        "attention.out.weight": (c.width, c.width),
        "norm2.weight": (c.width,),
        "mlp.gate_up.weight": (2 * c.hidden, c.width),
        "mlp.down.weight": (c.width, c.hidden),
    }
    found = {f"blocks.{n}.{name}": shape for n in range(c.layers) for name, shape in layer.items()}
    return {"embedding.weight": (c.vocabulary_size, c.width), **found, "norm.weight": (c.width,)}


class _SkipInitialisation(TorchFunctionMode):
    """Skips the random initialisation of parameters that are loaded next.

    Saves 0.2 s, and leaves the caller's random generator where it is.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (nn.init.normal_, nn.init.kaiming_uniform_):
            return None
        return func(*args, **(kwargs or {}))
