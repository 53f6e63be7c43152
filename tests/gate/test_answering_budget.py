"""Answering within a budget: what is not asked is Failed and not stored, so that the next run goes on from there."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import pytest
from judged import Liked

from finetune_gate.evaluators.asking import Answer, Failed, GenerateRequest, Generation, Request
from finetune_gate.evaluators.datasets import Dataset, DatasetSource, load_dataset
from finetune_gate.gate.answers import AnswerStore
from finetune_gate.gate.budget import Purse
from finetune_gate.gate.gate_file.settings import BudgetSettings
from finetune_gate.gate.models import FakeModel
from finetune_gate.gate.models.protocol import Model, Usage
from finetune_gate.gate.progress import Silent
from finetune_gate.gate.run.answering import Answered, Asking, answer_plan
from finetune_gate.gate.run.plan import make_plan
from finetune_gate.gate.run.shards import Advance, Shard, cut_shards

JUDGE = "openai:/judge"
ROWS = 320
LATE = "the budget of 10 seconds of asking judges is spent"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Said(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AnswerStore]:
    with AnswerStore(tmp_path / "answers.sqlite") as opened:
        yield opened


@pytest.fixture
def rows(tmp_path: Path) -> Dataset:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f'{{"text": "row {"long " * (number % 7)}{number}"}}\n' for number in range(ROWS)))
    return load_dataset("rows", DatasetSource(path=path.name), tmp_path)


def judged_run(
    store: AnswerStore, rows: Dataset, judge: Model, purse: Purse, seed: int = 0, said: Said | None = None
) -> Answered:
    liked = Liked(data="rows", judge=JUDGE)
    data = {"rows": rows}
    models: dict[str, Model] = {
        "candidate": FakeModel(lambda request: str(request.prompt), digest="candidate"),
        "base": FakeModel(lambda request: "the same for all", digest="base"),
        JUDGE: judge,
    }
    asking = Asking(models, store, said or Silent(), purse=purse, seed=seed)
    return answer_plan(asking, ("candidate", "base"), make_plan([liked], data), [liked], data)


def slow_judge(clock: Clock, batched: bool = True) -> FakeModel:
    def takes_a_while(request: Request) -> str:
        clock.now += 0.05  # a shard of 64 takes 3.2 seconds
        return "yes"

    return FakeModel(takes_a_while, digest="judge", batched=batched)


def test_a_local_judge_stops_between_shards_and_goes_on_in_the_next_run(store: AnswerStore, rows: Dataset) -> None:
    limits, done, said = BudgetSettings(seconds=10), 0, Said()
    for left in (ROWS + 1 - 256, 0):
        clock = Clock()
        judge = slow_judge(clock)
        answered = judged_run(store, rows, judge, Purse(limits, clock=clock), said=said)
        done += len(judge.asked)
        verdicts = answered.verdicts[JUDGE]
        assert len(verdicts) == ROWS + 1
        assert sum(answer == Failed(LATE) for answer in verdicts.values()) == left
        assert answered.unasked == ({LATE: left} if left else {})
        assert answered.asked[JUDGE] == len(judge.asked)
        assert answered.stored[JUDGE] == ROWS + 1 - left - len(judge.asked)
    assert done == ROWS + 1, "nothing twice, and what was refused was not stored"
    assert f"budget: {LATE}; 65 answers are missing" in said.lines
    assert "budget: 13 of 10 seconds of asking judges spent" in said.lines


def reached(store: AnswerStore, rows: Dataset, seed: int) -> list[Request]:
    clock = Clock()
    judge = slow_judge(clock)
    judged_run(store, rows, judge, Purse(BudgetSettings(seconds=6), clock=clock), seed)
    return judge.asked


def test_what_is_reached_in_time_is_drawn_by_the_seed_and_not_the_longest(tmp_path: Path, rows: Dataset) -> None:
    asked: list[list[Request]] = []
    for number, seed in enumerate((0, 0, 1, 2)):
        with AnswerStore(tmp_path / f"{number}.sqlite") as store:
            asked.append(reached(store, rows, seed))
    assert asked[0] == asked[1]
    assert len({tuple(map(repr, some)) for some in asked}) > 1
    texts = [GenerateRequest(f"Liked? {row.row['text']}", 8) for row in rows.examples]
    longest = next(iter(cut_shards([*texts, GenerateRequest("Liked? the same for all", 8)])))
    assert not all(set(some) >= set(longest) for some in asked)


def test_without_a_limit_of_time_shards_keep_their_order(store: AnswerStore, rows: Dataset) -> None:
    clock = Clock()
    judge = slow_judge(clock)
    judged_run(store, rows, judge, Purse(BudgetSettings(calls=1), clock=clock))
    shards = list(cut_shards(judge.asked))
    assert judge.asked == [request for shard in shards for request in shard]


def test_time_that_is_over_before_a_judge_begins(store: AnswerStore, rows: Dataset) -> None:
    clock = Clock()
    purse = Purse(BudgetSettings(seconds=10), clock=clock)
    with purse.judging():
        clock.now += 11
    judge = slow_judge(clock)
    answered = judged_run(store, rows, judge, purse)
    assert judge.asked == []
    assert set(answered.verdicts[JUDGE].values()) == {Failed(LATE)}
    assert answered.asked["candidate"] == ROWS, "models under comparison are not judges"


def test_a_runner_far_away_is_told_to_stop(store: AnswerStore, rows: Dataset) -> None:
    clock = Clock()

    class Far:
        ended: ClassVar[list[tuple[str, int]]] = []

        def answer(
            self, name: str, model: Model, shards: Sequence[Shard], advance: Advance
        ) -> Generator[tuple[Shard, dict[Request, Answer]]]:
            done = 0
            try:
                for shard in shards:
                    clock.now += 4.0 * (name == JUDGE)
                    done += 1
                    yield shard, {one: Generation(str(getattr(one, "prompt", "")), "stop", 1) for one in shard}
            finally:
                self.ended.append((name, done))

        def usage(self, name: str) -> Usage:
            return Usage()

    models: dict[str, Model] = {name: FakeModel({}, digest=name) for name in ("candidate", "base", JUDGE)}
    purse = Purse(BudgetSettings(seconds=10), clock=clock)
    liked, data = Liked(data="rows", judge=JUDGE), {"rows": rows}
    asking = Asking(models, store, Silent(), runner=Far(), purse=purse)
    answered = answer_plan(asking, ("candidate", "base"), make_plan([liked], data), [liked], data)
    assert Far.ended == [("candidate", 5), ("base", 5), (JUDGE, 3)]
    assert answered.unasked == {LATE: ROWS - 3 * 64}
