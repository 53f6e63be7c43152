"""What a review counts for, without Prefect: walks that are given one, and the form that it comes from."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from workshop import MODEL, OPEN, PASSES, Workshop

from finetune_gate.evaluators.errors import EvaluationError
from finetune_gate.flows.reviewing import ReviewForm, SoFar, Wait, continued, read_form
from finetune_gate.gate.deciding import Review
from finetune_gate.gate.run import GateRequest, GateResult, walk
from finetune_gate.gate.run.seen import Seen

APPROVED, BLOCKED = (Review(verdict, "ana", "a formality") for verdict in ("approve", "block"))


def gated(workshop: Workshop, extra: str = "", review: Review | None = None, seen: Seen | None = None) -> GateResult:
    gate = workshop.gate(PASSES, OPEN, extra=f"review: {{wait: hold}}\n{extra}")
    here = {"tracking_uri": workshop.uri, "out": workshop.folder / "out", "home": workshop.folder / "home"}
    return walk(GateRequest(gate, "2", review=review, seen=seen, **here))


def test_an_approval_counts_for_what_was_seen(workshop: Workshop) -> None:
    held = gated(workshop)
    assert held.record.decision == "hold"
    approved = gated(workshop, review=APPROVED, seen=held.seen)
    assert (approved.record.decision, workshop.champion()) == ("promote", "2")
    assert (approved.record.run.asked, approved.seen.changed(held.seen)) == ({"candidate": 0, "base": 0}, ())
    run = workshop.client().get_run(approved.address.split("/")[1])
    assert run.data.tags["finetune_gate.review"] == "approve by ana"


def test_an_approval_of_something_else_is_none_and_a_block_is_one_still(workshop: Workshop) -> None:
    held = gated(workshop)
    with (workshop.folder / "holdout.jsonl").open("a") as holdout:
        holdout.write(json.dumps({"id": "late", "text": "One more", "label": "parcel", "category": "a"}) + "\n")
    again = gated(workshop, review=APPROVED, seen=held.seen)
    assert (again.record.decision, again.record.review, workshop.champion()) == ("hold", None, None)
    assert held.seen.changed(again.seen) == ("dataset holdout", "scores")
    blocked = gated(workshop, review=BLOCKED, seen=held.seen).record
    assert (blocked.decision, blocked.review and blocked.review.verdict) == ("block", "block")


@pytest.mark.parametrize("champion", ['champion: "@champion"', "champion: null"])
def test_a_champion_that_came_between_hold_and_review_is_not_replaced(workshop: Workshop, champion: str) -> None:
    held = gated(workshop, champion)
    workshop.client().set_registered_model_alias(MODEL, "champion", "1")
    again = gated(workshop, champion, APPROVED, held.seen)
    assert (again.record.decision, again.record.review, workshop.champion()) == ("hold", None, "1")
    assert "alias champion" in held.seen.changed(again.seen)


@pytest.mark.parametrize("champion", ['champion: "@champion"', "champion: null"])
def test_an_approved_run_that_was_cut_off_after_the_move_decides_the_same_again(
    workshop: Workshop, champion: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = gated(workshop, champion)

    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("finetune_gate.gate.run.steps.render_html", full)
    with pytest.raises(EvaluationError, match="promote was decided and acted on"):
        gated(workshop, champion, APPROVED, held.seen)
    monkeypatch.undo()
    again = gated(workshop, champion, APPROVED, held.seen).record
    assert (again.decision, again.run.action and again.run.action.outcome) == ("promote", "already_there")


def test_a_waiver_that_ran_out_meanwhile_was_not_approved() -> None:
    then, now = Seen({"waivers in force": "1", "scores": "5f"}), Seen({"waivers in force": "none", "scores": "5f"})
    assert then.changed(now) == ("waivers in force",)
    assert then.changed(Seen({"scores": "5f"})) == ("waivers in force",)


@pytest.mark.parametrize(
    ("typed", "fault"),
    [
        (None, "form: "),
        ("approve", "form: "),
        ({}, "verdict: "),
        ({"verdict": "approve", "reviewer": "ana"}, "reason: "),
        ({"verdict": "promote", "reviewer": "ana", "reason": "x"}, "verdict: "),
        ({"verdict": "approve", "reviewer": " \t\n", "reason": "x"}, "reviewer: "),
        ({"verdict": "approve", "reviewer": "\u200b", "reason": "x"}, "reviewer: there is no letter or digit in it"),
        ({"verdict": "approve", "reviewer": "ana", "reason": "..."}, "reason: there is no letter or digit in it"),
        ({"verdict": "approve", "reviewer": "ana", "reason": "x" * 301}, "reason: "),
        ({"verdict": "approve", "reviewer": "ana", "reason": "x", "until": "2099-01-01"}, "until: "),
    ],
)
def test_what_is_no_review_is_told_so(typed: object, fault: str) -> None:
    said = read_form(typed)
    assert isinstance(said, str)
    assert said.startswith(fault)


def test_a_form_is_taken_as_it_was_typed() -> None:
    said = read_form({"verdict": "look again", "reviewer": " Жанна  Ü. ", "reason": "first\nsecond"})
    assert said == ReviewForm(verdict="look again", reviewer="Жанна Ü.", reason="first second")


def test_a_run_goes_on_with_the_version_it_began_with(workshop: Workshop) -> None:
    request = GateRequest(workshop.folder / "gate.yaml", "latest", base="models:/tiny-base@prod")
    assert continued(request, SoFar()) is request
    wait = Wait(candidate="2", base="models:/tiny-base/1", until=datetime.now(UTC), seen={"scores": "5f"})
    for said in (None, "reviewer: there is no letter or digit in it"):
        going_on = continued(request, SoFar(1, wait, said))
        assert (going_on.candidate, going_on.base, going_on.review) == ("2", "models:/tiny-base/1", None)
    form = ReviewForm(verdict="look again", reviewer="ana", reason="rated")
    assert continued(request, SoFar(1, wait, form)).review is None
    approved = continued(request, SoFar(1, wait, form.model_copy(update={"verdict": "approve"})))
    assert approved.review == Review("approve", "ana", "rated")
    assert approved.seen == Seen({"scores": "5f"})
