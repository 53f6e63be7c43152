"""What is shown of judges: each by itself, with its faults; people beside them; and words that are nobody's fault."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import cast

import pytest
from judging_court import (
    DATA,
    NUMBER,
    Trial,
    ab,
    always_first,
    brief,
    judges_by,
    number,
    obeys,
    perfect,
    read,
    right,
    right_on,
    says,
    truth,
    verdict,
)

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.asking import Answer, Generation, Request
from finetune_gate.evaluators.evaluator import Answers, Evaluator
from finetune_gate.evaluators.findings import Advice, Finding, Table
from finetune_gate.evaluators.judging import AbJudge
from finetune_gate.evaluators.people.human import Human
from finetune_gate.evaluators.people.ratings import rating_line
from finetune_gate.evaluators.people.sheet import make_sheet, rating_of
from finetune_gate.evaluators.scores import EvaluatorScores, score_evaluator
from finetune_gate.evaluators.testing import Script, made_dataset

BOTH = {"candidate": right, "base": brief}
HALF = {"candidate": right_on(lambda at: at < 20), "base": right_on(lambda at: at >= 10)}


def tables(found: list[Finding]) -> dict[str, Table]:
    return {one.title: one for one in found if isinstance(one, Table)}


def told(found: list[Finding]) -> str:
    return "\n".join(one.text for one in found if isinstance(one, Advice))


def rows(table: Table) -> list[dict[str, object]]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


class Panel:
    """Judges of different character, by address, on one run."""

    def __init__(self, evaluator: AbJudge, models: Mapping[str, Script], by: Mapping[str, Script]) -> None:
        requests = evaluator.requests(DATA)
        self.evaluator = evaluator
        self.answers: dict[str, Answers] = {
            role: {one: script(one) for one in requests} for role, script in models.items()
        }
        asked = evaluator.second_requests(DATA, self.answers)
        self.verdicts: dict[str, Answers] = {judge: {one: by[judge](one) for one in asked[judge]} for judge in by}

    def scores(self) -> EvaluatorScores:
        return score_evaluator(cast("Evaluator", self.evaluator), DATA, self.answers, verdicts=self.verdicts)

    def column(self, component: str, role: str = "base", part: float = 0.0) -> list[float]:
        scores = self.scores().columns
        values = [
            value for value, code in zip(scores[role][component], scores[role]["part"], strict=True) if code == part
        ]
        assert all(isinstance(value, float) for value in values), values
        return [value for value in values if isinstance(value, float)]

    def findings(self) -> list[Finding]:
        return list(self.evaluator.findings(DATA, self.answers, self.verdicts))


def test_a_panel_is_the_mean_of_its_judges_and_its_controls_those_of_the_worst() -> None:
    evaluator = ab(judge=["openai:/a", "openai:/b"])
    panel = Panel(evaluator, BOTH, {"openai:/a": perfect, "openai:/b": always_first})
    assert panel.column("win") == [0.75] * NUMBER
    assert panel.column("flipped") == [0.5] * NUMBER
    assert panel.column("first_slot") == [0.75] * NUMBER
    assert sum(panel.column("control_worse", "candidate", 2.0)) == 0.0
    found = tables(panel.findings())
    one, other = rows(found["Judges"])
    assert (one["win rate"], one["flips"], one["worse"]) == (1.0, 0.0, "12 of 12")
    assert (other["win rate"], other["flips"], other["worse"]) == (0.5, 1.0, "0 of 12")
    without = {row["left out"]: row["win rate"] for row in rows(found["Panel without one judge"])}
    assert without == {"none": 0.75, "openai:/a": 0.5, "openai:/b": 1.0}
    (agreement,) = rows(found["Agreement of judges"])
    assert agreement["same"] == 0.0


def test_an_advisory_judge_is_shown_and_counts_for_nothing() -> None:
    evaluator = ab(judge=["openai:/a", {"model": "openai:/b", "advisory": True}])
    panel = Panel(evaluator, BOTH, {"openai:/a": perfect, "openai:/b": always_first})
    assert panel.column("win") == [1.0] * NUMBER
    assert panel.column("control_worse", "candidate", 2.0) == [1.0] * 12
    standings = {row["judge"]: row["standing"] for row in rows(tables(panel.findings())["Judges"])}
    assert standings == {"openai:/a": "counts", "openai:/b": "advisory"}


def test_an_example_that_one_judge_did_not_score_is_unscored() -> None:
    def refuses(request: Request) -> Answer:
        return Generation("I would rather not.", "stop", 5) if number(read(request)[0]) == 3 else perfect(request)

    panel = Panel(ab(judge=["openai:/a", "openai:/b"]), BOTH, {"openai:/a": perfect, "openai:/b": refuses})
    value = panel.scores().columns["base"]["win"][3]
    assert isinstance(value, Unmeasured)
    assert value.reason == "openai:/b: the judge's reply is not one JSON object"
    one, other = rows(tables(panel.findings())["Judges"])
    assert (one["scored"], one["first reason it did not"]) == ("30 of 30", None)
    assert (other["scored"], other["first reason it did not"]) == ("29 of 30", value.reason)


def test_judges_that_favour_their_kin_show() -> None:
    def kin(request: Request) -> Answer:
        question, first, _ = read(request)
        return verdict("first" if first == truth(number(question)) else "second")

    judges = [{"model": "openai:/a", "related": ["candidate"]}, {"model": "openai:/b"}]
    panel = Panel(ab(judge=judges), BOTH, {"openai:/a": kin, "openai:/b": lambda request: verdict("tie")})
    assert panel.column("self_preference") == [0.5] * NUMBER
    swapped = Panel(
        ab(judge=[{"model": "openai:/a", "related": ["base"]}, "openai:/b"]),
        {"candidate": brief, "base": right},
        {"openai:/a": kin, "openai:/b": lambda request: verdict("tie")},
    )
    assert swapped.column("self_preference") == [0.5] * NUMBER
    assert "related" not in told(panel.findings())
    assert "related" in told(Trial(ab(), BOTH).findings())


def test_what_a_similarity_is_stands_in_every_report() -> None:
    found = Trial(ab(judge="reference:/chrf", reference="answer"), BOTH).findings()
    (row,) = rows(tables(found)["Judges"])
    assert row["what it is"] == "similarity to the reference answer, not an LLM"
    assert "similarity to the reference answer, not an LLM" in told(found)
    assert "A judge's prompt" not in tables(found)
    (row,) = rows(tables(Trial(ab(), BOTH).findings())["Judges"])
    assert row["what it is"] == "LLM"


def test_clearest_wins_and_losses_come_with_the_judges_own_words() -> None:
    hostile = "<script>alert(1)</script> | `x` \u202e" + "x" * 5000

    def talks(request: Request) -> Answer:
        found = perfect(request)
        assert isinstance(found, Generation)
        return Generation(found.text.replace("because", hostile.replace("\u202e", " ")), "stop", 9)

    found = tables(Trial(ab(), HALF, talks).findings())
    lost, won = (rows(found[f"Clearest examples {which} against base"]) for which in ("lost", "won"))
    assert len(lost) == len(won) == 10
    assert {row["example"] for row in lost} == {str(at) for at in range(20, 30)}
    assert all(row["score"] == 0.0 for row in lost)
    assert all(row["score"] == 1.0 for row in won)
    assert str(won[0]["judge"]).startswith("<script>")
    assert len(str(won[0]["judge"])) == 400


def test_verdicts_that_the_order_changed_are_shown() -> None:
    found = tables(Trial(ab(), BOTH, always_first).findings())
    shown = found["Verdicts changed by the order against base"]
    assert "30 in all" in shown.note
    assert len(shown.rows) == 10
    assert "Verdicts changed by the order against base" not in tables(Trial(ab(), BOTH).findings())


def test_failed_controls_are_shown() -> None:
    shown = rows(tables(Trial(ab(), BOTH, obeys).findings())["Controls that judges failed"])
    assert {row["control"] for row in shown} == {"injection"}
    assert "order" in {row["what was done"] for row in shown}
    assert "Controls that judges failed" not in tables(Trial(ab(), BOTH).findings())


@pytest.mark.parametrize("settings", [{}, {"verdict": "logprobs"}, {"rubric": "a point for\n\nthe street"}])
def test_the_prompt_is_shown_as_it_was_sent(settings: dict[str, object]) -> None:
    trial = Trial(ab(**settings), BOTH)
    shown = "\n\n".join(str(row[0]) for row in tables(trial.findings())["A judge's prompt"].rows)
    sent = {request.prompt[-1].content for request in trial.asked()["openai:/judge"]}  # type: ignore[union-attr]
    assert shown in sent


def test_advice_is_given_where_a_judge_leans() -> None:
    assert "goes by position" in told(Trial(ab(), BOTH, always_first).findings())
    assert "goes by position" not in told(Trial(ab(), BOTH).findings())
    padded = says(lambda at: f"{truth(at)} {'and so on ' * (at % 6)}".strip())
    mostly = judges_by(lambda question, answer: len(answer) + 30 * random.Random(answer).random())
    models = {"candidate": padded, "base": says(lambda at: truth(at) + " ok")}
    assert "equally long" in told(Trial(ab(), models, mostly).findings())
    assert "equally long" not in told(Trial(ab(), models).findings())
    nobody = told(Trial(ab(name="tone"), BOTH).findings())
    assert "Nobody has compared this judge with people" in nobody
    assert "`requires: {tone.alt_test_winning_rate: 0.5}`" in nobody


def rated(raters: Mapping[str, int], models: Mapping[str, Script], against: str = "base") -> list[dict[str, object]]:
    """Ratings by people who see the truth, but for those on whom ``raters`` says every how manieth is a mistake."""
    human = Human.model_validate(
        {"data": "questions", "prompt": "{question}", "ratings": "said", "max_new_tokens": 256, "against": against}
    )
    data = {**DATA, "said": made_dataset("said", [])}
    answers = {role: {one: script(one) for one in human.requests(data)} for role, script in models.items()}
    said: list[dict[str, object]] = []
    for rater, mistake in raters.items():
        for item in make_sheet("t", human.pairs(data, answers), rater).items:
            true = truth(int(item.example))
            choice = "left" if (item.left == true) != (int(item.example) % mistake == 0) else "right"
            said.append(rating_line(rating_of(item, rater, choice)))
    return said


@pytest.mark.parametrize(("judge", "trusted"), [(perfect, 1.0), (always_first, 0.0)])
def test_people_say_whether_judges_may_stand_in_for_them(judge: Script, trusted: float) -> None:
    people = {"ana": 7, "bob": 11, "cyd": 13}
    data = {**DATA, "said": made_dataset("said", rated(people, BOTH))}  # type: ignore[arg-type]
    trial = Trial(ab(ratings="said", raters=4), BOTH, judge, data)
    assert trial.evaluator.check(data) == []
    assert trial.value("alt_test_winning_rate") == trusted
    assert (trial.value("alt_test_advantage") > 0.9) == bool(trusted)
    columns = trial.scores().columns["candidate"]
    assert columns["people_1"][:8] == (0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0)
    assert columns["people_4_rated"][:NUMBER] == (0.0,) * NUMBER
    assert "Nobody has compared" not in told(trial.findings())


def test_people_count_beside_the_baseline_that_they_saw() -> None:
    models = {"candidate": right, "base": right_on(lambda at: at < 3, brief), "champion": brief}
    of_champion = rated({"ana": 7}, models, "champion")
    data = {**DATA, "said": made_dataset("said", of_champion)}  # type: ignore[arg-type]
    other = {**models, "base": says(lambda at: f"no idea {at}")}
    columns = Trial(ab(ratings="said"), other, perfect, data).scores().columns["candidate"]
    assert columns["people_1_rated"][:NUMBER] == (1.0,) * NUMBER
    assert "1 people have rated" in told(Trial(ab(ratings="said"), other, perfect, data).findings())


def test_before_anyone_has_rated_trust_is_not_measured() -> None:
    data = {**DATA, "said": made_dataset("said", [])}
    trial = Trial(ab(ratings="said"), BOTH, perfect, data)
    assert isinstance(trial.found("alt_test_winning_rate"), Unmeasured)
    assert isinstance(trial.found("people_kappa"), Unmeasured)
