"""The formats a decision is written in, and where to: ``junit=gate.xml``, or ``gate.html``, whose suffix tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import click
from click.shell_completion import CompletionItem

from finetune_gate.evaluators.errors import ConfigurationError, EvaluationError, Problem

from .options import complete_files

if TYPE_CHECKING:
    from finetune_gate.gate.record import DecisionRecord

Format = Literal["terminal", "json", "markdown", "html", "junit", "model-card"]
FORMATS: tuple[Format, ...] = get_args(Format)
_BY_SUFFIX: dict[str, Format] = {
    ".txt": "terminal",
    ".json": "json",
    ".md": "markdown",
    ".html": "html",
    ".xml": "junit",
}


@dataclass(frozen=True, slots=True)
class Target:
    """A file to write, as the command line names it. ``form`` is None where it names no format."""

    form: Format | None
    path: Path


class TargetType(click.ParamType):  # pyright: ignore[reportMissingTypeArgument] - click 8.1 has it without
    """``[FORMAT=]PATH``. A path that begins with the name of a format and ``=`` is written ``./junit=``."""

    name = "[format=]path"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Target:
        if isinstance(value, Target):
            return value
        form, sign, path = str(value).partition("=")
        if sign and form in FORMATS:
            if not path:
                self.fail(f"{value!r} names no file.", param, ctx)
            return Target(form, Path(path))
        return Target(None, Path(str(value)))

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return complete_files(ctx, param, incomplete)


def settled(targets: Sequence[Target], option: str, otherwise: Format | None = None) -> tuple[tuple[Format, Path], ...]:
    """Each with its format: the one it names, else ``otherwise``, else that of its suffix.

    Raises ConfigurationError for all that have none, and for files that cannot come to be, before any work is done.
    """
    found: list[tuple[Format, Path]] = []
    problems: list[Problem] = []
    for target in targets:
        form = target.form or otherwise or _BY_SUFFIX.get(target.path.suffix.lower())
        if form is None:
            expected = f"a name that ends in {', '.join(_BY_SUFFIX)}"
            way_out = f"{option} FORMAT={target.path}, with FORMAT one of {', '.join(FORMATS)}"
            problems.append(Problem(option, f"{target.path}: no such kind of report", expected, way_out))
        elif target.path.is_dir():
            problems.append(Problem(option, f"{target.path} is a folder", "a file to write"))
        else:
            found.append((form, target.path))
    if problems:
        raise ConfigurationError(*problems)
    return tuple(found)


def rendered(form: Format, record: DecisionRecord, folder: Path, *, verbose: bool = False) -> str:
    """The text, with a line break at its end. The page draws on what lies in ``folder`` beside the record."""
    from finetune_gate.gate.reports import render_junit, render_markdown, render_model_card, render_terminal

    if form == "json":
        text = record.model_dump_json(indent=2)
    elif form == "markdown":
        text = render_markdown(record)
    elif form == "html":
        text = _page(record, folder)
    elif form == "junit":
        text = render_junit(record)
    elif form == "model-card":
        text = render_model_card(record)
    else:
        text = render_terminal(record, verbose=verbose)
    return text if text.endswith("\n") else f"{text}\n"


def write_report(form: Format, path: Path, record: DecisionRecord, folder: Path, *, verbose: bool = False) -> None:
    """Whole or not at all. Raises EvaluationError where ``path`` cannot be written."""
    _write(path, rendered(form, record, folder, verbose=verbose).encode(), form, folder)


def _write(path: Path, content: bytes, form: Format, folder: Path) -> None:
    from finetune_gate.gate.record import write_bytes_atomically

    try:
        write_bytes_atomically(path, content)
    except OSError as error:
        way_out = f"the decision stands; `finetune-gate report {folder} -o {form}=FILE` writes it again"
        found = f"cannot be written: {error.strerror or error}"
        raise EvaluationError(Problem(str(path), found, "a file to write", way_out)) from None


def _page(record: DecisionRecord, folder: Path) -> str:
    from finetune_gate.gate.reports import render_html
    from finetune_gate.gate.run.earlier_gates import kept_history
    from finetune_gate.gate.run.example_files import read_examples
    from finetune_gate.gate.run.finding_files import read_findings
    from finetune_gate.gate.run.score_files import read_scores
    from finetune_gate.gate.run.states import EXAMPLES_FILE, FINDINGS_FILE, HISTORY_FILE, SCORES_FILE

    scores, findings, examples = folder / SCORES_FILE, folder / FINDINGS_FILE, folder / EXAMPLES_FILE
    return render_html(
        record,
        read_scores(scores) if scores.exists() else None,
        read_findings(findings) if record.findings is not None and findings.exists() else None,
        read_examples(examples) if record.examples is not None and examples.exists() else None,
        kept_history(folder / HISTORY_FILE),
    )
