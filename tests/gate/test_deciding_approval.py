"""Where promotion waits for a person: every combination of what is measured, what is required and what was said."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import pytest

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.measurement import Measured, Measurement
from finetune_gate.evaluators.statistics import Estimate, Interval
from finetune_gate.gate.deciding import Circumstances, Decision, Review, decide
from finetune_gate.gate.gate_file import Rule

TODAY = date(2026, 6, 1)
Came = Literal["passed", "inconclusive", "failed", "unmeasured", "waived"]
Said = Literal["approve", "block"]
EVERY_OUTCOME: Sequence[Came] = ("passed", "inconclusive", "failed", "unmeasured", "waived")
MOVED = "alias champion points to version 5"


def measured(low: float, high: float) -> Measurement:
    value: Measured = Estimate((low + high) / 2, Interval(low, high), 200, 200, "t", (high - low) / 3.3)
    return Measurement("c.accuracy", True, "", 0.95, 200, {"candidate": 200}, value, {})


MEASURED: dict[Came, Measurement | None] = {
    "passed": measured(0.8, 0.9),
    "inconclusive": measured(0.7, 0.9),
    "failed": measured(0.1, 0.2),
    "unmeasured": None,
    "waived": measured(0.1, 0.2),
}
WAIVER = {"owner": "ben", "reason": "known gap", "expires": "2026-06-01"}


def rule(came: Came, severity: str = "block") -> Rule:
    settings: dict[str, Any] = {"metric": "c.accuracy", "min": 0.75, "severity": severity}
    return Rule.model_validate(settings | ({"waiver": WAIVER} if came == "waived" else {}))


@dataclass(frozen=True)
class Case:
    rules: tuple[Came, ...]
    required: bool
    said: Said | None
    waives: bool
    identical: bool = False
    moved: bool = False
    has_champion: bool = True

    def decided(self) -> Decision:
        return decide(
            [rule(came) for came in self.rules],
            {i: one for i, came in enumerate(self.rules) if (one := MEASURED[came]) is not None},
            Circumstances(
                has_champion=self.has_champion,
                identical=("champion",) if self.identical else (),
                today=TODAY,
                champion_moved=MOVED if self.moved else None,
                review=Review(self.said, "ana", "typos only") if self.said else None,
                review_waives=self.waives,
                approval_required=self.required,
            ),
        )

    def expected(self) -> tuple[str, bool]:
        """Verdict and whether an approval is awaited, worked out another way than by `decide`."""
        if "failed" in self.rules or self.said == "block":
            return "block", False
        approved = self.said == "approve"
        settled = all(came in ("passed", "waived") for came in self.rules) or (approved and self.waives)
        may = settled and "passed" in self.rules and not self.identical and not self.moved
        if may and (approved or not self.required):
            return "promote", False
        return "hold", may


EVERY = [
    Case(rules, *circumstances)
    for size in (0, 1, 2, 3)
    for rules in itertools.combinations_with_replacement(EVERY_OUTCOME, size)
    for circumstances in itertools.product(
        (False, True), (None, "approve", "block"), (False, True), (False, True), (False, True)
    )
]


def test_every_combination_promotes_only_where_it_must() -> None:
    assert len(EVERY) == (1 + 5 + 15 + 35) * 48
    for case in EVERY:
        decision = case.decided()
        assert (decision.verdict, decision.awaits_approval) == case.expected(), case


def test_what_is_required_only_ever_holds_what_would_be_promoted() -> None:
    for case in EVERY:
        if case.required:
            free, bound = Case(case.rules, False, *_rest(case)).decided(), case.decided()
            assert (free.verdict == "promote" and bound.verdict == "hold") == bound.awaits_approval, case
            assert bound.awaits_approval or bound.verdict == free.verdict, case
            assert [one.outcome for one in bound.results] == [one.outcome for one in free.results]


def _rest(case: Case) -> tuple[Said | None, bool, bool, bool]:
    return case.said, case.waives, case.identical, case.moved


def test_an_approval_waives_nothing_unless_the_gate_file_has_reviews_waive() -> None:
    for came in ("inconclusive", "unmeasured"):
        strict = Case(("passed", came), True, "approve", waives=False).decided()
        assert (strict.verdict, [one.outcome for one in strict.results]) == ("hold", ["passed", came])
        waived = Case(("passed", came), True, "approve", waives=True).decided()
        assert (waived.verdict, [one.outcome for one in waived.results]) == ("promote", ["passed", "waived"])


def test_by_default_nothing_is_required_and_no_review_waives() -> None:
    usual = Circumstances(has_champion=True, identical=(), today=TODAY)
    assert (usual.approval_required, usual.review_waives) == (False, False)


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        (
            Case(("passed",) * 5, True, None, False),
            "Hold: 5 of 5 blocking rules passed; promotion waits for a person's approval.",
        ),
        (
            Case(("passed", "waived"), True, None, False, has_champion=False),
            "Hold: 1 of 2 blocking rules passed; 1 waived; first model, judged against its base alone; "
            "promotion waits for a person's approval.",
        ),
        (
            Case(("passed",) * 5, True, "approve", False),
            "Promote: 5 of 5 blocking rules passed; approved by ana in review: typos only.",
        ),
        (Case(("passed",), True, "block", False), "Block: ana decided so in review: typos only."),
        (
            Case(("passed",), True, "approve", False, moved=True),
            f"Hold: every blocking rule passed, but meanwhile {MOVED}; gate it again.",
        ),
    ],
)
def test_the_sentence_says_what_is_waited_for_and_who_approved(case: Case, sentence: str) -> None:
    assert case.decided().sentence == sentence


def test_a_warning_is_said_and_is_not_in_the_way() -> None:
    circumstances = Circumstances(has_champion=True, identical=(), today=TODAY, approval_required=True)
    good, bad = MEASURED["passed"], MEASURED["failed"]
    assert good is not None
    assert bad is not None
    decision = decide([rule("passed"), rule("failed", "warn")], {0: good, 1: bad}, circumstances)
    assert decision.awaits_approval
    assert decision.sentence == (
        "Hold: 1 of 1 blocking rules passed; 1 warning; promotion waits for a person's approval."
    )


def test_no_measurement_at_all_waits_for_nobody() -> None:
    absent = Measurement("c.accuracy", True, "", 0.95, 200, {}, Unmeasured("the judge crashed"), {})
    circumstances = Circumstances(has_champion=True, identical=(), today=TODAY, approval_required=True)
    assert not decide([rule("passed")], {0: absent}, circumstances).awaits_approval
    assert not decide([], {}, circumstances).awaits_approval
