"""The layout of `--help`: commands in sections, first sentences in full, examples, translations."""

import gettext
from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from config.standard_streams import can_show

# The first sentence of each command's help stands here too, so that `afterword --help` imports no
# command. A command that is in no section is listed last, under "More".
SECTIONS: Mapping[str, Mapping[str, str]] = {
    "Talk": {
        "run": "Listen, and carry on what is said, until stopped or until the recording ends",
        "say": "Continue SEED: print the continuation as it comes, and speak it",
        "wyoming": "Continue, speak and recognise for Home Assistant and other Wyoming clients",
    },
    "Set up": {
        "doctor": "Check everything that Afterword needs, and say how to mend what is wrong",
        "devices": "List microphones and loudspeakers, those chosen, and each microphone's level",
        "voices": "List the voices, hear one of them, or fetch those of a language",
        "tune": "Find voice, speed and volume by ear, and write them into your settings",
        "config": "Print the settings in force, and where each of them comes from",
        "models": "List, fetch and verify the speech recognition models (Vosk, Whisper)",
        "service": "Run the daemon as a service of your session (systemd)",
        "completion": "Print the script that lets a shell complete commands and options",
    },
    "Train": {
        "train": "Train a model on texts, or resume a training",
        "weights": "List the weights, fetch larger ones, or change to others",
        "explain": "Continue SEED and show the numbers that lead to each token",
        "evaluate": "Print bits per byte and nats a token of texts under a model",
    },
    "While it runs": {
        "status": "Show what the daemon is doing, and the Wyoming service, if it runs",
        "watch": "Show the daemon live in this terminal: what it hears and says, levels, times",
        "follow": "Print events as they happen, one JSON object a line, words included",
        "history": "Print what was said and answered; recorded only if history.enabled is true",
        "mute": "Close the microphone; it stays closed after a restart",
        "unmute": "Open the microphone again",
        "hush": "Stop the reply that is being spoken",
        "reload": "Read the settings again, and look for new weights; a running reply goes on",
        "stop": "End the daemon",
    },
}
WIDTH = 100  # characters, where the terminal has as many


class LazyCommands(MutableMapping[str, click.Command]):
    """The commands of a group by name; a command's module is imported when it is looked up.

    The same as LazyGroup in https://click.palletsprojects.com/en/stable/complex/, but as a mapping:
    click's suggestions for a mistyped command, too, then see every name.
    """

    def __init__(self, modules: Mapping[str, str]) -> None:
        """`modules` gives the module of each command, which has the command's name there."""
        self._modules = dict(modules)
        self._loaded: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._loaded:
            self._loaded[name] = getattr(import_module(self._modules[name]), name)
        return self._loaded[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        self._modules.pop(name, None)
        self._loaded.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter({**self._modules, **self._loaded})

    def __len__(self) -> int:
        return len({**self._modules, **self._loaded})


class SectionedGroup(click.Group):
    """A group whose help sorts its commands by purpose, and loads none of those in SECTIONS."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write one list for each section, all of them with the same column for the names."""
        width = max(map(len, self.commands))
        for title, summaries in sections(self):
            with formatter.section(translate(title)):
                formatter.write_dl(
                    [(f"{name:<{width}}", translate(text)) for name, text in summaries.items()]
                )

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the names of commands and options; click's own method loads every command."""
        commands = {name: text for _, here in sections(self) for name, text in here.items()}
        return [
            *(
                CompletionItem(n, help=commands[n])
                for n in sorted(commands)
                if n.startswith(incomplete)
            ),
            *click.Command.shell_complete(self, ctx, incomplete),
        ]


def sections(group: click.Group) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Each title, and the group's commands below it with their summaries."""
    left = set(group.commands)
    for title, summaries in SECTIONS.items():
        if here := {name: text for name, text in summaries.items() if name in left}:
            yield title, here
        left -= set(summaries)
    rest = {name: group.commands[name] for name in sorted(left)}
    if more := {name: summary(command) for name, command in rest.items() if not command.hidden}:
        yield "More", more


def summary(command: click.Command) -> str:
    """The first sentence of a command's help."""
    return command.get_short_help_str(limit=1000).removesuffix(".")


def examples(*lines: str) -> str:
    """An epilog with commands to copy; click keeps its line ends."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def translate(message: str) -> str:
    """The message in the language of LANGUAGE, LC_ALL, LC_MESSAGES or LANG, if it is translated.

    A translation with letters that standard output cannot show is not used.

    daemon/locale/zh_CN/LC_MESSAGES/afterword.po is the source; scripts/make-translations compiles
    it.
    """
    folder = Path(__file__).parents[1] / "locale"
    translated = gettext.translation("afterword", folder, fallback=True).gettext(message)
    return translated if can_show(translated) else message
