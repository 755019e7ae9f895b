"""Metadata of a safetensors file, read without its tensors. Nothing heavy is imported here."""

import json
import re
from pathlib import Path
from typing import Any

_MAX_HEADER_BYTES = 2**20  # those of our files have 5000
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")  # a name of a foreign file may steer terminals


def read_metadata(path: Path) -> dict[str, str]:
    """The texts of a file's metadata; empty if they cannot be read.

    https://huggingface.co/docs/safetensors/index#format
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header: Any = json.loads(file.read(length)) if length <= _MAX_HEADER_BYTES else {}
    except (OSError, ValueError, RecursionError):
        return {}
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    if not isinstance(metadata, dict):
        return {}
    texts = {key: value for key, value in metadata.items() if isinstance(value, str)}
    return {key: _CONTROL.sub(" ", value) for key, value in texts.items()}
