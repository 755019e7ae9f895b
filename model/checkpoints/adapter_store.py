"""The store of adapters: where they lie, and which is in place.

An adapter (model/checkpoints/adapters.py) belongs to fetched weights. It is the file
`$XDG_DATA_HOME/afterword/weights/adapters/LANGUAGE/BASE-DATE.safetensors`, where BASE names the
weights and DATE tells when it was made. One comes with Afterword for some weights, as
`model/weights/BASE-spoken.safetensors`: it has taught them to continue what is spoken.

The file `BASE.chosen` holds the name of the one that is in place: wherever these weights answer,
they have it. Without that file, they have the one that comes with Afterword, if it fits them.
Nothing heavy is imported here.
"""

import time
from importlib import resources
from pathlib import Path

from model.checkpoints import fetched
from model.checkpoints.fetched import SUFFIX
from model.checkpoints.metadata.header import read_metadata

MAX_ADAPTERS = 5  # of the same weights that are kept; 8 MB each
_SHIPPED = "-spoken"


def adapters_folder(language: str) -> Path:
    """The folder of the user's adapters of a language, which need not exist."""
    return fetched.weights_folder() / "adapters" / language


def adapters(language: str) -> list[Path]:
    """The user's adapters of a language, by name of their weights and date."""
    return sorted(filter(Path.is_file, adapters_folder(language).glob(f"*{SUFFIX}")))


def shipped_adapters(language: str) -> list[Path]:
    """The adapters that come with Afterword for weights of a language that are fetched."""
    found = (_shipped(path) for path in fetched.fetched_weights() if path.stem == language)
    return [path for path in found if path]


def usable_adapters(language: str) -> list[Path]:
    """All adapters of a language: the user's, then those that come with Afterword."""
    return adapters(language) + shipped_adapters(language)


def find_adapter(language: str, name: str) -> Path | None:
    """The adapter of this name; None if there is none."""
    return next((path for path in usable_adapters(language) if path.stem == name), None)


def is_adapter(path: Path) -> bool:
    """Whether a file lies where adapters do."""
    return is_shipped(path) or path.parent == adapters_folder(path.parent.name)


def is_shipped(path: Path) -> bool:
    """Whether an adapter comes with Afterword."""
    return path.parent == _shipped_folder() and path.stem.endswith(_SHIPPED)


def with_adapter(weights: str, adapter: str) -> str:
    """The name of weights for people, with that of the adapter that they have, if any."""
    return f"{weights} with the adapter {adapter}" if adapter else weights


def base_name(adapter: Path) -> str:
    """The name of the weights that an adapter belongs to."""
    if is_shipped(adapter):
        return adapter.stem.removesuffix(_SHIPPED)
    return "-".join(adapter.stem.split("-")[:-2])


def lacks(adapter: Path) -> str:
    """Why an adapter's weights cannot have it, and what to do; empty if they can."""
    weights, name = base_file(adapter), base_name(adapter)
    if not weights.is_file():
        return f"its weights {name} are missing: `{fetched.fetch_command(name)}`"
    if read_metadata(weights).get("sha256") != read_metadata(adapter).get("base"):
        return f"of other weights than {name}: `afterword weights remove {adapter.stem}`"
    return ""


def base_file(adapter: Path) -> Path:
    """The weights file that an adapter belongs to, which need not exist."""
    shipped = is_shipped(adapter)
    language = read_metadata(adapter).get("language", "") if shipped else adapter.parent.name
    return fetched.folder_of(base_name(adapter)) / f"{language}{SUFFIX}"


def in_place(weights: Path) -> Path | None:
    """The adapter in place for a weights file; None if it has none."""
    base = fetched.name_of(weights)
    if base is None:
        return None
    name = fetched.read_name(_choice_file(weights.stem, base))
    if not name:
        return _shipped(weights)
    adapter = find_adapter(weights.stem, name)
    return adapter if adapter and base_name(adapter) == base else None


def _shipped(weights: Path) -> Path | None:
    """The adapter that comes with Afterword for a fetched file; None if it does not fit it."""
    path = _shipped_folder() / f"{weights.parent.name}{_SHIPPED}{SUFFIX}"
    if not path.is_file():
        return None
    made_for, found = read_metadata(path), read_metadata(weights)
    fits = made_for.get("base") == found.get("sha256") and made_for.get("language") == weights.stem
    return path if fits else None


def _shipped_folder() -> Path:
    return Path(str(resources.files("model").joinpath("weights")))


def put_in_place(language: str, base: str, name: str | None) -> None:
    """Put an adapter in place for the weights `base`; None: that of Afterword, or none.

    Raises:
        OSError: the choice cannot be written.
    """
    fetched.write_name(_choice_file(language, base), name)


def new_adapter(language: str, base: str) -> Path:
    """The path of an adapter that is made now."""
    made = time.strftime("%Y%m%d-%H%M%S", time.localtime())
    return adapters_folder(language) / f"{base}-{made}{SUFFIX}"


def remove(adapter: Path) -> None:
    """Remove an adapter of the user; its weights are as they were when they were fetched.

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
