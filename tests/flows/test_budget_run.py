"""Whole runs with a budget: a judge that is cut off measures nothing, and the next run goes on where this one ended."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from judged import list_liked
from judging_server import Judge, Server
from workshop import MODEL, Workshop

from finetune_gate.evaluators import catalog
from finetune_gate.evaluators.errors import ConfigurationError
from finetune_gate.gate.progress import Silent
from finetune_gate.gate.record import DecisionRecord, UsageRecord
from finetune_gate.gate.reports import render_markdown, render_terminal
from finetune_gate.gate.run import GateRequest, GateResult, walk

JUDGE = "openai:/judge"
PRICES = f'prices: {{"{JUDGE}": {{input: 100.0, output: 300.0}}}}'
GATE = f"""
model: {MODEL}
champion: null
data: {{holdout: holdout.jsonl}}
endpoints: {{openai: {{base_url: "http://127.0.0.1:PORT/v1", key: NO_KEY, max_in_flight: 8}}}}
budget: {{BUDGET}}
evaluators:
  - perplexity: {{data: holdout}}
  - liked: {{data: holdout, judge: "{JUDGE}", max_new_tokens: 4}}
rules:
  - {{metric: perplexity.perplexity, max: 100000}}
  - {{metric: liked.share, min: 0.0001, confidence: none}}
  - {{metric: liked.share, min_change: 0.0, margin: 0.99, confidence: none}}
"""


class Said(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, Path]]:
    """Port, and the questions that were asked."""
    monkeypatch.setitem(catalog.BUILT_IN, "liked", "liked:Liked")
    list_liked()
    log = tmp_path / "questions.log"
    log.touch()
    server = Server(("127.0.0.1", 0), type("Logging", (Judge,), {"log": log}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, log
    server.shutdown()
    server.server_close()


def gated(workshop: Workshop, port: int, budget: str, said: Said | None = None) -> GateResult:
    gate = workshop.folder / "budget.yaml"
    gate.write_text(GATE.replace("PORT", str(port)).replace("BUDGET", budget))
    home, out = workshop.folder / "home", workshop.folder / "out"
    request = GateRequest(gate_file=gate, candidate="1", tracking_uri=workshop.uri, home=home, out=out)
    return walk(request, progress=said)


def outcomes(record: DecisionRecord) -> list[str]:
    return [rule.outcome for rule in record.rules]


def test_a_judge_is_cut_off_and_goes_on(workshop: Workshop, judge: tuple[int, Path]) -> None:
    port, log = judge
    said = Said()
    first = gated(workshop, port, f"calls: 16, {PRICES}", said)
    record = first.record
    assert len(log.read_text().splitlines()) == 16
    assert (record.decision, outcomes(record)) == ("hold", ["passed", "unmeasured", "unmeasured"])
    assert "first reason: the budget of 16 calls is spent" in record.rules[1].sentence
    assert workshop.champion() is None
    assert record.run.budget is not None
    missing = record.run.budget.unasked["the budget of 16 calls is spent"]
    assert missing > 16
    cost = 16 * (7 * 100 + 1 * 300) / 1e6
    assert record.run.budget.spent["money"] == pytest.approx(cost)
    assert record.run.usage[JUDGE] == UsageRecord(calls=16, prompt_tokens=112, completion_tokens=16, cost=cost)
    assert record.run.usage["candidate"].cost is None
    assert (record.run.asked[JUDGE], record.run.stored[JUDGE]) == (16, 0)
    assert f"budget: the budget of 16 calls is spent; {missing} answers are missing" in said.lines
    quarters = [line for line in said.lines if re.fullmatch(r"budget: \d+ of 16 calls spent", line)]
    assert 1 <= len(quarters) <= 4
    for text in (
        render_terminal(record, width=120),
        render_markdown(record),
        (first.folder / "report.html").read_text(),
    ):
        assert "The budget of 16 calls is spent" in text
        assert "16 of 16 calls, 128 tokens, 0.02 USD" in text

    second = gated(workshop, port, f"calls: 16, {PRICES}").record
    assert (second.run.asked[JUDGE], second.run.stored[JUDGE]) == (16, 16)
    while second.decision == "hold":
        stored = second.run.stored[JUDGE]
        second = gated(workshop, port, f"calls: 16, {PRICES}").record
        assert second.run.stored[JUDGE] > stored
    assert (second.decision, outcomes(second)) == ("promote", ["passed", "passed", "passed"])
    questions = log.read_text().splitlines()
    assert len(questions) == len(set(questions)) == 16 + missing, "nothing is paid for twice"


def test_money(workshop: Workshop, judge: tuple[int, Path]) -> None:
    port, log = judge
    record = gated(workshop, port, f"money: 0.02, currency: EUR, {PRICES}").record
    assert outcomes(record) == ["passed", "unmeasured", "unmeasured"]
    assert record.run.budget is not None
    spent = record.run.budget.spent["money"]
    assert spent <= 0.02
    assert len(log.read_text().splitlines()) == pytest.approx(spent / 0.001)
    assert "of 0.02 EUR" in render_terminal(record)


def test_money_without_a_price_is_refused_before_anything_is_asked(workshop: Workshop, judge: tuple[int, Path]) -> None:
    with pytest.raises(ConfigurationError, match="no price for 'openai:/judge'"):
        gated(workshop, judge[0], "money: 5.0")
    assert judge[1].read_text() == ""


def test_prices_alone_limit_nothing(workshop: Workshop, judge: tuple[int, Path]) -> None:
    record = gated(workshop, judge[0], PRICES).record
    assert record.decision == "promote"
    calls = len(judge[1].read_text().splitlines())
    assert record.run.usage[JUDGE].cost == pytest.approx(calls * 0.001)
    assert f"Judges and APIs: {calls} calls" in render_terminal(record)
