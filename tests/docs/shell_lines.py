"""Commands in console and sh blocks, taken apart without a shell, and looked up in the real command line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import click

from finetune_gate.flows.cli.program import program


@dataclass(frozen=True, slots=True)
class Command:
    """``A=1 program argument | next``: settings, the program's words, and what its output goes into."""

    line: str
    settings: dict[str, str]
    words: tuple[str, ...]
    into: tuple[str, ...]

    @property
    def program(self) -> str:
        return self.words[0] if self.words else ""


def commands_in(text: str, language: str) -> list[Command]:
    """Those of a ``console`` block stand behind a ``$``, the rest of it is output; in ``sh`` every line is one."""
    joined = re.sub(r"\\\n\s*", " ", text)
    lines = [line.strip() for line in joined.splitlines()]
    if language == "console":
        lines = [line[2:] for line in lines if line.startswith("$ ")]
    return [command for line in lines if line and (command := _command(line)) is not None]


def _command(line: str) -> Command | None:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&>")
    lexer.whitespace_split, lexer.commenters = True, "#"
    words = list(lexer)
    settings: dict[str, str] = {}
    while words and (setting := re.fullmatch(r"([A-Z][A-Z0-9_]*)=(.*)", words[0])):
        settings[setting[1]] = setting[2]
        words.pop(0)
    while words and words[-1] == "&":
        words.pop()
    if not words:
        return None
    cut = next((place for place, word in enumerate(words) if set(word) <= set("|&>")), len(words))
    return Command(line, settings, tuple(words[:cut]), tuple(words[cut + 1 :]))


def refuse_unknown(words: Sequence[str], *, whole: bool = True) -> None:
    """Raise click's error for an unknown command or option, a value that an option does not take, or a wrong number of
    arguments. Paths are not looked for. ``whole=False`` is for mentions in prose, which may leave arguments out."""
    command: click.Command = program
    context = click.Context(program, info_name="finetune-gate")
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        name, rest = rest[0], rest[1:]
        found = command.get_command(context, name)
        if found is None:
            raise click.UsageError(f"no such command: {context.command_path} {name}")
        command, context = found, click.Context(found, context, info_name=name)
    values, left, _ = command.make_parser(context).parse_args(args=rest)
    if left:
        raise click.UsageError(f"{context.command_path} takes no further argument: {left}")
    for parameter in command.params:
        value = values.get(parameter.name or "")
        if _is_path(parameter.type) or not whole:
            if whole and parameter.required and value in (None, ()):
                raise click.MissingParameter(ctx=context, param=parameter)
        elif value is None and not parameter.required:
            continue
        else:
            parameter.process_value(context, value)


def _is_path(kind: click.ParamType) -> bool:
    return isinstance(kind, (click.Path, click.File))
