"""Checks of the models: Vosk, the trigger phrases, the Transformer's weights and speed."""

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

from audio.pcm import SAMPLE_RATE
from audio.stt.careful.rehearing import WAIT_SECONDS
from config.errors import AfterwordError
from config.settings import Settings
from daemon.doctor.finding import Finding, fault
from daemon.memory import try_within_limit

if TYPE_CHECKING:
    from model.inference.engine import InferenceEngine

SPEED_TOKENS = 48
TRIAL_SECONDS = 5  # of silence for the careful recogniser
SLOW_TOKENS_PER_SECOND = 20  # speech needs about 4; below 20 the first sentence is late


def vosk(settings: Settings) -> Finding:
    """Check that the recogniser's model is complete and loads."""
    from audio.stt import vosk_models
    from audio.stt.vosk_engine import VoskEngine

    try:
        folder = vosk_models.find(settings.language, settings.hearing.model)
        try_within_limit(lambda: VoskEngine(folder))
        began = time.perf_counter()
        VoskEngine(folder)
    except AfterwordError as error:
        return fault("Vosk model", error)
    took = time.perf_counter() - began
    return Finding("Vosk model", "ok", f"{folder.name}, loaded in {took:.1f} s")


def seed_words(settings: Settings) -> Finding:
    """Check that the careful recogniser works, where seeds are heard with it."""
    from daemon.components import open_careful_recognizer

    name = "seed words"
    try:
        try_within_limit(lambda: open_careful_recognizer(settings))
        began = time.perf_counter()
        recognizer = open_careful_recognizer(settings)
    except AfterwordError as error:
        return fault(name, error)
    if recognizer is None:
        return Finding(name, "ok", "by Vosk alone (hearing.seed)")
    loaded = time.perf_counter() - began
    began = time.perf_counter()
    recognizer.hear(bytes(2 * TRIAL_SECONDS * SAMPLE_RATE))
    took = time.perf_counter() - began
    seen = f"by Whisper ({recognizer.folder}), loaded in {loaded:.1f} s"
    seen = f"{seen}, {TRIAL_SECONDS} s heard in {took:.1f} s"
    if took > WAIT_SECONDS:
        remedy = "a smaller model, or hearing.seed: vosk, which is used now where it is late"
        return Finding(name, "warning", f"{seen}, which is too slow", remedy)
    return Finding(name, "ok", seen)


def trigger(settings: Settings) -> Finding:
    """Check that the recogniser knows every word of the trigger phrases."""
    from audio.phrases import parse_phrases
    from audio.stt import vosk_models
    from audio.stt.vosk_engine import VoskEngine

    try:
        folder = vosk_models.find(settings.language, settings.hearing.model)
        engine = VoskEngine(folder)
        phrases = parse_phrases(settings.trigger.phrases, engine.knows, engine.vocabulary)
    except AfterwordError as error:
        return fault("trigger", error)
    quoted = " or ".join(f'"{phrase.text}"' for phrase in phrases)
    words = sorted({word for phrase in phrases for word in phrase.words})
    return Finding("trigger", "ok", f"{quoted}; it knows {', '.join(words)}")


def weights(settings: Settings) -> Finding:
    """Check that each Transformer in use loads, and measure its speed in tokens a second."""
    from model.inference import loading

    name = "weights"
    try:
        try_within_limit(lambda: loading.load_weights(settings))
        measured = [_measure(path, settings) for path in loading.weights_files(settings)]
    except AfterwordError as error:
        return fault(name, error)
    seen, rate = "; ".join(text for text, _ in measured), min(rate for _, rate in measured)
    if rate < SLOW_TOKENS_PER_SECOND:
        remedy = "smaller weights, a GPU (model.device), or fewer programs beside it"
        return Finding(name, "warning", f"{seen}, which is too slow to speak", remedy)
    return Finding(name, "ok", seen)


def _measure(path: Path, settings: Settings) -> tuple[str, float]:
    """What is to be told of a weights file, and its tokens a second.

    Raises:
        WeightsError: it cannot be used.
        ConfigError: there is no such device.
    """
    import torch

    from model.checkpoints.adapter_store import with_adapter
    from model.checkpoints.adapters import load_adapted
    from model.checkpoints.store import describe
    from model.device import choose_device
    from model.inference.engine import InferenceEngine

    device = choose_device(settings.model.device)
    loaded = load_adapted(path)
    torch.set_num_threads(settings.model.threads)
    ids = loaded.vocabulary.encode("Once upon a time")
    rate = _tokens_per_second(InferenceEngine(loaded.stored, device=device), ids)
    parameters = sum(math.prod(t.shape) for t in loaded.stored.tensors.values()) / 1e6
    name = with_adapter(describe(path).name, loaded.adapter)
    seen = f"{name} ({path}), {parameters:.1f} million parameters on {device}"
    return f"{seen}, {rate:,.0f} tokens a second", rate


def _tokens_per_second(engine: "InferenceEngine", prompt: list[int]) -> float:
    token = int(engine.prefill(prompt).argmax())
    engine.step(token)  # warm-up
    began = time.perf_counter()
    for _ in range(SPEED_TOKENS):
        token = int(engine.step(token).argmax())
    return SPEED_TOKENS / (time.perf_counter() - began)
