"""What becomes of programs: right ones pass, however they do it; others end as what they are."""

from __future__ import annotations

import pytest
from right_programs import RIGHT

from finetune_gate.evaluators.asking import CodeTask, ExecuteRequest, Execution, Failed
from finetune_gate.gate.sandbox.choosing import Unavailable, choose
from finetune_gate.gate.sandbox.trials.running import Trials

DOUBLED = CodeTask(entry_point="solve", calls=(("[2]", "4"),))


@pytest.fixture(scope="module")
def trials() -> Trials:
    backend = choose("bwrap")
    if isinstance(backend, Unavailable):
        pytest.skip(backend.reason)
    return Trials(backend, 1)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_program_passes(trials: Trials, name: str) -> None:
    task, program = RIGHT[name]
    seconds, times = (0.4, 20.0) if "floor" in name else (20.0, 1.0)
    assert trials.execute(ExecuteRequest(program, task, seconds, times)) == Execution("passed")


WRONG: dict[str, tuple[str, str, str]] = {
    "another value": ("def solve(n): return 5", "failed", "call 0: not the value that is expected"),
    "an error": ("def solve(n): return 1 / 0", "failed", "call 0: ZeroDivisionError: division by zero"),
    "an error when loaded": ("1 / 0", "failed", "ZeroDivisionError: division by zero"),
    "no such function": ("def solved(n): return 4", "failed", "defines no 'solve'"),
    "no end": ("import time\ndef solve(n): time.sleep(60)", "timeout", "no answer within its time"),
    "no end when loaded": ("while True: pass", "timeout", "no answer within its time"),
    "too much memory": (
        "def solve(n): return len(bytearray(1 << 30))", "out_of_memory", "it asked for more memory than it may use",
    ),
    "a crash": (
        "import ctypes\ndef solve(n): return ctypes.string_at(0)", "failed", "its process ended before it had answered",
    ),
    "a list that holds itself": (
        "def solve(n):\n    n = [n]\n    n.append(n)\n    return n", "failed", "returned nested more than 64 deep",
    ),
    "an object": ("def solve(n): return object()", "failed", "returned an object of type 'object'"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_program_ends_as_what_it_is(trials: Trials, name: str) -> None:
    program, outcome, detail = WRONG[name]
    found = trials.execute(ExecuteRequest(program, DOUBLED, seconds=1.0 if outcome == "timeout" else 20.0))
    assert isinstance(found, Execution)
    assert found.outcome == outcome
    assert found.detail.startswith(detail)


SCRIPTS: dict[str, tuple[str, str, str]] = {
    "other lines": ("print(1)", "failed", "dialogue 0: printed not what is expected"),
    "an error": ("[][0]", "failed", "dialogue 0: ended with status 1: IndexError: list index out of range"),
    "a signal": ("import os\nos.abort()", "failed", "dialogue 0: ended with status -6: "),
    "too much memory": ("bytearray(1 << 30)", "out_of_memory", "it asked for more memory than it may use"),
    "no end": ("import time\ntime.sleep(60)", "timeout", "no answer within its time"),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_wrong_script_ends_as_what_it_is(trials: Trials, name: str) -> None:
    program, outcome, detail = SCRIPTS[name]
    task = CodeTask(dialogues=(("2", "4"),))
    found = trials.execute(ExecuteRequest(program, task, seconds=1.0 if outcome == "timeout" else 20.0))
    assert found == Execution(outcome, detail)  # pyright: ignore[reportArgumentType] (a table's text)


def _tests(source: str, reference: str = "def solve(n): return 2 * n") -> CodeTask:
    return CodeTask(entry_point="solve", test=source, reference=reference)


USELESS: dict[str, tuple[CodeTask, str]] = {
    "nothing to try": (CodeTask(entry_point="solve"), "no calls, no test and no dialogues"),
    "no function": (CodeTask(calls=(("[1]", "1"),)), "names no function to call"),
    "no JSON": (CodeTask("solve", calls=(("[1", "1"),)), "are not JSON"),
    "NaN": (CodeTask("solve", calls=(("[NaN]", "1"),)), "NaN is not JSON"),
    "no arguments": (CodeTask("solve", calls=(("1", "1"),)), "expected a JSON array"),
    "a reference that is wrong": (
        _tests("assert solve(1) == 3"), "the reference solution does not pass its own tests in this sandbox: failed",
    ),
    "a reference without its module": (
        _tests("assert solve(1) == 2", "import numpy\ndef solve(n): return 2 * n"), "No module named 'numpy'",
    ),
    "tests that never ask": (_tests("assert True"), "the tests never call 'solve'"),
    "tests that ask nothing of a program": (_tests("assert True", ""), "the tests never call 'solve'"),
    "a function as argument": (_tests("assert solve(len)", ""), "the tests give the program an object of type"),
    "a function as argument, hidden": (
        _tests("try:\n    solve(len)\nexcept BaseException:\n    pass", ""), "the tests give the program an object of",
    ),
    "tests that disturb their own channel": (
        _tests("import os\nfor fd in range(3, 20):\n    try:\n        os.write(fd, b'\\0\\0\\0\\x02{}')\n"
               "    except OSError:\n        pass\nassert solve(1) == 2", ""), "what cannot be said to a program",
    ),
    "tests that run text": (_tests("assert eval(solve(1)) == 2", ""), "the tests use 'eval'"),
    "a name that is the program's": (_tests("assert close(solve(1), 2)", ""), "the tests use 'close'"),
}  # fmt: skip


@pytest.mark.parametrize("name", USELESS)
def test_a_task_that_tells_nothing_is_never_a_failure_of_the_program(trials: Trials, name: str) -> None:
    task, reason = USELESS[name]
    found = trials.execute(ExecuteRequest("def solve(n): return 2 * n", task))
    assert isinstance(found, Failed)
    assert reason in found.reason


def test_a_helper_of_the_program_is_not_what_it_is_tested_by(trials: Trials) -> None:
    """As in HumanEval, where some tests use functions that the prompt defines and the program repeats."""
    task = _tests("def check(candidate):\n    assert close(candidate(1), 2)", "def close(a, b): return a == b\n"
                  "def solve(n): return 2 * n")  # fmt: skip
    program = "def close(a, b): return True\ndef solve(n): return 0"
    assert trials.execute(ExecuteRequest(program, task)) == Execution("failed", "AssertionError")


@pytest.mark.parametrize("error", ["StopIteration", "StopAsyncIteration", "GeneratorExit", "SystemExit"])
def test_an_exception_that_ends_loops_does_not_end_the_tests(trials: Trials, error: str) -> None:
    task = _tests("assert all(map(lambda n: solve(n) == 2 * n, [1, 2, 3]))")
    found = trials.execute(ExecuteRequest(f"def solve(n): raise {error}", task))
    assert found == Execution("failed", error)


def test_a_program_is_not_made_right_by_what_it_does_to_its_arguments(trials: Trials) -> None:
    task = _tests("values = [2, 1]\nassert solve(values) == sorted(values)", "def solve(values): return sorted(values)")
    changing = {"values.sort()": "passed", "values.clear()": "failed"}
    for change, outcome in changing.items():
        found = trials.execute(ExecuteRequest(f"def solve(values):\n    {change}\n    return values", task))
        assert isinstance(found, Execution)
        assert found.outcome == outcome
    kept = _tests("values = [2, 1]\nassert solve(values) == [1, 2] and values == [2, 1]", task.reference)
    found = trials.execute(ExecuteRequest("def solve(values):\n    values.sort()\n    return values", kept))
    assert found == Execution("failed", "AssertionError")


def test_all_ways_of_one_task_must_be_passed(trials: Trials) -> None:
    task = CodeTask("solve", calls=(("[2]", "4"),), test="assert solve(3) == 6", dialogues=(("", "8"),))
    right = "def solve(n): return 2 * n\nif __name__ == '__main__': print(8)"
    assert trials.execute(ExecuteRequest(right, task)) == Execution("passed")
    for wrong in (right.replace("8", "9"), "def solve(n): return 4\nif __name__ == '__main__': print(8)"):
        found = trials.execute(ExecuteRequest(wrong, task))
        assert isinstance(found, Execution)
        assert found.outcome == "failed"


def test_nothing_of_one_program_reaches_another(trials: Trials) -> None:
    task = CodeTask("solve", calls=(("[]", "[]"),))
    program = (
        "import os\ndef solve():\n    found = os.listdir('/tmp')\n    open('/tmp/left', 'w').close()\n    return found"
    )
    assert [trials.execute(ExecuteRequest(program, task)) for _ in range(2)] == [Execution("passed")] * 2
