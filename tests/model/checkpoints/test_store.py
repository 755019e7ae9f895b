"""Weights are found, kept when others take their place, listed and put back."""

import json
import os
import time
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest

from config.errors import OutputError, WeightsError
from config.paths import data_folder
from model.checkpoints.store import (
    MAX_PREVIOUS,
    SHIPPED,
    describe,
    find_weights,
    own_weights,
    previous,
    restore,
    shipped_weights,
)
from model.checkpoints.weights_file import load_weights, publish_weights
from tests.model.made import small_weights


def publish(training: str, day: int, bits: float | None = None) -> Path:
    """Weights of the user's own from a training, as if made on that day of May."""
    path = own_weights("en")
    told = {"training": training, "provenance": f"told by {training}", "bits_per_byte": bits}
    publish_weights(path, replace(small_weights(), **told))
    made = time.mktime((2026, 5, day, 12, 0, 0, 0, 0, -1))
    os.utime(path, (made, made))
    return path


def test_the_users_own_weights_come_before_the_shipped_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(resources, "files", lambda _: tmp_path)
    (tmp_path / "weights").mkdir()
    with pytest.raises(WeightsError, match='language "en"; train some'):
        find_weights("en", None)
    shipped = tmp_path / "weights" / "en.safetensors"
    shipped.touch()
    assert find_weights("en", None) == shipped
    own = data_folder() / "weights" / "en.safetensors"
    own.parent.mkdir(parents=True)
    own.touch()
    assert find_weights("en", None) == own
    other = tmp_path / "other.safetensors"
    other.touch()
    assert find_weights("en", str(other)) == other
    with pytest.raises(WeightsError, match=r"nowhere is missing; check model\.weights"):
        find_weights("en", "/nowhere")
    with pytest.raises(WeightsError, match='language "zh"'):
        find_weights("zh", None)


def test_weights_of_another_training_are_kept_and_put_back():
    path = publish("first", 1, bits=1.25)
    publish("second", 2)
    publish("second", 3)  # its next best ones take the place of its own
    (old,) = previous(path)
    assert (old.name, old.provenance) == ("en-20260501-120000", "told by first")
    assert (old.language, old.bits_per_byte) == ("en", 1.25)
    assert describe(path).name == "en-20260503-120000"
    assert describe(path).bits_per_byte is None

    assert restore("en", old.name) == path
    assert load_weights(path).training == "first"
    assert [kept.name for kept in previous(path)] == ["en-20260503-120000"]
    restore("en", "en-20260503-120000")
    assert load_weights(path).training == "second"
    assert [kept.provenance for kept in previous(path)] == ["told by first"]


def test_the_shipped_ones_can_be_gone_back_to():
    path = publish("mine", 1)
    assert restore("en", SHIPPED) == shipped_weights("en")
    assert not path.exists()
    assert find_weights("en", None) == shipped_weights("en")
    assert describe(shipped_weights("en")).name == SHIPPED
    assert restore("en", "en-20260501-120000") == path
    assert load_weights(path).training == "mine"
    assert restore("en", "en-20260501-120000") == path  # it is there already


def test_the_last_few_are_kept_even_if_older_ones_were_put_back():
    path = publish("1", 1)
    for day in range(2, MAX_PREVIOUS + 3):
        publish(str(day), day)
    assert [old.provenance[-1] for old in previous(path)] == ["6", "5", "4", "3", "2"]
    restore("en", "en-20260502-120000")
    publish("8", 8)  # what was just in use is not the one that goes
    assert [old.provenance[-1] for old in previous(path)] == ["2", "7", "6", "5", "4"]
    assert len(list((path.parent / "previous").iterdir())) == MAX_PREVIOUS


def test_a_name_that_is_none():
    publish("1", 1)
    with pytest.raises(WeightsError, match=r'"en-7"; choose one of: shipped, small, auto\.$'):
        restore("en", "en-7")
    with pytest.raises(WeightsError, match="No weights are called"):
        restore("zh", "en-20260501-120000")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 100,
        (10**12).to_bytes(8, "little"),
        (4).to_bytes(8, "little") + b"[[[[",
        (2).to_bytes(8, "little") + b"[]",
        (16).to_bytes(8, "little") + b'{"__metadata__":1}',
        (99).to_bytes(8, "little") + json.dumps({"__metadata__": {"language": 3}}).encode(),
    ],
)
def test_a_damaged_file_is_listed_without_what_it_cannot_tell(tmp_path: Path, content: bytes):
    path = tmp_path / "en.safetensors"
    path.write_bytes(content)
    found = describe(path)
    assert (found.size, found.language, found.bits_per_byte) == (len(content), "", None)


def test_where_links_cannot_be_made_they_are_copied(monkeypatch: pytest.MonkeyPatch):
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    path = publish("first", 1)
    publish("second", 2)
    assert [(old.name, old.provenance) for old in previous(path)] == [
        ("en-20260501-120000", "told by first")
    ]


def test_a_folder_that_cannot_be_written_keeps_what_is_there():
    path = publish("first", 1)
    (path.parent / "previous").write_text("no folder")
    with pytest.raises(OutputError, match="cannot be kept"):
        publish("second", 2)
    assert load_weights(path).training == "first"


def test_control_characters_of_a_header_are_not_shown():
    path = own_weights("en")
    publish_weights(path, replace(small_weights(), provenance="a\x1b[2Jb\nc"))
    assert describe(path).provenance == "a [2Jb c"
