"""A decision as one self-contained HTML page: no script, no remote asset, nothing that foreign text could wake.

    Path("report.html").write_text(render_html(record, scores), encoding="utf-8")

The page is drawn by ``report.html`` (its parts in ``report_parts.html``) and styled by ``report.css``. Every text that
reaches a template is made inert and escaped by the environment, so no template has to remember it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from finetune_gate.evaluators.findings import Findings
from finetune_gate.evaluators.scores import ScoreTable
from finetune_gate.evaluators.showing import ShownExamples

from ..history import PastDecision
from ..limits import amount_text
from ..progress import duration_text
from ..record import DecisionRecord
from .awaiting import state_of
from .examples import examples_page
from .found import drawn
from .inert import spelled_out
from .matrices import ConfusionMatrix, confusion_matrices
from .numbers import share_text
from .pictures import pictures_of
from .pictures.drawing import WIDTH as PICTURE_WIDTH
from .plots import WIDTH, plots_of
from .rechecking import recheck_commands
from .rows import (
    DECISION_MARKS,
    OUTCOME_MARKS,
    MeasurementRow,
    baselines_of,
    confidence_sentence,
    difference_sentence,
    estimate_warnings,
    families_of,
    reason_of,
    remarks_of,
    rows_of_measurements,
    rows_of_rules,
    slice_text,
    summary_of,
)
from .spending import spending_sentence

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

_LONGEST = 20_000  # characters of one text, such as all settings of a gate file


def render_html(
    record: DecisionRecord,
    scores: ScoreTable | None = None,
    findings: Findings | None = None,
    examples: ShownExamples | None = None,
    history: Sequence[PastDecision] | None = None,
) -> str:
    """The page. Confusion matrices are drawn where ``scores`` hold what they are counted from, ``findings`` and
    ``examples`` where they are given, and ``history``, earlier gates of the model, oldest first. Only a page with
    examples has a script."""
    rows = rows_of_measurements(record)
    pictures = pictures_of(record, scores, examples, history)
    side_by_side = examples_page(record, scores, examples)
    return page_environment().get_template("report.html").render(
        css=page_style() + picture_style() + (side_by_side.style if side_by_side else ""),
        examples=side_by_side,
        share_text=share_text,
        record=record,
        decision_mark=DECISION_MARKS[record.decision],
        state=state_of(record),
        reason=reason_of(record),
        remarks=remarks_of(record),
        summary=summary_of(record),
        candidate=record.role("candidate"),
        base=record.role("base"),
        champion=record.role("champion"),
        baselines=baselines_of(record),
        rules=[(row, plots_of(row)) for row in rows_of_rules(record)],
        outcome_marks=OUTCOME_MARKS,
        plot_width=WIDTH,
        confidence=confidence_sentence(record),
        difference=difference_sentence(record),
        families=families_of(rows),
        reasons=_reasons(rows),
        confusions=_confusions(record, scores),
        pictures=pictures,
        picture_anchors=pictures.anchors,
        picture_width=PICTURE_WIDTH,
        findings=drawn(findings) if findings is not None else {},
        warnings=estimate_warnings(record),
        spending=spending_sentence(record),
        amount_text=amount_text,
        recheck=recheck_commands(record),
        record_digest=record.digest(),
    )  # fmt: skip


def _reasons(rows: tuple[MeasurementRow, ...]) -> Mapping[str, int]:
    """Why something was not measured, numbered: one footnote serves all cells that it explains."""
    reasons: dict[str, int] = {}
    for row in rows:
        for figure in (row.candidate, *row.baselines.values(), *(change.figure for change in row.changes)):
            if figure.reason:
                reasons.setdefault(figure.reason, len(reasons) + 1)
    return reasons


def _confusions(record: DecisionRecord, scores: ScoreTable | None) -> Mapping[str, tuple[ConfusionMatrix, ...]]:
    """By evaluator title. Pictures of other kinds of evaluators would be further mappings like this one."""
    if scores is None:
        return {}
    found = {evaluator.title: confusion_matrices(evaluator, scores) for evaluator in record.evaluators}
    return {title: matrices for title, matrices in found.items() if matrices}


@cache
def page_environment() -> Environment:
    """Where templates of pages are rendered: every expression is made inert and escaped."""
    from jinja2 import FunctionLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        autoescape=True,
        undefined=StrictUndefined,
        loader=FunctionLoader(_packaged),
        finalize=_inert,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "minus": _minus,
        "json": _json,
        "slice_text": slice_text,
        "duration": duration_text,
        "moment": _moment,
    }
    return environment


def _packaged(name: str) -> str:
    return files(__package__ or "").joinpath(name).read_text(encoding="utf-8")


def page_style() -> Markup:
    """The one style sheet of all pages."""
    from markupsafe import Markup

    return Markup(_packaged("report.css"))  # the package's own file


def picture_style() -> Markup:
    """What pages with pictures of evaluators need besides."""
    from markupsafe import Markup

    return Markup(_packaged("pictures.css"))  # the package's own file


def _inert(value: object) -> object:
    """Applied by the environment to every expression, before it escapes: controls and bidi cannot pass either."""
    from markupsafe import Markup

    return spelled_out(value[:_LONGEST]) if isinstance(value, str) and not isinstance(value, Markup) else value


def _minus(shown: str) -> str:
    """A real minus sign before numbers, which lines up with the plus."""
    return re.sub(r"(?<![\w-])-(?=\d)", "−", shown)


def _json(value: object) -> Markup:
    """Settings as indented JSON; what is not ASCII is spelled out, so that it cannot reorder or hide anything."""
    from markupsafe import escape

    return escape(json.dumps(value, indent=2, ensure_ascii=True)[:_LONGEST])


def _moment(stamp: str) -> str:
    """``2025-03-04T09:15:30+00:00`` as ``2025-03-04 09:15:30 UTC``; anything else as it is."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)", stamp)
    if match is None:
        return stamp
    day, time, zone = match.groups()
    return f"{day} {time} {'UTC' if zone in ('Z', '+00:00') else zone}"
