"""Budgets of calls to a real server: no call too many, whatever it answers and however many are under way."""

from __future__ import annotations

import time
from collections import Counter
from itertools import count

import pytest
from aiohttp import web
from endpoint_asking import Open, generated, prompts
from fault_server import Body, FaultServer, chat, closes, completion, refuses, sends

from finetune_gate.evaluators.asking import Answer, Failed, GenerateRequest, Generation, ScoreRequest
from finetune_gate.gate.budget import Purse
from finetune_gate.gate.endpoints.metering import most_of
from finetune_gate.gate.endpoints.pacing import Backoff
from finetune_gate.gate.gate_file.settings import BudgetSettings, Price
from finetune_gate.gate.pins import Endpoint

FEW = Backoff(first_seconds=0.01, attempts=3)


def kinds(answers: list[Answer]) -> Counter[str]:
    return Counter(answer.reason if isinstance(answer, Failed) else "answered" for answer in answers)


def test_exactly_as_many_calls_as_allowed_with_32_under_way(server: FaultServer, opened: Open) -> None:
    server.latency = 0.2
    purse = Purse(BudgetSettings(calls=100))
    answers = generated(opened(max_in_flight=32, purse=purse), prompts(300))
    assert server.calls == 100
    assert server.peak > 16
    assert kinds(answers) == {"answered": 100, "the budget of 100 calls is spent": 200}
    assert all(isinstance(answer, Generation) for answer in answers[:100]), "asked in the order given"
    assert purse.balance().amounts == {"calls": 100, "tokens": 1000, "seconds": 0}


@pytest.mark.parametrize("status", [429, 500, 503])
def test_retries_are_calls(server: FaultServer, opened: Open, status: int) -> None:
    numbers = count(1)

    async def refuses_every_fourth(request: web.Request, body: Body) -> web.StreamResponse:
        return await (refuses(status, "later") if next(numbers) % 4 == 0 else sends())(request, body)

    server.answer = refuses_every_fourth
    purse = Purse(BudgetSettings(calls=50))
    model = opened(max_in_flight=32, purse=purse, backoff=Backoff(first_seconds=0.01, attempts=20))
    answers = generated(model, prompts(60))
    assert server.calls == model.usage().calls == purse.balance().amounts["calls"] == 50
    assert kinds(answers)["answered"] == 50 - 50 // 4
    assert set(kinds(answers)) == {"answered", "the budget of 50 calls is spent"}
    assert purse.balance().amounts["tokens"] == 10 * kinds(answers)["answered"], "refusals cost no tokens"


def test_a_second_model_of_the_run_shares_the_budget(server: FaultServer, opened: Open) -> None:
    purse = Purse(BudgetSettings(calls=30))
    generated(opened(purse=purse), prompts(20))
    answers = generated(opened(purse=purse, model="other"), prompts(20))
    assert (server.calls, kinds(answers)["answered"]) == (30, 10)


async def counts_bytes(request: web.Request, body: Body) -> web.StreamResponse:
    """A server whose every byte is a token, and that writes as much as it may: the most that can be."""
    read = sum(len(turn["content"].encode()) + 8 for turn in body["messages"])  # type: ignore[attr-defined]
    usage = {"prompt_tokens": read, "completion_tokens": body["max_tokens"]}
    return await sends(body=chat(usage=usage))(request, body)


def test_tokens_are_never_passed(server: FaultServer, opened: Open) -> None:
    server.answer, server.latency = counts_bytes, 0.01
    purse = Purse(BudgetSettings(tokens=20_000))
    requests = [
        GenerateRequest(f"{number}" + "é" * (7 * number % 90), max_new_tokens=1 + number % 40) for number in range(600)
    ]
    answers = generated(opened(max_in_flight=32, purse=purse), requests)
    spent = purse.balance().amounts["tokens"]
    largest = max(most_of(body).tokens for body in server.bodies)
    assert 20_000 - largest < spent <= 20_000, "it stops within what one more call could have come to"
    assert 0 < kinds(answers)["answered"] < 600
    assert kinds(answers)["answered"] == server.calls


def test_a_server_that_reads_more_than_it_is_sent_passes_them_by_what_is_under_way(
    server: FaultServer, opened: Open
) -> None:
    server.answer = sends(body=chat(usage={"prompt_tokens": 5000, "completion_tokens": 0}))
    purse = Purse(BudgetSettings(tokens=50_000))
    generated(opened(max_in_flight=4, purse=purse), prompts(100))
    assert purse.balance().amounts["tokens"] < 50_000 + 4 * 5000


def test_money_is_never_passed(server: FaultServer, opened: Open) -> None:
    server.answer = counts_bytes
    digest = Endpoint(server.base_url, "tiny").digest
    purse = Purse(BudgetSettings(money=0.05), {digest: Price(input=2.5, output=10.0)})
    answers = generated(opened(max_in_flight=32, purse=purse), prompts(200, max_new_tokens=100))
    balance = purse.balance()
    assert 0.045 < balance.amounts["money"] <= 0.05
    assert balance.costs == {digest: balance.amounts["money"]}
    assert kinds(answers)["the budget of 0.05 USD is spent"] > 100


@pytest.mark.parametrize("told", [{}, {"prompt_tokens": 7}, {"completion_tokens": 3}, None])
def test_where_a_server_does_not_count_the_estimate_does(
    server: FaultServer, opened: Open, told: dict[str, int] | None
) -> None:
    server.answer = sends(body=chat(usage=told))
    purse = Purse(BudgetSettings(calls=10))
    generated(opened(purse=purse), prompts(1, max_new_tokens=40))
    estimated = {"prompt_tokens": -(-most_of(server.bodies[0]).read // 4), "completion_tokens": 40}
    assert purse.balance().amounts["tokens"] == sum((estimated | (told or {})).values())


def test_a_lost_connection_may_have_cost_its_tokens(server: FaultServer, opened: Open) -> None:
    server.answer = closes
    purse = Purse(BudgetSettings(calls=2))
    generated(opened(purse=purse, backoff=FEW), prompts(1, max_new_tokens=40))
    assert purse.balance().amounts["tokens"] == 2 * (-(-most_of(server.bodies[0]).read // 4) + 40)


def test_time_lets_calls_under_way_end_and_begins_no_other(server: FaultServer, opened: Open) -> None:
    server.latency = 0.3
    purse = Purse(BudgetSettings(seconds=1.0))
    model = opened(max_in_flight=4, purse=purse)
    generated(model, prompts(1))
    server.bodies.clear()
    begun = time.monotonic()
    with purse.judging():
        answers = generated(model, prompts(400))
    assert 1.0 <= time.monotonic() - begun < 2.5
    assert kinds(answers) == {
        "answered": server.calls,
        "the budget of 1 seconds of asking judges is spent": 400 - server.calls,
    }
    assert purse.balance().amounts["seconds"] >= 1.0


def test_time_also_ends_waiting_for_another_attempt(server: FaultServer, opened: Open) -> None:
    server.answer = sends(500, {}, {"Retry-After": "1"})
    purse = Purse(BudgetSettings(seconds=0.5))
    with purse.judging():
        answers = generated(opened(purse=purse), prompts(3))
    assert kinds(answers) == {"the budget of 0.5 seconds of asking judges is spent": 3}
    assert server.calls == 3


def test_a_probe_that_is_not_paid_for_tells_nothing_about_the_server(server: FaultServer, opened: Open) -> None:
    purse = Purse(BudgetSettings(calls=1))
    generated(opened(purse=purse), prompts(1))
    server.answer = sends(body=completion())
    model = opened(purse=purse, api="completions")
    assert "scores_tokens" in model.abilities
    answers: list[Answer] = []
    model.score([ScoreRequest("a", " b")], lambda _, answer: answers.append(answer))
    assert answers == [Failed("the budget of 1 call is spent")]
    assert server.calls == 1


def test_an_interrupt_leaves_nothing_reserved(server: FaultServer, opened: Open) -> None:
    server.latency = 0.2
    purse = Purse(BudgetSettings(tokens=4_000))
    model = opened(max_in_flight=16, purse=purse)

    def interrupted(index: int, answer: Answer) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.generate(prompts(16, max_new_tokens=1), interrupted)
    server.latency = 0.0
    generated(model, prompts(500, max_new_tokens=1))
    assert 3_800 < purse.balance().amounts["tokens"] <= 4_000, "nor is anything waited for in vain"
