"""The trainer: optimizer steps, validation and state of one training run."""

import math
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from tqdm import tqdm

from config.errors import ConfigError
from config.languages import LANGUAGES, join_sentences
from model.checkpoints.adapters import Adapter, apply, save_adapter
from model.checkpoints.fetched import name_of
from model.checkpoints.stored_model import StoredModel
from model.checkpoints.training_state import save_state
from model.checkpoints.weights_file import Weights, publish_weights
from model.data.batches import Batches, render_pass
from model.data.corpus import Corpus
from model.device import choose_device, faster_with_bfloat16
from model.evaluate.score import score
from model.inference.engine import InferenceEngine
from model.inference.generator import GeneratorOptions, TextGenerator
from model.inference.sampler import SamplingOptions
from model.loss import batch_loss
from model.memory import peak_memory_mb
from model.text.manner import Manner
from model.text.vocabulary import Vocabulary
from model.train.adapters.low_rank import ALPHA_FACTOR, changes_of
from model.train.budget.clock import Clock
from model.train.budget.plan import planned_steps
from model.train.budget.scoring import openings
from model.train.budget.threads import Threads
from model.train.distributed import ProcessGroup, shared_loss
from model.train.optimizers import choose_optimizer, default_rate, make_optimizers, rate_factor
from model.train.options import TrainOptions
from model.transformer import Transformer

_MAX_GRADIENT_NORM = 1.0
_REHEARSED_PART = 8  # of a batch is timed with each number of threads
_SILENT_SECONDS = 1.0  # before a bar is shown


class Trainer:
    """One training run: the model, its optimizers and its progress.

    Attributes:
        optimizer: "muon" for the body's matrices (AdamW trains the rest), or "adamw" for all.
        rate: peak learning rate.
        step: optimizer steps done.
        saved: the step of the last state that was written; None before.
        clock: time and progress.
        threads: chooses their number.
        held_out: the sample of the held-out texts that validations score.
        first: bits per byte of the held-out texts before the first step; None if not measured.
        best: lowest bits per byte of the held-out texts so far.
        worse: validations since then.
        name: of this training, the same when it is resumed.
    """

    def __init__(
        self,
        options: TrainOptions,
        corpus: Corpus,
        vocabulary: Vocabulary,
        model: Transformer,
        state: dict[str, Any] | None,
        processes: ProcessGroup = ProcessGroup(),  # noqa: B008, it is frozen
        base: Weights | None = None,
        manner: Mapping[str, Any] | None = None,
    ) -> None:
        """Begin a training, or resume it from a state.

        With `base`, `model` has these weights and adapters, which alone are trained and written.
        `manner` is that of the weights that the training began with.
        """
        self.processes = processes
        self._base = base
        self._manner = dict(manner or {})
        self.options = options
        self.vocabulary = vocabulary
        self.corpus = corpus
        self.device = choose_device(options.device)
        self.model = model.to(self.device).train()
        self._loss = shared_loss(self.model, processes)
        bf16 = options.precision == "auto" and faster_with_bfloat16(self.device)
        bf16 = bool(processes.broadcast(bf16, self.device))  # each has measured
        self.bfloat16 = bf16 or options.precision == "bf16"
        self.optimizer = choose_optimizer(options, state)
        self._adamw, self._muon = make_optimizers(
            self.model, options, self.optimizer, self.bfloat16
        )
        self._optimizers = [o for o in (self._adamw, self._muon) if o]
        self.step, self.best, self.worse = 0, math.inf, 0
        self.first: float | None = None
        self.saved: int | None = None
        self.name, seconds = secrets.token_hex(4), 0.0
        default = default_rate(options, self.optimizer)
        self.rate = options.learning_rate or (state or {}).get("rate") or default
        number, position = state["data"] if state else (0, 0)
        if state:
            self._resume(state)
            seconds = state["seconds"]
        self.batches = Batches(
            lambda n: render_pass(corpus, vocabulary, options.spoken_openings, options.seed, n),
            options.batch,
            model.config.context_length,
            options.seed,
            number,
            position,
        )
        self._position = (number, position)  # in the data, after the last whole step
        steps = planned_steps(options, corpus, self.tokens_in_step)
        self.clock = Clock(steps, options.minutes, seconds)
        alone = self.device.type == "cpu" and processes.count == 1
        self.threads = Threads(
            lambda: self.rehearse(max(1, options.batch // _REHEARSED_PART)),
            fixed=options.threads is not None or not alone,
        )
        self.held_out = openings(corpus.held_out, vocabulary, model.config.context_length)

    def _resume(self, state: dict[str, Any]) -> None:
        """Take the optimizers' state and what has been counted; older states lack some of it."""
        self._adamw.load_state_dict(state["optimizer"])
        if self._muon:
            self._muon.load_state_dict(state["muon"])
        self.step = self.saved = state["step"]
        self.best, self.worse = state["best"], state.get("worse", 0)
        self.first = state.get("first")
        self.name = state.get("name") or self.name

    def progress(self) -> float:
        """The part of the training that is done, 0 to 1."""
        return self.clock.progress(self.step)

    def left(self) -> float | None:
        """Seconds to the end, as fast as it now is; None if not known."""
        parts = self.options.validations or 1
        return self.clock.left(self.step, math.ceil(parts * (1 - self.progress())))

    @property
    def tokens_in_step(self) -> int:
        """Tokens that a step of all processes trains on."""
        o = self.options
        return self.processes.count * o.batch * o.accumulate * self.model.config.context_length

    def rehearse(self, sequences: int) -> float:
        """Seconds of forward and backward of so many random sequences; nothing is learnt."""
        began = time.perf_counter()
        shape = (sequences, self.model.config.context_length + 1)
        rows = torch.randint(self.vocabulary.size, shape, device=self.device)  # (B, T + 1)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            loss = batch_loss(self.model, rows)
        loss.backward()  # type: ignore[no-untyped-call]
        loss.item()  # waits for a GPU
        for optimizer in self._optimizers:
            optimizer.zero_grad()
        return time.perf_counter() - began

    def train_step(self, progress: float) -> dict[str, float]:
        """Take one optimizer step at this progress, 0 to 1; returns its values for the log.

        Raises:
            ConfigError: the loss is not a finite number.
        """
        begin = time.perf_counter()
        progress = self.processes.broadcast(progress, self.device)  # clocks differ
        rate = self.rate * rate_factor(progress, self.step)
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * group["rate_scale"]
        loss = sum(self._add_gradients() for _ in range(self.options.accumulate))
        loss = self.processes.mean(loss, self.device)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), _MAX_GRADIENT_NORM)
        for optimizer in self._optimizers:
            optimizer.step()
            optimizer.zero_grad()
        self.step += 1
        self._position = (self.batches.number, self.batches.position)
        seconds = time.perf_counter() - begin
        self.clock.note_step(seconds)
        return {
            "step": self.step,
            "loss": loss,
            "rate": rate,
            "gradient_norm": norm.item(),
            "tokens_per_second": self.tokens_in_step / seconds,
            "seconds": self.clock.seconds,
        }

    def _add_gradients(self) -> float:
        """Back-propagate one batch; returns its part of the step's loss."""
        drawn = [self.batches.next() for _ in range(self.processes.count)]  # one a process
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

    def validate(self) -> dict[str, Any]:
        """Score the held-out texts and save the weights if best; returns the values for the log.

        A bar shows how far that is.
        """
        began = time.perf_counter()
        self.model.eval()
        texts = tqdm(self.held_out, "Scoring held-out texts", leave=False, delay=_SILENT_SECONDS)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            result = score(self.model, self.vocabulary, texts, self.device)
        bits = result.bits_per_byte
        self.first = bits if self.step == 0 else self.first
        self.worse += 1
        if bits < self.best:
            self.best, self.worse = bits, 0
            self._publish()
        sample = self._sample()
        self.model.train()
        self.clock.note_validation(time.perf_counter() - began)
        return {
            "step": self.step,
            "bits_per_byte": bits,
            "best": self.best,
            "seconds": self.clock.seconds,
            "pass": self.batches.number,
            "peak_memory_mb": peak_memory_mb(),
            "sample": sample,
        }

    def _sample(self) -> str:
        """The language's training seed and its continuation."""
        seed = LANGUAGES[self.options.language].training_seed
        options = GeneratorOptions(SamplingOptions(), 3, 80, random_seed=self.options.seed)
        engine = InferenceEngine(self.weights().stored, device=self.device)
        manner = Manner.from_table(self._manner)
        generator = TextGenerator(engine, self.vocabulary, options, manner)
        return join_sentences([seed, *generator.continue_text(seed, lambda: False)])

    def _publish(self) -> None:
        path = self.options.weights_path
        if self._base:
            save_adapter(path, self._adapter(self._base))
        else:
            publish_weights(path, self.weights())

    def _adapter(self, base: Weights) -> Adapter:
        o = self.options
        return Adapter(
            changes_of(self.model),
            o.rank,
            ALPHA_FACTOR * o.rank,
            base.sha256,
            name_of(o.init_from) or "" if o.init_from else "",
            o.language,
            o.licence,
            o.provenance,
            self.first,
            self.best,
            self.name,
        )

    def weights(self) -> Weights:
        """The current weights, for use."""
        if self._base:
            return apply(self._adapter(self._base), self._base, "The adapter in training")
        o = self.options
        best = self.best if math.isfinite(self.best) else None
        stored = StoredModel.of(self.model)
        about = (o.language, o.licence, o.provenance, best, self.name, self._manner)
        return Weights(stored, self.vocabulary, *about)

    def _trained(self) -> dict[str, torch.Tensor]:
        """The tensors that a resumed training needs: of adapters, these alone."""
        learning = {name for name, w in self.model.named_parameters() if w.requires_grad}
        return {name: t for name, t in self.model.state_dict().items() if name in learning}

    def save(self) -> None:
        """Write the training state, from which a training resumes exactly."""
        state = {
            "config": asdict(self.model.config),
            "vocabulary": torch.from_numpy(self.vocabulary.merge_order.astype("int32")),
            "vocabulary_rows": [self.vocabulary.lengths.tolist(), self.vocabulary.pattern],
            "model": self._trained(),
            "optimizer": self._adamw.state_dict(),
            "muon": self._muon.state_dict() if self._muon else None,
            "step": self.step,
            "seconds": self.clock.seconds,
            "length": {"steps": self.options.steps, "minutes": self.options.minutes},
            "first": self.first,
            "best": self.best,
            "worse": self.worse,
            "rate": self.rate,
            "name": self.name,
            "data": list(self._position),
            "corpus": self.corpus.fingerprint,
            "language": self.options.language,
            "base": self._base.sha256 if self._base else "",
            "manner": self._manner,
        }
        save_state(self.options.state_path, state)
        self.saved = self.step
