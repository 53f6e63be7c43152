"""What every command prints the same way: problems, JSON, exit statuses."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import click

from finetune_gate.evaluators.errors import Problem, without_credentials

EXIT: Mapping[str, int] = {"promote": 0, "block": 1, "usage": 2, "hold": 3, "could not evaluate": 4}


def print_problems(problems: Sequence[Problem], *, as_json: bool) -> None:
    """To standard error for people, to standard output for machines that asked for JSON."""
    if as_json:
        print_json({"errors": [asdict(problem) for problem in problems]})
        return
    for problem in problems:
        click.echo(f"error: {_plain(str(problem))}", err=True)
    if len(problems) > 1:
        click.echo(f"{len(problems)} problems found.", err=True)


def internal_problem(error: Exception) -> Problem:
    """Of an error that nobody expected."""
    way_out = "this is a fault of finetune-gate; FINETUNE_GATE_DEBUG=1 shows where it happened"
    return Problem("internal error", f"{type(error).__name__}: {without_credentials(str(error))}", "", way_out)


def print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False))


def _plain(text: str) -> str:
    """Names and file contents appear in messages: no control character of theirs reaches the terminal."""
    return "".join(one if one.isprintable() or one == "\n" else "\ufffd" for one in text.expandtabs(2))
