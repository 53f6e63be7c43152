"""``finetune-gate init``: a commented gate file that ``check`` accepts, from a look at the registry and at the data."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from finetune_gate.evaluators.errors import ConfigurationError, Problem, RegistryError

from .options import gate_file_argument, tracking_uri_option
from .output import print_json

if TYPE_CHECKING:
    from finetune_gate.evaluators.datasets import Dataset
    from finetune_gate.gate.starting import RegisteredModel, Start

_ADDRESSES = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
_OWN_DATABASE = Path("mlflow.db")
"""Where MLflow keeps its registry if nobody says otherwise."""


@click.command()
@gate_file_argument
@click.option("--model", help="Registered model in MLflow. Default: the only one that there is.")
@click.option(
    "--data",
    "named",
    type=click.Path(path_type=Path),
    help="Held-out examples (JSONL, CSV or Parquet) that the model was never trained on. Default: a file here or in "
    "data/ that is called holdout, test, validation or the like.",
)
@click.option(
    "--train",
    type=click.Path(path_type=Path),
    help="What it was trained on: adds a search for leaks, and evaluators of overfitting.",
)
@tracking_uri_option
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found, and what was written, as JSON.")
def init(
    gate_file: Path,
    model: str | None,
    named: Path | None,
    train: Path | None,
    tracking_uri: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Write a commented gate file that runs.

    Looks at the model in MLflow's registry, where one is reached, and at the columns of the data: labels,
    questions and answers, options, summaries, prompts and completions, chats, or texts. Says what it took for what.
    Changes nothing but the gate file. Exit status: 0 written, 2 not.
    """
    from finetune_gate.gate.starting import find_files, gate_file_text, start_from

    if gate_file.exists() and not force:
        raise ConfigurationError(Problem(str(gate_file), "exists already", "a new file", "--force overwrites it"))
    files = find_files(named, Path("."))
    folder = gate_file.resolve().parent
    paths = {"holdout": os.path.relpath(files.holdout.resolve(), folder)}
    if train is not None:
        paths["train"] = os.path.relpath(train.resolve(), folder)
    data = {name: _load(name, path, folder) for name, path in paths.items()}
    registered, unknown = _look(tracking_uri, model)
    start = start_from(data["holdout"], data.get("train"), registered, unknown, model=model, paths=paths)
    text = gate_file_text(start)
    _refuse_unfit(text, gate_file)
    gate_file.write_text(text, encoding="utf-8")
    remarks = list(start.remarks)
    if files.found:
        passed_over = f"; also there: {', '.join(map(str, files.others))}" if files.others else ""
        remarks.insert(
            0, f"{files.holdout} was taken for what is held out, by its name{passed_over}: --data names another"
        )
    if train is None and files.train is not None:
        remarks.append(
            f"{files.train} is there: with --train {files.train} the gate looks for leaks and overfitting too"
        )
    following = _next(gate_file, start, tracking_uri)
    if as_json:
        print_json(_found(gate_file, start, remarks, following))
    else:
        _print(gate_file, start, remarks, following)


def _load(name: str, path: str, folder: Path) -> Dataset:
    """With its columns of ids and clusters, whatever they are called."""
    from finetune_gate.evaluators.datasets import DatasetSource, load_dataset
    from finetune_gate.gate.starting import source_of

    found = load_dataset(name, DatasetSource(path=path), folder)
    roles = source_of(found)
    return load_dataset(name, DatasetSource.model_validate({"path": path, **roles}), folder) if roles else found


def _look(tracking_uri: str | None, model: str | None) -> tuple[RegisteredModel | None, str]:
    """What the registry says, or why it says nothing."""
    if not tracking_uri and not any(map(os.environ.get, _ADDRESSES)) and not _OWN_DATABASE.is_file():
        return None, "MLFLOW_TRACKING_URI is not set, so no registry was looked at"
    from finetune_gate.gate.starting import look_at_registry

    try:
        return look_at_registry(tracking_uri, model), ""
    except RegistryError as error:
        problem = error.problems[0]
        return None, f"the registry could not be looked at: {problem.where}: {problem.found}"
    except ConfigurationError as error:
        if model is None:
            raise
        problem = error.problems[0]
        said = [problem.found, problem.way_out if problem.way_out.startswith("did you mean") else ""]
        return None, "; ".join(filter(None, said))


def _refuse_unfit(text: str, gate_file: Path) -> None:
    """What `check` would refuse is not written."""
    from finetune_gate.gate.gate_file import load_data
    from finetune_gate.gate.gate_file.loader import gate_from_text

    load_data(gate_from_text(text, gate_file))


def _next(gate_file: Path, start: Start, tracking_uri: str | None) -> list[str]:
    """The commands that come after this one, as they are typed."""
    file = shlex.quote(str(gate_file))
    version = (start.registered.version if start.registered else None) or "latest"
    given = tracking_uri is not None and tracking_uri != os.environ.get("MLFLOW_TRACKING_URI")
    where = f" --tracking-uri {shlex.quote(tracking_uri)}" if given and tracking_uri is not None else ""
    return [
        f"finetune-gate check {file}",
        f"finetune-gate doctor {file}{where}",
        f"finetune-gate plan {file} --version {version}{where}",
        f"finetune-gate run {file} --version {version} --dry-run{where}",
        f"finetune-gate run {file} --version {version}{where}",
    ]


def _found(gate_file: Path, start: Start, remarks: Sequence[str], following: Sequence[str]) -> dict[str, object]:
    registered = start.registered
    return {
        "gate_file": str(gate_file),
        "model": start.model,
        "registry": None
        if registered is None
        else {
            "address": registered.address,
            "version": registered.version,
            "kind": registered.kind,
            "aliases": dict(registered.aliases),
            "stages": dict(registered.stages),
            "base": list(registered.leads),
            "base_claims": list(registered.claims),
        },
        "registry_unknown": start.unknown or None,
        "taken_for": start.shape,
        "data": [
            {"name": one.name, "path": one.path, "examples": one.examples, "clusters": one.clusters, **one.columns}
            for one in start.data
        ],
        "evaluators": [one.kind for one in start.entries if not one.offered],
        "rules": [dict(one.settings) for one in start.rules if not one.offered],
        "remarks": list(remarks),
        "next": list(following),
    }


def _print(gate_file: Path, start: Start, remarks: Sequence[str], following: Sequence[str]) -> None:
    from finetune_gate.gate.reports.inert import inert_text

    registered = start.registered
    click.echo(f"written: {inert_text(str(gate_file))}, for model {inert_text(repr(start.model))}")
    notes = [registered.found, f"base: {registered.base_note}"] if registered else [start.unknown]
    if registered is None and start.model == "my-model":
        notes.append("model: my-model is a stand-in: write the registered model's name there")
    if registered is not None and registered.runs_code:
        notes.append(registered.runs_code)
    for note in [*remarks, *filter(None, notes)]:
        click.echo(f"  {inert_text(note, limit=800)}")
    click.echo("Next: read it, then")
    for command in following:
        click.echo(f"  {inert_text(command, limit=2000)}")
