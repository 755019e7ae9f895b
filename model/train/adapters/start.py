"""The model that an adapter's training begins with, or goes on with."""

from dataclasses import replace
from typing import Any

import torch

from config.errors import WeightsError
from model.checkpoints.adapters import load_adapter
from model.checkpoints.stored_model import StoredModel
from model.checkpoints.weights_file import Weights
from model.train.adapters.low_rank import add_adapters, set_changes
from model.train.options import TrainOptions
from model.transformer import Transformer


def adapted_model(
    base: Weights, options: TrainOptions, state: dict[str, Any] | None
) -> Transformer:
    """The base, frozen, with adapters: those of a state or file, else new ones.

    Its context is that of the options: the adapters fit any.

    Raises:
        WeightsError: the state or file is of another training or of other weights.
    """
    torch.manual_seed(options.seed)
    context = min(options.context, base.stored.config.context_length)
    config = replace(base.stored.config, context_length=context)
    model = StoredModel(config, base.stored.tensors).transformer()
    add_adapters(model, options.rank)
    if state:
        _resume(model, base, state, options)
    elif options.adapter_from:
        adapter = load_adapter(options.adapter_from)
        try:
            set_changes(model, adapter.changes, adapter.alpha / adapter.rank)
        except ValueError as error:
            raise WeightsError(
                f"{options.adapter_from} cannot be trained further: {error}."
            ) from error
    return model


def _resume(
    model: Transformer, base: Weights, state: dict[str, Any], options: TrainOptions
) -> None:
    own = model.state_dict()
    learning = {name for name, weight in model.named_parameters() if weight.requires_grad}
    shapes = {name: tensor.shape for name, tensor in state["model"].items()}
    if state.get("base") != base.sha256 or shapes != {name: own[name].shape for name in learning}:
        raise WeightsError(
            f"{options.state_path} is of another training; delete {options.folder} to begin anew."
        )
    model.load_state_dict(state["model"], strict=False)
