"""Arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

Command = TypeVar("Command", bound=Callable[..., Any])

gate_file_argument = click.argument("gate_file", type=click.Path(path_type=Path), default="gate.yaml")
tracking_uri_option = click.option(
    "--tracking-uri", envvar="MLFLOW_TRACKING_URI", help="MLflow server, or sqlite:/// address."
)


def complete_files(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """For arguments that may be a file and something else: the shell offers files."""
    return [CompletionItem(incomplete, type="file")]


def version_option(what: str) -> Callable[[Command], Command]:
    """``--version``, which is ``candidate`` to the command; ``what`` is the version to it, in a few words."""
    return click.option(
        "--version",
        "--candidate",
        "candidate",
        default="latest",
        show_default=True,
        metavar="VERSION",
        help=f"{what}: 7, @alias, latest, or models:/NAME/7.",
    )
