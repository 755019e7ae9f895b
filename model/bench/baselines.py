"""The baselines: Hugging Face transformers and nanoGPT, in our shape and with our sampling."""

import contextlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from config.errors import InputError
from model.inference.sampler import SamplingOptions
from model.transformer import TransformerConfig

SHAPES = {
    "12k": TransformerConfig(12_288, 256, layers=6, heads=6, width=384, hidden=1024),
    "100k": TransformerConfig(100_277, 256, layers=6, heads=6, width=384, hidden=1024),
}
SAMPLING = SamplingOptions(temperature=0.8, top_k=200, top_p=1.0, repetition_penalty=1.0)
Generate = Callable[[list[int], int], object]
"""Continues ids by this many tokens."""


def hugging_face(config: TransformerConfig, device: torch.device) -> Generate | None:
    """`generate` of transformers' Llama with its cache; None if it is not installed."""
    if importlib.util.find_spec("transformers") is None:
        return None
    from transformers import LlamaConfig, LlamaForCausalLM

    llama = LlamaConfig(
        vocab_size=config.vocabulary_size,
        hidden_size=config.width,
        intermediate_size=config.hidden,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.kv_heads,
        max_position_embeddings=config.context_length,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    model = LlamaForCausalLM(llama).to(device).eval()

    def generate(prompt: list[int], count: int) -> object:
        ids = torch.tensor([prompt], device=device)
        return model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=True,
            temperature=SAMPLING.temperature,
            top_k=SAMPLING.top_k,
            max_new_tokens=count,
            min_new_tokens=count,
            use_cache=True,
        )

    return generate


def load_nano_gpt(config: TransformerConfig, path: Path, device: torch.device) -> torch.nn.Module:
    """A model of this shape from nanoGPT's model.py, which is executed.

    Raises:
        InputError: the file is not that module.
    """
    spec = importlib.util.spec_from_file_location("nanogpt_model", path)
    try:
        if spec is None or spec.loader is None:
            raise ImportError(path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # where dataclasses look up their module
        spec.loader.exec_module(module)
        shape = module.GPTConfig(
            block_size=config.context_length,
            vocab_size=config.vocabulary_size,
            n_layer=config.layers,
            n_head=config.heads,
            n_embd=config.width,
            dropout=0.0,
            bias=False,
        )
        with contextlib.redirect_stdout(sys.stderr):  # it prints its size
            return module.GPT(shape).to(device)  # type: ignore[no-any-return]
    except (OSError, ImportError, SyntaxError, AttributeError, TypeError) as error:
        raise InputError(f"{path} is not nanoGPT's model.py: {error}.") from error


def nano_gpt(config: TransformerConfig, path: Path, device: torch.device) -> Generate:
    """`generate` of nanoGPT's model.py, which is executed.

    Raises:
        InputError: the file is not that module.
    """
    model: Any = load_nano_gpt(config, path, device).eval()

    def generate(prompt: list[int], count: int) -> None:
        ids = torch.tensor([prompt], device=device)
        model.generate(ids, count, temperature=SAMPLING.temperature, top_k=SAMPLING.top_k)

    return generate


def machine(device: torch.device) -> dict[str, Any]:
    """The machine and versions of a measurement."""
    versions = {"torch": str(torch.__version__)}
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        versions["transformers"] = importlib.metadata.version("transformers")
    on_gpu = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if on_gpu else torch.backends.cpu.get_cpu_capability()
    return {
        "device": str(device),
        "processor": name,
        "threads": torch.get_num_threads(),
        **versions,
    }
