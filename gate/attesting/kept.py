"""What a run kept, found again: its decision record, and the folder with the files beside it.

with kept_at("runs:/4f0c...", tracking_uri) as kept:
    kept.record.decision, kept.scores()
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from finetune_gate.evaluators.errors import ConfigurationError, EvaluationError, Problem
from finetune_gate.evaluators.scores import EvaluatorScores, ScoreTable

from ..record import DecisionRecord, read_record
from ..run.score_files import read_scores
from ..run.states import RECORD_FILE, SCORES_FILE

_RUN_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Kept:
    """``name``: how the run was named. ``content``: the bytes of the record's ``file``, beside which all else lies."""

    name: str
    file: Path
    content: bytes
    record: DecisionRecord

    @property
    def folder(self) -> Path:
        return self.file.parent

    def scores(self) -> ScoreTable:
        """The score table. An evaluator without examples left no rows in it, and gets its place back.

        Raises EvaluationError where there is none, or one that could not be measured.
        """
        path = self.folder / SCORES_FILE
        expected = "a score table written by finetune-gate"
        try:
            table = read_scores(path)
            fault = next(_not_texts(table), None)
        except (TypeError, OverflowError) as error:  # columns of types that no score has
            raise EvaluationError(Problem(str(path), f"{error}", expected)) from error
        if fault is not None:
            raise EvaluationError(Problem(str(path), fault, expected))
        there = {scores.evaluator: scores for scores in table.evaluators}
        roles = [model.role for model in self.record.models if model.role != "judge"]
        titles = dict.fromkeys((*(one.title for one in self.record.evaluators), *there))
        return ScoreTable(
            tuple(there.get(title) or EvaluatorScores(title, (), {role: {} for role in roles}) for title in titles)
        )


@contextmanager
def kept_at(run: str, tracking_uri: str | None = None) -> Generator[Kept]:
    """``run``: the path of a record or of its folder, the id of an MLflow run, or an address in one (``runs:/ID``).

    Nothing is asked of MLflow for a path. Raises ConfigurationError where ``run`` names nothing, EvaluationError where
    the record cannot be read.
    """
    if not run.startswith("runs:/") and not _RUN_ID.fullmatch(run):
        path = Path(run) / RECORD_FILE if Path(run).is_dir() else Path(run)
        if not path.is_file():
            expected = "the path of a decision record or its folder, the id of an MLflow run, or runs:/ID"
            raise ConfigurationError(Problem(f"run {run}", "there is no such record, and that is no id", expected))
        yield _read(run, path)
        return
    from ..registry import Registry, Tracking

    tracking = Tracking(Registry.connect(tracking_uri))
    run_id = run.removeprefix("runs:/").strip("/").partition("/")[0]
    folder = tracking.record_address(run_id, RECORD_FILE).rpartition("/")[0]
    with tempfile.TemporaryDirectory(prefix="finetune-gate-") as scratch:
        yield _read(run, tracking.fetch(folder, Path(scratch)) / RECORD_FILE)


def _read(name: str, path: Path) -> Kept:
    record = read_record(path)
    try:
        return Kept(name, path, path.read_bytes(), record)
    except OSError as error:
        raise EvaluationError(Problem(str(path), error.strerror or str(error), "a decision record")) from None


def _not_texts(table: ScoreTable) -> Iterator[str]:
    """Columns that are texts in every table that a run wrote; values are looked at as they are read."""
    for row in table.rows():
        always, at_times = (row.evaluator, row.example_id, row.role, row.component), (row.reason, row.group)
        texts = (*always, *(one for one in at_times if one is not None), *row.slices.values())
        if any(type(text) is not str for text in texts):
            yield f"something else than a text, in a row of evaluator {row.evaluator!r}"
