"""Weights of their own that a training of all parameters has made of fetched ones.

They lie in `$XDG_DATA_HOME/afterword/weights/trained/NAME`, with the licence of what they were made
of, and are used as fetched ones are (model/checkpoints/fetched.py). All that are made are kept.
"""

import shutil
from dataclasses import replace
from pathlib import Path

from model.checkpoints import fetched
from model.checkpoints.store import as_output_error
from model.checkpoints.weights_file import Weights, load_weights, save_weights

_LICENCES = ("LICENSE", "LICENCE", "NOTICE")


def publish_trained(source: Path, weights: Weights) -> Path:
    """Keep what a training has made of the fetched weights in a file; returns its path.

    The matrices are written in blocks of 8 bits: rounding to 4 would lose most of what a training
    changes (docs/lab/large-weights.md). The context is that of the source.

    Raises:
        OutputError: it cannot be written.
        WeightsError: the source is damaged, or a number is not finite.
    """
    context = load_weights(source).stored.config.context_length
    stored = weights.stored.in_8_bits()
    stored = replace(stored, config=replace(stored.config, context_length=context))
    name = fetched.new_trained_name(source.parent.name)
    place = fetched.folder_of(name) / source.name
    with as_output_error(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        for file in source.parent.iterdir():
            if file.name.startswith(_LICENCES) and file.is_file():
                shutil.copyfile(file, place.parent / file.name)
    save_weights(place, replace(weights, stored=stored))  # last: without it, nothing is listed
    return place
