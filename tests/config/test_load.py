"""Layers, origins and errors of the settings."""

import re
from importlib import resources
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.languages import LANGUAGES
from config.load import expected, for_language, known_keys, load


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "settings.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(folder: Path, content: str | bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        load(write(folder, content))
    return str(caught.value)


def test_the_defaults_are_valid_and_complete() -> None:
    loaded = load(environment={})
    assert loaded.settings.voice.rate_wpm == 150  # the engine's 200 less 50
    assert sorted(loaded.entries) == sorted(known_keys())


def test_default_yaml_documents_every_key() -> None:
    lines = resources.files("config").joinpath("default.yaml").read_text("utf-8").splitlines()
    for number, line in enumerate(lines):
        if re.match(r"\s*\w+: *\S", line):
            assert lines[number - 1].lstrip().startswith("#"), f"{line} has no comment above it"


def test_later_layers_win_and_are_remembered(tmp_path: Path) -> None:
    path = write(tmp_path, "model:\n  temperature: 0.1\n  top_k: 7\nvoice:\n  rate_wpm: 101\n")
    environment = {"AFTERWORD_MODEL__TOP_K": "8", "AFTERWORD_VOICE__RATE_WPM": "102", "HOME": "/"}
    loaded = load(path, ["voice.rate_wpm=103"], environment)
    assert loaded.settings.model.temperature == 0.1
    assert loaded.settings.model.top_k == 8
    assert loaded.settings.voice.rate_wpm == 103
    assert loaded.entries["model.temperature"].origin == f"{path}, line 2"
    assert loaded.entries["model.top_k"].origin == "environment variable AFTERWORD_MODEL__TOP_K"
    assert loaded.entries["voice.rate_wpm"].origin == "flag --set voice.rate_wpm"
    assert loaded.entries["voice.volume"].origin == "default (default.yaml)"


def test_the_user_file_is_found_and_may_be_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert load(environment={}).settings.voice.volume == 0.9
    (tmp_path / "afterword").mkdir()
    (tmp_path / "afterword" / "config.yaml").write_text("voice: {volume: 0.25}")
    assert load(environment={}).settings.voice.volume == 0.25


def test_a_language_brings_its_own_defaults_which_the_user_overrides(tmp_path: Path) -> None:
    assert load(flags=["language=zh"]).settings.voice.name == "kokoro:zf_xiaoxiao"
    path = write(tmp_path, "language: zh\nvoice:\n  name: cmn+f2\n")
    loaded = load(path)
    assert loaded.settings.voice.name == "cmn+f2"
    assert loaded.entries["trigger.phrases"].origin == "default (zh.yaml)"


def test_another_language_has_its_own_defaults_and_the_users_other_settings() -> None:
    flags = [
        "voice.name=hibari:emma",
        "model.weights=large",
        "hearing.model=mine",
        "voice.volume=0.4",
    ]
    loaded = load(flags=[*flags, "commands.stop=[halt]", "model.max_sentences=7"], environment={})
    english, chinese = (for_language(loaded, code) for code in ("en", "zh"))
    assert english is loaded.settings
    assert (chinese.language, chinese.voice.name) == ("zh", LANGUAGES["zh"].default_voice)
    assert (chinese.model.weights, chinese.hearing.model) == (None, None)
    assert "停下" in chinese.commands.stop
    assert (chinese.voice.volume, chinese.model.max_sentences) == (0.4, 7)
    back = for_language(load(flags=["language=zh", "voice.rate_wpm=99"], environment={}), "en")
    assert (back.language, back.voice.name, back.voice.rate_wpm) == ("en", "hibari", 150)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_table_of_languages_knows_the_default_voices(language: str) -> None:
    default = load(flags=[f"language={language}"]).settings.voice.name
    assert LANGUAGES[language].default_voice == default


@pytest.mark.parametrize("content", ["", "# nothing\n", "voice:\n", "\ufeffvoice: {volume: 1}\n"])
def test_empty_files_and_sections_change_nothing_else(tmp_path: Path, content: str) -> None:
    assert load(write(tmp_path, content)).settings.voice.rate_wpm == 150


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("voice:\n  rate: 1\n", "line 2: unknown key voice.rate; did you mean voice.rate_wpm?"),
        ("model:\n  temperture: 1\n", "did you mean model.temperature?"),
        ("temperature: 1\n", "line 1: unknown key temperature; did you mean model.temperature?"),
        ("voice:\n  rate_wpm: fast\n", "line 2: voice.rate_wpm should be a whole number from 80"),
        ("voice:\n  rate_wpm: '150'\n", "not '150'"),
        ("model:\n  temperature: -1\n", "model.temperature should be a number from 0 to 5, not -1"),
        ("model:\n  temperature: .nan\n", "should be a number from 0 to 5, not nan"),
        (
            "model:\n  random_seed: yes\n",
            "should be a whole number from 0 to below 9223372036854775808, or null",
        ),
        ("language: fr\n", "language should be en or zh, not 'fr'"),
        ("voice: loud\n", "line 1: voice must hold keys and values"),
        ("- voice\n", "the file must hold keys and values"),
        ("voice:\n  volume: 1\n  volume: 0\n", "line 3: voice.volume is set twice"),
        ("trigger:\n  phrases: []\n", "trigger.phrases should be a list of 1 to 16 texts"),
        ("trigger:\n  phrases: [[a]]\n", "trigger.phrases must be a single value or a list"),
        ("voice:\n\tvolume: 1\n", "line 2: is not valid YAML"),
        ("voice: [\n", "is not valid YAML"),
        ("voice: \x00\n", "is not valid YAML"),
        ("voice: {name: !!python/object:os.system x}\n", "voice.name cannot be read"),
        ("[" * 5000, "nested too deeply"),
        ("? [a]\n: 1\n", "unknown key [...]"),
        (b"voice: \xff\n", "is not UTF-8 text (byte 7)"),
        (b"x" * 300_000, "larger than 262144 bytes"),
    ],
)
def test_an_error_names_file_line_and_remedy(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    text = refusal(tmp_path, content)
    assert message in text
    assert str(tmp_path / "settings.yaml") in text
    assert "\n" not in text


FALSE, TRUE, NULL = (f"which means {word}; put it in quotes" for word in ("false", "true", "null"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "commands: {stop: [off]}\n",
            f'line 1: commands.stop has the YAML word off, {FALSE}: "off".',
        ),
        (
            "commands:\n  stop:\n  - be quiet\n  # mine\n  - No\n",
            f'line 5: commands.stop has the YAML word No, {FALSE}: "No".',
        ),
        ("voice:\n  name: no\n", f'line 2: voice.name has the YAML word no, {FALSE}: "no".'),
        ("voice: {name: ~}\n", f'voice.name has the YAML word ~, {NULL}: "~".'),
        ("model: {device: on}\n", f'model.device has the YAML word on, {TRUE}: "on".'),
        ("model: {weights: yes}\n", f'model.weights has the YAML word yes, {TRUE}: "yes".'),
        ("audio: {input: off}\n", f'audio.input has the YAML word off, {FALSE}: "off".'),
        (
            "trigger: {phrases: [null]}\n",
            f'trigger.phrases has the YAML word null, {NULL}: "null".',
        ),
        (
            "trigger: {phrases: [12:30]}\n",
            "trigger.phrases has 12:30, which YAML takes for the number 750; "
            'put it in quotes: "12:30".',
        ),
        (
            "trigger: {stop_phrases: [off]}\n",
            f"trigger.stop_phrases has the YAML word off, {FALSE}",
        ),
        ("trigger:\n  phrases:\n  - hey\n  -\n", "line 4: trigger.phrases has an empty item"),
        ("voice: {name: }\n", "voice.name should be a text, but is empty."),
        ("voice: {rate_wpm: yes}\n", "should be a whole number from 80 to 450, not yes."),
        ("language: no\n", "language should be en or zh, not no."),
        ("log: {level: off}\n", "not off."),
        ("commands: {stop: [" + "off, " * 20 + "]}\n", "texts, not [off, off, "),
        ("commands: {stop: off}\n", 'a list of 0 to 16 texts, such as ["off"], not off.'),
        ("trigger: {phrases: 2024-01-01}\n", "such as [\"2024-01-01\"], not '2024-01-01'."),
        ("trigger: no\n", "line 1: trigger must hold keys and values"),
        ("trigger: 2024-01-01\n", "line 1: trigger must hold keys and values"),
        ("trigger: {phrases: [!!bool maybe]}\n", "trigger.phrases cannot be read: 'maybe'"),
        ("trigger: {phrases: [!!int '']}\n", "trigger.phrases cannot be read: ''"),
    ],
)
def test_a_word_that_is_no_text_in_yaml_is_named_as_written(
    tmp_path: Path, content: str, message: str
) -> None:
    text = refusal(tmp_path, content)
    assert message in text
    assert str(tmp_path / "settings.yaml") in text


@pytest.mark.parametrize("key", ["language", "voice.name", "audio.input", "model.weights"])
@pytest.mark.parametrize("word", ["off", "stop", "12:30"])
def test_a_list_where_a_text_belongs_is_named(tmp_path: Path, key: str, word: str) -> None:
    with pytest.raises(ConfigError, match=rf"flag --set {key}: {key} should be .*\[.*{word}\]"):
        load(write(tmp_path, ""), [f"{key}=[be quiet, {word}]"])


@pytest.mark.parametrize("word", ["off", "No", "~", "12:30", "1_000", "2024-01-01"])
def test_a_word_in_quotes_is_a_text(tmp_path: Path, word: str) -> None:
    path = write(tmp_path, f'commands: {{stop: ["{word}"]}}\nvoice: {{name: "{word}"}}\n')
    settings = load(path).settings
    assert (settings.commands.stop, settings.voice.name) == ([word], word)


@pytest.mark.parametrize("word", ["2024-01-01", "2024-13-45", "=", "<<"])
def test_what_no_setting_can_be_is_a_text_without_quotes(tmp_path: Path, word: str) -> None:
    path = write(tmp_path, f"commands: {{stop: [{word}]}}\nvoice: {{name: {word}}}\n")
    settings = load(path).settings
    assert (settings.commands.stop, settings.voice.name) == ([word], word)


def test_a_yaml_word_in_flag_or_environment_needs_quotes_within_the_shells() -> None:
    for flags, environment in ((["voice.name=no"], {}), ([], {"AFTERWORD_VOICE__NAME": "no"})):
        with pytest.raises(ConfigError, match="""the shell does not take away: '"no"'"""):
            load(None, flags, environment)
    assert load(None, ['voice.name="no"'], {}).settings.voice.name == "no"


def test_an_alias_bomb_is_refused_at_once(tmp_path: Path) -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n"
    for name, last in zip("bcdefghij", "abcdefghi", strict=True):
        bomb += f"{name}: &{name} [{','.join(['*' + last] * 9)}]\n"
    assert "unknown key a" in refusal(tmp_path, bomb)


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("voice.volume", "write it as section.key=value"),
        ("voice.volume=2", "flag --set voice.volume: voice.volume should be a number from 0 to 1"),
        ("voice.volum=1", "did you mean voice.volume?"),
        ("voice.volume=[", "is not a YAML value"),
    ],
)
def test_an_error_names_the_flag(flag: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        load(flags=[flag])


def test_an_error_names_the_environment_variable() -> None:
    with pytest.raises(ConfigError, match="AFTERWORD_RATE: unknown key rate"):
        load(environment={"AFTERWORD_RATE": "3"})


@pytest.mark.parametrize("name", ["AFTERWORD_TORCH", "AFTERWORD_TORCH_INDEX"])
def test_variables_of_the_set_up_are_no_settings(name: str) -> None:
    assert load(environment={name: "cpu"}).settings == load(environment={}).settings


def test_a_file_named_on_the_command_line_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such settings file"):
        load(tmp_path / "absent.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path)


def test_every_key_says_what_it_may_hold() -> None:
    assert expected("audio.input") == "a text, or a whole number from 0, or null"
    assert expected("cues.nothing") == "true or false, or a text"
    assert expected("commands.stop") == "a list of 0 to 16 texts"
    for key in known_keys():
        assert re.match(r"(a |en or |vosk or |debug|true or false)", expected(key))
