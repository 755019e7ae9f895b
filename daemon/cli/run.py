"""`afterword run`: joins the components and serves the microphone, or a recording."""

import faulthandler
import os
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TextIO

import click

from config.errors import OutputError
from config.load import Loaded
from config.settings import Settings
from config.standard_streams import STREAM
from daemon import components, mute
from daemon.cli.help import examples, translate
from daemon.cli.options import (
    FILE,
    load_settings,
    out_option,
    read_settings,
    settings_options,
)
from daemon.control.lock import single_instance_lock
from daemon.control.protocol import socket_path
from daemon.control.server import ControlServer
from daemon.loop.main_loop import MainLoop, Summary
from daemon.loop.options import LoopOptions
from daemon.observers.console import Console
from daemon.reload.reloader import Reloader
from daemon.systemd.notify import Notifier
from model.inference.loading import load_weights, stamps_of


@click.command(
    epilog=examples(
        "afterword run",
        "afterword run --set trigger.phrases='[tell me a story]'",
        "afterword run --wav seed.wav --out reply.wav",
    )
)
@settings_options
@click.option(
    "--wav",
    type=FILE,
    help="Listen to this recording (WAV, FLAC, OGG, MP3), or to standard input (-), instead of the "
    "microphone.",
)
@out_option("speech")
@click.option(
    "--wait-for-microphone", is_flag=True, help="Start without a microphone, and wait for one."
)
def run(
    config_file: Path | None,
    flags: tuple[str, ...],
    language: str | None,
    wav: Path | None,
    out: Path | None,
    wait_for_microphone: bool,
) -> None:
    """Listen, and carry on what is said, until stopped or until the recording ends.

    --out - writes the sound to standard output as it is spoken, and the text to standard error.
    """
    if wav and wait_for_microphone:
        raise click.UsageError("--wav and --wait-for-microphone exclude each other.")
    loaded = load_settings(config_file, flags, language)
    if wav:
        run_recording(loaded.settings, wav, out)
    else:
        read = partial(read_settings, config_file, flags, language)
        run_microphone(loaded, read, out, wait_for_microphone=wait_for_microphone)


def run_recording(settings: Settings, wav: Path, out: Path | None) -> None:
    """Answer a recording to its end, and print the exchange."""
    wav = Path("/dev/stdin") if wav == STREAM else wav
    _refuse_overwriting(wav, out)
    source = components.open_source(settings, wav)
    components.try_models(settings)
    recognition = components.open_recognition(settings)
    generator, _ = load_weights(settings)
    speech = components.open_speech_output(settings, out)
    options = LoopOptions(follow_up_seconds=settings.conversation.follow_up_seconds)
    loop = MainLoop(source, recognition, generator, speech, Console(_shown(out)), options)
    install_signal_handlers(loop)
    _explain_no_reply(loop.run(), wav, _either(settings.trigger.phrases))


def run_microphone(
    loaded: Loaded, read: Callable[[], Loaded], out: Path | None, *, wait_for_microphone: bool
) -> None:
    """Serve the microphone and the control socket until a signal or a client ends the daemon.

    The exchange is printed on a terminal only, so that no words get into a service's log. With
    `wait_for_microphone` the daemon starts without one. `read` reads the settings again at a
    reload.
    """
    settings = loaded.settings
    hang_ups = _note_hang_ups()
    with single_instance_lock(socket_path()) as restarts:
        stamps = stamps_of(settings)
        built = components.open_components(settings, out, wait_for_microphone=wait_for_microphone)
        reloader = Reloader(read, loaded, built, stamps)
        console = Console(_shown(out)) if _shown(out).isatty() else None
        options = LoopOptions(
            wait_for_microphone=wait_for_microphone,
            muted=mute.is_muted(),
            save_muted=mute.remember,
            on_listening=_print_greeting,
            status_info=built.status_info(settings),
            notifier=Notifier(),
            begin_reload=reloader.begin_reload,
            restarts=restarts,
            observers=components.open_observers(settings),
            follow_up_seconds=settings.conversation.follow_up_seconds,
        )
        loop = MainLoop(
            built.source, built.recognition, built.generator, built.speech, console, options
        )
        install_signal_handlers(loop)
        _reload_on_hang_up(loop)
        if hang_ups:
            loop.reload()
        reloader.start(loop.inbox.put)
        with closing(reloader), closing(ControlServer(socket_path(), loop.inbox.ask)):
            if options.muted:
                click.echo("Muted. `afterword unmute` opens the microphone.", err=True)
            loop.run()


def _shown(out: Path | None) -> TextIO:
    """Where the exchange is printed."""
    return sys.stderr if out == STREAM else sys.stdout


def _print_greeting(phrases: Iterable[str]) -> None:
    sentence = translate("Listening. Say {phrases} and a few words of your own.")
    click.echo(sentence.format(phrases=_either(phrases)), err=True)


def _either(phrases: Iterable[str]) -> str:
    return " or ".join(f'"{phrase}"' for phrase in phrases)


def install_signal_handlers(loop: MainLoop) -> None:
    """SIGINT and SIGTERM stop the loop; SIGUSR1 prints the stack of every thread."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: loop.stop())
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    faulthandler.enable()  # prints where the loop hung at the watchdog's SIGABRT


def _note_hang_ups() -> list[int]:
    """Collect each SIGHUP while a service loads its models; by default it would end the process."""
    noted: list[int] = []
    if not sys.stderr.isatty():
        signal.signal(signal.SIGHUP, lambda number, _: noted.append(number))
    return noted


def _reload_on_hang_up(loop: MainLoop) -> None:
    """SIGHUP reloads a service; in a terminal that has been closed it ends the program."""
    in_terminal = sys.stderr.isatty()

    def handle(*_: object) -> None:
        if in_terminal and not os.isatty(2):
            loop.stop()
        else:
            loop.reload()

    signal.signal(signal.SIGHUP, handle)


def _refuse_overwriting(wav: Path, out: Path | None) -> None:
    is_same = False
    with suppress(OSError):  # one is missing, or in a folder that may not be searched
        is_same = out is not None and out.samefile(wav)
    if is_same:
        raise OutputError(f"--out {out} would overwrite the recording itself; name another file.")


def _explain_no_reply(summary: Summary, wav: Path, phrases: str) -> None:
    if summary.interrupted:
        return
    if not summary.triggers:
        click.echo(f"No trigger phrase was heard in {wav}; it listens for {phrases}.", err=True)
    elif not summary.replies:
        click.echo(f"A trigger phrase was heard in {wav}, but no words after it.", err=True)
