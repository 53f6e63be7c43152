"""``finetune-gate completion``: commands, options and files completed by the shell."""

from __future__ import annotations

from typing import Literal

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

_SHELLS: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
_PROGRAM, _VARIABLE = "finetune-gate", "_FINETUNE_GATE_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(list(_SHELLS)))
@click.pass_context
def completion(context: click.Context, shell: Literal["bash", "zsh", "fish"]) -> None:
    """Print the script that makes SHELL complete commands, options and files.

    \b
    bash  eval "$(finetune-gate completion bash)"        in ~/.bashrc
    zsh   eval "$(finetune-gate completion zsh)"         in ~/.zshrc, after compinit
    fish  finetune-gate completion fish > ~/.config/fish/completions/finetune-gate.fish

    The bash that macOS brings is too old for it: 4.4 or newer is needed.
    """
    program = context.find_root().command
    click.echo(_SHELLS[shell](program, {}, _PROGRAM, _VARIABLE).source())
