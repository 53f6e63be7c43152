"""Examples with their scores as a table that MLflow's UI shows: the JSON of ``mlflow.log_table``, one row an example.

    table = evaluation_table(scores, examples)
    table.content, table.rows, table.of         # bytes of eval_results_table.json; 1000 of 3400

Columns have the same names for every version, so that MLflow's comparison of runs lays versions side by side: the
candidate's scores are called as its metrics are, a baseline's begin with ``base/`` or ``champion/``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.scores import EvaluatorScores, ScoredExample, ScoreTable
from finetune_gate.evaluators.showing import Shown, ShownExamples

from .inert import spelled_out

MOST_ROWS = 1000
MOST_SCORES = 60
LONGEST_TEXT = 1000
"""Characters of one cell: a full table of the longest texts has some megabytes, which the UI still opens."""

FILE = "eval_results_table.json"
"""The name under which MLflow's evaluation view looks first."""

_CANDIDATE = "candidate"


@dataclass(frozen=True, slots=True)
class EvaluationTable:
    """``content`` is the file, ``rows`` how many examples it shows, ``of`` how many there are."""

    content: bytes
    rows: int
    of: int


def evaluation_table(scores: ScoreTable, examples: ShownExamples, *, most: int = MOST_ROWS) -> EvaluationTable | None:
    """None where nothing was scored. Of an evaluator with texts, the rows are the examples that have one. Of more than
    ``most``, every evaluator shows its first ones, and none more than its share while others have more than theirs.
    Texts are inert, and cut."""
    texts = {title: {one.id: one for one in some} for title, some in examples.by_evaluator.items()}
    every = [_rows_of(one, texts.get(one.evaluator, {})) for one in scores.evaluators]
    of = sum(len(one.examples) for one in scores.evaluators)
    if not of:
        return None
    columns = _columns(scores, examples)
    shares = _shares([len(some) for some in every], most)
    rows = [row for some, share in zip(every, shares, strict=True) for row in some[:share]]
    content = {
        "columns": [_cut(name) for name in columns],
        "data": [[read(row) for read in columns.values()] for row in rows],
    }
    return EvaluationTable(json.dumps(content, ensure_ascii=False, allow_nan=False).encode(), len(rows), of)


@dataclass(frozen=True, slots=True)
class _Row:
    scores: EvaluatorScores
    at: int
    shown: Shown | None

    @property
    def example(self) -> ScoredExample:
        return self.scores.examples[self.at]

    def score(self, evaluator: str, role: str, component: str) -> float | None:
        if evaluator != self.scores.evaluator:
            return None
        value = self.scores.columns[role][component][self.at]
        return None if isinstance(value, Unmeasured) else value

    def answered(self, role: str) -> str:
        said = self.shown.answers.get(role) if self.shown else None
        if said is None:
            return ""
        parts = (said.text, f"({said.detail})" if said.detail else "", f"[{said.fault}]" if said.fault else "")
        return _cut("\n".join(part for part in parts if part))

    def notes(self) -> str:
        every = self.shown.notes if self.shown else ()
        return _cut("\n".join(f"{note.by}, about {note.about}: {note.text}" for note in every))


_Read = Callable[[_Row], str | float | None]


def _rows_of(scores: EvaluatorScores, shown: Mapping[str, Shown]) -> list[_Row]:
    rows = [_Row(scores, at, shown.get(example.id)) for at, example in enumerate(scores.examples)]
    return [row for row in rows if row.shown is not None] or rows


def _columns(scores: ScoreTable, examples: ShownExamples) -> dict[str, _Read]:
    """MLflow's comparison groups rows by the first column and compares runs by the second, unless told otherwise: what
    was asked, and what the candidate answered."""
    roles = _roles(scores)
    shown = [one for some in examples.by_evaluator.values() for one in some]
    answers: dict[str, _Read] = {f"{role} answered": partial(_Row.answered, role=role) for role in roles if shown}
    found: dict[str, _Read] = {}
    if shown:
        found["asked"] = lambda row: _cut(row.shown.asked) if row.shown else ""
        found |= dict(islice(answers.items(), 1))
        found["wanted"] = lambda row: _cut(row.shown.wanted) if row.shown else ""
        found |= answers
        if any(one.notes for one in shown):
            found["notes"] = _Row.notes
    found["id"] = lambda row: _cut(row.example.id)
    found |= _score_columns(scores, roles)
    found["evaluator"] = lambda row: _cut(row.scores.evaluator)
    if any("category" in example.slices for one in scores.evaluators for example in one.examples):
        found["category"] = lambda row: _cut(row.example.slices.get("category", ""))
    return found


def _roles(scores: ScoreTable) -> list[str]:
    found = dict.fromkeys(role for one in scores.evaluators for role in one.columns)
    return sorted(found, key=lambda role: role != _CANDIDATE)


def _score_columns(scores: ScoreTable, roles: Sequence[str]) -> dict[str, _Read]:
    """The candidate's come first, and are the last to be left out."""
    found: dict[str, _Read] = {}
    for role in roles:
        for one in scores.evaluators:
            for component in one.columns.get(role, {}):
                name = f"{one.evaluator}.{component}"
                read = partial(_Row.score, evaluator=one.evaluator, role=role, component=component)
                found[name if role == _CANDIDATE else f"{role}/{name}"] = read
    return dict(islice(found.items(), MOST_SCORES))


def _shares(counts: Sequence[int], most: int) -> list[int]:
    """How many of each, together at most ``most``.

    >>> _shares([10, 500, 3000], 1000)
    [10, 495, 495]
    """
    shares, left = [0] * len(counts), most
    for given, at in enumerate(sorted(range(len(counts)), key=lambda at: counts[at])):
        shares[at] = min(counts[at], left // (len(counts) - given))
        left -= shares[at]
    return shares


def _cut(text: str) -> str:
    shown = spelled_out(text[: LONGEST_TEXT + 1])
    return shown if len(shown) <= LONGEST_TEXT else shown[: LONGEST_TEXT - 1] + "…"


def tag_of(path: str) -> str:
    """The run tag ``mlflow.loggedArtifacts``, by which MLflow's UI finds the table."""
    return json.dumps([{"path": path, "type": "table"}])
