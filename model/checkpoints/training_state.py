"""The trainer's full state, from which a training resumes exactly (`last.pt`)."""

from pathlib import Path
from typing import Any

import torch

from config.errors import WeightsError
from model.checkpoints.checksum import checksum
from model.checkpoints.weights_file import KIND, check_format, write_atomically

STATE_FORMAT = 1
_STATE_KEYS = {"config", "vocabulary", "model", "optimizer", "step", "seconds", "best", "data"}
_STATE_KEYS |= {"corpus", "language"}


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write the trainer's state (tensors, numbers, text, lists and dicts), atomically.

    Raises:
        OutputError: the file cannot be written.
    """
    content = {"kind": KIND, "format": STATE_FORMAT, **state}
    content["sha256"] = checksum(content)
    write_atomically(path, lambda temporary: _write(content, temporary))


def _write(content: dict[str, Any], path: Path) -> None:
    """torch.save, which reports a full disk as OSError and not as a fault of its own format."""
    try:
        with path.open("wb") as file:
            torch.save(content, file)
    except RuntimeError as error:  # torch's writer, closed while the system's error is raised
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def load_state(path: Path) -> dict[str, Any]:
    """Read a trainer's state; code in the file is refused, not run.

    Raises:
        WeightsError: the file is missing, damaged, of another program or of another version.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise WeightsError(f"There is nothing to resume: {path} is missing.") from error
    except Exception as error:  # torch's unpickler fails in many ways, IndexError among them
        raise WeightsError(f"{path} is no complete trainer state; begin anew.") from error
    if not isinstance(state, dict) or state.get("kind") != KIND:
        raise WeightsError(f"{path} is no trainer state of afterword.")
    check_format(state.get("format"), STATE_FORMAT, path)
    if state.pop("sha256", None) not in (None, checksum(state)):
        raise WeightsError(f"{path} is damaged: its checksum does not fit; begin anew.")
    if missing := _STATE_KEYS - state.keys():
        raise WeightsError(f'{path} is damaged: it lacks "{min(missing)}"; begin anew.')
    return state
