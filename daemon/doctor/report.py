"""`afterword doctor`: checks everything the daemon needs, and prints faults with their remedies."""

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click

from config.errors import AfterwordError, ConfigError
from config.installation import install_again_command
from config.load import load
from config.settings import Settings
from config.standard_streams import json_bytes
from daemon.doctor import environment, models, sound, voice, wyoming
from daemon.doctor.finding import Finding, Level, fault

Check = Callable[[Settings], Finding]

SILENT_CHECKS: tuple[Check, ...] = (environment.python, sound.portaudio)
AUDIBLE_CHECKS: tuple[Check, ...] = (sound.microphone, sound.speaker)
OTHER_CHECKS: tuple[Check, ...] = (
    sound.echo,
    models.vosk,
    models.seed_words,
    models.trigger,
    voice.voice,
    models.weights,
    environment.folders,
    environment.service,
    wyoming.wyoming,
)

EXIT_CODES: dict[Level, int] = {"ok": 0, "warning": 1, "fault": 2}
_COLOURS: dict[Level, str] = {"ok": "green", "warning": "yellow", "fault": "red"}
_WORDS: dict[Level, str] = {"ok": "ok", "warning": "look", "fault": "FAIL"}
_NAME_WIDTH = 10


def examine(
    config_file: Path | None, flags: Iterable[str], language: str | None, *, sound: bool
) -> Iterator[Finding]:
    """Yield each finding as soon as it is known; without `sound` nothing is recorded or played."""
    settings, finding = _settings(config_file, [*flags, *_language_flag(language)])
    yield finding
    audible = AUDIBLE_CHECKS if sound else ()
    for check in (*SILENT_CHECKS, *audible, *OTHER_CHECKS):
        yield _run(check, settings)


def _language_flag(language: str | None) -> list[str]:
    return [f"language={language}"] if language else []


def _settings(config_file: Path | None, flags: list[str]) -> tuple[Settings, Finding]:
    """The settings in force, or the defaults if they are wrong, so that the rest can be checked."""
    try:
        loaded = load(config_file, flags)
    except ConfigError as error:
        defaults = load(Path(os.devnull), (), {}).settings
        return defaults, fault("settings", error)
    changed = [e.origin for e in loaded.entries.values() if not e.origin.startswith("default")]
    seen = f"valid, {len(changed)} of {len(loaded.entries)} changed by you"
    return loaded.settings, Finding("settings", "ok", seen, " ".join(loaded.notices))


def _run(check: Check, settings: Settings) -> Finding:
    """The finding of a check; an exception becomes a fault, so that the report goes on."""
    try:
        return check(settings)
    except AfterwordError as error:
        return fault(check.__name__, error)
    except PermissionError as error:  # the folders of the user
        detail = f"{error.filename}: {error.strerror}"
        return Finding(check.__name__, "fault", detail, "make it yours, or set HOME to your folder")
    except Exception as error:  # a broken package may raise anything
        detail = f"{type(error).__name__}: {error}"
        remedy = f"install Afterword again: `{install_again_command()}`"
        return Finding(check.__name__, "fault", detail, remedy)


def print_report(findings: Iterable[Finding], *, as_json: bool) -> int:
    """Print each finding as it comes, or all as one JSON object; return the exit code."""
    seen = []
    for finding in findings:
        seen.append(finding)
        if not as_json:
            click.echo(as_text(finding))
    worst = max((finding.level for finding in seen), key=lambda level: EXIT_CODES[level])
    if as_json:
        content = {"worst": worst, "findings": [dataclasses.asdict(f) for f in seen]}
        click.echo(json_bytes(content))
    else:
        click.echo(_last_line(seen))
    return EXIT_CODES[worst]


def as_text(finding: Finding) -> str:
    """A finding in a line, and its remedy in another; click drops colours outside a terminal."""
    word = click.style(f"{_WORDS[finding.level]:<4}", fg=_COLOURS[finding.level], bold=True)
    line = f"{word}  {finding.name:<{_NAME_WIDTH}}  {finding.detail}"
    if not finding.remedy:
        return line
    return f"{line}\n{' ' * (_NAME_WIDTH + 8)}{click.style('-> ' + finding.remedy, dim=True)}"


def _last_line(findings: list[Finding]) -> str:
    faults = [finding.name for finding in findings if finding.level == "fault"]
    if faults:
        return click.style(f"Not ready: mend {', '.join(faults)}.", fg="red")
    return click.style("Ready: `afterword run` listens.", fg="green")
