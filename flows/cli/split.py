"""``finetune-gate split``: training and test data that do not tell of one another."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click
from pydantic import ValidationError

from finetune_gate.evaluators.errors import ConfigurationError, Problem

from .output import print_json

if TYPE_CHECKING:
    from finetune_gate.evaluators.datasets import Dataset
    from finetune_gate.evaluators.splitting.reporting import SplitReport
    from finetune_gate.evaluators.splitting.settings import Side, Split, SplitSettings

REPORT = "split-report.json"
_FILES: Mapping[Side, str] = {
    "train": "train",
    "validation": "validation",
    "test": "test",
    "set aside": "set-aside",
}

_WHY = {"repeats": "repeat rows of an earlier part", "within": "within the embargo"}
_STRATA_SHOWN = 12


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--strategy",
    type=click.Choice(["random", "temporal", "category", "group"]),
    default="random",
    show_default=True,
    help="By chance, by time, by chance within categories, or group by group.",
)
@click.option("--test-share", type=float, help="Share of rows for test.  [default: 0.2]")
@click.option("--validation-share", type=float, help="Share of rows for validation; none without it.")
@click.option("--by", metavar="COLUMN", help="Column of categories, groups or timestamps.")
@click.option("--cut", metavar="TIMESTAMP", help="temporal: first moment of the test part, such as 2026-03-01.")
@click.option("--embargo", metavar="DURATION", help="temporal: use nothing so long before a later part; 12h, 7d, 2w.")
@click.option("--leave-out", metavar="VALUE", multiple=True, help="category: all rows of this value are the test part.")
@click.option("--salt", metavar="TEXT", help="Another salt gives another split by chance.")
@click.option("--text", metavar="COLUMN", multiple=True, help="Look for duplicates in this column.")
@click.option("--near", type=float, help="Jaccard index of near-duplicates; 1: exact copies alone.  [default: 0.8]")
@click.option("--id", "id_column", metavar="COLUMN", help="Column of stable ids.  [default: id, else the content]")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write to.")
@click.option("--force", is_flag=True, help="Replace the files of an earlier split there.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def split(data: Path, id_column: str | None, out: Path, force: bool, as_json: bool, **asked: object) -> None:
    """Split DATA into train, test and validation files of the same kind.

    Duplicates are found first and share a side. Which side follows from a salted hash of each row's id: added rows
    never move old ones. Rows that would make one part tell of another go to a file set-aside.

    Exit status: 0 split, 2 not.
    """
    from finetune_gate.evaluators.splitting.reporting import report_split
    from finetune_gate.evaluators.splitting.strategies import split as split_rows

    settings = _settings(asked)
    dataset = _dataset(data, id_column)
    stale = _refuse_overwriting(out, data, force)
    found = split_rows(dataset, settings)
    report = report_split(dataset, settings, found)
    _write(dataset, found, report, out, stale)
    if as_json:
        print_json(report.as_json())
    else:
        _print(report, out, data.suffix)


def _settings(asked: Mapping[str, object]) -> SplitSettings:
    from finetune_gate.evaluators.splitting.settings import SplitSettings

    given = {name: value for name, value in asked.items() if value is not None and value != ()}
    try:
        return SplitSettings.model_validate(given)
    except ValidationError as error:
        raise ConfigurationError(
            *(
                Problem(
                    "command line" + "".join(f" --{str(name).replace('_', '-')}" for name in fault["loc"][:1]),
                    fault["msg"].removeprefix("Value error, "),
                    way_out="see finetune-gate split --help",
                )
                for fault in error.errors(include_url=False)
            )
        ) from None


def _dataset(data: Path, id_column: str | None) -> Dataset:
    from finetune_gate.evaluators.datasets import DatasetSource, load_dataset

    if data.is_dir():
        raise ConfigurationError(Problem(str(data), "a folder", "one file: JSONL, CSV, TSV or Parquet"))
    source = DatasetSource(path=str(data)) if id_column is None else DatasetSource(path=str(data), id=id_column)
    return load_dataset(data.stem, source, Path())


def _refuse_overwriting(out: Path, data: Path, force: bool) -> list[Path]:
    """The files of an earlier split, which ``force`` replaces."""
    wanted = [*(out / f"{stem}{data.suffix}" for stem in _FILES.values()), out / REPORT]
    there = [path for path in wanted if path.exists()]
    own = [path for path in there if path.resolve() == data.resolve()]
    if own:
        raise ConfigurationError(Problem(str(own[0]), "is the file to be split", "another folder for --out"))
    if there and not force:
        names = ", ".join(path.name for path in there)
        raise ConfigurationError(Problem(str(out), f"holds {names} already", "a new folder", "--force replaces them"))
    return there


def _write(dataset: Dataset, found: Split, report: SplitReport, out: Path, stale: list[Path]) -> None:
    """The report goes first and comes last: where it lies, it tells of the files beside it."""
    from finetune_gate.evaluators.splitting.files import cut_file
    from finetune_gate.gate.record import write_bytes_atomically

    sides: list[Side] = [side for side in _FILES if side in report.parts or found.rows(side)]
    contents: dict[Side, bytes] = cut_file(dataset, {side: found.rows(side) for side in sides})
    files = {f"{_FILES[side]}{dataset.path.suffix}": content for side, content in contents.items()}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    about = json.dumps({**report.as_json(), "files": digests}, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        (out / REPORT).unlink(missing_ok=True)
        for name, content in files.items():
            write_bytes_atomically(out / name, content)
        for path in stale:
            if path.name not in files:
                path.unlink(missing_ok=True)
        write_bytes_atomically(out / REPORT, (about + "\n").encode())
    except OSError as error:
        raise ConfigurationError(
            Problem(str(out), f"cannot be written to: {error.strerror or error}", "a folder to write to")
        ) from error


def _print(report: SplitReport, out: Path, suffix: str) -> None:
    from finetune_gate.gate.reports.inert import inert_text

    lines = [f"{inert_text(report.source)}: {report.rows:,} rows, split into {inert_text(str(out))}"]
    for part, one in report.parts.items():
        when = f", {one.earliest} to {one.latest}" if one.earliest else ""
        lines.append(f"  {_FILES[part] + suffix:<20} {one.rows:>9,} rows  {one.share:6.1%}{when}")
    if report.set_aside:
        reasons = Counter(reason.split(" ", 1)[0] for reason in report.set_aside.values())
        why = ", ".join(f"{count:,} {_WHY[reason]}" for reason, count in sorted(reasons.items()))
        lines.append(f"  {'set-aside' + suffix:<20} {len(report.set_aside):>9,} rows          {why}")
    where = inert_text(", ".join(report.columns))
    lines.append(f"  {report.repeated:,} rows repeat one of {report.clusters:,} others (looked for in {where})")
    lines += [
        f"  {inert_text(value, limit=60)}: " + ", ".join(f"{side} {count:,}" for side, count in counts.items())
        for value, counts in list(report.strata.items())[:_STRATA_SHOWN]
    ]
    if len(report.strata) > _STRATA_SHOWN:
        lines.append(f"  {len(report.strata) - _STRATA_SHOWN} more values: see {REPORT}")
    lines += [f"  warning: {inert_text(warning)}" for warning in report.warnings]
    for line in lines:
        click.echo(line)
