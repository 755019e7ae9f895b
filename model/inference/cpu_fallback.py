"""A decoder on a GPU that may vanish: when it fails, the CPU goes on from the same token."""

import copy
import logging
from collections.abc import Callable

import torch
from torch import Tensor

from model.inference.engine import InferenceEngine
from model.transformer import Transformer

log = logging.getLogger(__name__)


class FallbackDecoder:
    """Decodes as `first` does, until it raises; from then on as the decoder that `make` makes.

    Attributes:
        device: where it computes just now.
    """

    def __init__(self, first: InferenceEngine, make: Callable[[], InferenceEngine]) -> None:
        """`make` is called once, when `first` has failed; it must not need its device."""
        self._decoder = first
        self._make: Callable[[], InferenceEngine] | None = make
        self._ids: list[int] = []
        self.device = first.device

    def prefill(self, ids: list[int]) -> Tensor:
        """Begin a sequence with these ids; logits (V,) of the one after the newest."""
        self._ids = list(ids)
        return self._try(lambda: self._decoder.prefill(ids))

    def step(self, token: int) -> Tensor:
        """Append one id; logits (V,) of the one after it."""
        self._ids.append(token)
        return self._try(lambda: self._decoder.step(token))

    def _try(self, decode: Callable[[], Tensor]) -> Tensor:
        if self._make is None:
            return decode()
        try:
            return decode().cpu()  # a GPU tells its errors only when it is waited for
        except RuntimeError as error:  # of which torch's accelerator and memory errors are kinds
            reason = str(error).partition("\n")[0].rstrip(".")
            log.warning(
                "The model's device %s failed (%s); going on with the CPU until the next start.",
                self.device,
                reason,
            )
        self._decoder, self._make = self._make(), None
        self.device = self._decoder.device
        return self._decoder.prefill(self._ids)


def decoder_on(device: torch.device, model: Transformer) -> InferenceEngine | FallbackDecoder:
    """A decoder of this model, which is on the CPU; one with a fallback where that is elsewhere."""
    if device.type == "cpu":
        return InferenceEngine(model)
    on_cpu = copy.deepcopy(model)  # what the GPU holds is gone with it
    return FallbackDecoder(InferenceEngine(model.to(device)), lambda: InferenceEngine(on_cpu))
