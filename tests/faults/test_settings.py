"""Settings files of many megabytes are refused at once."""

import time
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.load import load


@pytest.mark.parametrize("content", [b"language: " + b"x" * 10_000_000, b"[" * 10_000_000])
def test_a_line_of_ten_megabytes_is_refused_at_once(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    began = time.process_time()
    with pytest.raises(ConfigError, match="larger than 262144 bytes"):
        load(path)
    assert time.process_time() - began < 2
