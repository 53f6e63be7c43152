"""The page of the command line, ``docs/cli.md``: what ``--help`` says, of every command.

    python -m finetune_gate.flows.cli.reference docs/cli.md

Nothing in it depends on the terminal or the machine, so that a test can compare the page with the program.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from .program import program

_WIDTH = 100
"""Columns of the help texts: what the program itself uses at most."""

_BEGINNING = """\
# The command line

What `--help` says, of every command. `make cli-reference` writes this page from the program; a test compares them.
"""


def command_line_reference() -> str:
    """The whole page as Markdown: the program, then each command in the order of the program's own list."""
    sections = [
        f"{'#' * min(level, 3)} {name}\n\n```text\n{text}\n```\n" for level, name, text in _helps(program, None, 2)
    ]
    return "\n".join([_BEGINNING, *sections])


class _Wide(click.Context):
    """Asks no terminal how wide it is."""

    def make_formatter(self) -> click.HelpFormatter:
        return click.HelpFormatter(width=_WIDTH)


def _helps(command: click.Command, parent: click.Context | None, level: int) -> Iterator[tuple[int, str, str]]:
    name = "finetune-gate" if parent is None else command.name
    with _Wide(command, parent, info_name=name, **command.context_settings) as context:
        text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
        yield level, context.command_path, text
        if isinstance(command, click.Group):
            for one in command.list_commands(context):
                found = command.get_command(context, one)
                if found is not None:
                    yield from _helps(found, context, level + 1)


@click.command()
@click.argument("page", type=click.Path(dir_okay=False, path_type=Path))
def write_reference(page: Path) -> None:
    """Write the page of the command line."""
    page.write_text(command_line_reference(), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write_reference()
