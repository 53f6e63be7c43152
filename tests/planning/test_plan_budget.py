"""What a plan says of a budget: what is left to ask at most, in calls, tokens and money, and where that is too much."""

from __future__ import annotations

from pathlib import Path

import pytest
from judged import Liked, list_liked
from sample_plans import CANDIDATE, CHAMPION, JUDGE, plan_of
from workshop import MODEL, Workshop

from finetune_gate.evaluators import catalog
from finetune_gate.evaluators.asking import Answer, GenerateRequest, Generation, Request, ScoreRequest
from finetune_gate.evaluators.datasets import DatasetSource, load_dataset
from finetune_gate.gate.models import FakeModel
from finetune_gate.gate.planning import keep_plan, plan_gate, read_plan, render_plan
from finetune_gate.gate.planning.planned import (
    GatePlan,
    Left,
    PlannedBudget,
    PlannedJudge,
    PlannedModel,
    PlannedPrice,
    Seconds,
    Unknown,
)
from finetune_gate.gate.planning.spending import judges_left, spending_within
from finetune_gate.gate.progress import Silent
from finetune_gate.gate.run import GateRequest

PRICE = PlannedPrice(input=2.5, output=10.0)
LIMITS = {"calls": 5000, "tokens": 3_000_000, "money": 5.0}
BUDGET = PlannedBudget.model_validate({
    "limits": LIMITS,
    "currency": "USD",
    "prices": {"champion": PRICE, JUDGE.name: PRICE},
    "apis": ("champion", JUDGE.name),
})  # fmt: skip
SIZED = JUDGE.model_copy(update={"left": Left(requests=4140, read=2_070_000, written=33_120, exact=False)})


def planned(budget: PlannedBudget, *models: PlannedModel, judges: tuple[PlannedJudge, ...] = ()) -> GatePlan:
    plan = plan_of(*models, judges=judges)
    return plan.model_copy(update={"budget": spending_within(budget, models, judges)})


def test_each_model_behind_an_api_and_all_together() -> None:
    budget = spending_within(BUDGET, (CANDIDATE, CHAMPION), (SIZED,))
    assert [(one.name, one.calls, one.tokens) for one in budget.models] == [
        ("champion", 1380, 122_800),
        (JUDGE.name, 4140, 2_103_120),
    ]
    assert [one.cost for one in budget.models] == pytest.approx([0.403, 5.5062])
    assert budget.together is not None
    assert (budget.together.calls, budget.together.tokens) == (5520, 2_225_920)
    assert budget.together.cost == pytest.approx(5.9092)
    assert [line.partition(":")[0] for line in budget.beyond] == [
        "what is left may come to 5,520 calls, and the budget is 5,000",
        "what is left may come to 5.91 USD, and the budget is 5.00",
    ]


def test_what_is_unknown_is_said_and_adds_up_to_unknown() -> None:
    budget = spending_within(BUDGET, (CHAMPION,), (JUDGE,))
    assert budget.together is not None
    assert isinstance(budget.together.tokens, Unknown)
    assert isinstance(budget.together.cost, Unknown)
    assert budget.together.calls == 5520
    unpriced = BUDGET.model_copy(update={"prices": {}, "limits": {"calls": 9000}})
    (champion,) = spending_within(unpriced, (CHAMPION,), ()).models
    assert (champion.tokens, champion.cost) == (122_800, Unknown(unknown="no price is given"))


def test_nothing_left_is_nothing_to_spend() -> None:
    done = CHAMPION.model_copy(update={"left": Left(), "stored": 1380})
    budget = spending_within(BUDGET, (CANDIDATE, done), ())
    assert (budget.models, budget.beyond) == ((), ())
    assert "nothing is left to ask of an API" in render_plan(planned(BUDGET, CANDIDATE, done))


def test_time_of_local_judges() -> None:
    judge = CANDIDATE.model_copy(
        update={"role": "judge", "name": "models:/judge/1", "seconds": Seconds(loading=10, computing=110)}
    )
    budget = BUDGET.model_copy(update={"limits": {"seconds": 60.0}, "apis": ()})
    found = spending_within(budget, (CANDIDATE, judge), ())
    assert found.seconds == 120
    assert found.beyond[0].startswith("what is left may come to 120 seconds of asking judges, and the budget is 60")
    assert isinstance(spending_within(BUDGET, (CANDIDATE,), (JUDGE,)).seconds, Unknown)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_plan_as_text(width: int) -> None:
    text = " ".join(render_plan(planned(BUDGET, CANDIDATE, CHAMPION, judges=(SIZED,)), width=width).split())
    assert "Budget champion: at most 1,380 calls, ~122,800 tokens, ~0.40 USD" in text
    assert f"judge {JUDGE.name}: at most 4,140 calls, ~2,103,120 tokens, ~5.51 USD" in text
    assert "together: at most 5,520 calls, ~2,225,920 tokens, ~5.91 USD" in text
    assert "allowed: 5,000 calls, 3,000,000 tokens, 5.00 USD" in text
    assert "what is left may come to 5,520 calls, and the budget is 5,000" in text
    assert "retries come on top" in text


def test_a_plan_without_a_budget_says_nothing_of_it() -> None:
    assert "Budget" not in render_plan(plan_of(CANDIDATE, CHAMPION))


def test_judges_are_estimated_by_texts_as_long_as_they_may_become(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("".join(f'{{"text": "{word}"}}\n' for word in ("one", "two", "three")))
    data = {"rows": load_dataset("rows", DatasetSource(path="rows.jsonl"), tmp_path)}
    liked = Liked(data="rows", judge="openai:/judge", max_new_tokens=100)

    class Bytes(FakeModel):
        def tokens(self, requests):
            from finetune_gate.gate.models.protocol import Tokens

            return Tokens(sum(len(str(one.prompt)) for one in requests), 8 * len(requests))

    requests: list[Request] = [*liked.requests(data), ScoreRequest("a", "b")]
    known: dict[str, dict[Request, Answer]] = {
        "candidate": {},
        "base": {GenerateRequest("one", 100): Generation("short", "stop", 1)},
    }
    judges = {"openai:/judge": (Bytes({}), 9), "openai:/other": (Bytes({}), 9)}
    left = judges_left([liked], data, requests, known, judges)
    made_up, short = len("Liked? ") + 400, len("Liked? short")
    assert left["openai:/judge"] == Left(
        requests=9, read=-(-(5 * made_up + short) * 9 // 6), written=8 * 9, exact=False
    )
    assert isinstance(left["openai:/other"], Unknown)


GATE = f"""
model: {MODEL}
champion: null
data: {{holdout: holdout.jsonl}}
endpoints: {{openai: {{base_url: "http://127.0.0.1:9/v1", key: NO_KEY}}}}
budget:
  calls: 100
  prices: {{"openai:/judge": {{input: 2.5, output: 10.0}}, "openai:/an-earlier-version": {{input: 1, output: 1}}}}
evaluators:
  - liked: {{data: holdout, judge: "openai:/judge", max_new_tokens: 4}}
rules:
  - {{metric: liked.share, min: 0.5}}
"""


def test_a_gate_with_a_budget_is_planned_and_kept(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(catalog.BUILT_IN, "liked", "liked:Liked")
    list_liked()
    gate, home = workshop.folder / "gate.yaml", workshop.folder / "home"
    gate.write_text(GATE)
    request = GateRequest(gate_file=gate, candidate="1", tracking_uri=workshop.uri, home=home, out=workshop.folder)
    kept = plan_gate(request, progress=Silent(), calibrate=False)
    budget = kept.plan.budget
    assert budget is not None
    (judge,) = budget.models
    assert (judge.name, judge.calls) == ("openai:/judge", 180)
    assert isinstance(judge.tokens, int)
    assert 180 * 8 < judge.tokens < 180 * 20, "8 to write, a short question and 4 tokens of an answer to read"
    assert isinstance(judge.cost, float)
    assert budget.beyond[0].startswith("what is left may come to 180 calls, and the budget is 100")
    assert "budget.prices: no model of this run is openai:/an-earlier-version" in kept.plan.warnings
    keep_plan(home, "key", kept)
    again = read_plan(home, "key", kept.made + 5)
    assert again is not None
    assert again.budget == budget
