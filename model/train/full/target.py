"""Fetched weights as what a refresh trains whole: the result are weights of their own."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from model.checkpoints import fetched
from model.checkpoints.adapters import load_adapted
from model.checkpoints.blocks import dense
from model.checkpoints.in_use import remembering
from model.checkpoints.metadata.scores import Scores
from model.checkpoints.store import as_output_error
from model.checkpoints.stored_model import StoredModel
from model.checkpoints.trained import publish_trained
from model.checkpoints.weights_file import Weights, load_weights, save_weights
from model.train.adapters.target import START
from model.train.options import TrainOptions
from model.train.style.amount import Style
from model.train.style.average import average

SEQUENCES = 2  # at a time at most, as of an adapter
_ACCUMULATE = 4  # times as many batches in a step, in return


@dataclass(frozen=True)
class FullTarget:
    """All parameters of the fetched weights in a file; see model.train.refresh.Target.

    Attributes:
        source: the weights file, which stays as it is.
        folder: of the training.
        style: how the user's texts and plain language are weighed.
        context: of the training, in tokens.
    """

    source: Path
    folder: Path
    style: Style
    context: int
    mixes_starter = False  # they were not trained on it

    @property
    def _start(self) -> Path:
        return self.folder / START

    def begin(self) -> str:
        """Write the weights, with their adapter, in float16 into the folder; returns which."""
        weights = load_adapted(self.source)
        config = replace(weights.stored.config, context_length=self.context)
        tensors = {name: dense(tensor) for name, tensor in weights.stored.tensors.items()}
        save_weights(self._start, replace(weights, stored=StoredModel(config, tensors)))
        adapter = f" with the adapter {weights.adapter}" if weights.adapter else ""
        return f"all parameters of {self.source}{adapter}, which stays as it is"

    def options(self, given: dict[str, Any]) -> dict[str, Any]:
        """Options of the trainer that follow from the target."""
        spoken, weights = given["spoken_openings"], self.before()
        return {
            "init_from": self._start,
            "batch": min(given["batch"], SEQUENCES),
            "accumulate": given["accumulate"] * _ACCUMULATE,
            "spoken_openings": 0.0 if spoken is None else spoken,
            "licence": weights.licence,
            "provenance": f"{weights.provenance} Trained further on texts of the user.".strip(),
        }

    def before(self) -> Weights:
        """The weights that the training began with."""
        return load_weights(self._start)

    def after(self, options: TrainOptions) -> Weights:
        """The best weights of the training, with the style's share of what it changed."""
        return average(self.before(), load_weights(options.weights_path), self.style.kept)

    def publish(self, options: TrainOptions, scores: Scores, configured: bool) -> list[str]:
        """Keep the best weights; returns where they are, and what else there is to say.

        They are used from now on where those that they began with were chosen alone.
        """
        place = publish_trained(self.source, replace(self.after(options), scores=scores))
        name, language = place.parent.name, options.language
        said = [
            f"The new weights are {name}, in {place.parent}; `afterword weights remove {name}` "
            "removes them."
        ]
        if configured or fetched.chosen(language) != fetched.name_of(self.source):
            return [*said, f"`afterword weights use {name}` uses them from now on."]
        with remembering(language), as_output_error(place):
            fetched.choose(language, name)
        return [*said, "They are used from now on; `afterword weights use --previous` goes back."]
