"""Fetched weights as what a refresh trains: an adapter of them, and their file stays."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from model.checkpoints.adapter_store import in_place
from model.checkpoints.adapters import Adapter, apply, load_adapter, publish_adapter
from model.checkpoints.fetched import chosen, name_of
from model.checkpoints.metadata.scores import Scores
from model.checkpoints.weights_file import Weights, load_weights
from model.train.adapters.low_rank import RANK
from model.train.options import TrainOptions
from model.train.style.amount import Style
from model.train.style.average import average_adapters

START = "start.safetensors"
"""Name of the copy of what a refresh begins with, in its folder."""
_BATCH = 2  # sequences at a time at most: of SmolLM2-135M each takes 0.8 GB
_ACCUMULATE = 2  # times as many batches in a step, in return


@dataclass(frozen=True)
class AdapterTarget:
    """An adapter of the fetched weights in a file; see model.train.refresh.Target."""

    source: Path
    folder: Path
    style: Style
    mixes_starter = False  # the base stays, so the language is not forgotten

    @property
    def _start(self) -> Path:
        """A copy of the adapter that the training began with; missing if there was none."""
        return self.folder / START

    def begin(self) -> str:
        """Copy the adapter in place, if there is one that fits; returns what is begun with."""
        weights, place = load_weights(self.source), in_place(self.source)
        if place is None or load_adapter(place).base != weights.sha256:
            return f"an adapter of rank {RANK} on {self.source}, which stays as it is"
        shutil.copyfile(place, self._start)
        return f"{place}, an adapter of {self.source}"

    def options(self, given: dict[str, Any]) -> dict[str, Any]:
        """Options of the trainer that follow from the target."""
        start = self._start if self._start.is_file() else None
        spoken = given["spoken_openings"]
        return {
            "init_from": self.source,
            "adapter_from": start,
            "rank": load_adapter(start).rank if start else RANK,
            "batch": min(given["batch"], _BATCH),
            "accumulate": given["accumulate"] * _ACCUMULATE,
            "spoken_openings": 0.0 if spoken is None else spoken,
            "provenance": f"Adapter of {name_of(self.source)}, from texts of the user.",
        }

    def before(self) -> Weights:
        """The weights that the training began with."""
        weights = load_weights(self.source)
        if not self._start.is_file():
            return weights
        return apply(load_adapter(self._start), weights, str(self._start))

    def after(self, options: TrainOptions) -> Weights:
        """The best weights of the training, with the style's share of what it changed."""
        adapter = self._averaged(options)
        return apply(adapter, load_weights(self.source), str(options.weights_path))

    def _averaged(self, options: TrainOptions) -> Adapter:
        start = load_adapter(self._start) if self._start.is_file() else None
        return average_adapters(start, load_adapter(options.weights_path), self.style.kept)

    def publish(self, options: TrainOptions, scores: Scores, _: bool) -> list[str]:
        """Put this adapter in place; returns where it is, and what else there is to say."""
        place = publish_adapter(replace(self._averaged(options), scores=scores))
        said = [
            f"The adapter {place.stem} is in place for {name_of(self.source)}; `afterword weights "
            f"use --previous` goes back, `afterword weights remove {place.stem}` removes it."
        ]
        if (name := chosen(options.language)) not in (None, name_of(self.source)):
            said.append(
                f"The weights {name} stay in use; `afterword weights use {place.stem}` changes "
                "that."
            )
        return said
