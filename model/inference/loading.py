"""Loads a text generator as the settings say: weights, device, sampling options.

Where the settings name no weights (`model.weights: auto`) and the large ones are fetched, both they
and the small ones are loaded, and each seed chooses (model.inference.routing). The small ones are
the user's own, else the shipped ones.
"""

import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from config.errors import AfterwordError, DeviceError, GenerationError, WeightsError
from config.languages import LANGUAGES
from config.settings import ModelSettings, Settings
from model.checkpoints.adapter_store import in_place
from model.checkpoints.fetched import LARGE, chosen
from model.checkpoints.store import (
    Stamp,
    WeightsInfo,
    describe,
    own_weights,
    previous,
    shipped_weights,
    stamp_of,
    stamp_of_file,
    weights_in_use,
)
from model.memory import refuse_without_memory

if TYPE_CHECKING:  # imported where they are used: torch takes a second
    from model.inference.generator import Check, GeneratorOptions, TextGenerator
    from model.inference.routing import Generator
    from model.inference.sampler import SamplingOptions

log = logging.getLogger(__name__)

TRIAL_TOKENS = 24

Loaded = TypeVar("Loaded")


def weights_files(settings: Settings) -> list[Path]:
    """The weights files to load: one, or the small and the large, between which each seed chooses.

    Raises:
        WeightsError: the configured file is missing, or there are none for this language.
    """
    return weights_in_use(settings.language, settings.model.weights)


def stamps_of(settings: Settings) -> tuple[Stamp | None, ...]:
    """The stamps of the weights files in use, then those of their adapters; None: no file.

    They differ when a file does, or when another adapter is put in place.
    """
    language, configured = settings.language, settings.model.weights
    stamps = [stamp_of(language, configured)]
    if configured is None and chosen(language) is None:
        stamps.append(stamp_of(language, LARGE))
    adapters = [in_place(stamp[0]) for stamp in stamps if stamp]
    return (*stamps, *(stamp_of_file(adapter) for adapter in adapters if adapter))


class WeightsWatch:
    """Tells when weights files have changed and can be loaded; one that is written is left alone.

    A file is whole when two looks in a row find it the same.
    """

    def __init__(self, stamps: Sequence[object] = ()) -> None:
        """`stamps`: as `stamps_of`, of the files in use; none for those of the first look."""
        self._handled = self._seen = tuple(stamps)

    def settled(self, stamps: Sequence[object]) -> bool:
        """Look at the files: True if they look as they did the last time."""
        before, self._seen = self._seen, tuple(stamps)
        self._handled = self._handled or self._seen
        return self._seen == before

    def take(self, stamps: Sequence[object]) -> bool:
        """True if the files are to be loaded: neither in use, nor tried before.

        From then on they count as such. Without the first file nothing can answer; the second may
        come and go.
        """
        if stamps[0] is None or tuple(stamps) == self._handled:
            return False
        self.handled(stamps)
        return True

    def handled(self, stamps: Sequence[object]) -> None:
        """These files are in use, or cannot be used."""
        self._handled = tuple(stamps)


def load_weights(
    settings: Settings, device: str | None = None
) -> tuple["Generator", tuple[WeightsInfo, ...]]:
    """Load the weights that the settings choose; returns the generator and which weights it has.

    Where the GPU fails, the CPU takes its place. Where the settings name no weights, and the user's
    own ones are damaged, older ones are loaded; damaged large ones are left out. Each is logged: a
    service that starts with a complaint is better than none.

    Args:
        settings: language and model.
        device: overrides the setting `model.device`; see `load_file`.

    Raises:
        WeightsError: the weights are missing or damaged.
        ConfigError: there is no such device.
        GenerationError: memory is short.
    """
    return with_cpu_fallback(lambda device: _load_intact(settings, device), device)


@dataclass(frozen=True)
class InUse:
    """What is loaded: a generator, its weights, and the settings that it was made from."""

    generator: "Generator"
    weights: tuple[WeightsInfo, ...]
    settings: Settings


def computing_settings(settings: Settings) -> object:
    """How weights are computed, whichever they are."""
    return settings.language, settings.model.device, settings.model.threads


def load_changed(settings: Settings, old: InUse, device: str | None = None) -> InUse:
    """Load and try the weights that are not in use yet; the others stay in memory, once.

    The old generator may go on with its text meanwhile. Where the GPU fails, the CPU takes its
    place.

    Args:
        settings: to be in force.
        old: in use so far; it is unchanged.
        device: overrides the setting `model.device`; see `load_file`.

    Raises:
        WeightsError, ConfigError, GenerationError: as `load_weights`; there is no substitute for
            weights that are damaged.
    """
    return with_cpu_fallback(lambda device: _load_changed(settings, old, device), device)


def _load_changed(settings: Settings, old: InUse, device: str | None) -> InUse:
    loaded, paths = [], weights_files(settings)
    for path in paths:
        if reused := _reused(path, settings, old, device):
            loaded.append(reused)
            continue
        loaded.append(load_file(settings, path, device))
        try_out(loaded[-1][0], settings, path)
    return InUse(*join(settings, loaded), settings)


def _reused(
    path: Path, settings: Settings, old: InUse, device: str | None
) -> tuple["TextGenerator", WeightsInfo] | None:
    """What is loaded of a weights file, if neither it nor its adapter has changed since."""
    is_computed_so = computing_settings(old.settings) == computing_settings(settings)
    if not is_computed_so or device not in (None, old.generator.device):
        return None
    for generator, info in zip(parts_of(old.generator), old.weights, strict=True):
        if info.path == path and info.stamps and info.stamps == describe(path).stamps:
            if old.settings.model != settings.model:
                generator = generator.with_options(generator_options(settings))
            return generator, info
    return None


def with_cpu_fallback(load: Callable[[str | None], Loaded], device: str | None) -> Loaded:
    """Load something on this device (None: as set), or on the CPU if the device fails."""
    try:
        return load(device)
    except DeviceError as error:
        log.warning("%s The model is computed on the CPU.", error)
        return load("cpu")


def _load_intact(
    settings: Settings, device: str | None
) -> tuple["Generator", tuple[WeightsInfo, ...]]:
    first, *others = weights_files(settings)
    loaded = [_load_or_replace(settings, first, device)]
    for path in others:
        try:
            loaded.append(load_file(settings, path, device))
        except (WeightsError, GenerationError) as error:
            log.error("%s The other weights answer alone meanwhile.", error)
    return join(settings, loaded)


def _load_or_replace(
    settings: Settings, first: Path, device: str | None
) -> tuple["TextGenerator", WeightsInfo]:
    """Load a file; if it is the user's own by default and damaged, an older one."""
    try:
        return load_file(settings, first, device)
    except WeightsError as error:
        if first != own_weights(settings.language) or settings.model.weights is not None:
            raise
        log.error("%s Others are used meanwhile.", error)
        for path in [old.path for old in previous(first)]:
            with contextlib.suppress(WeightsError):
                return load_file(settings, path, device)
        return load_file(settings, shipped_weights(settings.language), device)


def join(
    settings: Settings, loaded: Sequence[tuple["TextGenerator", WeightsInfo]]
) -> tuple["Generator", tuple[WeightsInfo, ...]]:
    """The generator of one weights file, or of the small and the large, and which these are.

    The shipped Chinese weights write verse alone, so prose is answered; the user's own continue it.
    """
    weights = tuple(info for _, info in loaded)
    (small, info), *others = loaded
    is_shipped = info.path == shipped_weights(settings.language)
    if not others:
        if settings.language != "zh" or not is_shipped:
            return small, weights
        from model.inference.verse.prose_answers import ProseAnswers

        return ProseAnswers(small), weights
    from model.inference.routing import OWN_TEXTS, STORIES, RoutedGenerator

    ((large, _),) = others
    return RoutedGenerator(small, large, STORIES if is_shipped else OWN_TEXTS), weights


def parts_of(generator: "Generator") -> tuple["TextGenerator", ...]:
    """The generators that `join` has joined, in their order."""
    from model.inference.routing import RoutedGenerator
    from model.inference.verse.prose_answers import ProseAnswers

    if isinstance(generator, RoutedGenerator | ProseAnswers):
        return generator.parts
    return (generator,)


def load_file(
    settings: Settings, path: Path, device: str | None = None
) -> tuple["TextGenerator", WeightsInfo]:
    """Load this weights file; returns the generator and what is known of the weights.

    Args:
        settings: language, number of threads, sampling options.
        path: of the weights.
        device: overrides the setting `model.device`. After a DeviceError the same reply can be
            generated again by a generator loaded with "cpu": nothing on the failed GPU is needed,
            as the weights are read from the file.

    Raises:
        WeightsError: the weights are missing, damaged or of another language.
        ConfigError: there is no such device.
        DeviceError: the GPU failed, or its memory is full.
        GenerationError: memory is short.
    """
    with refuse_without_memory():
        from model.inference.generator import load_generator

    weights = describe(path)
    if weights.language not in ("", settings.language):
        raise WeightsError(
            f'{path} is of the language "{weights.language}", not "{settings.language}"; '
            f"use other weights or another language."
        )
    options = generator_options(settings)
    device = device or settings.model.device
    threads = settings.model.threads
    generator = load_generator(path, options, device, threads, weights.name)
    return generator, replace(weights, adapter=generator.adapter)


def generator_options(settings: Settings) -> "GeneratorOptions":
    """The settings of section `model` on how to choose tokens and when to stop."""
    from model.inference.generator import GeneratorOptions

    m = settings.model
    return GeneratorOptions(
        sampling_options(m), m.max_sentences, m.max_new_tokens, m.random_seed, _checks(m)
    )


def _checks(model: ModelSettings) -> tuple["Check", ...]:
    from model.text.family import FamilyCheck
    from model.text.form_faults import FormCheck

    return (FormCheck(), FamilyCheck()) if model.family else (FormCheck(),)


def sampling_options(model: ModelSettings) -> "SamplingOptions":
    """The settings of section `model` on how the next token is chosen."""
    from model.inference.sampler import SamplingOptions

    return SamplingOptions(
        model.temperature, model.top_k, model.top_p, model.repetition_penalty, model.min_p
    )


def try_out(generator: "TextGenerator", settings: Settings, path: Path) -> None:
    """Continue the language's trial seed with new weights, on random numbers of its own.

    What it says is not checked: it may be unfit to be spoken.

    Raises:
        WeightsError: the weights compute no usable numbers, or no text.
    """
    options = replace(
        generator_options(settings), max_new_tokens=TRIAL_TOKENS, random_seed=1, checks=()
    )
    trial = generator.with_options(options)
    try:
        sentences = list(
            trial.continue_text(LANGUAGES[settings.language].trial_seed, lambda: False)
        )
    except DeviceError:  # no fault of the weights
        raise
    except AfterwordError as error:
        raise WeightsError(f"{path} cannot be used: {error}") from error
    if not sentences:
        raise WeightsError(f"{path} cannot be used: it says nothing at all.")
