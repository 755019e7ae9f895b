"""Edits keep all other text, and a failed edit keeps the file."""

import errno
import os
from pathlib import Path

import pytest
import yaml

from config.edit import _BEGINNING, change_settings, changed_text
from config.errors import ConfigError, OutputError
from config.load import Scalar, load

MINE = """\
# My settings, July.

trigger:
  phrases:
    - hey computer   # the usual
    - "tell me a story"

voice:
  # Anna likes this one.
  name: 'en-us'   # not the Scot
  rate_wpm: 150

# Wild.
model:
  temperature: 0.90
"""


def test_only_the_changed_lines_differ(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(MINE)
    change_settings(path, {"voice.rate_wpm": 130, "voice.volume": 0.5})
    wanted = MINE.replace("rate_wpm: 150", "rate_wpm: 130\n  volume: 0.5")
    assert path.read_text() == wanted


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", _BEGINNING + "voice:\n  name: cmn\n"),
        ("# mine\n", "# mine\nvoice:\n  name: cmn\n"),
        ("# mine\n{}\n", "# mine\n\nvoice:\n  name: cmn\n"),
        ("language: en", "language: en\nvoice:\n  name: cmn\n"),
        ("voice:\n", "voice:\n  name: cmn\n"),
        ("voice: # mine\n# end\n", "voice: # mine\n  name: cmn\n# end\n"),
        ("voice: null\nlanguage: en\n", "voice: \n  name: cmn\nlanguage: en\n"),
        ("voice: {}\n", "voice: {name: cmn}\n"),
        ("voice: {volume: 1.0 }  # a\n", "voice: {volume: 1.0, name: cmn}  # a\n"),
        ("{language: en}\n", "{language: en, voice: {name: cmn}}\n"),
        ("---\nlanguage: en\n", "---\nlanguage: en\nvoice:\n  name: cmn\n"),
        ("voice:\n  name:\n  volume: 1.0\n", "voice:\n  name: cmn\n  volume: 1.0\n"),
        ('voice:\n  name: "en-us" # a\n', "voice:\n  name: cmn # a\n"),
        (
            "voice:\n  volume: 1.0 # loud\n# next\nlog:\n  level: info\n",
            "voice:\n  volume: 1.0 # loud\n  name: cmn\n# next\nlog:\n  level: info\n",
        ),
        (
            "trigger:\n    phrases:\n    - a b\n    # end\n\n# very end\n",
            "trigger:\n    phrases:\n    - a b\n    # end\n\n# very end\nvoice:\n  name: cmn\n",
        ),
        ("voice:\n    volume: 1\n", "voice:\n    volume: 1\n    name: cmn\n"),
        ("language: en\r\n", "language: en\r\nvoice:\r\n  name: cmn\r\n"),
        ("voice:\r\n  volume: 1 # a\r\n", "voice:\r\n  volume: 1 # a\r\n  name: cmn\r\n"),
        ("voice:\r\n  name: x # a\r\n\r\n", "voice:\r\n  name: cmn # a\r\n\r\n"),
        (
            "# 语 😀\nvoice: {name: 语😀, volume: 1} # é\n",
            "# 语 😀\nvoice: {name: cmn, volume: 1} # é\n",
        ),
        ("voice: &v\n  name: &n x # a\n", "voice: &v\n  name: cmn # a\n"),
        ("voice:\n  name: x\n    y # a\n", "voice:\n  name: cmn # a\n"),
        ("%YAML 1.2\n---\nvoice: {name: x}\n", "%YAML 1.2\n---\nvoice: {name: cmn}\n"),
        ("---\nvoice:\n  name: x\n...\n", "---\nvoice:\n  name: cmn\n...\n"),
        ("cues: {error: off}\nvoice: {}\n", "cues: {error: off}\nvoice: {name: cmn}\n"),
        ("on: x\nvoice: {name: y}\n", "on: x\nvoice: {name: cmn}\n"),
        ("? voice\n: 'name': x\n", "? voice\n: 'name': cmn\n"),
    ],
)
def test_every_kind_of_file(before: str, after: str) -> None:
    assert changed_text(before, {"voice.name": "cmn"}) == after


WORDS = ["yes", "no", "Off", "on", "null", "~", "y", "12:30", "1_000", "0x1F", "2024-01-01", "="]


@pytest.mark.parametrize(
    "value", ["en-us+f3", "a, b", "# no", "'", "a " * 100, *WORDS, 0.25, 130, None]
)
@pytest.mark.parametrize("before", ["voice: {name: x}\n", "voice:\n  name: x\n", "voice:\n"])
def test_every_value_is_quoted_as_needed(before: str, value: Scalar) -> None:
    text = changed_text(before, {"voice.name": value})
    assert yaml.safe_load(text) == {"voice": {"name": value}}


@pytest.mark.parametrize(
    "text",
    [
        "language: en\n...\n",
        "language: en\n---\nvoice: {}\n",
        "voice: {volume: 1}\nvoice: {rate_wpm: 100}\n",
        "trigger:\n  phrases: [&n x]\nvoice:\n  name: *n\n",
        "trigger: &t {name: x}\nvoice:\n  <<: *t\nlog: *t\n...\n",
        "voice:\n  name: |\n    x\n  volume: 1\n",
        "voice: {\n  volume: 1 # a\n}\n",
        "voice:\n\tvolume: 1\n",
        "voice:\n  volume: 1\t# a\n",
    ],
)
def test_an_unsupported_layout_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="by hand"):
        changed_text(text, {"voice.name": "cmn"})


def test_a_file_with_a_byte_order_mark_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes("\ufeffvoice:\r\n  name: 语 # é\r\n".encode())
    change_settings(path, {"voice.name": "cmn"})
    assert path.read_bytes() == "voice:\r\n  name: cmn # é\r\n".encode()


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "config.yaml"
    change_settings(path, {"voice.name": "en-us+f3", "language": "en", "voice.volume": 0.25})
    voice = load(path, (), {}).settings.voice
    assert (voice.name, voice.volume) == ("en-us+f3", 0.25)


@pytest.mark.parametrize("word", WORDS)
def test_a_yaml_word_that_is_written_is_read_as_a_text(word: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    change_settings(path, {"voice.name": word})
    assert load(path, (), {}).settings.voice.name == word


def test_a_wrong_value_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(MINE)
    with pytest.raises(ConfigError, match="rate_wpm"):
        change_settings(path, {"voice.rate_wpm": 9000})
    assert path.read_text() == MINE
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_wrong_already_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("voice: [\n")
    with pytest.raises(ConfigError, match=r"config\.yaml, line"):
        change_settings(path, {"voice.rate_wpm": 130})
    assert path.read_text() == "voice: [\n"


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_full_disk_loses_nothing(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(MINE)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os if broken == "fsync" else Path, broken, fail)
    with pytest.raises(OutputError, match=r"config\.yaml cannot be written: No space left"):
        change_settings(path, {"voice.rate_wpm": 130})
    assert path.read_text() == MINE
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link_and_a_mode_a_mode(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.yaml"
    real.write_text(MINE)
    real.chmod(0o640)
    link = tmp_path / "config.yaml"
    link.symlink_to(real)
    change_settings(link, {"voice.rate_wpm": 130})
    assert link.is_symlink()
    assert "rate_wpm: 130" in real.read_text()
    assert real.stat().st_mode & 0o777 == 0o640
