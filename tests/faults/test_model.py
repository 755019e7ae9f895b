"""Faults of the model: its files, its memory, its numbers, its GPU."""

import os
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from config.errors import DeviceError, GenerationError, WeightsError
from config.load import load as load_settings
from model.checkpoints.blocks import dense
from model.checkpoints.checksum import checksum
from model.checkpoints.stored_model import StoredModel
from model.checkpoints.training_state import load_state, save_state
from model.checkpoints.weights_file import load_weights, save_weights
from model.inference.engine import InferenceEngine
from model.inference.generator import GeneratorOptions, TextGenerator
from model.inference.loading import load_file
from model.inference.loading import load_weights as load_chosen_weights
from model.inference.sampler import SamplingOptions
from model.text.vocabulary import Vocabulary
from tests.model.made import small_weights
from tests.support.program import afterword

STATE = dict.fromkeys(
    ["config", "vocabulary", "optimizer", "seconds", "best", "data", "corpus", "language"], 0
)
GREEDY = GeneratorOptions(SamplingOptions(0.0, 0, 1.0, 1.0), 5, 60, 1)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "en.safetensors"
    save_weights(path, small_weights())
    return path


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "last.pt"
    save_state(path, {**STATE, "model": {"w": torch.randn(3000)}, "step": 3})
    return path


@pytest.mark.parametrize("tenths", range(10))
def test_files_truncated_at_every_tenth(tenths: int, weights: Path, state: Path) -> None:
    for path, load in ((weights, load_weights), (state, load_state)):
        content = path.read_bytes()
        path.write_bytes(content[: len(content) * tenths // 10])
        with pytest.raises(WeightsError, match="is no complete"):
            load(path)


FLIPS = int(os.environ.get("AFTERWORD_TEST_FLIPS", "150"))


@pytest.mark.parametrize("kind", ["weights", "state"])
def test_a_flipped_bit_is_found_or_harmless(
    kind: str, weights: Path, state: Path, tmp_path: Path
) -> None:
    """Anywhere in the file: in a number, a name, the header, the padding between."""
    original, load = (weights, load_weights) if kind == "weights" else (state, load_state)
    good, content, damaged = content_of(load(original)), original.read_bytes(), tmp_path / "x"
    rng, found = random.Random(1), 0
    for _ in range(FLIPS):
        flipped = bytearray(content)
        flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        damaged.write_bytes(flipped)
        try:
            loaded = load(damaged)
        except WeightsError:
            found += 1
        else:
            assert content_of(loaded) == good
    assert found > 0.8 * FLIPS


def content_of(loaded: object) -> str:
    """The checksum of what was loaded, wherever it came from."""
    if isinstance(loaded, dict):
        return checksum(loaded)
    parts = dict(vars(loaded))
    stored, vocabulary = parts.pop("stored"), parts.pop("vocabulary")
    numbers = {name: dense(tensor) for name, tensor in stored.tensors.items()}
    return checksum([parts, numbers, vocabulary.kept.tolist(), repr(stored.config)])


def test_shipped_weights_load_without_complaint() -> None:
    for language in ("en", "zh"):
        path = Path(__file__).parents[2] / "model" / "weights" / f"{language}.safetensors"
        assert load_weights(path).language == language


class Unreadable(Tensor):
    """Logits on a GPU that has failed since: copying them to the CPU raises the error."""

    error: Exception

    def cpu(self, *_: object) -> Tensor:  # type: ignore[override]
        raise self.error


class FailingGpu:
    """An engine on a GPU that fails at its `at`-th token, and at every call from then on.

    Kernels run asynchronously, so most faults are raised not by the call but where its result is
    copied (`late`); those of memory and of the driver are raised by the call.
    """

    device = torch.device("cuda")

    def __init__(self, engine: InferenceEngine, at: int, error: Exception, *, late: bool) -> None:
        self._engine, self._left, self._error, self._late = engine, at, error, late

    def forget(self) -> None:
        self._engine.forget()

    def prefill(self, ids: list[int]) -> Tensor:
        return self._or_fail(self._engine.prefill(ids))

    def step(self, token: int) -> Tensor:
        return self._or_fail(self._engine.step(token))

    def _or_fail(self, logits: Tensor) -> Tensor:
        self._left -= 1
        if self._left >= 0:
            return logits
        if not self._late:
            raise self._error
        unreadable = logits.as_subclass(Unreadable)
        unreadable.error = self._error
        return unreadable


# As torch raises them: c10/cuda/CUDAException.cpp, CUDACachingAllocator.cpp, DriverAPI.h
GONE = torch.AcceleratorError("CUDA error: unspecified launch failure\nCUDA kernel errors might…")
SHORT = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
DRIVER = RuntimeError("CUDA driver error: device not ready")


@pytest.mark.parametrize(
    ("error", "late"),
    [(GONE, True), (GONE, False), (SHORT, False), (DRIVER, False)],
    ids=["gone, told later", "gone, told at once", "out of memory", "driver"],
)
@pytest.mark.parametrize("at", [0, 1, 7])
def test_a_gpu_that_fails_in_mid_reply_ends_it_with_a_device_error(
    at: int, error: Exception, late: bool
) -> None:
    made = small_weights()
    gpu = FailingGpu(InferenceEngine(made.model, "float32"), at, error, late=late)
    generator = TextGenerator(gpu, made.vocabulary, GREEDY)  # type: ignore[arg-type]
    for _ in range(2):  # a second reply finds the same fault: there is no other copy of the model
        with pytest.raises(DeviceError) as raised:
            list(generator.continue_text("there was a fox", lambda: False))
        message = str(raised.value)
        assert message.startswith('The model\'s device "cuda" failed (CUDA ')
        assert "kernel errors might" not in message  # the first line of torch's only
        assert raised.value.__cause__ is error
        assert isinstance(raised.value, GenerationError)
        assert generator.device == "cuda"


def test_after_a_device_error_the_cpu_can_be_loaded_from_the_same_file(
    weights: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """`model.device` still names the failing GPU; the argument overrides it."""

    def choose(name: str) -> torch.device:
        return torch.device("cpu") if name == "cpu" else torch.device("cuda")

    def no_gpu(stored: StoredModel, device: torch.device) -> InferenceEngine:
        if device.type == "cpu":
            return InferenceEngine(stored, device=device)
        raise GONE

    settings = load_settings(flags=["model.device=cuda"]).settings
    monkeypatch.setattr("model.inference.generator.choose_device", choose)
    with monkeypatch.context() as failing:
        failing.setattr("model.inference.generator.InferenceEngine", no_gpu)
        with pytest.raises(DeviceError, match='"cuda" failed'):
            load_file(settings, weights)
        # At the start the CPU takes its place.
        settings = load_settings(flags=["model.device=cuda", f"model.weights={weights}"]).settings
        assert load_chosen_weights(settings)[0].device == "cpu"
        assert 'The model\'s device "cuda" failed' in caplog.text
    generator, info = load_file(settings, weights, device="cpu")
    assert (generator.device, info.path) == ("cpu", weights)
    # Random weights may begin with the end of the text: one reply may be empty, not each of them.
    replies = (list(generator.continue_text("there was a fox", lambda: False)) for _ in range(20))
    assert any(replies)


class Broken:
    """An engine whose every logit is `value`, or that raises it."""

    device = torch.device("cpu")

    def __init__(self, value: float | Exception, size: int) -> None:
        self._value, self._size = value, size

    def forget(self) -> None:
        pass

    def prefill(self, ids: list[int]) -> Tensor:
        return self.step(ids[-1])

    def step(self, token: int) -> Tensor:
        if isinstance(self._value, Exception):
            raise self._value
        return torch.full((self._size,), self._value)


ALLOCATION = RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate"
                          " memory: you tried to allocate 8589934592 bytes.")  # fmt: skip


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "numbers that are not finite"),
        (float("inf"), "numbers that are not finite"),
        (MemoryError(), "not enough memory"),
        (ALLOCATION, "not enough memory"),
    ],
)
def test_bad_numbers_and_short_memory_end_the_reply_in_one_sentence(
    value: float | Exception, message: str
) -> None:
    vocabulary = Vocabulary([])
    engine = Broken(value, vocabulary.size)
    generator = TextGenerator(engine, vocabulary, GREEDY)  # type: ignore[arg-type]
    with pytest.raises(GenerationError, match=message):
        list(generator.continue_text("a fox", lambda: False))


def test_a_bug_is_not_reported_as_short_memory() -> None:
    vocabulary = Vocabulary([])
    engine = Broken(RuntimeError("shapes do not fit"), vocabulary.size)
    generator = TextGenerator(engine, vocabulary, GREEDY)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        list(generator.continue_text("a fox", lambda: False))


# Limits the memory only after the imports, which need ten times as much as the model.
SHORT_OF_MEMORY = """
import resource, sys
from pathlib import Path
import daemon.cli.say, model.inference.loading, safetensors.torch
from daemon.cli.main import main

pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + int(sys.argv.pop(1)) * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
main()
"""


# The tokenizer's library cannot be loaded, the file (18 MB) not be mapped, or not twice, or a
# library in C++ or Rust gets no memory and ends the process.
@pytest.mark.parametrize("megabytes", [4, 8, 27, 50])
def test_too_little_memory_to_load_the_model_is_one_sentence(megabytes: int) -> None:
    arguments = ("-c", SHORT_OF_MEMORY, str(megabytes), "say", "a fox", "--no-speech")
    done = afterword(*arguments, program=sys.executable)
    assert "Traceback" not in done.err
    assert done.code == GenerationError.exit_code, done.err
    assert done.err.count("\n") == 1


def limited(mebibytes: int) -> tuple[str, ...]:
    """What runs a program within this address space."""
    return "bash", "-c", 'ulimit -v "$0" && exec "$@"', str(mebibytes * 1024)


# Within 400 MiB std::bad_alloc ends the import of torch's build for the CPU, within 3,000 MiB
# OpenBLAS ends that of the build for CUDA; either is silent.
@pytest.mark.parametrize("mebibytes", [300, 400, 3000])
def test_a_limit_on_memory_that_is_too_low_is_named(mebibytes: int) -> None:
    done = afterword("say", "a fox", "--no-speech", before=limited(mebibytes))
    assert "Traceback" not in done.err
    if mebibytes < 1000 or done.code != 0:  # 3,000 MiB suffice for the CPU's build
        assert done.code == GenerationError.exit_code, done.err
        assert done.err.count("\n") == 1
        assert f"within the limit of {mebibytes:,} MiB" in done.err


def test_doctor_outlives_a_limit_on_memory_that_is_too_low() -> None:
    done = afterword("doctor", "--no-sound", before=limited(400))
    assert done.code == 2, done.err
    assert re.search(r"weights .*limit of 400 MiB", " ".join(done.out.split()))
    assert "service" in done.out


def test_a_model_that_never_ends_is_stopped_by_the_limit() -> None:
    vocabulary = Vocabulary([])

    class Rambling(Broken):
        def step(self, token: int) -> Tensor:
            logits = torch.zeros(self._size)
            logits[vocabulary.encode("x")[0]] = 9.0
            return logits

    options = GeneratorOptions(SamplingOptions(0.0, 0, 1.0, 1.0), 100, 300, 1)
    engine = Rambling(0.0, vocabulary.size)
    generator = TextGenerator(engine, vocabulary, options)  # type: ignore[arg-type]
    said = list(generator.continue_text("a fox-", lambda: False))
    assert said == ["x" * 300]
