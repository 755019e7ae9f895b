"""The header of a safetensors file: its metadata, and where each tensor lies.

It is a length of 8 bytes and JSON: https://huggingface.co/docs/safetensors/index#format. Nothing
heavy is imported here.
"""

import json
import re
from pathlib import Path
from typing import Any

_MAX_HEADER_BYTES = 2**20  # those of our files have 5000
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")  # a name of a foreign file may steer terminals


def read_header(path: Path) -> tuple[dict[str, Any], int]:
    """The entries of a file's header, and the offset at which the tensors begin.

    Raises:
        OSError: the file cannot be read.
        ValueError, RecursionError: it has no such header.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > _MAX_HEADER_BYTES:
            raise ValueError(length)
        header = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise ValueError(header)
    return header, 8 + length


def read_metadata(path: Path) -> dict[str, str]:
    """The texts of a file's metadata; empty if they cannot be read."""
    try:
        header, _ = read_header(path)
    except (OSError, ValueError, RecursionError):
        return {}
    metadata = header.get("__metadata__")
    if not isinstance(metadata, dict):
        return {}
    texts = {key: value for key, value in metadata.items() if isinstance(value, str)}
    return {key: _CONTROL.sub(" ", value) for key, value in texts.items()}
