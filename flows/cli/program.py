"""The program: its commands by name, and the one place where errors become messages and exit statuses."""

from __future__ import annotations

import os
import sys
import traceback
from importlib import import_module
from typing import Never

import click

from finetune_gate.evaluators.errors import FinetuneGateError

from .output import EXIT, print_problems

_COMMANDS = {
    "demo": ("demo:demo", "Train, register and gate two tiny models: no network, no key, no GPU."),
    "init": ("init:init", "Write a commented gate file."),
    "check": ("check:check", "Check a gate file and its data; ask nothing, load nothing."),
    "run": ("run:run", "Gate a model version: promote, block or hold it."),
    "report": ("report:report", "Show a decision record again."),
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
    try:
        status: object = program.main(arguments, prog_name="finetune-gate", standalone_mode=False)
    except click.exceptions.Exit as stop:
        status = stop.exit_code
    except click.ClickException as error:
        error.show()
        status = EXIT["usage"]
    except FinetuneGateError as error:
        print_problems(error.problems, as_json="--json" in arguments)
        status = error.exit_status
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted: nothing is lost, the next run goes on from the last finished shard", err=True)
        status = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 141
    except Exception as error:  # noqa: BLE001 - the border between this program and the person in front of it
        if os.environ.get("FINETUNE_GATE_DEBUG"):
            traceback.print_exc()
        click.echo(f"internal error: {type(error).__name__}: {error}", err=True)
        click.echo("  This is a fault of finetune-gate. FINETUNE_GATE_DEBUG=1 shows where it happened.", err=True)
        status = EXIT["could not evaluate"]
    sys.exit(status if isinstance(status, int) else 0)
