"""Options of one training run."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it imports numpy, which the help does without
    from model.data.corpus import CorpusFile

PRESETS = {  # width, layers, heads, hidden
    "tiny": (64, 2, 2, 192),
    "small": (192, 4, 4, 512),
    "medium": (256, 4, 4, 704),
    "story": (288, 6, 6, 768),
    "large": (512, 8, 8, 1408),
}


@dataclass(frozen=True)
class TrainOptions:
    """The options of the command, see its --help.

    The training ends after its steps (or passes, without these) or minutes, whichever comes first;
    without any, it has the length of the state that it resumes, or the default one.
    """

    corpus: "tuple[CorpusFile, ...]"
    out: Path
    init_from: Path | None = None
    resume: bool = False
    minutes: float | None = None
    steps: int | None = None
    passes: float | None = None  # over the texts
    preset: str | None = None
    context: int = 256  # tokens
    language: str = "en"
    licence: str = "unknown"
    provenance: str = ""
    vocabulary_minimum: int | None = 8  # occurrences; None keeps all of cl100k_base
    vocabulary_size: int | None = None
    spoken_openings: float = 0.35  # share of the documents
    batch: int = 16  # sequences
    accumulate: int = 1  # batches in a step
    optimizer: str = "auto"
    learning_rate: float | None = None  # its peak; None takes `optimizers.default_rate`
    validate_every: int = 100  # steps
    validations: int | None = None  # so many in their place, spread evenly over the training
    patience: int | None = None  # validations without a better one
    tensorboard: bool = False
    precision: str = "auto"
    device: str = "auto"
    threads: int | None = None  # of the CPU; None takes one or all, whichever is faster
    seed: int = 1
    rank: int = 0  # of an adapter, trained instead of the weights of `init_from`; 0: none
    adapter_from: Path | None = None  # an adapter to begin with

    @property
    def from_story_model(self) -> bool:
        """True if it starts from a llama2.c model, whose embedding is rebuilt."""
        return self.init_from is not None and self.init_from.suffix != ".safetensors"

    @property
    def weights_path(self) -> Path:
        """File of the best weights."""
        return self.out if self._out_is_file else self.out / f"{self.language}.safetensors"

    @property
    def folder(self) -> Path:
        """Folder of state and log."""
        return self.out.parent if self._out_is_file else self.out

    @property
    def state_path(self) -> Path:
        """File of the training state, for --resume."""
        return self.folder / "last.pt"

    @property
    def resume_command(self) -> str:
        """What resumes this training; without files it is a refresh."""
        return "the same command with --resume" if self.corpus else "the same command"

    @property
    def _out_is_file(self) -> bool:
        return self.out.suffix == ".safetensors"
