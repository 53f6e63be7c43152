"""Examples side by side: what the page's script is given, small enough for ten thousand of them.

    page = examples_page(record, scores, examples)    # None where there is nothing to show
    page.data, page.script                            # what report_examples.html puts in place
    page.style, page.policy                           # what the page's head needs for it

Texts are inert and cut before they are embedded: the script only puts them in place.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from finetune_gate.evaluators.absent import Unmeasured, Value
from finetune_gate.evaluators.scores import EvaluatorScores, ScoreTable
from finetune_gate.evaluators.showing import Said, Shown, ShownExamples

from ..record import DecisionRecord, EvaluatorRecord
from .chief import Chief, chief_of
from .embedded import Columns, json_in_script
from .inert import spelled_out

if TYPE_CHECKING:
    from markupsafe import Markup

MOST_EXAMPLES = 20_000
"""Of one evaluator; the page says how many more there are."""

MOST_COMPONENTS = 16
"""Scores of one example that are shown: 16 of three models and 10,000 examples come to 3.4 MB."""

LIMITS = (8_000, 4_000, 2_000, 1_000, 500)
"""Characters that are shown of one text: the first of these with which all texts together keep to ``ALL_TEXTS``."""

ALL_TEXTS = 20_000_000

WON, LOST, TIED = 1, 2, 3
DISAGREED, INVALID = 4, 8
"""The mark of an example against one baseline: an outcome, 0 where one of the two has no score, and two flags."""

_SHORTEST_COMMON = 20  # characters that a beginning or an end of all prompts must have to be shown once


@dataclass(frozen=True, slots=True)
class ExamplesPage:
    """``data`` may stand in a script element as it is, and ``script`` runs under ``policy`` alone."""

    data: Markup
    script: Markup
    style: Markup
    policy: Markup
    several: bool


def examples_page(
    record: DecisionRecord, scores: ScoreTable | None, examples: ShownExamples | None
) -> ExamplesPage | None:
    """What the page needs to show examples of the record's evaluators; scores are taken from ``scores`` by their ids.

    Examples of evaluators that the record does not have are left out.
    """
    from markupsafe import Markup

    shown = {
        evaluator.title: examples.by_evaluator[evaluator.title]
        for evaluator in (record.evaluators if examples is not None else ())
        if examples is not None and examples.by_evaluator.get(evaluator.title)
    }
    if not shown:
        return None
    tables = {one.evaluator: one for one in scores.evaluators} if scores is not None else {}
    data = Columns(_limit_for(text for some in shown.values() for one in some for text in _texts_of(one)))
    evaluators = [
        _evaluator(data, record, evaluator, shown[evaluator.title], tables.get(evaluator.title))
        for evaluator in record.evaluators
        if evaluator.title in shown
    ]
    content = {"evaluators": evaluators, "columns": data.columns, "texts": data.texts}
    return ExamplesPage(
        data=Markup(json_in_script(content)),
        script=Markup(_packaged("examples.js")),
        style=Markup(_packaged("examples.css")),
        policy=Markup(_policy(_packaged("examples.js"))),
        several=len(shown) > 1,
    )


@cache
def _packaged(name: str) -> str:
    return files(__package__ or "").joinpath(name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"script-src 'sha256-{digest}'; require-trusted-types-for 'script'; "


def _limit_for(texts: Iterable[str]) -> int:
    lengths = [len(text) for text in set(texts)]
    fitting = (limit for limit in LIMITS if sum(min(length, limit) for length in lengths) <= ALL_TEXTS)
    return next(fitting, LIMITS[-1])


def _texts_of(shown: Shown) -> Iterable[str]:
    yield shown.asked
    yield shown.wanted
    for said in shown.answers.values():
        yield said.text
    for note in shown.notes:
        yield note.text


def _evaluator(
    data: Columns,
    record: DecisionRecord,
    evaluator: EvaluatorRecord,
    every: tuple[Shown, ...],
    table: EvaluatorScores | None,
) -> dict[str, object]:
    shown = every[:MOST_EXAMPLES]
    roles = _roles(record, shown, table)
    scored = _Scored(table, [one.id for one in shown])
    chief = chief_of(record, evaluator, scored.components)
    chiefly = {role: scored.chiefly(role, chief) for role in roles} if chief else {}
    before, after = _common_ends([one.asked for one in shown])
    asked = [one.asked[len(before) : len(one.asked) - len(after)] for one in shown]
    answers = {role: [one.answers.get(role) for one in shown] for role in roles}
    baselines = [role for role in roles if role != "candidate"] if "candidate" in roles else []
    return {
        "title": spelled_out(evaluator.title),
        "leftOut": len(every) - len(shown),
        "roles": [spelled_out(role) for role in roles],
        "ids": data.column(data.text(one.id) for one in shown),
        "before": data.text(before),
        "after": data.text(after),
        "asked": data.column(map(data.text, asked)),
        "wanted": data.column(data.text(one.wanted) for one in shown),
        "answers": [data.column(data.text(said.text) if said else None for said in answers[role]) for role in roles],
        "faults": [
            data.column(data.text(said.fault) if said and said.fault else None for said in answers[role])
            for role in roles
        ],
        "details": [
            data.column(data.text(said.detail) if said and said.detail else None for said in answers[role])
            for role in roles
        ],
        "chief": {"name": spelled_out(chief.name), "higher": chief.higher_is_better, "pair": chief.pair}
        if chief
        else None,
        "chiefly": [data.scores(chiefly[role]) for role in roles] if chief else [],
        "against": [roles.index(role) for role in baselines],
        "marks": [_marks(answers, chief, chiefly, role) for role in baselines],
        "scores": [
            [spelled_out(component), [data.scores(scored.values(role, component)) for role in roles]]
            for component in scored.components[:MOST_COMPONENTS]
        ],
        "slices": [
            [spelled_out(name), data.column(None if value is None else data.text(value) for value in values)]
            for name, values in scored.slices().items()
        ],
        "notes": [
            [at, data.text(note.by), data.text(note.about), data.text(note.text)]
            for at, one in enumerate(shown)
            for note in one.notes
        ],
    }


def _roles(record: DecisionRecord, shown: Sequence[Shown], table: EvaluatorScores | None) -> list[str]:
    """Those that have an answer or a score; the candidate first, then the others as the record has them."""
    found = {role for one in shown for role in one.answers} | set(table.columns if table else ())
    order = {role: place for place, role in enumerate(("candidate", *(model.role for model in record.models)))}
    return sorted(found, key=lambda role: (order.get(role, len(order)), role))


class _Scored:
    """The rows of a score table that belong to some examples, in their order."""

    def __init__(self, table: EvaluatorScores | None, ids: Sequence[str]) -> None:
        self._table = table
        places = {one.id: place for place, one in enumerate(table.examples)} if table else {}
        self._places = [places.get(id) for id in ids]
        self.components = tuple(next(iter(table.columns.values()), ())) if table else ()

    def values(self, role: str, component: str) -> tuple[Value, ...]:
        return self._in_order(self._column(role).get(component, ()))

    def chiefly(self, role: str, chief: Chief) -> tuple[Value, ...]:
        column = self._column(role)
        return self._in_order(chief.scores(column) if column else ())

    def slices(self) -> Mapping[str, tuple[str | None, ...]]:
        rows = [self._table.examples[place] if place is not None and self._table else None for place in self._places]
        names = dict.fromkeys(name for row in rows if row for name in row.slices)
        return {name: tuple(row.slices.get(name) if row else None for row in rows) for name in names}

    def _column(self, role: str) -> Mapping[str, tuple[Value, ...]]:
        return self._table.columns.get(role, {}) if self._table else {}

    def _in_order(self, values: Sequence[Value]) -> tuple[Value, ...]:
        missing = Unmeasured("the score table has no score of it")
        return tuple(values[place] if place is not None and place < len(values) else missing for place in self._places)


def _marks(
    answers: Mapping[str, Sequence[Said | None]],
    chief: Chief | None,
    chiefly: Mapping[str, Sequence[Value]],
    baseline: str,
) -> str:
    """One hexadecimal digit for each example."""
    pairs = zip(answers["candidate"], answers[baseline], strict=True)
    flags = [_flags(ours, theirs) for ours, theirs in pairs]
    if chief is None:
        return "".join(f"{flag:x}" for flag in flags)
    scored = zip(chiefly["candidate"], chiefly[baseline], strict=True)
    outcomes = [outcome(chief, ours, theirs) for ours, theirs in scored]
    return "".join(f"{flag + one:x}" for flag, one in zip(flags, outcomes, strict=True))


def _flags(ours: Said | None, theirs: Said | None) -> int:
    failed = [said is not None and said.fault is not None for said in (ours, theirs)]
    if ours is None or theirs is None:
        return INVALID if any(failed) else 0
    differ = failed[0] != failed[1] or ours.text.strip() != theirs.text.strip()
    return (DISAGREED if differ else 0) + (INVALID if any(failed) else 0)


def outcome(chief: Chief, ours: Value, theirs: Value) -> int:
    """``WON``, ``LOST``, ``TIED``, or 0 where a score that decides it is missing."""
    if chief.pair:
        ours, theirs = theirs, 0.5
    if isinstance(ours, Unmeasured) or isinstance(theirs, Unmeasured):
        return 0
    if ours == theirs:
        return TIED
    return WON if (ours > theirs) == chief.higher_is_better else LOST


def _common_ends(asked: Sequence[str]) -> tuple[str, str]:
    """The beginning and the end that all prompts share, whole words of them, each empty where it is too short to be
    worth showing once."""
    if len(asked) < 2 or len(set(asked)) == 1:
        return "", ""
    before = _whole_words(_common_beginning(asked))
    after = _whole_words(_common_beginning([text[len(before) :][::-1] for text in asked]))[::-1]
    return before, after


def _common_beginning(texts: Sequence[str]) -> str:
    first, last = min(texts), max(texts)  # what these two share, all between them share
    shared = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    return first[:shared]


def _whole_words(common: str) -> str:
    words = common[: max(common.rfind(sign) for sign in " \n") + 1]
    return words if len(words) >= _SHORTEST_COMMON else ""
