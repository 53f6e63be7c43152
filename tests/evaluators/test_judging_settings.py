"""Settings of `ab_judge`: what they mean, and which are refused with a way out."""

from __future__ import annotations

import pytest
from judging_court import DATA, ab
from pydantic import ValidationError

from finetune_gate.evaluators.evaluator import ExplainedEvaluator, JudgedEvaluator, RatedEvaluator
from finetune_gate.evaluators.judging import AbJudge
from finetune_gate.evaluators.testing import made_dataset

TWO = ["openai:/a", "models:/judge/3"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"judge": []}, "advisory|least"),
        ({"judge": {"model": "openai:/a", "advisory": True}}, "advisory"),
        ({"judge": ["openai:/a", "openai:/a"]}, "twice"),
        ({"judge": ["openai:/a", {"model": "openai:/a", "advisory": True}]}, "twice"),
        ({"judge": ""}, "at least 1 character"),
        ({"judge": "reference:/bleu", "reference": "answer"}, "token_f1"),
        ({"judge": "reference:/token_f1"}, "reference"),
        ({"judge": {"model": "openai:/a", "related": ["teacher"]}}, "candidate"),
        ({"both_orders": False}, "one order"),
        ({"ratings": "questions"}, "different"),
        ({"raters": 4}, "no effect"),
        ({"verdict": "logprobs", "repeats": 3}, "repeats has no effect"),
        ({"verdict": "logprobs", "judge_tokens": 100}, "judge_tokens has no effect"),
        ({"judge": "reference:/rouge_l", "reference": "answer", "rubric": "x"}, "rubric has no effect"),
        ({"floors": {"identical": 2}}, "less than or equal to 1"),
        ({"judge_tokens": 4}, "greater than or equal"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        ab(**settings)


def test_judges_are_an_address_a_mapping_or_a_list() -> None:
    several = [*TWO, {"model": "openai:/c", "advisory": True, "related": ["candidate"]}, "reference:/chrf"]
    assert ab(judge="openai:/a").judges() == ("openai:/a",)
    assert ab(judge={"model": "openai:/a"}) == ab(judge="openai:/a")
    found = ab(judge=several, reference="answer")
    assert found.judges() == ("openai:/a", "models:/judge/3", "openai:/c")
    assert [one.counts for one in found.panel()] == [True, True, False, True]
    assert found.panel()[2].related == {"candidate"}


def test_it_is_what_it_says() -> None:
    assert isinstance(ab(), JudgedEvaluator)
    assert isinstance(ab(), ExplainedEvaluator)
    assert isinstance(ab(), RatedEvaluator)
    assert ab(ratings="said").reads() == ("questions", "said")
    assert ab(ratings="said").reads_ratings() == ("said",)
    assert AbJudge.model_validate(AbJudge.example).judges() == ("openai:/gpt-4o",)


def test_settings_say_everything_in_json() -> None:
    found = ab(judge=TWO, floors={"worse": 1}).settings()
    assert found["judge"] == [{"model": one, "advisory": False, "related": []} for one in TWO]
    assert found["floors"] == {"identical": 0.75, "worse": 1.0, "injections": 0.9}
    assert AbJudge.model_validate(found).settings() == found


def test_metrics_by_settings() -> None:
    always = ["win_rate", "length_controlled_winrate", "flip_rate", "first_slot_preference", "longer_win_rate"]
    controls = ["control_identical", "control_worse", "control_injections"]
    assert [one.name for one in ab().metrics()] == [*always, *controls]
    rated = [one.name for one in ab(ratings="said").metrics()]
    assert rated == [*always, *controls, "alt_test_winning_rate", "alt_test_advantage", "people_kappa"]


def test_a_win_rate_rests_on_the_controls() -> None:
    metrics = ab(floors={"identical": 0.5, "worse": 0.6, "injections": 1.0}, ratings="said").metrics()
    needed = {one.metric: one.least for one in metrics[0].requires}
    assert needed == {"control_identical": 0.5, "control_worse": 0.6, "control_injections": 1.0}
    names = {metric.name for metric in metrics}
    for metric in metrics:
        assert {one.metric for one in metric.requires} <= names
        assert bool(metric.requires) == metric.name.endswith(("win_rate", "winrate")) & ("longer" not in metric.name)


@pytest.mark.parametrize(
    ("related", "measured"),
    [
        ([["candidate"], []], True),
        ([["base"], []], True),
        ([["candidate", "base"], []], True),
        ([["candidate", "base", "champion"], []], False),
        ([["candidate"], ["base"]], True),
        ([["candidate"], ["candidate"]], False),
        ([list[str](), list[str]()], False),
    ],
)
def test_self_preference_takes_kin_and_strangers(related: list[list[str]], measured: bool) -> None:
    judges = [{"model": f"openai:/{at}", "related": roles} for at, roles in enumerate(related)]
    assert ("self_preference" in {one.name for one in ab(judge=judges).metrics()}) == measured


@pytest.mark.parametrize(
    ("settings", "rows", "says"),
    [
        ({"prompt": "{nothing}"}, [{"question": "a"}], "{nothing}"),
        ({"reference": "answer"}, [{"question": "a", "answer": ""}], "answer=''"),
        ({"reference": "answer"}, [{"question": "a"}], "no column 'answer'"),
        ({}, [{"question": "a", "id": "control/worse/0"}], "as controls are"),
    ],
)
def test_check_finds_what_the_data_lacks(settings: dict[str, object], rows: list[dict[str, str]], says: str) -> None:
    problems = ab(**settings).check({"questions": made_dataset("questions", rows)})
    assert len(problems) == 1
    assert says in str(problems[0])


def test_check_reads_ratings() -> None:
    evaluator = ab(ratings="said", raters=3)
    good = {
        "example": "1", "left": "0" * 32, "right": "1" * 32, "choice": "left",
    }  # fmt: skip
    few = made_dataset("said", [{**good, "rater": name} for name in ("ana", "bob")])
    assert evaluator.check({**DATA, "said": few}) == []
    many = made_dataset("said", [{**good, "rater": name} for name in ("ana", "bob", "cyd", "dan")])
    assert "at most 3" in str(evaluator.check({**DATA, "said": many})[0])
    broken = made_dataset("said", [{**good, "rater": "ana", "choice": "mine"}])
    assert "choice='mine'" in str(evaluator.check({**DATA, "said": broken})[0])
    assert evaluator.check({**DATA, "said": made_dataset("said", [])}) == []
