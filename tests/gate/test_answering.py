"""Running a plan: each thing asked once, failures kept, lacking abilities named, judges in a second round."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import pytest
from judged import Liked

from finetune_gate.evaluators.asking import (
    Answer,
    Choice,
    ChooseRequest,
    Failed,
    GenerateRequest,
    Generation,
    Request,
    ScoreRequest,
    TokenLogprobs,
)
from finetune_gate.evaluators.datasets import Dataset, DatasetSource, load_dataset
from finetune_gate.evaluators.evaluator import JudgedEvaluator
from finetune_gate.evaluators.scores import score_evaluator
from finetune_gate.gate.answers import AnswerStore
from finetune_gate.gate.models import FakeModel
from finetune_gate.gate.models.protocol import Model, Usage
from finetune_gate.gate.pins import Role
from finetune_gate.gate.progress import Silent
from finetune_gate.gate.run.answering import Answered, Asking, answer_plan
from finetune_gate.gate.run.plan import Plan, make_plan
from finetune_gate.gate.run.shards import Advance, Shard, ask, cut_shards

SCORES = [ScoreRequest(f"prompt {i}", label, " ") for i in range(400) for label in ("a", "b")]
TEXTS = [GenerateRequest(f"prompt {i}") for i in range(100)]
PLAN = Plan((*SCORES, *TEXTS), wanted=900, judge_calls={})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AnswerStore]:
    with AnswerStore(tmp_path / "answers.sqlite") as opened:
        yield opened


def answers_of(models: Mapping[Role, Model], plan: Plan, store: AnswerStore) -> Answered:
    return answer_plan(Asking({**models}, store, Silent()), tuple(models), plan)


def of(*requests: Request) -> Plan:
    return Plan(requests, len(requests), {})


def script(request: Request) -> str | list[float]:
    return "text" if isinstance(request, GenerateRequest) else [-1.0]


def test_each_request_is_asked_once_and_a_second_run_asks_nothing(store: AnswerStore) -> None:
    first = FakeModel(script)
    answered = answers_of({"candidate": first}, PLAN, store)
    assert (answered.asked, answered.stored) == ({"candidate": 900}, {"candidate": 0})
    assert len(first.asked) == 900
    second = FakeModel(script)
    again = answers_of({"candidate": second}, PLAN, store)
    assert second.asked == []
    assert again.answers == answered.answers
    assert again.stored == {"candidate": 900}
    assert (answered.usage["candidate"].calls > 0, again.usage["candidate"]) == (True, Usage())


def test_a_model_is_released_once_no_later_role_needs_it(store: AnswerStore) -> None:
    shared, alone = FakeModel(script), FakeModel(script, digest="alone")
    answers_of({"candidate": alone, "base": shared, "champion": shared}, PLAN, store)
    assert (alone.released, shared.released) == (1, 1)


def test_two_models_never_share_an_answer(store: AnswerStore) -> None:
    answers_of({"candidate": FakeModel(script, digest="one")}, PLAN, store)
    other = FakeModel(lambda request: "other", digest="two")
    answered = answers_of({"candidate": other}, of(*TEXTS), store)
    assert answered.answers["candidate"][TEXTS[0]] == Generation("other", "stop", 1)


def test_failures_are_kept_apart_and_asked_again(store: AnswerStore) -> None:
    plan = of(ScoreRequest("a", "x"), ScoreRequest("b", "x"), ScoreRequest("c", "x"))
    broken = FakeModel({"a": math.nan, "b": -1.0, "c": Failed("timed out")})
    assert answers_of({"base": broken}, plan, store).answers["base"] == {
        plan.requests[0]: Failed("the model gave a log-probability that is not finite"),
        plan.requests[1]: TokenLogprobs((-1.0,)),
        plan.requests[2]: Failed("timed out"),
    }
    mended = FakeModel(lambda request: -2.0)
    answers_of({"base": mended}, plan, store)
    assert {request.prompt for request in mended.asked} == {"a", "c"}


def test_a_lacking_ability_is_named_and_nothing_is_asked(store: AnswerStore) -> None:
    model = FakeModel(script, abilities=["generates"])
    answers = answers_of({"champion": model}, PLAN, store).answers["champion"]
    assert answers[SCORES[0]] == Failed("the model lacks the ability 'scores_tokens'")
    assert isinstance(answers[TEXTS[0]], Generation)
    assert all(isinstance(request, GenerateRequest) for request in model.asked)


def test_choices_are_a_stage_of_their_own_and_kept(store: AnswerStore) -> None:
    class Heard(Silent):
        stages: ClassVar[list[tuple[str, int]]] = []

        def begin(self, label: str, total: int) -> None:
            self.stages.append((label, total))

    choices = [ChooseRequest(f"prompt {i}", ("a", "b")) for i in range(200)]
    scripted = {request.prompt: [-0.5, -1.5] for request in choices} | {"prompt 7": [-0.5, math.inf]}
    plan = of(*choices, *TEXTS)
    model = FakeModel(lambda request: scripted[request.prompt], abilities=["chooses"])
    answered = answer_plan(Asking({"base": model}, store, Heard()), ("base",), plan)
    assert Heard.stages == [("base: texts", 100), ("base: choices", 200)]
    assert answered.answers["base"][choices[0]] == Choice((-0.5, -1.5))
    assert answered.answers["base"][choices[7]] == Failed("the model gave a log-probability that is not finite")
    assert model.calls == 2  # shards of 128
    again = FakeModel(lambda request: [-1.0, -1.0], abilities=["chooses"])
    assert answers_of({"base": again}, plan, store).answers["base"][choices[0]] == Choice((-0.5, -1.5))
    assert again.asked == [choices[7]]


class Killed(BaseException):
    """Stands for SIGKILL."""


def dying(doomed: Request) -> FakeModel:
    def dies(request: Request) -> list[float] | str:
        if request == doomed:
            raise Killed
        return script(request)

    return FakeModel(dies)


def test_finished_shards_survive_and_shards_do_not_depend_on_the_store(store: AnswerStore) -> None:
    plan = of(*SCORES)
    shards = list(cut_shards(plan.requests))
    with pytest.raises(Killed):
        answers_of({"base": dying(shards[2][7])}, plan, store)
    again = FakeModel(script)
    answers_of({"base": again}, plan, store)
    assert set(again.asked) == {request for shard in shards[2:] for request in shard}


def test_a_model_that_does_not_batch_is_asked_everything_at_once_and_keeps_each_answer(store: AnswerStore) -> None:
    doomed = TEXTS[40]

    def dies(request: Request) -> str:
        if request == doomed:
            raise Killed
        return "paid for"

    with pytest.raises(Killed):
        answers_of({"base": FakeModel(dies, batched=False)}, of(*TEXTS), store)
    again = FakeModel(script, batched=False)
    answers_of({"base": again}, of(*TEXTS), store)
    assert set(again.asked) == set(TEXTS[:41])  # a fake delivers last to first
    assert again.calls == 1


def test_another_runner_answers_in_any_order(store: AnswerStore) -> None:
    class Backwards:
        names: ClassVar[list[str]] = []

        def answer(
            self, name: str, model: Model, shards: Sequence[Shard], advance: Advance
        ) -> Generator[tuple[Shard, dict[Request, Answer]]]:
            self.names.append(name)
            for shard in reversed(shards):
                yield shard, ask(model, shard, lambda request, answer: None)
                advance(len(shard))

        def usage(self, name: str) -> Usage:
            return Usage(prompt_tokens=7)

    model = FakeModel(script)
    asking = Asking({"base": model}, store, Silent(), runner=Backwards())
    answered = answer_plan(asking, ("base",), PLAN)
    assert answered.usage["base"] == model.usage() + Usage(prompt_tokens=7)
    assert set(answered.answers["base"]) == set(PLAN.requests)
    assert Backwards.names == ["base", "base"]  # log-likelihoods, then texts


def test_shards_hold_every_request_once_with_prompts_side_by_side() -> None:
    shards = list(cut_shards(PLAN.requests))
    assert sorted(map(repr, (r for shard in shards for r in shard))) == sorted(map(repr, PLAN.requests))
    for shard in shards:
        prompts = [request.prompt for request in shard]
        assert len(set(prompts)) == sum(a != b for a, b in zip(prompts, [None, *prompts], strict=False))


def four_rows(tmp_path: Path) -> Dataset:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f'{{"text": "{word}"}}\n' for word in ("one", "two", "three", "two")))
    return load_dataset("rows", DatasetSource(path=path.name), tmp_path)


def test_judges_are_asked_once_about_what_the_models_answered(tmp_path: Path, store: AnswerStore) -> None:
    liked = Liked(data="rows")
    assert isinstance(liked, JudgedEvaluator)
    data = {"rows": four_rows(tmp_path)}
    plan = make_plan([liked], data)
    assert (len(plan.requests), plan.wanted, plan.judge_calls) == (3, 4, {"openai:/judge": 12})

    def judge_says(request: Request) -> str:
        return "yes" if "one" in str(request.prompt) else "no"

    def gate() -> tuple[Answered, FakeModel]:
        judge = FakeModel(judge_says, digest="judge", batched=False)
        models: dict[str, Model] = {
            "candidate": FakeModel(lambda request: str(request.prompt), digest="candidate"),
            "base": FakeModel(lambda request: "two", digest="base"),
            "openai:/judge": judge,
        }
        return answer_plan(Asking(models, store, Silent()), ("candidate", "base"), plan, [liked], data), judge

    answered, judge = gate()
    assert {str(request.prompt) for request in judge.asked} == {"Liked? one", "Liked? two", "Liked? three"}
    assert answered.asked == {"candidate": 3, "base": 3, "openai:/judge": 3}
    scores = score_evaluator(liked, data, {**answered.answers}, verdicts=answered.verdicts)
    assert scores.columns["candidate"]["liked"] == (1.0, 0.0, 0.0, 0.0)
    assert scores.columns["base"]["length"] == (3.0, 3.0, 3.0, 3.0)
    again, judge = gate()
    assert (judge.asked, again.verdicts) == ([], answered.verdicts)


def test_what_is_under_way_is_given_up_when_answers_cannot_be_kept(
    store: AnswerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Far:
        ended: ClassVar[list[int]] = []

        def answer(
            self, name: str, model: Model, shards: Sequence[Shard], advance: Advance
        ) -> Generator[tuple[Shard, dict[Request, Answer]]]:
            done = 0
            try:
                for shard in shards:
                    done += 1
                    yield shard, ask(model, shard, lambda request, answer: None)
            finally:
                self.ended.append(done)

        def usage(self, name: str) -> Usage:
            return Usage()

    def full(answers: object, model: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "put", full)
    asking = Asking({"base": FakeModel(script)}, store, Silent(), runner=Far())
    with pytest.raises(OSError, match="No space") as caught:
        answer_plan(asking, ("base",), PLAN)
    assert caught.tb  # which keeps alive what stands in its frames
    assert Far.ended == [1]
