"""What all commands have in common."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click
import pytest

from finetune_gate.flows.cli.program import program

WITHOUT_JSON: Mapping[str, str] = {
    "completion": "prints a script for a shell",
    "deployments": "serves until it is interrupted; what it prints is Prefect's",
}
SPOKEN_TO = {"run", "plan", "simulate", "rate", "demo"}
"""These show progress, which --quiet stills."""


def commands(group: click.Group = program, before: str = "") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        if not isinstance(found, click.Group) or found.invoke_without_command:
            yield before + name, found
        if isinstance(found, click.Group):
            yield from commands(found, f"{before}{name} ")


ALL = dict(commands())


def options(command: click.Command) -> dict[str, Any]:
    return {name: one for one in command.params if isinstance(one, click.Option) for name in one.opts}


@pytest.mark.parametrize("name", ALL)
def test_machines_are_answered_in_json(name: str) -> None:
    found = options(ALL[name])
    assert ("--json" in found) == (name not in WITHOUT_JSON)
    if "--json" in found:
        assert found["--json"].is_flag
        assert "JSON" in found["--json"].help


def test_no_exception_is_for_a_command_that_is_gone() -> None:
    assert set(WITHOUT_JSON) <= set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_every_option_says_what_it_is_for(name: str) -> None:
    for option, one in options(ALL[name]).items():
        assert one.help, option


@pytest.mark.parametrize("name", ALL)
def test_short_names_mean_the_same_everywhere(name: str) -> None:
    meanings = {"-q": "--quiet", "-v": "--verbose", "-y": "--yes", "-o": "--output", "-h": "--help"}
    for one in options(ALL[name]).values():
        for short in (opt for opt in one.opts if len(opt) == 2):
            assert meanings[short] in one.opts


@pytest.mark.parametrize("name", sorted(SPOKEN_TO))
def test_progress_can_be_stilled(name: str) -> None:
    assert "--quiet" in options(ALL[name])


def test_the_log_of_serve_is_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    from finetune_gate.flows.cli.serve import _say_as_json
    from finetune_gate.flows.receiver import Log

    Log(_say_as_json).line("looked at 'bot'  \x1b[31m")
    said = json.loads(capsys.readouterr().out)
    assert set(said) == {"at", "said"}
    assert said["said"] == "looked at 'bot' \\x1b[31m"
