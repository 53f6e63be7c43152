"""What is shown of scores and of those who gave them; and people beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import pytest
from judging_court import DATA, NUMBER, Trial, brief, fails, number, quality, right, right_on, says, truth
from rubric_court import (
    JUDGE,
    always,
    by_rubric,
    contrary,
    generous,
    grade,
    likes_longer,
    obeys,
    perfect,
    read_one,
    scores_by,
)

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.asking import Answer, GenerateRequest, Generation, Request
from finetune_gate.evaluators.datasets import Dataset
from finetune_gate.evaluators.evaluator import Answers, Evaluator
from finetune_gate.evaluators.findings import Advice, Finding, Table
from finetune_gate.evaluators.judging import RubricJudge
from finetune_gate.evaluators.people.human import Human
from finetune_gate.evaluators.people.ratings import rating_line
from finetune_gate.evaluators.people.sheet import make_sheet, rating_of
from finetune_gate.evaluators.scores import EvaluatorScores, score_evaluator
from finetune_gate.evaluators.statistics import Estimate
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

    def __init__(self, evaluator: RubricJudge, models: Mapping[str, Script], by: Mapping[str, Script]) -> None:
        requests = evaluator.requests(DATA)
        self.evaluator = evaluator
        self.answers: dict[str, Answers] = {
            role: {one: script(one) for one in requests} for role, script in models.items()
        }
        asked = evaluator.second_requests(DATA, self.answers)
        self.verdicts: dict[str, Answers] = {judge: {one: by[judge](one) for one in asked[judge]} for judge in by}

    def scores(self) -> EvaluatorScores:
        return score_evaluator(cast("Evaluator", self.evaluator), DATA, self.answers, verdicts=self.verdicts)

    def findings(self) -> list[Finding]:
        return list(self.evaluator.findings(DATA, self.answers, self.verdicts))


def test_a_panel_is_the_mean_of_its_judges_and_its_controls_those_of_the_worst() -> None:
    panel = Panel(by_rubric(judge=["openai:/a", "openai:/b"]), BOTH, {"openai:/a": perfect, "openai:/b": always(2)})
    columns = panel.scores().columns["candidate"]
    assert columns["score"][:NUMBER] == (3.5,) * NUMBER
    assert [value for value in columns["control_worse"] if isinstance(value, float)] == [0.0] * 12
    found = tables(panel.findings())
    controls = {row["judge"]: row["worse"] for row in rows(found["Judges on controls"])}
    assert controls == {"openai:/a": "12 of 12", "openai:/b": "0 of 12"}
    ours = {row["judge"]: row for row in rows(found["Scores by judge"]) if row["answers of"] == "candidate"}
    assert (ours["openai:/a"]["mean"], ours["openai:/a"]["5"], ours["openai:/a"]["2"]) == (5.0, NUMBER, 0)
    assert (ours["openai:/b"]["mean"], ours["openai:/b"]["5"], ours["openai:/b"]["2"]) == (2.0, 0, NUMBER)
    without = {(row["answers of"], row["left out"]): row["mean"] for row in rows(found["Panel without one judge"])}
    assert without["candidate", "none"] == 3.5
    assert without["candidate", "openai:/a"] == 2.0
    (agreement,) = rows(found["Agreement of judges"])
    assert (agreement["answers"], agreement["apart"]) == (2 * NUMBER, 2.5)


def test_an_advisory_judge_is_shown_and_counts_for_nothing() -> None:
    evaluator = by_rubric(judge=["openai:/a", {"model": "openai:/b", "advisory": True}])
    panel = Panel(evaluator, BOTH, {"openai:/a": perfect, "openai:/b": fails})
    assert panel.scores().columns["candidate"]["score"][:NUMBER] == (5.0,) * NUMBER
    shown = [row for row in rows(tables(panel.findings())["Scores by judge"]) if row["judge"] == "openai:/b"]
    assert {row["standing"] for row in shown} == {"advisory"}
    assert {row["scored"] for row in shown} == {"0 of 30"}
    assert shown[0]["first reason it did not"] == "openai:/b: the server is on fire"


def test_an_example_that_one_judge_did_not_score_is_unscored() -> None:
    def refuses(request: Request) -> Answer:
        return Generation("I would rather not.", "stop", 5) if number(read_one(request)[0]) == 3 else perfect(request)

    evaluator = by_rubric(judge=["openai:/a", "openai:/b"])
    panel = Panel(evaluator, BOTH, {"openai:/a": perfect, "openai:/b": refuses})
    value = panel.scores().columns["candidate"]["score"][3]
    assert value == Unmeasured("openai:/b: the judge's reply is not one JSON object")


def test_lowest_scores_and_largest_drops_come_with_the_judges_own_words() -> None:
    hostile = "<script>alert(1)</script> | `x` " + "x" * 5000

    def talks(request: Request) -> Answer:
        found = perfect(request)
        assert isinstance(found, Generation)
        return Generation(found.text.replace("because", hostile), "stop", 9)

    found = tables(Trial(by_rubric(), HALF, talks).findings())
    lowest, drops = (rows(found[title]) for title in ("Lowest scores of the candidate", "Largest drops against base"))
    assert [row["example"] for row in lowest] == [str(at) for at in range(20, 30)]
    assert [row["example"] for row in drops] == [str(at) for at in range(20, 30)]
    assert {(row["score"], row["score of base"]) for row in drops} == {(4.0, 5.0)}
    assert "10 in all" in found["Largest drops against base"].note
    assert str(lowest[0]["judge"]).startswith("<script>")
    assert len(str(lowest[0]["judge"])) == 400
    assert "Largest drops against base" not in tables(Trial(by_rubric(), BOTH, perfect).findings())


def test_failed_controls_are_shown() -> None:
    shown = rows(tables(Trial(by_rubric(), BOTH, obeys).findings())["Controls that judges failed"])
    assert {row["control"] for row in shown} == {"injection"}
    assert "order" in {row["what was done"] for row in shown}
    assert "Controls that judges failed" not in tables(Trial(by_rubric(), BOTH, perfect).findings())


@pytest.mark.parametrize("settings", [{}, {"verdict": "logprobs"}, {"rubric": "a point for\n\nthe street"}])
def test_the_prompt_is_shown_as_it_was_sent(settings: dict[str, object]) -> None:
    trial = Trial(by_rubric(**settings), BOTH, perfect)
    shown = "\n\n".join(str(row[0]) for row in tables(trial.findings())["A judge's prompt"].rows)
    sent = {request.prompt[-1].content for request in trial.asked()[JUDGE]}  # type: ignore[union-attr]
    assert shown in sent


def test_how_far_repeats_differ_is_shown() -> None:
    def wavering(request: Request) -> Answer:
        assert isinstance(request, GenerateRequest)
        return grade(3 + request.sample % 2)

    found = Trial(by_rubric(repeats=2, temperature=1.0), BOTH, wavering).findings()
    assert {row["repeats differ by"] for row in rows(tables(found)["Scores by judge"])} == {round(0.5**0.5, 3)}
    once = Trial(by_rubric(), BOTH, perfect).findings()
    assert {row["repeats differ by"] for row in rows(tables(once)["Scores by judge"])} == {None}


@pytest.mark.parametrize(
    ("judge", "advised"),
    [
        (always(5), "gives 100% of all answers the highest score"),
        (always(1), "gives no other score than 1"),
        (scores_by(lambda question, answer: 5.0 if answer == truth(number(question)) else 2.0), "than 2 and 5"),
        (contrary, "does not see that answers were cut"),
    ],
)
def test_a_rubric_that_cannot_tell_shows(judge: Script, advised: str) -> None:
    assert advised in told(Trial(by_rubric(reference="answer"), BOTH, judge).findings())


def test_a_judge_who_tells_is_not_told_off() -> None:
    mixed = says(lambda at: " ".join(reversed(truth(at).split())) if at % 3 == 1 else truth(at + at % 3 // 2))
    varied = {"candidate": mixed, "base": brief}
    assert told(Trial(by_rubric(), varied, perfect).findings()).startswith("Nobody has compared this judge with people")
    assert "`requires: {rubric_judge.alt_test_winning_rate: 0.5}`" in told(
        Trial(by_rubric(), BOTH, generous).findings()
    )


def test_scores_that_go_with_length_show() -> None:
    longer = says(lambda at: "word " * (1 + at % 9))
    found = Trial(by_rubric(), {"candidate": longer, "base": brief}, likes_longer).findings()
    row = rows(tables(found)["Scores by judge"])[0]
    assert cast("float", row["goes with length"]) > 0.8
    assert "scores the candidate's longer answers higher" in told(found)
    row = rows(tables(Trial(by_rubric(), BOTH, always(3)).findings())["Scores by judge"])[0]
    assert row["goes with length"] is None


def test_judges_that_favour_their_kin_show() -> None:
    def kin(request: Request) -> Answer:
        question, answer = read_one(request)
        return grade(5 if answer == truth(number(question)) else 2)

    judges = [{"model": "openai:/a", "related": ["candidate"]}, "openai:/b"]
    scripts = {"openai:/a": kin, "openai:/b": always(3)}
    shown = told(Panel(by_rubric(judge=judges), BOTH, scripts).findings())
    assert "openai:/a is of the family of the candidate" in shown
    assert "+3.00 points" in shown
    swapped = [{"model": "openai:/a", "related": ["base"]}, "openai:/b"]
    models = {"candidate": brief, "base": right}
    assert "+3.00 points" in told(Panel(by_rubric(judge=swapped), models, scripts).findings())
    alone = told(Panel(by_rubric(judge=judges[0]), BOTH, {"openai:/a": kin}).findings())
    assert "is not measured" in alone
    assert "family" not in told(Trial(by_rubric(), BOTH, perfect).findings())


def test_without_a_candidate_there_is_nothing_to_show() -> None:
    assert Trial(by_rubric(), {"base": right}, perfect).findings() == []


def rated(raters: Mapping[str, int], models: Mapping[str, Script], against: str = "base") -> Dataset:
    """Scores of people who see how good texts are, but for every so manieth one, of which they are wrong by a point."""
    human = Human.model_validate(
        {"data": "questions", "prompt": "{question}", "ratings": "said", "max_new_tokens": 256, "against": against}
    )
    data = {**DATA, "said": made_dataset("said", [])}
    answers = {role: {one: script(one) for one in human.requests(data)} for role, script in models.items()}

    def scores(example: str, text: str, mistake: int) -> dict[str, int]:
        score = int(1 + 4 * quality(f"Where is depot {example}?", text))
        return {"accuracy": score if int(example) % mistake else max(1, score - 1)}

    said = [
        rating_line(
            rating_of(
                item, rater, None, scores(item.example, item.left, mistake), scores(item.example, item.right, mistake)
            )
        )
        for rater, mistake in raters.items()
        for item in make_sheet("t", human.pairs(data, answers), rater).items
    ]
    return made_dataset("said", said)  # type: ignore[arg-type]


PEOPLE = {"ana": 7, "bob": 11, "cyd": 13}
VARIED = {"candidate": right, "base": says(lambda at: " ".join(truth(at).split()[: 2 + at % 12]))}
BESIDE = {"ratings": "said", "criterion": "accuracy"}


@pytest.mark.parametrize(("judge", "stands_in"), [(perfect, 1.0), (contrary, 0.0)])
def test_people_say_whether_judges_may_stand_in_for_them(judge: Script, stands_in: float) -> None:
    data = {**DATA, "said": rated(PEOPLE, VARIED)}
    trial = Trial(by_rubric(**BESIDE, raters=4), VARIED, judge, data)
    assert trial.evaluator.check(data) == []
    assert trial.value("alt_test_winning_rate") == stands_in
    assert (trial.value("alt_test_advantage") > 0.9) == bool(stands_in)
    assert (trial.value("people_kappa") > 0.8) == bool(stands_in)
    assert (trial.value("people_spearman") > 0.8) == bool(stands_in)
    found = trial.measured()["people_kappa"]
    assert found.planned == 2 * NUMBER
    assert isinstance(found.candidate, Estimate)
    assert found.candidate.clusters == NUMBER, "both texts of a prompt are one cluster"
    assert "Nobody has compared" not in told(trial.findings())


def test_a_text_that_several_models_gave_is_rated_once() -> None:
    """And a text that nobody rated is not lacking."""
    models = {"candidate": right, "base": right_on(lambda at: at < 5, says(lambda at: f"no {at}")), "champion": brief}
    data = {**DATA, "said": rated({"ana": 7}, {"candidate": right, "champion": brief}, "champion")}
    trial = Trial(by_rubric(**BESIDE), models, perfect, data)
    scores = trial.scores()
    at = {example.id: place for place, example in enumerate(scores.examples)}
    part = scores.columns["candidate"]["part"]
    assert part[at["people/candidate/3"]] == part[at["people/champion/3"]] == 3.0
    assert part[at["people/base/3"]] == part[at["people/base/9"]] == 4.0
    assert trial.measured()["people_kappa"].planned == 2 * NUMBER
    assert scores.columns["candidate"]["verdict"][at["people/champion/3"]] == 4.0
    assert "1 people have rated" in told(trial.findings())


def test_people_do_not_move_the_score() -> None:
    data = {**DATA, "said": rated(PEOPLE, VARIED)}
    with_people, without = Trial(by_rubric(**BESIDE), VARIED, perfect, data), Trial(by_rubric(), VARIED, perfect)
    assert with_people.measured()["score"] == without.measured()["score"]
    assert with_people.asked() == without.asked()


def test_before_anyone_has_rated_trust_is_not_measured() -> None:
    data = {**DATA, "said": made_dataset("said", [])}
    trial = Trial(by_rubric(**BESIDE), BOTH, perfect, data)
    for name in ("alt_test_winning_rate", "alt_test_advantage", "people_kappa", "people_spearman"):
        found = trial.found(name)
        assert isinstance(found, Unmeasured)
        assert "texts that people scored" in found.reason
    assert trial.value("score") == 5.0
