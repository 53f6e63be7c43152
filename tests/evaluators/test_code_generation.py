"""Code generation: pass@k, the draws, and that nothing is run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import combinations
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.asking import Failed, GenerateRequest, Generation, Request
from finetune_gate.evaluators.code_generation import NO_SANDBOX, CodeGeneration, Sandbox, pass_at_k
from finetune_gate.evaluators.datasets import Dataset, Row
from finetune_gate.evaluators.testing import check_contract, made_dataset, measured_by

ROWS = [{"prompt": f"def add_{at}(a, b):", "answer": f"return a + b + {at}"} for at in range(30)]
DRAWN = CodeGeneration(data="tasks", k=(1, 2), samples=4, temperature=0.8, seed=3)


def data(rows: Sequence[Mapping[str, object]] = ROWS) -> dict[str, Dataset]:
    return {"tasks": made_dataset("tasks", rows)}  # type: ignore[arg-type]


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_closed_form_in_exact_fractions(numbers: tuple[int, int, int]) -> None:
    n, c, k = numbers
    assert pass_at_k(n, c, k) == float(1 - Fraction(comb(n - c, k), comb(n, k)))


def test_pass_at_k_is_the_share_of_draws_with_a_program_that_passes() -> None:
    samples = [True, True, False, False, False, False]
    draws = list(combinations(samples, 3))
    assert pass_at_k(6, 2, 3) == pytest.approx(sum(map(any, draws)) / len(draws))
    assert pass_at_k(6, 2, 3) != pytest.approx(1 - (1 - 2 / 6) ** 3)


def test_pass_at_k_at_its_edges() -> None:
    assert pass_at_k(10, 0, 5) == 0.0
    assert pass_at_k(10, 10, 1) == 1.0
    assert pass_at_k(10, 6, 5) == 1.0
    assert pass_at_k(1000, 1, 1) == 0.001
    assert pass_at_k(3, 3, 4) == Unmeasured("pass@4 needs at least 4 samples, and there are 3")
    for n, c, k in ((3, 4, 1), (3, -1, 1), (3, 1, 0), (-1, 0, 1)):
        with pytest.raises(ValueError, match="expected 0 <= c <= n"):
            pass_at_k(n, c, k)


def test_without_a_sandbox_everything_is_unmeasured_and_says_what_to_do() -> None:
    check_contract(DRAWN, data())
    for measurement in measured_by(DRAWN, data(), {"candidate": lambda asked: Generation("x", "stop", 1)}).values():
        assert isinstance(measurement.candidate, Unmeasured)
        assert "no sandbox: model-written code is not run" in measurement.candidate.reason
        assert "Sandbox" in measurement.candidate.reason


def test_samples_are_drawn_by_number_and_seed() -> None:
    requests = DRAWN.requests(data(ROWS[:1]))
    assert [
        (one.temperature, one.sample, one.seed) for one in requests if isinstance(one, GenerateRequest)
    ] == [(0.8, sample, 3) for sample in range(4)]  # fmt: skip
    (greedy,) = CodeGeneration(data="tasks").requests(data(ROWS[:1]))
    assert isinstance(greedy, GenerateRequest)
    assert (greedy.temperature, greedy.sample, greedy.seed) == (0.0, 0, 0)


class Equal:
    """A sandbox that runs nothing: a program passes that is the row's answer, letter for letter."""

    def passed(self, row: Row, samples: Sequence[str]) -> int | Unmeasured:
        return samples.count(str(row["answer"]))


class WithSandbox(CodeGeneration):
    def sandbox(self) -> Sandbox | None:
        return Equal()


EVALUATOR = WithSandbox(data="tasks", k=(1, 2), samples=4, temperature=0.8)


def test_counts_of_a_sandbox_become_pass_at_k() -> None:
    check_contract(EVALUATOR, data())
    found = data(ROWS[:1])
    answers = {
        request: Generation("return a + b + 0" if at < 2 else "pass", "stop", 3)
        for at, request in enumerate(EVALUATOR.requests(found))
    }
    scored = EVALUATOR.score(found, answers)
    assert scored == {"passed": [2.0], "pass_at_1": [0.5], "pass_at_2": [pytest.approx(5 / 6)]}


def test_one_sample_that_failed_to_come_leaves_the_example_unmeasured() -> None:
    found = data(ROWS[:1])
    first, *others = EVALUATOR.requests(found)
    scored = EVALUATOR.score(found, {first: Failed("timed out"), **dict.fromkeys(others, Generation("x", "stop", 1))})
    assert scored == {name: [Unmeasured("timed out")] for name in ("passed", "pass_at_1", "pass_at_2")}
    assert DRAWN.score(found, {one: Failed("timed out") for one in DRAWN.requests(found)})["passed"] == [NO_SANDBOX]


def test_shuffled_references_are_a_control_that_fails() -> None:
    right = {str(row["prompt"]): str(row["answer"]) for row in ROWS}
    wrong = dict(zip(right, [*list(right.values())[1:], "pass"], strict=True))

    def knows(key: Mapping[str, str]) -> object:
        def script(asked: Request) -> Generation:
            assert isinstance(asked, GenerateRequest)
            return Generation(key[asked.prompt[-1].content], "stop", 5)  # type: ignore[union-attr]

        return script

    scripts = {"candidate": knows(wrong), "base": knows(right)}
    for measurement in measured_by(EVALUATOR, data(), scripts).values():  # type: ignore[arg-type]
        assert measurement.candidate.value == 0.0
        assert measurement.comparisons["base"].baseline.value == 1.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"k": [5], "samples": 4, "temperature": 0.8}, "pass@5 needs at least 5 samples"),
        ({"k": [0]}, "whole numbers from 1"),
        ({"k": [1, 1]}, "each once"),
        ({"k": []}, "at least 1 item"),
        ({"samples": 4}, "temperature 0 writes the same program"),
        ({"seed": 4}, "no use at temperature 0"),
        ({"samples": 0}, "greater than or equal to 1"),
        ({"timeout": 4}, "Extra inputs"),
    ],
)
def test_settings_are_checked(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CodeGeneration.model_validate({"data": "tasks", **settings})


def test_slots_without_a_column_are_named() -> None:
    assert "slot {prompt}" in str(CodeGeneration(data="tasks").check(data([{"text": "x"}]))[0])
