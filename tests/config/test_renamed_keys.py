"""Old keys are accepted in every layer, with a notice that names the new one."""

import re
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.load import ENVIRONMENT_PREFIX, RENAMED_KEYS, known_keys, load
from tests.config.test_load import refusal, write
from tests.support.program import afterword

RENAMED = [pytest.param(old, new, id=old) for old, new in RENAMED_KEYS.items()]


def in_yaml(key: str, value: str) -> str:
    section, _, name = key.partition(".")
    return f"{section}:\n  {name}: {value}\n"


def variable(key: str) -> str:
    return ENVIRONMENT_PREFIX + key.upper().replace(".", "__")


@pytest.mark.parametrize(("old", "new"), RENAMED)
def test_an_old_key_counts_in_every_layer_and_is_noticed(
    old: str, new: str, tmp_path: Path
) -> None:
    path = write(tmp_path, in_yaml(old, "[in a file]"))
    in_file = load(path, (), {})
    in_environment = load(path, (), {variable(old): "[in a variable]"})
    in_flag = load(path, [f"{old}=[in a flag]"], {variable(old): "[in a variable]"})
    for loaded, value, origin in (
        (in_file, ["in a file"], f"{path}, line 2"),
        (in_environment, ["in a variable"], f"environment variable {variable(old)}"),
        (in_flag, ["in a flag"], f"flag --set {old}"),
    ):
        entry = loaded.entries[new]
        assert (entry.value, entry.origin, entry.old_key) == (value, origin, old)
        assert loaded.notices[-1] == f"{origin}: {old} is deprecated; rename it to {new}."
        assert old not in loaded.entries
    assert in_file.settings.commands != load(environment={}).settings.commands
    assert [len(loaded.notices) for loaded in (in_file, in_environment, in_flag)] == [1, 2, 3]


@pytest.mark.parametrize(("old", "new"), RENAMED)
def test_a_new_key_is_taken_without_a_notice(old: str, new: str, tmp_path: Path) -> None:
    loaded = load(write(tmp_path, in_yaml(new, "[]")), (), {})
    assert (loaded.entries[new].value, loaded.notices) == ([], ())
    assert load(environment={}).notices == load(flags=["language=zh"], environment={}).notices == ()


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(("old", "new"), RENAMED)
def test_in_one_layer_the_new_key_wins(old: str, new: str, order: int, tmp_path: Path) -> None:
    both = [in_yaml(old, "[old]"), in_yaml(new, "[new]")][::order]
    flags = [f"{old}=[old]", f"{new}=[new]"][::order]
    path = write(tmp_path, "".join(both))
    for loaded in (
        load(path, (), {}),
        load(None, flags, {}),
        load(None, (), {variable(old): "[old]", variable(new): "[new]"}),
    ):
        assert loaded.entries[new].value == ["new"]
        (notice,) = loaded.notices
        assert f"{old} is ignored, because {new} is set as well" in notice


@pytest.mark.parametrize(("old", "new"), RENAMED)
def test_the_later_layer_wins_whatever_the_key_is_called(
    old: str, new: str, tmp_path: Path
) -> None:
    path = write(tmp_path, in_yaml(new, "[in a file]"))
    assert load(path, (), {variable(old): "[later]"}).entries[new].value == ["later"]
    path = write(tmp_path, in_yaml(old, "[in a file]"))
    assert load(path, [f"{new}=[later]"], {}).entries[new].value == ["later"]


def test_an_old_key_overrides_the_defaults_of_a_language(tmp_path: Path) -> None:
    path = write(tmp_path, "language: zh\ntrigger:\n  stop_phrases: []\n")
    commands = load(path, (), {}).settings.commands
    assert (commands.stop, commands.go_on) == ([], ["继续", "接着说"])


@pytest.mark.parametrize("value", ["stop", "[1]", "[a, '']", "null", "{a: b}", f"[{'a,' * 17}]"])
@pytest.mark.parametrize(("old", "new"), RENAMED)
def test_an_error_names_the_old_key_as_written(
    old: str, new: str, value: str, tmp_path: Path
) -> None:
    text = refusal(tmp_path, in_yaml(old, value))
    assert f"settings.yaml, line 2: {old} " in text
    assert new not in text
    with pytest.raises(ConfigError, match=re.escape(f"{variable(old)}: {old} ")):
        load(None, (), {variable(old): value})


def test_an_old_key_set_twice_is_refused(tmp_path: Path) -> None:
    text = refusal(tmp_path, "trigger:\n  stop_phrases: [a]\n  stop_phrases: [b]\n")
    assert "line 3: trigger.stop_phrases is set twice" in text


def test_no_old_key_is_suggested(tmp_path: Path) -> None:
    assert "did you mean commands.stop?" in refusal(tmp_path, "stop_phrases: [a]\n")
    assert "did you mean commands.again?" in refusal(tmp_path, "conversation: {again_phrase: []}\n")
    assert not set(RENAMED_KEYS) & set(known_keys())
    assert set(RENAMED_KEYS.values()) <= set(known_keys())


def test_the_command_line_shows_the_new_key_and_logs_one_line(tmp_path: Path) -> None:
    path = write(tmp_path, in_yaml("trigger.stop_phrases", "[hush now]"))
    done = afterword("config", "--config", path, "--set", "commands.go_on=[carry on]")
    assert done.code == 0
    assert re.search(rf"^commands:\n  stop: \[hush now\] +# {path}, line 2$", done.out, re.M)
    assert re.search(r"^  go_on: \[carry on\] +# flag --set commands.go_on$", done.out, re.M)
    assert "stop_phrases" not in done.out
    notice = f"{path}, line 2: trigger.stop_phrases is deprecated; rename it to commands.stop."
    assert done.err == f"afterword: {notice}\n"
