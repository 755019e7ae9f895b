"""What is in use for a language, and what was before the last change: `weights use --previous`.

The file `$XDG_DATA_HOME/afterword/weights/LANGUAGE.previous` holds the latter as JSON. Each change
that a user makes writes it: another choice, a training's new weights, an adapter put in place.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from config.errors import WeightsError
from model.checkpoints import adapter_store, fetched, store
from model.checkpoints.fetched import AUTO
from model.checkpoints.store import SHIPPED


@dataclass(frozen=True)
class InUse:
    """What is in use for a language.

    Attributes:
        chosen: as `fetched.chosen` tells it; None if each seed chooses.
        small: the name of the user's own weights; SHIPPED if there are none.
        adapters: the name of the adapter in place, by the name of its weights.
    """

    chosen: str | None
    small: str
    adapters: Mapping[str, str]


def in_use(language: str) -> InUse:
    """What is in use for a language now."""
    own = store.own_weights(language)
    files = [file for file in fetched.fetched_weights() if file.stem == language]
    adapters = {file.parent.name: adapter_store.in_place(file) for file in files}
    return InUse(
        fetched.chosen(language),
        store.describe(own).name if own.is_file() else SHIPPED,
        {base: adapter.stem for base, adapter in adapters.items() if adapter},
    )


@contextlib.contextmanager
def remembering(language: str) -> Iterator[None]:
    """Remember what is in use, if it is another afterwards; around all of a change.

    Raises:
        OutputError: it cannot be written.
    """
    before = in_use(language)
    yield
    if in_use(language) != before:
        with store.as_output_error(_file(language)):
            fetched.write_name(_file(language), json.dumps(asdict(before)))


def go_back(language: str) -> list[str]:
    """Use what was in use before the last change, which can be undone in the same way.

    Returns:
        the names of what has taken the place of something else.

    Raises:
        WeightsError: nothing is remembered, or something of it is there no more.
        OutputError: a folder cannot be written.
    """
    now, before = in_use(language), _remembered(language)
    if before is None or before == now:
        raise WeightsError(
            "There are no previous weights: nothing has taken the place of others yet; `afterword "
            "weights` lists those that can be used."
        )
    _require(language, now, before)
    with remembering(language):
        if before.small != now.small:
            store.restore(language, before.small)
        with store.as_output_error(_file(language)):
            for base in {*before.adapters, *now.adapters}:
                adapter_store.put_in_place(language, base, before.adapters.get(base))
            fetched.choose(language, before.chosen)
    return list(_changed(now, before))


def _changed(now: InUse, before: InUse) -> Iterator[str]:
    """The names of what differs."""
    if before.chosen != now.chosen:
        yield before.chosen or AUTO
    if before.small != now.small:
        yield before.small
    for base in sorted({*before.adapters, *now.adapters}):
        adapter = before.adapters.get(base)
        if adapter != now.adapters.get(base):
            yield adapter or f"{base} without an adapter"


def _require(language: str, now: InUse, before: InUse) -> None:
    """Refuse to go back to what was removed since, before anything is changed."""
    own = store.own_weights(language)
    kept = {SHIPPED, now.small, *(old.name for old in store.previous(own))}
    gone = [] if before.small in kept else [before.small]
    for name in before.adapters.values():
        adapter = adapter_store.find_adapter(language, name)
        if adapter is None:
            gone.append(name)
        elif adapter.stem not in now.adapters.values():
            store.refuse_damaged(adapter)
    if gone:
        raise WeightsError(
            f"The weights that were in use before had {' and '.join(gone)}, which was removed; "
            "`afterword weights` lists what can be used."
        )
    if fetched.is_known(before.chosen or ""):
        fetched.find_fetched(language, before.chosen or "")


def _remembered(language: str) -> InUse | None:
    """What was in use before the last change.

    Without a record, of earlier versions: the weights that they have kept, else the shipped ones.
    """
    now = in_use(language)
    try:
        found = InUse(**json.loads(fetched.read_name(_file(language))))
        names = [found.small, found.chosen or "", *found.adapters, *found.adapters.values()]
        return found if all(isinstance(name, str) for name in names) else None
    except (ValueError, TypeError, AttributeError, RecursionError):
        earlier = [old.name for old in store.previous(store.own_weights(language))]
        return replace(now, small=[*earlier, SHIPPED][0])


def _file(language: str) -> Path:
    return fetched.weights_folder() / f"{language}.previous"
