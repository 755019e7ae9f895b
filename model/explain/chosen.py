"""Chooses what is explained: the weights that continue a seed, or the poem that answers prose."""

from dataclasses import dataclass
from pathlib import Path

import torch

from config.settings import Settings
from model.checkpoints.adapters import load_adapted
from model.checkpoints.fetched import AUTO
from model.checkpoints.store import WeightsInfo, describe, weights_in_use
from model.checkpoints.weights_file import Weights
from model.inference.generator import TextGenerator, make_generator
from model.inference.loading import generator_options, join
from model.inference.routing import RoutedGenerator
from model.inference.verse.prose_answers import ProseAnswers
from model.memory import refuse_without_memory
from model.text.verse.plans import Plan


@dataclass(frozen=True)
class Chosen:
    """What is explained.

    Attributes:
        weights: that continue the seed.
        generator: the text generator with these weights.
        seed: the text that is continued: that given, or the beginning of the poem that answers it.
        note: why these weights or this seed, in a few lines; empty where there is no choice.
    """

    weights: Weights
    generator: TextGenerator
    seed: str
    note: str


def choose(settings: Settings, configured: str | None, seed: str) -> Chosen:
    """Load the weights in use, each file once, and choose as the daemon does.

    `configured` names weights as the setting `model.weights` does; None for those in use.

    Raises:
        WeightsError: the weights are missing or damaged.
        ConfigError: there is no such device.
        DeviceError: the GPU failed, or its memory is full.
        GenerationError: memory is short.
    """
    torch.set_num_threads(settings.model.threads)  # as for a reply
    files = weights_in_use(settings.language, None if configured == AUTO else configured)
    with refuse_without_memory():
        loaded = [_load(settings, file) for file in files]
    generator, _ = join(settings, [(part, info) for _, part, info in loaded])
    part, note = loaded[0][1], ""
    if isinstance(generator, RoutedGenerator):
        part = generator.choose(seed)
        note = _describe_routing(generator, part, seed)
    if isinstance(generator, ProseAnswers) and (plan := generator.plan(seed)):
        note, seed = _describe_answer(plan, seed)
    weights = next(weights for weights, other, _ in loaded if other is part)
    return Chosen(weights, part, seed, note)


def _load(settings: Settings, file: Path) -> tuple[Weights, TextGenerator, WeightsInfo]:
    weights, info = load_adapted(file), describe(file)
    options, device = generator_options(settings), settings.model.device
    return weights, make_generator(weights, file, options, device, info.name), info


def _describe_routing(routed: RoutedGenerator, part: TextGenerator, seed: str) -> str:
    """Which of the small and the large weights continue the seed, and by which measure."""
    small, large = routed.parts
    bits = small.bits_per_token(seed)
    other = large.name if part is small else small.name
    return (
        f"Of the small weights and the large, {part.name} continue this seed, not {other}: the "
        f"small ones expect its tokens with {bits:.2f} bits each on average "
        "(model/inference/routing.py).\n"
    )


def _describe_answer(plan: Plan, seed: str) -> tuple[str, str]:
    """What the reply to prose is, in a few lines, and the words with which its poem begins."""
    images = plan.images(plan.poem)
    beginning = "".join(f"{couplet}\n" for couplet in plan.poem) + "".join(images[:1])
    leads_in = f" led in by {plan.lead}" if plan.lead else ""
    words = f"with “{images[0]}”" if images else "with words of its own"
    note = (
        f"The seed “{seed}” is prose, which these weights of verse cannot continue. The reply is a "
        f"poem{leads_in}, and each couplet is the best of several that are drawn. "
        f"One begins {words}, as follows.\n"
    )
    return note, beginning
