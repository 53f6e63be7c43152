"""``finetune-gate init``: a commented gate file that ``check`` accepts, written from a look at the data."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import click

from finetune_gate.evaluators.datasets import Dataset, DatasetSource, load_dataset
from finetune_gate.evaluators.errors import ConfigurationError, Problem
from finetune_gate.evaluators.slots import slot_names

from .options import gate_file_argument

MAX_LABELS = 50


@click.command()
@gate_file_argument
@click.option("--model", default="my-model", show_default=True, help="Registered model in MLflow.")
@click.option(
    "--data",
    "holdout",
    type=click.Path(path_type=Path),
    required=True,
    help="Held-out examples (JSONL, CSV or Parquet) that the model was never trained on.",
)
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def init(gate_file: Path, model: str, holdout: Path, force: bool) -> None:
    """Write a commented gate file.

    Looks at the held-out data: with a text and a label column the file asks for classification accuracy, otherwise
    for perplexity alone.
    """
    if gate_file.exists() and not force:
        raise ConfigurationError(Problem(str(gate_file), "exists already", "a new file", "--force overwrites it"))
    folder = gate_file.resolve().parent
    path = os.path.relpath(holdout.resolve(), folder)
    dataset = load_dataset("holdout", DatasetSource(path=path), folder)
    text = _text_column(dataset)
    if slot_names(f"{{{text}}}") != (text,):
        found = f"column {text!r} cannot stand in a prompt"
        raise ConfigurationError(Problem(str(dataset.path), found, "a name of letters, digits and _, such as text"))
    labels = _labels(dataset)
    content = gate_file_text(model, path, text, labels, len(dataset.examples))
    gate_file.write_text(content, encoding="utf-8")
    click.echo(f"written: {gate_file}. Next: read it, then `finetune-gate check {gate_file}`.")


def _text_column(dataset: Dataset) -> str:
    """``text`` where there is one, else the column with the longest texts."""
    if "text" in dataset.columns:
        return "text"
    lengths = {
        column: sum(len(value) for example in dataset.examples if isinstance(value := example.row.get(column), str))
        for column in dataset.columns
    }
    longest = max(lengths, key=lambda column: lengths[column])
    if not lengths[longest]:
        found = f"columns {', '.join(dataset.columns)}, none of them text"
        raise ConfigurationError(Problem(str(dataset.path), found, "a column of texts"))
    return longest


def _labels(dataset: Dataset) -> list[str]:
    counts = Counter(
        value for example in dataset.examples if isinstance(value := example.row.get("label"), str) and value.strip()
    )
    complete = sum(counts.values()) == len(dataset.examples)
    return sorted(counts) if complete and 2 <= len(counts) <= MAX_LABELS else []


def gate_file_text(model: str, path: str, text: str, labels: list[str], examples: int) -> str:
    """The text of the gate file; a pure function, so that a test can hold it against ``check``."""
    quoted = json.dumps
    lines = [
        "# What a new version of this model must show before it may serve.",
        "# `finetune-gate check` reads this file; `finetune-gate run --version 7` gates a version.",
        f"model: {quoted(model)}          # registered model in MLflow",
        "base: auto                  # what it was fine-tuned from; or models:/NAME/1, a folder, a cached hub id",
        'champion: "@champion"       # what serves now; without such an alias the first model is judged by its base',
        "",
        "data:",
        f"  holdout: {quoted(path)}    # {examples:,} examples, never trained on",
        "",
        "evaluators:",
    ]
    if labels:
        lines += [
            "  - classification:",
            "      data: holdout",
            f"      labels: {quoted(labels, ensure_ascii=False)}",
            "      # the prompt the model was fine-tuned with; {column} is filled from the row",
            f'      prompt: "{{{text}}}\\n\\nAnswer with one of these labels: {{labels}}.\\nLabel:"',
            "      method: loglikelihood   # or generate: let the model write, and look for the label",
        ]
    column = "" if text == "text" else f", text: {quoted(text)}"
    lines += [f"  - perplexity: {{data: holdout{column}}}", "", "rules:"]
    if labels:
        lines += [
            "  # good enough on its own: the whole 95 % interval must lie above",
            "  - {metric: classification.accuracy, min: 0.75}",
            "  # not worse than base or champion by more than two points",
            "  - {metric: classification.accuracy, min_change: 0.0, margin: 0.02}",
            "  # shown, and never in the way",
            "  - {metric: perplexity.bits_per_byte, min_change: 0.0, margin: 0.1, against: base, severity: warn}",
        ]
    else:
        lines += [
            "  # no worse at modelling held-out text than base or champion, by more than 0.05 bits per byte",
            "  - {metric: perplexity.bits_per_byte, min_change: 0.0, margin: 0.05}",
        ]
    lines += ["", "promotion: {alias: champion}", ""]
    return "\n".join(lines)
