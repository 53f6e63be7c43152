"""Running a plan: each thing asked once, failures kept as failures, lacking abilities named."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from finetune_gate.evaluators.asking import Failed, GenerateRequest, Generation, Request, ScoreRequest, TokenLogprobs
from finetune_gate.gate.models import FakeModel
from finetune_gate.gate.progress import Silent
from finetune_gate.gate.run.answer_store import AnswerStore
from finetune_gate.gate.run.answering import answer_plan, cut_shards
from finetune_gate.gate.run.plan import Plan

SCORES = [ScoreRequest(f"prompt {i}", label, " ") for i in range(400) for label in ("a", "b")]
TEXTS = [GenerateRequest(f"prompt {i}") for i in range(100)]
PLAN = Plan((*SCORES, *TEXTS), wanted=900)


def script(request: Request) -> str | list[float]:
    return "text" if isinstance(request, GenerateRequest) else [-1.0]


def test_each_request_is_asked_once_and_a_second_run_asks_nothing(tmp_path: Path) -> None:
    first = FakeModel(script)
    with AnswerStore(tmp_path / "answers.sqlite") as store:
        answered = answer_plan({"candidate": first}, PLAN, store, Silent())
        assert (answered.asked, answered.stored) == ({"candidate": 900}, {"candidate": 0})
        assert len(first.asked) == 900
        second = FakeModel(script)
        again = answer_plan({"candidate": second}, PLAN, store, Silent())
        assert second.asked == []
        assert again.answers == answered.answers
        assert again.stored == {"candidate": 900}


def test_a_model_is_released_once_no_later_role_needs_it(tmp_path: Path) -> None:
    shared, alone = FakeModel(script), FakeModel(script, digest="alone")
    with AnswerStore(tmp_path / "answers.sqlite") as store:
        answer_plan({"candidate": alone, "base": shared, "champion": shared}, PLAN, store, Silent())
    assert (alone.released, shared.released) == (1, 1)


def test_two_models_never_share_an_answer(tmp_path: Path) -> None:
    with AnswerStore(tmp_path / "answers.sqlite") as store:
        answer_plan({"candidate": FakeModel(script, digest="one")}, PLAN, store, Silent())
        other = FakeModel(lambda request: "other", digest="two")
        answered = answer_plan({"candidate": other}, Plan(tuple(TEXTS), 100), store, Silent())
    assert answered.answers["candidate"][TEXTS[0]] == Generation("other", "stop", 1)


def test_failures_are_kept_apart_and_asked_again(tmp_path: Path) -> None:
    plan = Plan((ScoreRequest("a", "x"), ScoreRequest("b", "x"), ScoreRequest("c", "x")), 3)
    with AnswerStore(tmp_path / "answers.sqlite") as store:
        broken = FakeModel({"a": math.nan, "b": -1.0, "c": Failed("timed out")})
        answers = answer_plan({"base": broken}, plan, store, Silent()).answers["base"]
        assert answers == {
            plan.requests[0]: Failed("the model gave a log-probability that is not finite"),
            plan.requests[1]: TokenLogprobs((-1.0,)),
            plan.requests[2]: Failed("timed out"),
        }
        mended = FakeModel(lambda request: -2.0)
        answer_plan({"base": mended}, plan, store, Silent())
        assert {request.prompt for request in mended.asked} == {"a", "c"}


def test_a_lacking_ability_is_named_and_nothing_is_asked(tmp_path: Path) -> None:
    model = FakeModel(script, abilities=["generates"])
    with AnswerStore(tmp_path / "answers.sqlite") as store:
        answers = answer_plan({"champion": model}, PLAN, store, Silent()).answers["champion"]
    assert answers[SCORES[0]] == Failed("the champion lacks the ability 'scores_tokens'")
    assert isinstance(answers[TEXTS[0]], Generation)
    assert all(isinstance(request, GenerateRequest) for request in model.asked)


class Killed(BaseException):
    """Stands for SIGKILL."""


def test_finished_shards_survive_and_shards_do_not_depend_on_the_store(tmp_path: Path) -> None:
    def dies(request: Request) -> list[float]:
        if request == doomed:
            raise Killed
        return [-1.0]

    plan = Plan(tuple(SCORES), len(SCORES))
    shards = list(cut_shards(plan.requests))
    doomed = shards[2][7]
    with AnswerStore(tmp_path / "answers.sqlite") as store:
        with pytest.raises(Killed):
            answer_plan({"base": FakeModel(dies)}, plan, store, Silent())
        again = FakeModel(script)
        answer_plan({"base": again}, plan, store, Silent())
    assert set(again.asked) == {request for shard in shards[2:] for request in shard}


def test_shards_hold_every_request_once_with_prompts_side_by_side() -> None:
    shards = list(cut_shards(PLAN.requests))
    assert sorted(map(repr, (r for shard in shards for r in shard))) == sorted(map(repr, PLAN.requests))
    for shard in shards:
        prompts = [request.prompt for request in shard]
        assert len(set(prompts)) == sum(a != b for a, b in zip(prompts, [None, *prompts], strict=False))
