"""Tasks in published layouts, and from answers to programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from finetune_gate.evaluators.asking import CodeTask
from finetune_gate.evaluators.code_programs import fenced_block, program_of
from finetune_gate.evaluators.code_tasks import AFTER_A_FUNCTION, AFTER_A_PROGRAM, Task, task_of
from finetune_gate.evaluators.datasets import DatasetSource, Row, load_dataset

ABOVE = "from typing import List\n\n\ndef helper(x):\n    return x\n\n\n"
HEAD = 'def total(prices: List[float]) -> float:\n    """Sum of prices."""\n'
SOLUTION = "    return sum(prices)\n"
CHECK = "METADATA = {}\n\n\ndef check(candidate):\n    assert candidate([1.5, 2]) == 3.5\n"
HUMANEVAL: Row = {
    "task_id": "Own/0",
    "prompt": ABOVE + HEAD,
    "entry_point": "total",
    "canonical_solution": SOLUTION,
    "test": CHECK,
}
MBPP: Row = {
    "task_id": 601,
    "text": "Write a function to sum prices.",
    "code": "def helper(x):\n    return x\ndef total(prices):\n    return sum(map(helper, prices))",
    "test_list": ["assert total([1, 2]) == 3", "assert set([total([])]) == {helper(0)}"],
    "test_setup_code": "zero = 0",
    "challenge_test_list": ["assert total([0]) == 0"],
}
DIALOGUE: Row = {"prompt": "Print twice what you read.", "dialogues": [{"input": "2\n", "output": "4\n"}]}


def read(row: Row) -> Task:
    task = task_of(row)
    assert isinstance(task, Task), task
    return task


def test_humaneval_loads_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "HumanEval.jsonl").write_text(json.dumps(HUMANEVAL) + "\n" + json.dumps({**HUMANEVAL, "task_id": "b"}))
    dataset = load_dataset("tasks", DatasetSource(path="HumanEval.jsonl", id="task_id"), tmp_path)
    assert [example.id for example in dataset.examples] == ["Own/0", "b"]
    task = read(dataset.examples[0].row)
    assert task.code == CodeTask(entry_point="total", test=CHECK, reference=ABOVE + HEAD + SOLUTION)
    assert (task.prompt, task.beginning, task.stops) == (ABOVE + HEAD, ABOVE + HEAD, AFTER_A_FUNCTION)


def test_mbpp_loads_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mbpp.jsonl").write_text(json.dumps(MBPP) + "\n")
    dataset = load_dataset("tasks", DatasetSource(path="mbpp.jsonl", id="task_id"), tmp_path)
    assert dataset.examples[0].id == "601"
    task = read(dataset.examples[0].row)
    tests = "\n".join(["zero = 0", *MBPP["test_list"]])  # type: ignore[misc]
    assert task.code == CodeTask(entry_point="total", test=tests, reference=str(MBPP["code"]))
    assert task.prompt is not None
    assert "task: Write a function to sum prices. Your code should pass these tests:\n\nassert total(" in task.prompt
    assert task.prompt.endswith("{helper(0)}\n[BEGIN]\n")
    assert "total([0])" not in task.prompt
    assert (task.beginning, task.stops) == ("", AFTER_A_PROGRAM)


def test_mbpp_sanitized_has_other_columns() -> None:
    row = {**MBPP, "prompt": MBPP["text"], "text": None, "test_imports": ["import math"], "test_setup_code": None}
    task = read(row)
    assert task.prompt == read(MBPP).prompt
    assert task.code.test.startswith("import math\nassert total")
    assert task.code.reference == f"import math\n{MBPP['code']}"


@pytest.mark.parametrize(
    ("tests", "code", "name"),
    [
        (["assert set(own((1, 2))) == {1}"], "def own(x): pass", "own"),
        (
            ["assert math.isclose(area(2), 4)", "assert area(Pair(1, 2)) == 2"],
            "class Pair: pass\ndef area(x): pass",
            "area",
        ),
        (["assert area(2) == 4"], "", "area"),
        (["assert not is_odd(4)"], "def helper(): pass\nasync def is_odd(x): pass", "is_odd"),
    ],
)
def test_the_function_that_mbpp_asks_for_is_the_one_that_its_tests_call(tests: list[str], code: str, name: str) -> None:
    assert read({**MBPP, "test_list": list(tests), "code": code}).code.entry_point == name


def test_calls_and_dialogues_are_data_of_ones_own() -> None:
    row: Row = {
        "prompt": HEAD,
        "entry_point": "total",
        "calls": [{"arguments": [[1, 2]], "result": 3}, {"arguments": {"prices": []}, "result": None}],
        "reference": HEAD + SOLUTION,
    }
    task = read(row)
    assert task.code.calls == (("[[1, 2]]", "3"), ('{"prices": []}', "null"))
    assert (task.beginning, task.code.reference) == (HEAD, HEAD + SOLUTION)
    spoken = read({**row, "prompt": "Write a function total."})
    assert (spoken.beginning, spoken.stops) == ("", ())
    printing = read(DIALOGUE)
    assert printing.code == CodeTask(dialogues=(("2\n", "4\n"),))
    assert (printing.prompt, printing.beginning) == ("Print twice what you read.", "")


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({}, "columns "),
        ({**HUMANEVAL, "calls": []}, "columns test and calls"),
        ({**HUMANEVAL, "entry_point": None}, "entry_point=None"),
        ({**HUMANEVAL, "entry_point": "a b"}, "entry_point='a b'"),
        ({**HUMANEVAL, "test": "  "}, "test='  '"),
        ({**HUMANEVAL, "prompt": 3}, "prompt=3"),
        ({**MBPP, "test_list": []}, "test_list=[]"),
        ({**MBPP, "test_list": ["assert f()", 3]}, "test_list holds 3"),
        ({**MBPP, "test_list": ["assert ("], "code": ""}, "entry_point=None"),
        ({"entry_point": "f", "calls": [{"arguments": [1]}]}, "call 1 is {'arguments': [1]}"),
        ({"entry_point": "f", "calls": [{"arguments": 1, "result": 2}]}, "call 1 is"),
        ({"entry_point": "f", "calls": [{"arguments": [1], "result": [float("inf")]}]}, "call 1 is"),
        ({"entry_point": "f", "calls": ["f(1)"]}, "call 1 is 'f(1)'"),
        ({"calls": [{"arguments": [], "result": 2}]}, "entry_point=None"),
        ({"dialogues": [{"input": "2", "output": 4}]}, "dialogue 1 is"),
        ({"dialogues": "2"}, "dialogues='2'"),
        ({**DIALOGUE, "reference": ["print(1)"]}, "reference=['print(1)']"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_row_is_said(row: Row, found: str) -> None:
    faults = task_of(row)
    assert isinstance(faults, list)
    assert faults[0][0].startswith(found)
    assert all(expected for _, expected in faults)


def test_a_completion_goes_on_from_the_prompt_and_ends_where_the_function_does() -> None:
    task = read(HUMANEVAL)
    written = "    return sum(prices)\n\ndef main():\n    total([])\n"
    assert program_of(written, task) == ABOVE + HEAD + "    return sum(prices)\n"
    assert program_of("    return 1\n# done", task) == ABOVE + HEAD + "    return 1"
    assert program_of("", task) == ABOVE + HEAD


def test_a_whole_function_stands_in_place_of_the_prompts_own() -> None:
    task = read(HUMANEVAL)
    whole = "def other():\n    pass\n\ndef total(prices):\n    return sum(prices)\n"
    assert program_of(whole, task) == ABOVE + whole
    assert program_of(f"Sure:\n```python\n{whole}```\nIt sums.", task) == ABOVE + whole
    assert program_of(f"```python\n{SOLUTION}```", task) == ABOVE + HEAD + SOLUTION
    assert program_of("    return 1\n\ndef total(prices):\n    return 2\n", task) == ABOVE + HEAD + "    return 1\n"


def test_the_setting_says_what_part_of_an_answer_counts() -> None:
    task = read(DIALOGUE)
    answer = "x\n```\nprint(4)\n```\n"
    assert program_of(answer, task, "fenced") == "print(4)\n"
    assert program_of(answer, task, "completion") == answer
    assert program_of("print(4)", task, "fenced") == ""
    assert program_of("a = 1\n[DONE]\n", read(MBPP)) == "a = 1\n"
    assert program_of("```py\na = 1\nprint(a)\n```", read(MBPP)) == "a = 1\nprint(a)\n"


@pytest.mark.parametrize(
    ("text", "block"),
    [
        ("no block", None),
        ("```python\na\n```\n```python\nb\n```", "a\n"),
        ("```bash\npip\n```\n```\nb\n```", "b\n"),
        ("```\nplain\n```\n```Python\nmarked\n```", "marked\n"),
        ("```bash\npip\n```", None),
        ("```python\nnever ends", "never ends"),
        ("```python\n```", ""),
        ("  ```py\na\n  ```", "a\n"),
        ("````python3\na\n````", "a\n"),
    ],
)
def test_the_first_block_of_python_is_taken(text: str, block: str | None) -> None:
    assert fenced_block(text) == block
