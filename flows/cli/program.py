"""The program: its commands by name, and the one place where errors become messages and exit statuses."""

from __future__ import annotations

import io
import os
import sys
import traceback
from importlib import import_module
from typing import Never

import click
from click.shell_completion import CompletionItem

from finetune_gate.evaluators.errors import FinetuneGateError, Problem
from finetune_gate.gate.interrupts import remember_interrupts

from .output import EXIT, internal_problem, print_problems

_COMMANDS = {
    "demo": ("demo:demo", "Train, register and gate two tiny models: no network, no key, no GPU."),
    "init": ("init:init", "Write a commented gate file."),
    "check": ("check:check", "Check a gate file and its data; ask nothing, load nothing."),
    "evaluators": ("evaluators:evaluators", "List the evaluators there are: metrics, directions, needs, settings."),
    "plan": ("plan:plan", "Say what a run would ask, how long it takes, and what its data can detect."),
    "simulate": ("simulate:simulate", "Say how often a gate promotes, holds and blocks, by simulation."),
    "split": ("split:split", "Split data into parts that do not tell of one another."),
    "run": ("run:run", "Gate a model version: promote, block or hold it."),
    "approve": ("approve:approve", "Promote what waits for a person's approval, or block it."),
    "watch": ("watch:watch", "Find versions that ask to be gated, and gate each once."),
    "ungated": ("ungated:ungated", "List the versions that a scheduled job should gate now."),
    "serve": ("serve:serve", "Receive MLflow's webhooks, and watch besides."),
    "webhooks": ("webhooks:webhooks", "Register MLflow's webhooks for `serve`, and test them."),
    "github": ("github:github", "Gate within a GitHub workflow, and judge its jobs."),
    "deployments": ("deployments:deployments", "Serve gate and watcher as deployments of Prefect."),
    "rate": ("rate:rate", "Show people pairs of answers, blind, and keep what they say."),
    "verify": ("verify:verify", "Decide again from a record alone, and compare every bit."),
    "replay": ("replay:replay", "Decide again from a stored run, by another gate file's rules."),
    "report": ("report:report", "Show a decision record again."),
    "history": ("history:history", "Show what earlier gates of a model came to, with plots over its versions."),
    "rollback": ("rollback:rollback", "Point the alias back to an earlier version."),
    "reconcile": ("reconcile:reconcile", "Bring aliases and promotion ledgers together."),
    "store": ("store:store", "Look at the store of answers, check it, prune it."),
    "doctor": ("doctor:doctor", "Look at this machine, MLflow and Prefect, and say what to mend."),
    "completion": ("completion:completion", "Print the script that makes a shell complete commands."),
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(f".{module}", __package__), name)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands by their names in the table, where click would import the module of each to ask for its help."""
        own = [CompletionItem(name, help=line) for name, (_, line) in _COMMANDS.items() if name.startswith(incomplete)]
        return [*own, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="finetune-gate", message="%(prog)s %(version)s")
def program() -> None:
    """Decide whether a fine-tuned language model may replace the one it came from.

    Exit status of `run`: 0 promote, 1 block, 2 usage or configuration, 3 hold, 4 could not evaluate.
    """


def main() -> Never:
    """Run the command line; never returns and, unless FINETUNE_GATE_DEBUG is set, never shows a traceback."""
    arguments = sys.argv[1:]
    remember_interrupts()
    # names that the terminal cannot write are written as escapes: a message never fails for its letters
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = _run(arguments)
    except BrokenPipeError:
        status = 141
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output has gone; the status stays what it is
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)


def _run(arguments: list[str]) -> int:
    problems: tuple[Problem, ...]
    try:
        returned: object = program.main(arguments, prog_name="finetune-gate", standalone_mode=False)
        return returned if isinstance(returned, int) else 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        status, problems = EXIT["usage"], (Problem("command line", error.format_message(), way_out="see --help"),)
    except FinetuneGateError as error:
        status, problems = error.exit_status, error.problems
    except (KeyboardInterrupt, click.Abort):
        way_out = "run it again: nothing is lost, it goes on from the last finished shard"
        status, problems = 130, (Problem("finetune-gate", "interrupted", way_out=way_out),)
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - the border between this program and the person in front of it
        if os.environ.get("FINETUNE_GATE_DEBUG"):
            traceback.print_exc()
        status, problems = EXIT["could not evaluate"], (internal_problem(error),)
    try:
        print_problems(problems, as_json="--json" in arguments)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    return status
