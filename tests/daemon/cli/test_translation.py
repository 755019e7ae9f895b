"""The Chinese catalogue: chosen by the locale, up to date with its source and with the help."""

import ast
import gettext
import re
from pathlib import Path

import pytest

from daemon.cli import help
from daemon.cli.help import translate
from daemon.cli.main import cli
from tests.support.program import afterword

LOCALE = Path(__file__).resolve().parents[3] / "daemon" / "locale"
MUTED = "Close the microphone; it stays closed after a restart"
CHINESE = "关上麦克风，重启后仍关着"


@pytest.fixture(autouse=True)
def no_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("LANG", "zh_CN.UTF-8", CHINESE),
        ("LC_MESSAGES", "zh_CN.UTF-8", CHINESE),
        ("LANGUAGE", "zh_CN:en", CHINESE),
        ("LANG", "C.UTF-8", MUTED),
        ("LANG", "de_DE.UTF-8", MUTED),
    ],
)
def test_the_locale_decides(
    variable: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    assert translate(MUTED) == said


def test_the_help_is_chinese_under_a_chinese_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MUTED in afterword("--help").out
    monkeypatch.setenv("LANGUAGE", "zh_CN")
    assert CHINESE in afterword("--help").out


def test_every_command_and_section_is_translated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "zh_CN")
    shown = [
        *help.SECTIONS,
        *(help.summary(c) for c in cli.commands.values() if not c.hidden),
    ]
    assert [text for text in shown if translate(text) == text] == []


def test_the_compiled_catalogue_is_that_of_its_source() -> None:
    po = (LOCALE / "zh_CN/LC_MESSAGES/afterword.po").read_text(encoding="utf-8")
    entries = re.findall(r'^msgid (".+")\nmsgstr (".*")$', po, re.MULTILINE)
    source = {
        ast.literal_eval(key): ast.literal_eval(value) for key, value in entries if key != '""'
    }
    compiled = gettext.translation("afterword", LOCALE, ["zh_CN"])
    assert len(source) > 20
    assert {key: compiled.gettext(key) for key in source} == source
    placeholders = re.compile(r"{\w+}")
    for key, value in source.items():
        assert placeholders.findall(key) == placeholders.findall(value)
