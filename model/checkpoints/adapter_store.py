"""The store of adapters: where they lie, and which is in place.

An adapter (model/checkpoints/adapters.py) belongs to fetched weights. It is the file
`$XDG_DATA_HOME/afterword/weights/adapters/LANGUAGE/BASE-DATE.safetensors`, where BASE names the
weights and DATE tells when it was made. The file `BASE.chosen` beside it holds the name of the one
that is in place: wherever these weights answer, they have it. Nothing heavy is imported here.
"""

import time
from pathlib import Path

from model.checkpoints import fetched
from model.checkpoints.fetched import SUFFIX


def adapters_folder(language: str) -> Path:
    """The folder of the adapters of a language, which need not exist."""
    return fetched.weights_folder() / "adapters" / language


def adapters(language: str) -> list[Path]:
    """The adapters of a language, by name of their weights and date."""
    return sorted(adapters_folder(language).glob(f"*{SUFFIX}"))


def base_name(adapter: Path) -> str:
    """The name of the weights that an adapter belongs to."""
    return "-".join(adapter.stem.split("-")[:-2])


def in_place(weights: Path) -> Path | None:
    """The adapter in place for a weights file; None if it has none."""
    base = fetched.name_of(weights)
    if base is None:
        return None
    name = fetched.read_name(_choice_file(weights.stem, base))
    return next((path for path in adapters(weights.stem) if path.stem == name), None)


def put_in_place(language: str, base: str, name: str | None) -> None:
    """Put an adapter in place for the weights `base`; None takes off the one that is.

    Raises:
        OSError: the choice cannot be written.
    """
    fetched.write_name(_choice_file(language, base), name)


def new_adapter(language: str, base: str) -> Path:
    """The path of an adapter that is made now."""
    made = time.strftime("%Y%m%d-%H%M%S", time.localtime())
    return adapters_folder(language) / f"{base}-{made}{SUFFIX}"


def _choice_file(language: str, base: str) -> Path:
    return adapters_folder(language) / f"{base}.chosen"
