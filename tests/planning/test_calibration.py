"""Estimates of time: a model whose time is known, small samples, and tiny real models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import pytest
from workshop import MODEL, PASSES, Workshop

from finetune_gate.evaluators.asking import ChooseRequest, GenerateRequest, Request, ScoreRequest
from finetune_gate.gate.models import FakeModel
from finetune_gate.gate.models.protocol import Tokens
from finetune_gate.gate.planning.calibration import FEW_TOKENS, LONG_ENOUGH, TEXT_BATCHES, measure_speed
from finetune_gate.gate.planning.making import plan_gate
from finetune_gate.gate.planning.planned import Seconds, Speed, Unknown
from finetune_gate.gate.planning.work import Work, addresses_of, work_on
from finetune_gate.gate.progress import Silent
from finetune_gate.gate.run import GateRequest, walk
from finetune_gate.gate.run.shards import ask

BATCH = 100
DOCUMENTS = [ScoreRequest("", "word " * (5 + i % 40) + str(i)) for i in range(400)]
CHOICES = [ScoreRequest(f"a prompt of {'some ' * (i % 30)}words {i}", label) for i in range(200) for label in "abcde"]
VERDICTS = [ChooseRequest(f"two answers of {'some ' * (i % 30)}words {i}", ("m", "M")) for i in range(400)]
TEXTS = [GenerateRequest(f"go on with {'these ' * (i % 50)}words {i}", max_new_tokens=40) for i in range(400)]


class Timed(FakeModel):
    """Takes a time that follows a rule: a fixed one for each batch, and one for each token and row."""

    load = 3.0
    per_batch = 0.004
    per_token = 0.0002
    per_row = 0.0003

    def __init__(self, script: Callable[[Request], float | str]) -> None:
        super().__init__(script, abilities=["generates", "scores_tokens", "chooses"])
        self.script = script
        self.now = 0.0
        self.loaded = False
        self.read = 0
        self.longest = 0

    def tokens(self, requests: Sequence[Request]) -> Tokens:
        prompts = {request.prompt for request in requests if request.prompt}
        words = sum(len(str(prompt).split()) for prompt in prompts)
        words += sum(len(r.continuation.split()) for r in requests if isinstance(r, ScoreRequest))
        words += sum(len(r.options) for r in requests if isinstance(r, ChooseRequest))
        return Tokens(words, sum(r.max_new_tokens for r in requests if isinstance(r, GenerateRequest)))

    def score(self, requests: Sequence[ScoreRequest], deliver: object) -> None:
        read = self._begin(requests)
        self.now += -(-read // BATCH) * self.per_batch + read * self.per_token
        super().score(requests, deliver)  # pyright: ignore[reportArgumentType] - handed on as it came

    def choose(self, requests: Sequence[ChooseRequest], deliver: object) -> None:
        read = self._begin(requests)
        self.now += -(-read // BATCH) * self.per_batch + read * self.per_token
        super().choose(requests, deliver)  # pyright: ignore[reportArgumentType] - handed on as it came

    def generate(self, requests: Sequence[GenerateRequest], deliver: object) -> None:
        read = self._begin(requests)
        steps = max(request.max_new_tokens for request in requests) - 1
        self.longest = max(self.longest, steps + 1)
        batches = -(-(read + self.tokens(requests).written) // (TEXT_BATCHES * BATCH))
        self.now += batches * self.per_batch + read * self.per_token
        self.now += steps * (batches * self.per_batch + len(requests) * self.per_row)
        super().generate(requests, deliver)  # pyright: ignore[reportArgumentType] - handed on as it came

    def _begin(self, requests: Sequence[Request]) -> int:
        if not self.loaded:
            self.loaded = True
            self.now += self.load
        read = self.tokens(requests).read
        self.read += read
        return read


def model() -> Timed:
    return Timed(lambda request: "text" if isinstance(request, GenerateRequest) else -1.0)


def work_of(requests: Sequence[Request]) -> Work:
    some = model()
    return work_on(some, addresses_of(some, requests), some.abilities, set())


def speed_of(timed: Timed, work: Work, seed: int = 0) -> Speed:
    speed = measure_speed(timed, work, BATCH, seed, clock=lambda: timed.now)
    assert isinstance(speed, Speed)
    return speed


@pytest.mark.parametrize(
    "requests",
    [DOCUMENTS, CHOICES, VERDICTS, TEXTS, [*DOCUMENTS, *CHOICES, *VERDICTS, *TEXTS], DOCUMENTS[:20], TEXTS[:20]],
)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_time_of_a_model_that_keeps_to_the_rule_is_found(requests: Sequence[Request], seed: int) -> None:
    work = work_of(requests)
    speed = speed_of(model(), work, seed)
    whole = model()
    whole.loaded = True
    for piece in work.pieces:
        if piece.size.kind == "texts":
            whole.generate([r for r in piece.left if isinstance(r, GenerateRequest)], lambda index, answer: None)
        else:
            ask(whole, piece.left, lambda request, answer: None)
    assert speed.loading == pytest.approx(Timed.load, abs=0.02)
    assert sum(speed.of(piece.size) for piece in work.pieces) == pytest.approx(whole.now, rel=0.25)


def test_the_sample_is_small_spread_over_lengths_and_writes_little() -> None:
    class Slower(Timed):
        per_token: ClassVar[float] = 0.002  # pyright: ignore[reportIncompatibleVariableOverride] - so that it takes time

    timed = Slower(model().script)
    requests = [*DOCUMENTS, *CHOICES, *TEXTS]
    work = work_of(requests)
    speed_of(timed, work)
    assert timed.read <= 0.12 * sum(piece.size.left.read for piece in work.pieces)
    assert timed.longest <= FEW_TOKENS
    lengths = [
        len(request.continuation) for request in timed.asked if isinstance(request, ScoreRequest) and not request.prompt
    ]
    assert len(lengths) > 10
    assert (min(lengths) < 60, max(lengths) > 180) == (True, True)


def test_the_same_seed_takes_the_same_sample() -> None:
    one, other, third = model(), model(), model()
    work = work_of(CHOICES)
    assert speed_of(one, work) == speed_of(other, work)
    speed_of(third, work, seed=7)
    assert one.asked == other.asked
    assert one.asked != third.asked


def test_what_is_asked_about_one_prompt_stays_together() -> None:
    timed = model()
    speed_of(timed, work_of(CHOICES))
    by_prompt: dict[str, set[str]] = {}
    for request in timed.asked:
        assert isinstance(request, ScoreRequest)
        by_prompt.setdefault(str(request.prompt), set()).add(request.continuation)
    assert all(labels == set("abcde") for labels in by_prompt.values())


def test_a_slow_model_is_not_asked_for_more_than_it_takes_to_know() -> None:
    class Slow(Timed):
        per_token: ClassVar[float] = 2 * LONG_ENOUGH  # pyright: ignore[reportIncompatibleVariableOverride] - a slower one

    slow = Slow(lambda request: -1.0)
    work = work_of(DOCUMENTS)
    speed = speed_of(slow, work)
    assert len(slow.asked) == 3  # twice the shortest, for loading, and one more
    assert sum(speed.of(piece.size) for piece in work.pieces) == pytest.approx(
        sum(piece.size.left.read for piece in work.pieces) * Slow.per_token, rel=0.1
    )


def test_a_model_that_answers_nothing_has_no_speed() -> None:
    broken = FakeModel(lambda request: None, abilities=["generates"])
    work = work_on(model(), addresses_of(model(), DOCUMENTS), {"scores_tokens"}, set())
    speed = measure_speed(broken, work, BATCH, seed=0)
    assert isinstance(speed, Unknown)
    assert "scores_tokens" in speed.unknown


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_real_tiny_models_take_about_as_long_as_planned(workshop: Workshop, tmp_path: Path) -> None:
    """A ratio within one process, and loose: other work on the machine moves it."""
    rows = (workshop.folder / "holdout.jsonl").read_text()
    more = "".join(rows.replace('"ticket-', f'"t{i}-').replace("order 1234", f"order {i}") for i in range(12))
    (workshop.folder / "holdout.jsonl").write_text(more)
    gate = workshop.gate(PASSES)
    text = gate.read_text().replace("parcel]}", "parcel], prompt: '{text} {id}'}")
    generated = "  - classification: {name: said, data: holdout, labels: [billing, parcel], method: generate"
    gate.write_text(text.replace("rules:", generated + ", prompt: '{text} {id}:', max_new_tokens: 24}\nrules:"))
    request = GateRequest(
        gate_file=gate,
        candidate="1",
        tracking_uri=workshop.uri,
        home=tmp_path / "home",
        out=tmp_path / "out",
        dry_run=True,
    )
    plan = plan_gate(request, progress=Silent()).plan
    assert isinstance(plan.seconds, Seconds)
    record = walk(request).record
    ratio = plan.seconds.total / record.run.seconds["answer"]
    print(f"{MODEL}: planned {plan.seconds}, took {record.run.seconds['answer']} s")
    assert 0.25 < ratio < 4
