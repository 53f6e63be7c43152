"""Settings of `rubric_judge`: what they mean, and which are refused with a way out."""

from __future__ import annotations

import pytest
from judging_court import DATA
from pydantic import ValidationError
from rubric_court import by_rubric

from finetune_gate.evaluators.evaluator import ExplainedEvaluator, JudgedEvaluator, RatedEvaluator
from finetune_gate.evaluators.judging import AbJudge, RubricJudge
from finetune_gate.evaluators.testing import made_dataset

BESIDE_PEOPLE = {"ratings": "said", "criterion": "accuracy"}
RATING = {"example": "1", "left": "0" * 32, "right": "1" * 32, "choice": "left", "rater": "ana"}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"rubric": None}, "nothing to score by"),
        ({"judge": {"model": "openai:/a", "advisory": True}}, "advisory"),
        ({"judge": ["openai:/a", "openai:/a"]}, "twice"),
        ({"judge": "reference:/chrf", "reference": "answer"}, "no score by one.*text_match"),
        ({"judge": ["openai:/a", {"model": "reference:/chrf", "advisory": True}]}, "reads no rubric"),
        ({"ratings": "said"}, "criterion: accuracy"),
        ({"ratings": "questions", "criterion": "accuracy"}, "different"),
        ({"criterion": "accuracy"}, "criterion has no effect"),
        ({"raters": 4}, "raters has no effect"),
        ({"verdict": "logprobs", "repeats": 3}, "repeats has no effect"),
        ({"verdict": "logprobs", "temperature": 1.0}, "temperature has no effect"),
        ({"floors": {"identical": 0.5}}, "Extra inputs"),
        ({"floors": {"worse": 2}}, "less than or equal to 1"),
        ({"both_orders": True}, "Extra inputs"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        by_rubric(**settings)


def test_it_is_what_it_says() -> None:
    evaluator = by_rubric()
    assert isinstance(evaluator, JudgedEvaluator)
    assert isinstance(evaluator, ExplainedEvaluator)
    assert isinstance(evaluator, RatedEvaluator)
    assert by_rubric(**BESIDE_PEOPLE).reads() == ("questions", "said")
    assert by_rubric(**BESIDE_PEOPLE).reads_ratings() == ("said",)
    assert RubricJudge.model_validate(RubricJudge.example).judges() == ("openai:/gpt-4o",)


def test_settings_say_everything_in_json() -> None:
    found = by_rubric(judge=["openai:/a", {"model": "models:/judge/3", "related": ["base"]}]).settings()
    assert found["floors"] == {"worse": 0.75, "injections": 0.9}
    assert RubricJudge.model_validate(found).settings() == found


def test_both_kinds_of_judging_have_their_settings_in_common() -> None:
    mine, theirs = set(RubricJudge.model_fields), set(AbJudge.model_fields)
    assert mine - theirs == {"criterion"}
    assert theirs - mine == {"both_orders"}


def test_metrics_by_settings() -> None:
    always = ["score", "control_worse", "control_injections"]
    people = ["alt_test_winning_rate", "alt_test_advantage", "people_kappa", "people_spearman"]
    assert [one.name for one in by_rubric().metrics()] == always
    assert [one.name for one in by_rubric(**BESIDE_PEOPLE).metrics()] == [*always, *people]
    subjects = [one.subject for one in by_rubric(**BESIDE_PEOPLE).metrics()]
    assert subjects == ["model", *["run"] * 6]


def test_a_score_rests_on_the_controls() -> None:
    score, *others = by_rubric(floors={"worse": 0.6, "injections": 1.0}).metrics()
    assert {one.metric: one.least for one in score.requires} == {"control_worse": 0.6, "control_injections": 1.0}
    assert (score.low, score.high, score.min_coverage) == (1.0, 5.0, 0.95)
    assert not any(one.requires for one in others)


@pytest.mark.parametrize(
    ("settings", "rows", "says"),
    [
        ({"prompt": "{nothing}"}, [{"question": "a"}], "{nothing}"),
        ({"reference": "answer"}, [{"question": "a"}], "no column 'answer'"),
        ({}, [{"question": "a", "id": "control/worse/0"}], "as controls are"),
        (BESIDE_PEOPLE, [{"question": "a", "id": "people/base/0"}], "as texts that people scored are"),
    ],
)
def test_check_finds_what_the_data_lacks(settings: dict[str, object], rows: list[dict[str, str]], says: str) -> None:
    data = {"questions": made_dataset("questions", rows), "said": made_dataset("said", [])}
    problems = by_rubric(**settings).check(data)
    assert len(problems) == 1
    assert says in str(problems[0])


@pytest.mark.parametrize(
    ("ratings", "says"),
    [
        ([], None),
        ([{**RATING, "left_scores": {"accuracy": 4}}], None),
        ([{**RATING, "left_scores": {"tone": 4, "format": 2}}], "one of format, tone"),
        ([RATING], "not choices alone"),
        ([{**RATING, "left_scores": {"accuracy": 9}}, {**RATING, "right_scores": {"accuracy": 2}}], "accuracy=9"),
        ([{**RATING, "left_scores": {"accuracy": 3}, "rater": name} for name in ("a", "b", "c", "d")], "at most 3"),
    ],
)
def test_check_reads_ratings(ratings: list[dict[str, object]], says: str | None) -> None:
    data = {**DATA, "said": made_dataset("said", ratings)}  # type: ignore[arg-type]
    problems = [str(one) for one in by_rubric(**BESIDE_PEOPLE, raters=3).check(data)]
    assert len(problems) == (says is not None)
    assert says is None or says in problems[0]
