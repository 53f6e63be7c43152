"""A judge behind an API that fails in every way the tests know, at any rate: no wrong promotion, and where little fails
the same verdict as where nothing does."""

from __future__ import annotations

import os
import resource
import time

import pytest
from court import FAULTS, Court
from fault_server import FaultServer

from finetune_gate.evaluators.asking import Answer, Failed, GenerateRequest
from finetune_gate.gate.endpoints import EndpointLimits, EndpointModel
from finetune_gate.gate.pins import Endpoint

pytestmark = pytest.mark.slow

LONG = bool(os.environ.get("FINETUNE_GATE_LONG_TESTS"))
CALL_SECONDS = 2.0
PATIENCE_S = 8
"""What the budget gives judges that fail most of the time."""


def test_without_faults_the_better_version_serves_and_the_worse_does_not(court: Court) -> None:
    assert court.run(court.gate(), "2").record.decision == "block"
    assert court.champion() is None
    assert court.run(court.gate(), "1").record.decision == "promote"
    assert court.champion() == "1"


@pytest.mark.parametrize("rate", [0.01, 0.05] if LONG else [0.05])
def test_a_few_faults_change_no_verdict(court: Court, rate: float) -> None:
    court.rate = rate
    for seed, (version, decision) in enumerate([("1", "promote"), ("2", "block")] * 2):
        court.seed = seed
        result = court.run(court.gate(), version, home=f"home{seed}")
        assert result.record.decision == decision, (result.record.sentence, court.faults)
    assert court.faults


@pytest.mark.parametrize("rate", [0.2, 0.5, 1.0] if LONG else [0.2, 1.0])
def test_many_faults_promote_nothing_that_is_worse_and_block_nothing_that_is_better(court: Court, rate: float) -> None:
    court.rate = rate
    gate = court.gate(examples=40, extra=f"budget: {{seconds: {PATIENCE_S}}}")
    better = court.run(gate, "1", home="home1").record
    assert better.decision in ("promote", "hold"), better.sentence
    worse = court.run(gate, "2", home="home2").record
    assert worse.decision in ("block", "hold"), worse.sentence
    assert court.champion() in (None, "1")
    if rate == 1.0:
        assert (better.decision, worse.decision) == ("hold", "hold")
        assert all(rule.outcome == "unmeasured" for rule in (*better.rules, *worse.rules))
        assert court.champion() is None
    for record in (better, worse):
        # the budget, what was in flight, and the rest
        assert record.run.seconds["answer"] <= PATIENCE_S + CALL_SECONDS + 10


@pytest.mark.parametrize("kind", FAULTS)
def test_every_call_ends_at_its_deadline_whatever_goes_wrong(kind: str) -> None:
    requests = [GenerateRequest(f"question {number}", 16) for number in range(48)]
    ends: list[float] = []
    answers: dict[int, Answer] = {}

    def deliver(index: int, answer: Answer) -> None:
        answers[index] = answer
        ends.append(time.monotonic() - begun)

    with FaultServer(answer=FAULTS[kind]) as server:
        limits = EndpointLimits(max_in_flight=len(requests), call_seconds=CALL_SECONDS, response_bytes=1 << 16)
        model = EndpointModel(Endpoint(server.base_url, "judge"), limits, environ={})
        before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
        try:
            model.generate(requests, deliver)
        finally:
            model.release()
    assert len(answers) == len(requests)
    assert all(isinstance(answer, Failed) for answer in answers.values()) or kind == "cut verdict"
    # the level of concurrency grows from 4, so that the last calls begin some deadlines later than the first
    assert max(ends) <= 3 * CALL_SECONDS + 1
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 50, "MiB of memory"
