"""Worlds from the score table of an earlier run.

Each world draws as many examples as there are (or clusters, whole) with replacement. In each of them the scores of the
candidate and of one baseline change places at random, all components of all evaluators together: so the two are the
same but for chance, and depend on one another, example by example, as they did in the run. What both truly score is the
average of what they scored there. Another baseline keeps its own scores.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from finetune_gate.evaluators.absent import Unmeasured, Value
from finetune_gate.evaluators.errors import ConfigurationError, EvaluationError, Problem
from finetune_gate.evaluators.measurement import cluster_codes
from finetune_gate.evaluators.scores import EvaluatorScores, ScoredExample, ScoreTable

from ..gate_file import Gate, Rule
from ..gate_file.rules import Baseline
from ..record import DecisionRecord, read_record
from ..run.score_files import read_scores
from ..run.states import RECORD_FILE
from .population import Components, Permuted, Population
from .selection import Source, roles_of, select


def stored(gate: Gate, path: Path, *, like: Baseline | None = None, same: bool = False) -> Source:
    """``path`` is a decision record or the folder it lies in, with its score table beside it. ``like`` is the baseline
    that a candidate of no difference equals: the champion, where there is one and nothing else is said.

    Raises EvaluationError where it cannot be read, and ConfigurationError where it tells of other evaluators or has no
    such baseline, or no blocking rule can be simulated.
    """
    file = path / RECORD_FILE if path.is_dir() else path
    record = read_record(file)
    table = _scores(record, file)
    _refuse_others(gate, record, file)
    scores = {one.evaluator: one for one in table.evaluators}
    roles = roles_of(all("champion" in one.columns for one in table.evaluators))
    like = like or ("champion" if "champion" in roles else "base")
    if like not in roles:
        raise ConfigurationError(Problem(str(file), f"no {like}", f"a record of a run that had a {like}"))

    def able(title: str, rule: Rule, components: Components) -> Unmeasured | None:
        if rule.against is not None and rule.against not in roles:
            return Unmeasured(f"the record has no {rule.against}")
        found = scores.get(title)
        if found is None:
            return Unmeasured(f"the record has no scores of {title}")
        missing = (components.moved.keys() | components.fixed) - found.columns["candidate"].keys()
        if missing:
            return Unmeasured(f"the record has no {' and '.join(sorted(missing))}")
        if not any(_concerns(rule, one) for one in found.examples):
            return Unmeasured("the record has no example of its slice")
        return None

    selection = select(
        gate, able, same=same, way_out="a record of a run with such scores, or --aa, which asks for no difference"
    )
    populations = tuple(
        _population(scores[title], components, roles, ("candidate", like))
        for title, components in selection.components.items()
    )
    said = f"scores of {record.model}, kept by a run that came to {record.decision}"
    return Source(selection, populations, roles, same, said, tuple(_assumptions(like)), tuple(_missing(populations)))


def _concerns(rule: Rule, example: ScoredExample) -> bool:
    found = example.slices
    return rule.columns <= found.keys() and all(found[column] == value for column, value in rule.slice.items())


def _scores(record: DecisionRecord, file: Path) -> ScoreTable:
    path = file.parent / record.score_table.file
    table = read_scores(path)
    if table.digest() != record.score_table.digest:
        found = "its scores are not those of the record beside it"
        raise EvaluationError(Problem(str(path), found, f"digest {record.score_table.digest}"))
    return table


def _refuse_others(gate: Gate, record: DecisionRecord, file: Path) -> None:
    """Bounds may differ from those of the record; what was asked and how it was scored may not."""
    kept = {one.title: one for one in record.evaluators}
    problems = [
        Problem(
            f"{file}: evaluator {title!r}",
            "other settings, or another version, than in the gate file",
            "the same",
            "gate a version with this gate file first, and simulate with its record",
        )
        for title, one in gate.evaluators.items()
        if title in kept
        and (kept[title].kind, kept[title].version, kept[title].settings)
        != (one.kind, one.version, dict(one.settings()))
    ]
    if problems:
        raise ConfigurationError(*problems)


def _population(
    scores: EvaluatorScores, components: Components, roles: Sequence[str], alike: tuple[str, ...]
) -> Population:
    names = sorted(components.moved.keys() | components.fixed)
    own = {role: np.array([float(role == other) for other in roles]) for role in roles}
    shared = np.array([float(role in alike) / len(alike) for role in roles])
    return Population(
        title=scores.evaluator,
        draw=_names(scores),
        examples=scores.examples,
        clusters=cluster_codes(one.group for one in scores.examples),
        states={name: np.array([_numbers(scores.columns[role], name) for role in roles]) for name in names},
        weights={role: shared if role in alike else own[role] for role in roles},
        moved=dict(components.moved),
        dependence=Permuted(alike),
    )


def _names(scores: EvaluatorScores) -> str:
    """Equal where two evaluators have the same examples."""
    about = [(one.id, one.group, sorted(one.slices.items())) for one in scores.examples]
    return hashlib.sha256(repr(about).encode()).hexdigest()


def _numbers(columns: Mapping[str, tuple[Value, ...]], name: str) -> list[float]:
    return [float("nan") if isinstance(value, Unmeasured) else value for value in columns[name]]


def _assumptions(like: Baseline) -> list[str]:
    return [
        f"a candidate of no difference is the {like}'s equal (--like): on each example the two change places at random,"
        " and the average of what they scored in the record is what both truly score",
        "the examples of the record stand for all there could be: few of them tell little of rare ones",
    ]


def _missing(populations: tuple[Population, ...]) -> list[str]:
    return [
        f"{one.title}: some scores are missing in the record, and are taken at their worst for the candidate, as in a "
        "run: its true difference is a little less than said"
        for one in populations
        if any(np.isnan(values).any() for values in one.states.values())
    ]
