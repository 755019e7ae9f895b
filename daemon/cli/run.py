"""What each command of the command line does."""

import faulthandler
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import click
import yaml

from config.errors import OutputError
from config.load import Loaded, load
from config.settings import Settings
from daemon import components, mute
from daemon.cli.translation import translate
from daemon.control.lock import single_instance_lock
from daemon.control.protocol import socket_path
from daemon.control.server import ControlServer
from daemon.loop.main_loop import MainLoop, Summary
from daemon.loop.options import LoopOptions
from daemon.observers.console import Console
from daemon.reload.reloader import Reloader
from daemon.systemd import journal
from daemon.systemd.notify import Notifier
from model.checkpoints.store import stamp_of
from model.inference.loading import load_weights


def load_settings(config_file: Path | None, flags: Iterable[str], language: str | None) -> Loaded:
    """Settings from all layers, and logging as they want it.

    Raises:
        ConfigError: a setting is unknown, of the wrong type or out of range.
    """
    loaded = read_settings(config_file, flags, language)
    journal.configure(loaded.settings.log.level)
    for notice in loaded.notices:
        logging.getLogger(__name__).warning(notice)
    return loaded


def read_settings(config_file: Path | None, flags: Iterable[str], language: str | None) -> Loaded:
    """Settings from all layers, with `--language` as the last flag.

    Raises:
        ConfigError: a setting is unknown, of the wrong type or out of range.
    """
    return load(config_file, [*flags, *([f"language={language}"] if language else [])])


def run_recording(settings: Settings, wav: Path, out: Path | None) -> None:
    """Serve a recording to its end, and print the exchange."""
    _refuse_overwriting(wav, out)
    source = components.open_source(settings, wav)
    recognition = components.open_recognition(settings)
    generator, _ = load_weights(settings)
    speech = components.open_speech_output(settings, out)
    options = LoopOptions(manners=components.open_manners(settings))
    loop = MainLoop(source, recognition, generator, speech, Console(sys.stdout), options)
    _obey_signals(loop)
    _tell_what_was_missing(loop.run(), wav, _either(settings.trigger.phrases))


def run_microphone(
    loaded: Loaded, read: Callable[[], Loaded], out: Path | None, *, wait_for_microphone: bool
) -> None:
    """Serve the microphone, and the control socket, until told to stop.

    The exchange is printed on a terminal only; a service that logs its standard output thus keeps
    the words to itself. If we are patient, the microphone may come later. `read` reads the settings
    again when a reload is asked for.
    """
    settings = loaded.settings
    early = _note_hang_ups()
    with single_instance_lock(socket_path()) as restarts:
        stamp = stamp_of(settings.language, settings.model.weights)
        built = components.open_components(settings, out, wait_for_microphone=wait_for_microphone)
        reloader = Reloader(read, loaded, built, stamp)
        options = LoopOptions(
            wait_for_microphone=wait_for_microphone,
            muted=mute.is_muted(),
            save_muted=mute.remember,
            on_listening=_greet,
            status_info=built.status_info(settings),
            notifier=Notifier(),
            begin_reload=reloader.begin_reload,
            restarts=restarts,
            observers=components.open_observers(settings),
            manners=components.open_manners(settings),
        )
        console = Console(sys.stdout) if sys.stdout.isatty() else None
        inputs = (built.source, built.recognition, built.generator, built.speech)
        loop = MainLoop(*inputs, console, options)
        _obey_signals(loop)
        _reload_on_hang_up(loop)
        if early:
            loop.reload()
        reloader.start(loop.inbox.put)
        with closing(reloader), closing(ControlServer(socket_path(), loop.inbox.ask)):
            if options.muted:
                click.echo("Muted. `afterword unmute` opens the microphone.", err=True)
            loop.run()


def _greet(phrases: Iterable[str]) -> None:
    sentence = translate("Listening. Say {phrases} and a few words of your own.")
    click.echo(sentence.format(phrases=_either(phrases)), err=True)


def _either(phrases: Iterable[str]) -> str:
    return " or ".join(f'"{phrase}"' for phrase in phrases)


def _obey_signals(loop: MainLoop) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: loop.stop())
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    faulthandler.enable()  # the watchdog's SIGABRT thus tells where the loop was stuck


def _note_hang_ups() -> list[int]:
    """A SIGHUP that comes while a service loads its models does not end it."""
    noted: list[int] = []
    if not sys.stderr.isatty():
        signal.signal(signal.SIGHUP, lambda number, _: noted.append(number))
    return noted


def _reload_on_hang_up(loop: MainLoop) -> None:
    """SIGHUP asks a service for a reload; to a program in a terminal it says that this is gone."""
    in_terminal = sys.stderr.isatty()

    def obey(*_: object) -> None:
        if in_terminal and not os.isatty(2):
            loop.stop()
        else:
            loop.reload()

    signal.signal(signal.SIGHUP, obey)


def _refuse_overwriting(wav: Path, out: Path | None) -> None:
    if out and out.exists() and wav.exists() and out.samefile(wav):
        raise OutputError(f"--out {out} would overwrite the recording itself; name another file.")


def _tell_what_was_missing(summary: Summary, wav: Path, phrases: str) -> None:
    if summary.interrupted:
        return
    if not summary.triggers:
        click.echo(f"No trigger phrase was heard in {wav}; it listens for {phrases}.", err=True)
    elif not summary.replies:
        click.echo(f"A trigger phrase was heard in {wav}, but no words after it.", err=True)


def show_config(loaded: Loaded) -> None:
    """Print the effective settings as YAML, each with where it came from."""
    section = ""
    for key, entry in loaded.entries.items():
        parent, _, name = key.rpartition(".")
        if parent != section and parent:
            click.echo(f"{parent}:")
        section = parent
        text = yaml.safe_dump(
            entry.value, default_flow_style=True, allow_unicode=True, width=10_000
        )
        line = f"{'  ' if parent else ''}{name}: {text.removesuffix('...' + chr(10)).strip()}"
        click.echo(f"{line:<36} # {entry.origin}")


def list_models() -> None:
    """Print language, name, state and folder of each known model."""
    from audio.stt import vosk_models

    for known in vosk_models.list_models():
        click.echo(f"{known.model.language}  {known.model.name}  {known.state}  {known.folder}")


def fetch_models(language: str) -> None:
    """Fetch one model, or all; those that are there are left alone."""
    from audio.stt import vosk_download, vosk_models

    for name in _languages(language):
        model = vosk_models.catalogue()[name]
        folder = vosk_download.fetch(model, lambda line: click.echo(line, err=True))
        click.echo(f"{name}: {folder}")


def verify_models(language: str) -> None:
    """Check every file of one model, or of all.

    Raises:
        HearingModelError: a model is missing or a file differs.
    """
    from audio.stt import vosk_models
    from config.errors import HearingModelError

    for name in _languages(language):
        problems = vosk_models.verify(name)
        if problems:
            remedy = f"run `afterword models fetch {name}`"
            raise HearingModelError(
                f"The {name} model is damaged: {'; '.join(problems)}; {remedy}."
            )
        click.echo(f"{name}: every file is as published.")


def _languages(language: str) -> list[str]:
    from audio.stt import vosk_models

    return list(vosk_models.catalogue()) if language == "all" else [language]
