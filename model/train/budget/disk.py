"""The room on the disk that a training needs, looked at before it begins."""

import shutil

from config.errors import OutputError
from model.train.options import TrainOptions

_STATE_BYTES = 12  # of each trained number: itself and AdamW's two moments, in float32
_WEIGHTS_BYTES = 2  # of each number, in float16
_OTHER_BYTES = 5_000_000  # log, report and pictures


def require_room(options: TrainOptions, trained: int) -> None:
    """Refuse a training whose files do not fit into its folder.

    A file is written beside the one that it replaces, so both must fit for a moment.

    Args:
        options: of the training, whose folder exists.
        trained: how many numbers are trained, and written.

    Raises:
        OutputError: the disk has not enough room.
    """
    needed = _OTHER_BYTES
    for path, size in (
        (options.state_path, _STATE_BYTES * trained),
        (options.weights_path, _WEIGHTS_BYTES * trained),
    ):
        needed += size if path.exists() else 2 * size
    free = shutil.disk_usage(options.folder).free
    if free < needed:
        raise OutputError(
            f"There is not enough room in {options.folder}: the training needs about "
            f"{_megabytes(needed)} MB there, and {_megabytes(free)} MB are free; make room, then "
            "give the same command again."
        )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f}"
