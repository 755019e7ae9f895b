"""One training run: its options, its steps, its validation, its state."""

import math
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from config.errors import ConfigError, WeightsError
from model.checkpoints.training_state import save_state
from model.checkpoints.weights_file import Weights, publish_weights
from model.data import corpus as corpora
from model.data.batches import Batches, render_pass
from model.device import choose_device, faster_with_bfloat16
from model.evaluate import score
from model.inference.engine import InferenceEngine
from model.inference.generator import GeneratorOptions, TextGenerator
from model.inference.sampler import SamplingOptions
from model.memory import peak_memory_mb
from model.text.vocabulary import Vocabulary
from model.train.distributed import ProcessGroup, shared_loss
from model.train.optimizers import Muon
from model.transformer import Transformer

SAMPLE_SEEDS = {"en": "the old sailor", "zh": "春"}
SPOKEN_OPENINGS = {"en": 0.35, "zh": 0.0}
"""Part of the documents whose opening looks like a spoken seed, where nothing else is asked for."""

_WARM_UP = 0.02  # part of the training in which the learning rate rises
_FRESH_RATES = {"muon": 8e-3, "adamw": 2e-3}
_CONTINUED_RATE, _STORY_MODEL_RATE = 1e-4, 3e-5
_WEIGHT_DECAY = 0.1  # of the matrices; rare rows of the embedding would only shrink
_NEW_EMBEDDING_SCALE = 4.0  # a body that has learned wants small steps, its new embedding not
_BETAS = (0.9, 0.95)
_GRADIENT_NORM = 1.0


@dataclass(frozen=True)
class TrainOptions:
    """What the command was asked for; see its --help.

    Exactly one of `steps` and `minutes` is given.
    """

    corpus: tuple[corpora.CorpusFile, ...]
    out: Path
    init_from: Path | None = None
    resume: bool = False
    minutes: float | None = None
    steps: int | None = None
    preset: str | None = None
    context: int = 256
    language: str = "en"
    licence: str = "unknown"
    provenance: str = ""
    vocabulary_minimum: int | None = 8  # none keeps all of cl100k_base
    vocabulary_size: int | None = None
    spoken_openings: float = 0.35
    batch: int = 16
    accumulate: int = 1
    optimizer: str = "auto"
    learning_rate: float | None = None
    validate_every: int = 100
    patience: int | None = None
    tensorboard: bool = False
    precision: str = "auto"
    device: str = "auto"
    seed: int = 1

    @property
    def from_story_model(self) -> bool:
        """Whether it starts from a llama2.c model, whose embedding is made anew."""
        return self.init_from is not None and self.init_from.suffix != ".safetensors"

    @property
    def weights_path(self) -> Path:
        """Where the best weights go."""
        return self.out if self._out_is_file else self.out / f"{self.language}.safetensors"

    @property
    def folder(self) -> Path:
        """Where state and log go."""
        return self.out.parent if self._out_is_file else self.out

    @property
    def state_path(self) -> Path:
        """Where all that is needed to go on is kept."""
        return self.folder / "last.pt"

    @property
    def _out_is_file(self) -> bool:
        return self.out.suffix == ".safetensors"


class Trainer:
    """One training run: the model, its optimizers, and how far it is.

    Attributes:
        optimizer: "muon", which leaves to AdamW all but the body's matrices, or "adamw".
        step: optimizer steps done.
        seconds: training time so far, those of earlier starts included.
        best: lowest bits per byte of the held-out texts so far.
        name: of this training, the same when it is resumed.
        worse: validations since then.
    """

    def __init__(
        self,
        options: TrainOptions,
        corpus: corpora.Corpus,
        vocabulary: Vocabulary,
        model: Transformer,
        state: dict[str, Any] | None,
        processes: ProcessGroup = ProcessGroup(),  # noqa: B008, it is frozen
    ) -> None:
        self.processes = processes
        self.options = options
        self.vocabulary = vocabulary
        self.corpus = corpus
        self.device = choose_device(options.device)
        self.model = model.to(self.device).train()
        self._loss = shared_loss(self.model, processes)
        bf16 = options.precision == "auto" and faster_with_bfloat16(self.device)
        bf16 = bool(processes.agree(bf16, self.device))  # each has measured
        self.bfloat16 = bf16 or options.precision == "bf16"
        self.optimizer = _choose_optimizer(options, state)
        self._adamw, self._muon = self._make_optimizers()
        self._optimizers = [o for o in (self._adamw, self._muon) if o]
        self.step, self.seconds, self.best, self.worse = 0, 0.0, math.inf, 0
        if state:
            self._adamw.load_state_dict(state["optimizer"])
            if self._muon:
                self._muon.load_state_dict(state["muon"])
            self.step, self.seconds, self.best = state["step"], state["seconds"], state["best"]
            self.worse = state.get("worse", 0)  # older states do not tell
        self.name = (state or {}).get("name") or secrets.token_hex(4)
        usual = _usual_rate(options, self.optimizer)
        self.rate = options.learning_rate or (state or {}).get("rate") or usual
        number, position = state["data"] if state else (0, 0)
        self.batches = Batches(
            lambda n: render_pass(corpus, vocabulary, options.spoken_openings, options.seed, n),
            options.batch,
            model.config.context_length,
            options.seed,
            number,
            position,
        )
        self._resumed_at = time.monotonic() - self.seconds

    def _make_optimizers(self) -> tuple[torch.optim.AdamW, Muon | None]:
        """Only the matrices decay; an embedding that is new to its body has a rate of its own."""
        named = list(self.model.named_parameters())
        embedding = [w for n, w in named if "embedding" in n]
        matrices = [w for n, w in named if w.dim() == 2 and "embedding" not in n]
        norms = [w for _, w in named if w.dim() < 2]
        scale = _NEW_EMBEDDING_SCALE if self.options.from_story_model else 1.0
        body = {"params": matrices, "weight_decay": _WEIGHT_DECAY, "rate_scale": 1.0}
        groups = [
            {"params": embedding, "weight_decay": 0.0, "rate_scale": scale},
            {"params": norms, "weight_decay": 0.0, "rate_scale": 1.0},
        ]
        muon = None
        if self.optimizer == "muon":
            muon = Muon([body], torch.bfloat16 if self.bfloat16 else torch.float32)
        else:
            groups.insert(1, body)
        return torch.optim.AdamW(groups, lr=0.0, betas=_BETAS, fused=True), muon

    def progress(self) -> float:
        """How much of the training is done, 0 to 1."""
        if self.options.steps is not None:
            return min(1.0, self.step / self.options.steps)
        seconds = 60 * (self.options.minutes or 0.0)
        return min(1.0, (time.monotonic() - self._resumed_at) / seconds) if seconds else 1.0

    def train_step(self, progress: float) -> dict[str, float]:
        """One optimizer step at this part of the training, 0 to 1; returns what to log of it.

        Raises:
            ConfigError: the loss is no longer a finite number.
        """
        begin = time.perf_counter()
        progress = self.processes.agree(progress, self.device)  # clocks differ
        rate = self.rate * rate_factor(progress)
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * group["rate_scale"]
        loss = sum(self._add_gradients() for _ in range(self.options.accumulate))
        loss = self.processes.mean(loss, self.device)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), _GRADIENT_NORM)
        for optimizer in self._optimizers:
            optimizer.step()
            optimizer.zero_grad()
        self.step += 1
        self.seconds = time.monotonic() - self._resumed_at
        return {
            "step": self.step,
            "loss": loss,
            "rate": rate,
            "gradient_norm": norm.item(),
            "tokens_per_second": self._tokens_in_step() / (time.perf_counter() - begin),
            "seconds": self.seconds,
        }

    def _add_gradients(self) -> float:
        """Add one batch's part to the gradients of this step; its part of the loss."""
        drawn = [self.batches.next() for _ in range(self.processes.count)]  # one for each process
        rows = torch.from_numpy(drawn[self.processes.rank]).to(self.device)  # (B, T + 1)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            loss: torch.Tensor = self._loss(rows) / self.options.accumulate
        if not torch.isfinite(loss):
            raise ConfigError(
                f"Training has diverged at step {self.step}: the loss is {loss.item()}; "
                "use a smaller --learning-rate."
            )
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.item())

    def _tokens_in_step(self) -> int:
        o = self.options
        return self.processes.count * o.batch * o.accumulate * self.model.config.context_length

    def validate(self) -> dict[str, Any]:
        """Score the held-out texts, keep the weights if they are the best; what to log of it."""
        self.model.eval()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            result = score(self.model, self.vocabulary, self.corpus.held_out, self.device)
        bits = result.bits_per_byte
        self.worse += 1
        if bits < self.best:
            self.best, self.worse = bits, 0
            publish_weights(self.options.weights_path, self.weights())
        sample = self._sample()
        self.model.train()
        self.seconds = time.monotonic() - self._resumed_at
        return {
            "step": self.step,
            "bits_per_byte": bits,
            "best": self.best,
            "seconds": self.seconds,
            "pass": self.batches.number,
            "peak_memory_mb": peak_memory_mb(),
            "sample": sample,
        }

    def _sample(self) -> str:
        """A seed and its continuation, the same seed each time."""
        seed = SAMPLE_SEEDS[self.options.language]
        options = GeneratorOptions(SamplingOptions(), 3, 80, random_seed=self.options.seed)
        generator = TextGenerator(InferenceEngine(self.model), self.vocabulary, options)
        return " ".join([seed, *generator.continue_text(seed, lambda: False)])

    def weights(self) -> Weights:
        """The model as it is, for use."""
        o = self.options
        best = self.best if math.isfinite(self.best) else None
        told = (o.language, o.licence, o.provenance, best, self.name)
        return Weights(self.model, self.vocabulary, *told)

    def save(self) -> None:
        """Write all that is needed to go on exactly from here."""
        state = {
            "config": asdict(self.model.config),
            "vocabulary": torch.from_numpy(self.vocabulary.merge_order.astype("int32")),
            "model": self.model.state_dict(),
            "optimizer": self._adamw.state_dict(),
            "muon": self._muon.state_dict() if self._muon else None,
            "step": self.step,
            "seconds": self.seconds,
            "best": self.best,
            "worse": self.worse,
            "rate": self.rate,
            "name": self.name,
            "data": [self.batches.number, self.batches.position],
            "corpus": self.corpus.fingerprint,
            "language": self.options.language,
        }
        save_state(self.options.state_path, state)


def rate_factor(progress: float) -> float:
    """The learning rate as a part of its peak: up within the warm-up, then straight to 0.

    Straight to zero was the best of the simple schedules in Bergsma et al. 2025.
    """
    return min(progress / _WARM_UP + 0.05, (1 - progress) / (1 - _WARM_UP), 1.0)


def _choose_optimizer(options: TrainOptions, state: dict[str, Any] | None) -> str:
    """Muon learns faster from scratch; weights that have learned with AdamW go on with it."""
    if state is None:
        auto = "adamw" if options.init_from else "muon"
        return auto if options.optimizer == "auto" else options.optimizer
    begun = "muon" if state.get("muon") else "adamw"
    if options.optimizer not in ("auto", begun):
        raise WeightsError(
            f"{options.state_path} was begun with {begun}, not {options.optimizer}; leave out "
            "--optimizer."
        )
    return begun


def _usual_rate(options: TrainOptions, optimizer: str) -> float:
    if options.from_story_model:  # 1e-4 spoils its body: 0.682 bits per byte, not 0.665
        return _STORY_MODEL_RATE
    return _CONTINUED_RATE if options.init_from else _FRESH_RATES[optimizer]
