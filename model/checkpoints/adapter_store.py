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

MAX_ADAPTERS = 5  # of the same weights that are kept; 8 MB each


def adapters_folder(language: str) -> Path:
    """The folder of the adapters of a language, which need not exist."""
    return fetched.weights_folder() / "adapters" / language


def adapters(language: str) -> list[Path]:
    """The adapters of a language, by name of their weights and date."""
    return sorted(adapters_folder(language).glob(f"*{SUFFIX}"))


def find_adapter(language: str, name: str) -> Path | None:
    """The adapter of this name; None if there is none."""
    return next((path for path in adapters(language) if path.stem == name), None)


def is_adapter(path: Path) -> bool:
    """Whether a file lies where adapters do."""
    return path.parent == adapters_folder(path.parent.name)


def with_adapter(weights: str, adapter: str) -> str:
    """The name of weights for people, with that of the adapter that they have, if any."""
    return f"{weights} with the adapter {adapter}" if adapter else weights


def base_name(adapter: Path) -> str:
    """The name of the weights that an adapter belongs to."""
    return "-".join(adapter.stem.split("-")[:-2])


def base_file(adapter: Path) -> Path:
    """The weights file that an adapter belongs to, which need not exist."""
    return fetched.folder_of(base_name(adapter)) / f"{adapter.parent.name}{SUFFIX}"


def in_place(weights: Path) -> Path | None:
    """The adapter in place for a weights file; None if it has none."""
    base = fetched.name_of(weights)
    if base is None:
        return None
    adapter = find_adapter(weights.stem, fetched.read_name(_choice_file(weights.stem, base)))
    return adapter if adapter and base_name(adapter) == base else None


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


def remove(adapter: Path) -> None:
    """Remove an adapter, and take it off its weights.

    Raises:
        OSError: it cannot be removed.
    """
    if in_place(base_file(adapter)) == adapter:
        put_in_place(adapter.parent.name, base_name(adapter), None)
    adapter.unlink()


def prune(language: str, base: str) -> None:
    """Remove the oldest adapters of `base` beyond MAX_ADAPTERS.

    Raises:
        OSError: one cannot be removed.
    """
    made = [path for path in adapters(language) if base_name(path) == base]
    for path in made[:-MAX_ADAPTERS]:
        if in_place(base_file(path)) != path:
            path.unlink(missing_ok=True)


def _choice_file(language: str, base: str) -> Path:
    return adapters_folder(language) / f"{base}.chosen"
