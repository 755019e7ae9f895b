"""Load the Transformer for the daemon: which weights, and what to say with them."""

import contextlib
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from config.errors import AfterwordError, WeightsError
from config.settings import Settings
from model.checkpoints.store import (
    WeightsInfo,
    describe,
    find_weights,
    own_weights,
    previous,
    shipped_weights,
)

if TYPE_CHECKING:  # they are imported where they are used; torch takes a second
    from model.inference.generator import GeneratorOptions, TextGenerator

log = logging.getLogger(__name__)

TRIAL_SEED = {"en": "once upon a time", "zh": "春"}  # what new weights must be able to go on with
TRIAL_TOKENS = 24


def load_weights(settings: Settings) -> tuple["TextGenerator", WeightsInfo]:
    """Load the Transformer, and tell which weights it has.

    Where the user's own are damaged, and the settings name none, those before them serve: a service
    that starts with a word of complaint is better than one that does not start.

    Raises:
        WeightsError: its weights are missing or damaged.
        ConfigError: there is no such device.
    """
    first = find_weights(settings.language, settings.model.weights)
    try:
        return load_file(settings, first)
    except WeightsError as error:
        if first != own_weights(settings.language) or settings.model.weights is not None:
            raise
        log.error("%s Others are used meanwhile.", error)
        for path in [old.path for old in previous(first)]:
            with contextlib.suppress(WeightsError):
                return load_file(settings, path)
        return load_file(settings, shipped_weights(settings.language))


def load_file(settings: Settings, path: Path) -> tuple["TextGenerator", WeightsInfo]:
    """Load the Transformer with the weights in this file.

    Raises:
        WeightsError: they are missing, damaged or of another language.
        ConfigError: there is no such device.
    """
    from model.inference.generator import load_generator

    weights = describe(path)
    if weights.language not in ("", settings.language):
        raise WeightsError(
            f'{path} is of the language "{weights.language}", not "{settings.language}"; '
            f"use other weights or another language."
        )
    chosen = settings.model
    options = generator_options(settings)
    return load_generator(path, options, chosen.device, chosen.threads), weights


def generator_options(settings: Settings) -> "GeneratorOptions":
    """What to say and when to stop."""
    from model.inference.generator import GeneratorOptions
    from model.inference.sampler import SamplingOptions

    chosen = settings.model
    sampling = SamplingOptions(
        chosen.temperature, chosen.top_k, chosen.top_p, chosen.repetition_penalty, chosen.min_p
    )
    return GeneratorOptions(
        sampling, chosen.max_sentences, chosen.max_new_tokens, chosen.random_seed
    )


def try_out(generator: "TextGenerator", settings: Settings, path: Path) -> None:
    """Let new weights say a few words; the numbers they draw are not those of the user's.

    Raises:
        WeightsError: they cannot.
    """
    options = replace(generator_options(settings), max_new_tokens=TRIAL_TOKENS, random_seed=1)
    trial = generator.with_options(options)
    try:
        said = list(trial.continue_text(TRIAL_SEED[settings.language], lambda: False))
    except AfterwordError as error:
        raise WeightsError(f"{path} cannot be used: {error}") from error
    if not said:
        raise WeightsError(f"{path} cannot be used: it says nothing at all.")
