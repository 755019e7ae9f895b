"""How `--help` reads: commands in sections, first sentences in full, examples below."""

from collections.abc import Iterator

import click

from daemon.cli.translation import translate

# A command that is in none of them is listed last, under "More".
SECTIONS = {
    "Talk": ("run", "say", "wyoming"),
    "Set up": (
        *("doctor", "devices", "voices", "tune", "config", "models", "weights"),
        *("service", "completion"),
    ),
    "While it runs": (
        *("status", "watch", "follow", "history", "mute", "unmute", "hush", "reload", "stop"),
    ),
}
WIDTH = 100  # characters, where the terminal has as many


class SectionedGroup(click.Group):
    """A group whose help sorts its commands by what one wants to do."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write one list for each section, all of them with the same column for the names."""
        width = max(map(len, self.commands))
        for title, names in sections(self):
            with formatter.section(translate(title)):
                rows = [(name, translate(summary(self.commands[name]))) for name in names]
                formatter.write_dl([(f"{name:<{width}}", text) for name, text in rows])


def sections(group: click.Group) -> Iterator[tuple[str, list[str]]]:
    """Each title and the names of the group's commands below it."""
    left = {name for name, command in group.commands.items() if not command.hidden}
    for title, names in SECTIONS.items():
        if here := [name for name in names if name in left]:
            yield title, here
        left -= set(names)
    if left:
        yield "More", sorted(left)


def summary(command: click.Command) -> str:
    """The first sentence of a command's help."""
    return command.get_short_help_str(limit=1000).removesuffix(".")


def examples(*lines: str) -> str:
    """An epilog with commands to copy; click keeps its line ends."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
