"""Where the numbers of a training go: a line of JSON each, and TensorBoard where it is wanted."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from config.errors import ConfigError

Record = Callable[[Mapping[str, Any]], None]


@contextmanager
def open_log(folder: Path, *, tensorboard: bool, quiet: bool = False) -> Iterator[Record]:
    """A function that keeps the values of a step or validation in `folder`; quiet keeps nothing.

    Raises:
        ConfigError: TensorBoard is wanted and not installed.
    """
    path = Path(os.devnull) if quiet else folder / "log.jsonl"
    with ExitStack() as stack:
        file = stack.enter_context(path.open("a", buffering=1))
        board = None
        if tensorboard and not quiet:
            board = stack.enter_context(_open_board(folder / "tensorboard"))

        def record(values: Mapping[str, Any]) -> None:
            file.write(json.dumps(values) + "\n")
            for name, value in values.items():
                if board and name != "step" and isinstance(value, int | float):
                    board.add_scalar(name, value, values["step"])

        yield record


def _open_board(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError(
            'TensorBoard is not installed: pip install "afterword[tensorboard]" adds it; or leave '
            "out --tensorboard."
        ) from error
    return SummaryWriter(str(folder))
