"""Code generation: pass@k, the draws, and that only a sandbox's word counts."""

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
from finetune_gate.evaluators.asking import (
    Answer,
    ExecuteRequest,
    Execution,
    Failed,
    GenerateRequest,
    Generation,
    Request,
)
from finetune_gate.evaluators.code_generation import CodeGeneration, pass_at_k
from finetune_gate.evaluators.datasets import Dataset, Row
from finetune_gate.evaluators.errors import DatasetError
from finetune_gate.evaluators.evaluator import Answers
from finetune_gate.evaluators.findings import Table
from finetune_gate.evaluators.testing import check_contract, made_dataset, measured_by

IMAGE = "python@sha256:" + "a" * 64
ROWS: list[Row] = [
    {
        "prompt": f"def add_{at}(a, b):\n",
        "entry_point": f"add_{at}",
        "calls": [{"arguments": [1, 2], "result": 3 + at}],
        "reference": f"def add_{at}(a, b):\n    return a + b + {at}\n",
    }
    for at in range(30)
]
DRAWN = CodeGeneration(data="tasks", k=(1, 2), samples=4, temperature=0.8, seed=3)
NO_SANDBOX = "no sandbox here"


def data(rows: Sequence[Row] = ROWS) -> dict[str, Dataset]:
    return {"tasks": made_dataset("tasks", rows)}


def ran(request: Request) -> Answer:
    """A sandbox that runs nothing: a program comes to what it says."""
    assert isinstance(request, ExecuteRequest)
    says = request.program.rsplit("# ", 1)[-1]
    return Failed("the sandbox broke") if says == "broken" else Execution(says, "in call 1")  # type: ignore[arg-type]


def scored(evaluator: CodeGeneration, found: Mapping[str, Dataset], *says: str) -> Mapping[str, object]:
    """The first example's components, where its programs come to ``says``."""
    answers: dict[Request, Answer] = {
        request: Failed("timed out") if one == "missing" else Generation(f"    pass {at} # {one}", "stop", 3)
        for at, (request, one) in enumerate(zip(evaluator.requests(found), says, strict=True))
    }
    asked = evaluator.second_requests(found, {"candidate": answers})
    verdicts: Mapping[str, Answers] = {judge: {one: ran(one) for one in some} for judge, some in asked.items()}
    components = evaluator.score_judged(found, {"candidate": answers}, verdicts)["candidate"]
    return {name: values[0] for name, values in components.items()}


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


def test_it_keeps_the_contract() -> None:
    check_contract(DRAWN, data())
    check_contract(CodeGeneration(data="tasks", extract="fenced"), data())


def test_without_a_sandbox_everything_is_unmeasured() -> None:
    scripts = {"candidate": lambda asked: Generation("x", "stop", 1), "base": lambda asked: Generation("y", "stop", 1)}
    found = measured_by(DRAWN, data(), scripts, judge=lambda asked: Failed(NO_SANDBOX))  # type: ignore[arg-type]
    assert set(found) == {"pass_at_1", "pass_at_2", "timeouts", "out_of_memory"}
    for measurement in found.values():
        assert isinstance(measurement.candidate, Unmeasured)
        assert NO_SANDBOX in measurement.candidate.reason


def test_samples_are_drawn_by_number_and_seed() -> None:
    requests = DRAWN.requests(data(ROWS[:1]))
    assert [
        (one.temperature, one.sample, one.seed) for one in requests if isinstance(one, GenerateRequest)
    ] == [(0.8, sample, 3) for sample in range(4)]  # fmt: skip
    (greedy,) = CodeGeneration(data="tasks").requests(data(ROWS[:1]))
    assert isinstance(greedy, GenerateRequest)
    assert (greedy.temperature, greedy.sample, greedy.seed, greedy.stop) == (0.0, 0, 0, ())


def test_completions_end_where_the_published_ones_do() -> None:
    (asked,) = CodeGeneration(data="tasks", extract="completion", stop=("\n\n\n", "\nif")).requests(data(ROWS[:1]))
    assert isinstance(asked, GenerateRequest)
    assert asked.stop == ("\n\n\n", "\nif", "\nclass", "\ndef", "\n#", "\nprint")


def test_a_sandbox_is_told_the_program_the_task_and_the_limits() -> None:
    evaluator = CodeGeneration(
        data="tasks", sandbox="docker", image=IMAGE, seconds=3.0, times_reference=4.0, memory_mib=64
    )
    found = data(ROWS[:1])
    (asked,) = evaluator.requests(found)
    answers = {role: {asked: Generation("    return 7", "stop", 3)} for role in ("candidate", "base")}
    second = evaluator.second_requests(found, answers)
    assert list(second) == list(evaluator.judges()) == [f"sandbox:docker/{IMAGE}"]
    (run,) = second[f"sandbox:docker/{IMAGE}"]
    assert isinstance(run, ExecuteRequest)
    assert run.program == "def add_0(a, b):\n    return 7"
    assert (run.task.entry_point, run.task.calls) == ("add_0", (("[1, 2]", "3"),))
    assert (run.seconds, run.times_reference, run.memory_mib) == (3.0, 4.0, 64)


def test_outcomes_become_pass_at_k_and_shares() -> None:
    found = scored(DRAWN, data(ROWS[:1]), "passed", "failed", "timeout", "out_of_memory")
    assert found == {"passed": 1.0, "pass_at_1": 0.25, "pass_at_2": 0.5, "timeouts": 0.25, "out_of_memory": 0.25}


@pytest.mark.parametrize(("fault", "reason"), [("missing", "timed out"), ("broken", "the sandbox broke")])
def test_a_program_that_did_not_come_or_was_not_judged_leaves_the_example_unmeasured(fault: str, reason: str) -> None:
    found = scored(DRAWN, data(ROWS[:1]), "passed", "passed", fault, "passed")
    assert found == dict.fromkeys(("passed", "pass_at_1", "pass_at_2", "timeouts", "out_of_memory"), Unmeasured(reason))


def test_a_sandbox_that_breaks_for_the_base_alone_never_helps_the_candidate() -> None:
    """Missing scores are at their best for a baseline, at their worst for the candidate."""

    def breaks_for(word: str) -> object:
        return lambda asked: Failed("broke") if word in asked.program else Execution("passed")

    scripts = {
        "candidate": lambda _: Generation("    mine", "stop", 1),
        "base": lambda _: Generation("    base", "stop", 1),
    }
    for word in ("mine", "base"):
        found = measured_by(CodeGeneration(data="tasks"), data(), scripts, judge=breaks_for(word))["pass_at_1"]  # type: ignore[arg-type]
        difference = found.comparisons["base"].difference
        assert isinstance(difference, Unmeasured) or difference.value <= 0


def test_programs_are_shown_with_what_became_of_them() -> None:
    found = data(ROWS[:2])
    first, *others = DRAWN.requests(found)
    texts = {first: Generation("    <b>return</b> # failed", "stop", 3)}
    answers: dict[Request, Answer] = {**dict.fromkeys(others, Generation("    pass # passed", "stop", 1)), **texts}
    asked = DRAWN.second_requests(found, {"candidate": answers})
    verdicts: Mapping[str, Answers] = {judge: {one: ran(one) for one in some} for judge, some in asked.items()}
    shown = DRAWN.shown(found, {"candidate": answers}, verdicts)
    assert shown[0].wanted == ROWS[0]["reference"]
    said = shown[0].answers["candidate"].text
    assert said.startswith(
        "[program 1: failed: in call 1]\n    <b>return</b> # failed\n\n[program 2: passed: in call 1]"
    )
    (table,) = DRAWN.findings(found, {"candidate": answers}, verdicts)
    assert isinstance(table, Table)
    assert table.columns == ("problem", "candidate")
    assert table.rows == (("0", "3 of 4 passed, 1 failed (in call 1)"), ("1", "4 of 4 passed"))


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
        ({"sandbox": "none"}, "'auto', 'bwrap' or 'docker'"),
        ({"sandbox": "docker"}, "needs an `image`"),
        ({"sandbox": "bwrap", "image": IMAGE}, "of no use with sandbox bwrap"),
        ({"image": "python:3.12"}, "should match pattern"),
        ({"seconds": 0.0}, "greater than 0"),
        ({"times_reference": 0.5}, "greater than or equal to 1"),
        ({"memory_mib": 1}, "greater than or equal to 64"),
    ],
)
def test_settings_are_checked(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CodeGeneration.model_validate({"data": "tasks", **settings})


def test_every_fault_of_the_data_is_named_with_its_place() -> None:
    rows: list[Row] = [{"id": "a", "text": "x"}, {**ROWS[0], "id": "b"}, {"id": "c", "calls": [], "entry_point": "f g"}]
    problems = CodeGeneration(data="tasks").check(data(rows))
    assert [(problem.where.rpartition("example ")[2], problem.found) for problem in problems] == [
        ("'a'", "columns id, text"),
        ("'c'", "entry_point='f g'"),
        ("'c'", "calls=[]"),
    ]
    assert len(CodeGeneration(data="tasks").check(data([{"text": "x"}] * 9))) == 6
    with pytest.raises(DatasetError, match="exactly one of test, test_list, calls, dialogues"):
        CodeGeneration(data="tasks").requests(data(rows[:1]))


def test_a_prompt_comes_from_the_gate_file_or_from_the_data() -> None:
    untold = data([{**ROWS[0], "prompt": None, "task": "add"}])
    assert "no text in column 'prompt'" in str(CodeGeneration(data="tasks").check(untold)[0])
    evaluator = CodeGeneration(data="tasks", prompt="Do {task}.", chat="never")
    assert evaluator.check(untold) == []
    (asked,) = evaluator.requests(untold)
    assert isinstance(asked, GenerateRequest)
    assert asked.prompt == "Do add."
    assert "slot {wish}" in str(CodeGeneration(data="tasks", prompt="{wish}").check(untold)[0])
