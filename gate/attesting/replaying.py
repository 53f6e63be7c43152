"""Deciding again from a stored run by another gate file's rules. No model is asked, and nothing is moved.

with kept_at("runs:/4f0c...") as kept:
    found = replay(kept, load_gate_file(Path("stricter.yaml")))
found.record.decision, [(one.then, one.now) for one in found.rules]
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from finetune_gate.evaluators.errors import ConfigurationError, EvaluationError, Problem

from ..clock import now_iso
from ..deciding import Circumstances, Outcome
from ..gate_file.settings import Gate, GateFile
from ..record import DecisionRecord, EvaluatorRecord, GateFileRecord, RuleRecord, RunRecord, canonical_json
from ..run.record_parts import levels_of, review_record
from ..run.recording import software_here
from .fitting import misfits, settings_of
from .kept import Kept
from .rebuilding import Again, circumstances_of, decide_again


@dataclass(frozen=True, slots=True)
class RuleChange:
    """A rule then and now; None on the side that does not have it. They are the same rule if they say the same of the
    same metric, slice and baseline, and else the next one that speaks of these."""

    then: RuleRecord | None
    now: RuleRecord | None

    @property
    def outcomes(self) -> tuple[Outcome | None, Outcome | None]:
        return (self.then.outcome if self.then else None), (self.now.outcome if self.now else None)


@dataclass(frozen=True, slots=True)
class Replayed:
    """``then`` is the record that was kept, ``record`` what it would have been. ``remarks``: what was left out."""

    then: DecisionRecord
    record: DecisionRecord
    rules: tuple[RuleChange, ...]
    remarks: tuple[str, ...]


def replay(kept: Kept, gate: Gate, *, actor: str = "unknown") -> Replayed:
    """As if ``gate`` had judged the scores of that run, on its day. The same gate file comes to the same decision.

    Raises ConfigurationError where the scores do not hold what its rules rest on, or were made by other settings;
    EvaluationError where the score table is not the one that the record names.
    """
    record, table = kept.record, kept.scores()
    if table.digest() != record.score_table.digest:
        expected = f"digest {record.score_table.digest[:12]}, as the record says"
        raise EvaluationError(Problem(str(kept.folder), f"a score table with digest {table.digest()[:12]}", expected))
    then = settings_of(record)
    problems = tuple(misfits(record, then, gate, table))
    if problems:
        raise ConfigurationError(*problems)
    circumstances, remarks = _circumstances(record, then, gate)
    again = decide_again(gate, table, circumstances, levels_of(record.look))
    made = _record(kept, gate, again, circumstances, actor)
    return Replayed(record, made, _paired(record.rules, made.rules), remarks)


def _circumstances(record: DecisionRecord, then: GateFile, gate: Gate) -> tuple[Circumstances, tuple[str, ...]]:
    """An approval was of what one gate file came to, and counts for no other; a block is of the version."""
    found, remarks = circumstances_of(record, gate), list[str]()
    asked_for = record.approval_required and then.promotion.approval != "required"  # by the request, whatever the file
    required = gate.file.promotion.approval == "required" or asked_for
    review = found.review
    if review is not None and review.verdict == "approve" and gate.digest != record.gate_file.digest:
        remarks.append(f"the approval by {review.reviewer} was of what another gate file came to, and is left out")
        review = None
    identical, has_champion = found.identical, found.has_champion
    if has_champion and gate.file.champion is None:
        remarks.append("the champion is left out: champion: null")
        identical, has_champion = tuple(role for role in identical if role != "champion"), False
    now = replace(found, has_champion=has_champion, identical=identical, review=review, approval_required=required)
    return now, tuple(remarks)


def _record(kept: Kept, gate: Gate, again: Again, circumstances: Circumstances, actor: str) -> DecisionRecord:
    """That of a dry run: it moved nothing, and no approval can be of it."""
    record = kept.record
    evaluators = [
        EvaluatorRecord(title=title, kind=one.kind, version=one.version, settings=dict(one.settings()))
        for title, one in gate.evaluators.items()
    ]
    paths = {name: source.path for name, source in gate.file.data.items()}
    datasets = {one.name: one for one in record.datasets}
    key = canonical_json({"replay of": record.digest(), "gate": gate.digest})
    return record.model_copy(
        update={
            "decision": again.decision.verdict,
            "sentence": again.decision.sentence,
            "awaits_approval": again.decision.awaits_approval,
            "rules": again.rules(),
            "measurements": again.measurements(),
            "models": tuple(one for one in record.models if circumstances.has_champion or one.role != "champion"),
            "review": review_record(circumstances.review),
            "approval_required": circumstances.approval_required,
            "identical": circumstances.identical,
            "datasets": tuple(
                datasets[name].model_copy(update={"file": path}) for name, path in paths.items() if name in datasets
            ),
            "evaluators": tuple(evaluators),
            "gate_file": GateFileRecord(digest=gate.digest, settings=gate.file.model_dump(mode="json")),
            "run": RunRecord(
                key=hashlib.sha256(key).hexdigest(),
                trigger=f"replay of {kept.name}",
                actor=actor,
                started_at=now_iso(),
                seconds={},
                software=software_here(),
                dry_run=True,
                tracking_uri=record.run.tracking_uri,
                asked={},
                stored={},
                gate_file=str(gate.path),
            ),
        }
    )


def _paired(then: Sequence[RuleRecord], now: Sequence[RuleRecord]) -> tuple[RuleChange, ...]:
    """In the order of the rules now, then those that are gone."""
    left = list(then)
    partners: dict[int, RuleRecord] = {}
    for alike in (_same_words, _same_subject):
        for at, rule in enumerate(now):
            found = next((one for one in left if at not in partners and alike(one) == alike(rule)), None)
            if found is not None:
                partners[at] = found
                left.remove(found)
    return (
        *(RuleChange(partners.get(at), rule) for at, rule in enumerate(now)),
        *(RuleChange(one, None) for one in left),
    )


def _same_words(rule: RuleRecord) -> object:
    return rule.text, rule.severity


def _same_subject(rule: RuleRecord) -> object:
    return rule.metric, [rule.settings.get(name) for name in ("slice", "slices", "against")]
