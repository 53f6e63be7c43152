"""Workers that say anything, and sandboxes that do not do their part."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field

import pytest
from plain_cell import PlainProcesses
from right_programs import RIGHT

from finetune_gate.evaluators.asking import CodeTask, ExecuteRequest, Execution, Failed
from finetune_gate.gate.sandbox.protocol import Backend, Cell, Ending, Limits
from finetune_gate.gate.sandbox.trials.controls import CONTROLS, TASKS, fault
from finetune_gate.gate.sandbox.trials.encoding import encode
from finetune_gate.gate.sandbox.trials.executing import Kind, attempt
from finetune_gate.gate.sandbox.trials.relay import SandboxFault
from finetune_gate.gate.sandbox.trials.running import Trials
from finetune_gate.gate.sandbox.trials.warm import WarmCells

TASK = CodeTask("solve", calls=(("[[1, 2], {}]", "[2, 4]"), ("[[], {}]", "[]")))
RIGHT_ONE = "def solve(values, names): return [2 * value for value in values]"
PASSED = Execution("passed")

_TALK = """
import json, os, struct
def say(data):
    data = struct.pack(">I", len(data)) + data
    while data:
        data = data[os.write(1, data):]
def take(length):
    data = b""
    while len(data) < length:
        data += os.read(0, length - len(data)) or os._exit(0)
    return data
def hear(): return json.loads(take(struct.unpack(">I", take(4))[0]))
def answer(kind, *rest): say(json.dumps([kind, number, *rest]).encode())
"""
_BEGIN = (
    _TALK
    + """
say(b'["hello"]')
_, number, source = hear()
say(b'["begun"]')
"""
)
_CALLED = (
    _BEGIN
    + """
answer("returned", None, None)
_, number, name, given, keywords = hear()
"""
)


def _attempt(instead: str, seconds: float = 20.0) -> Execution:
    with WarmCells(PlainProcesses(instead), ahead=0) as cells:
        return attempt("", TASK, seconds, lambda: cells.take(Limits())).execution


ANSWERS: dict[str, str] = {
    "nothing at all": "say(b'')",
    "no ASCII": "say('[\"returned\", \"é\"]'.encode())",
    "no JSON": "say(b'[\"returned\"')",
    "no array": "say(b'\"passed\"')",
    "an empty array": "say(b'[]')",
    "an object": "say(b'{\"passed\": true}')",
    "an object in it": "answer('returned', {'equal': True}, None)",
    "an array too deep": "say(b'[' * 100_000)",
    "an array too deep, closed": "say(b'[' * 400_000 + b']' * 400_000)",
    "quotes without an end": "say(b'[\"' + b'\\\\\"' * 400_000)",
    "too many values": "answer('returned', ['l', *[[]] * 600_000][:300_000], None)",
    "a number with a point": "answer('returned', ['l', 2.0, 4.0], None)",
    "NaN": "answer('returned', float('nan'), None)",
    "Infinity": "answer('returned', float('inf'), None)",
    "a number of many digits": "answer('returned', 10 ** 4000, None)",
    "an int of many digits": "answer('returned', ['i', 'f' * 70_000], None)",
    "an int that is none": "answer('returned', ['i', 'passed'], None)",
    "a float that is none": "answer('returned', ['f', 'passed'], None)",
    "a float beyond the largest": "answer('returned', ['f', '0x1p99999'], None)",
    "bytes that are none": "answer('returned', ['b', 'x'], None)",
    "an unknown tag": "answer('returned', ['o', 2, 4], None)",
    "no tag": "answer('returned', [], None)",
    "a tag that is none": "answer('returned', [['l'], 2, 4], None)",
    "an odd dict": "answer('returned', ['d', 1, 2, 3], None)",
    "a set of lists": "answer('returned', ['s', ['l']], None)",
    "a dict of lists": "answer('returned', ['d', ['l'], 1], None)",
    "numbers that hash alike": "answer('returned', ['s', *[['i', hex(i * (2**61 - 1))] for i in range(9_000)]], None)",
    "no number": "say(b'[\"returned\"]')",
    "the number of another call": "number = number[::-1] + '0'\nanswer('returned', ['l', 2, 4], None)",
    "a number that is no text": "number = True\nanswer('returned', ['l', 2, 4], None)",
    "too few parts": "answer('returned')",
    "too many parts": "answer('returned', ['l', 2, 4], None, 'passed')",
    "a verdict": "answer('verdict', 'passed', '')",
    "a verdict without a number": "say(b'[\"verdict\", \"passed\", \"\"]')",
    "a kind that is no text": "say(json.dumps([['returned'], number, ['l', 2, 4], None]).encode())",
    "arguments that were not given": "answer('returned', ['l', 2, 4], ['l', ['l', 1], ['d']])",
    "arguments of other types": "answer('returned', ['l', 2, 4], ['l', ['l', ['t'], ['d']], ['d']])",
    "arguments that are none": "answer('returned', ['l', 2, 4], ['t', 1])",
    "keywords that were not given": "answer('returned', ['l', 2, 4], ['l', ['l', ['l'], ['d']], ['d', 'a', 1]])",
    "an exception of no type": "answer('raised', 'passed', ['l'], 'passed')",
    "an exception that would end more than a program": "answer('raised', 'KeyboardInterrupt', ['l'], '')",
    "an exception made of no list": "answer('raised', 'ValueError', 1, '')",
    "an exception whose type is no text": "answer('raised', ['l'], ['l'], [])",
    "nothing that could be sent, without a reason": "answer('unsent')",
    "a reason that is no text": "answer('unsent', ['passed'])",
    "more than a message may hold": "say(b'\"' + b' ' * (2 << 20) + b'\"')",
    "a length that is none": "os.write(1, b'\\xff\\xff\\xff\\xff')",
    "half a message": "os.write(1, b'\\0\\0\\0\\x09[')",
    "an end": "os._exit(0)",
    "a right answer, and then one too many": "answer('returned', ['l', 2, 4], None)\n" * 2 + "hear()",
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_whatever_a_worker_answers_is_a_failure_of_its_program(name: str) -> None:
    assert _attempt(_CALLED + ANSWERS[name]).outcome == "failed"


def test_a_worker_that_answers_rightly_passes() -> None:
    right = "answer('returned', ['l', 2, 4], None)\n_, number, *_ = hear()\nanswer('returned', ['t'], None)\nhear()"
    assert _attempt(_CALLED + right) == PASSED


@pytest.mark.parametrize("silent", [_CALLED, _BEGIN], ids=["called", "loading"])
def test_a_worker_that_says_nothing_is_out_of_time(silent: str) -> None:
    assert _attempt(silent + "import time\ntime.sleep(60)", seconds=0.3).outcome == "timeout"


def test_what_people_read_of_a_worker_can_be_written() -> None:
    found = _attempt(_CALLED + "answer('raised', 'ValueError', ['l'], '\\ud800' * 10_000)")
    assert len(found.detail.encode("utf-8")) < 1000


@pytest.mark.parametrize(
    "before",
    ["pass", "raise SystemExit(3)", _TALK + "say(b'[\"passed\"]')", _TALK + "say(b'[\"hello\"]')\nhear()",
     _TALK + "say(b'[\"hello\"]')\nhear()\nsay(b'[\"returned\"]')", _TALK + "say(b'{}')"],
    ids=["silent", "ended", "no greeting", "no beginning", "another beginning", "no message"],
)  # fmt: skip
def test_what_goes_wrong_before_the_program_begins_is_a_fault_of_the_sandbox(before: str) -> None:
    with pytest.raises(SandboxFault):
        _attempt(before)


# Trials


@dataclass
class Counting:
    """Plain processes, of which the first ``faulty`` cannot be started. Knows how many there were, and are open."""

    faulty: int = 0
    started: int = 0
    open: int = 0
    instead: str | None = None
    name: str = "counting"
    lock: threading.Lock = field(default_factory=threading.Lock)

    def missing(self) -> str | None:
        return None

    def start(self, program: str, limits: Limits) -> Cell:
        with self.lock:
            self.started += 1
            if self.started <= self.faulty:
                raise OSError("no more room")
        cell = PlainProcesses(self.instead).start(program, limits)
        with self.lock:
            self.open += 1
        return _Counted(cell, self)


class _Counted:
    def __init__(self, cell: Cell, backend: Counting) -> None:
        self._cell, self._backend, self._closed = cell, backend, False
        self.send, self.receive = cell.send, cell.receive

    def close(self) -> Ending:
        if not self._closed:
            self._closed = True
            with self._backend.lock:
                self._backend.open -= 1
        return self._cell.close()

    def __enter__(self) -> _Counted:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@pytest.fixture(scope="module")
def known() -> Trials:
    return Trials(PlainProcesses(), 2)


@pytest.mark.parametrize(
    "name",
    ["own classes", "exceptions that the tests expect", "test cases", "changes in place", "numbers at their ends",
     "helpers that the tests use", "lines, with white space at their ends"],
)  # fmt: skip
def test_right_programs_pass_wherever_they_run(known: Trials, name: str) -> None:
    task, program = RIGHT[name]
    assert known.execute(ExecuteRequest(program, task)) == PASSED


def test_every_request_is_answered_once_and_in_the_thread_that_asked(known: Trials) -> None:
    here, answers = threading.get_ident(), dict[int, object]()

    def deliver(index: int, answer: Execution | Failed) -> None:
        assert threading.get_ident() == here
        assert index not in answers
        answers[index] = answer

    wrong = ExecuteRequest("def solve(*_): return 1", TASK)
    known.execute_all([ExecuteRequest(RIGHT_ONE, TASK), wrong, ExecuteRequest(RIGHT_ONE, TASK)], deliver)
    assert [answers[at] == PASSED for at in range(3)] == [True, False, True]
    known.execute_all([], deliver)


def test_no_cell_is_used_twice_and_none_is_left() -> None:
    backend = Counting()
    trials = Trials(backend, 1)
    assert trials.execute(ExecuteRequest(RIGHT_ONE, TASK)) == PASSED
    assert backend.started == len(CONTROLS) + 1
    tests = CodeTask("solve", test="assert solve([1], {}) == [2]", reference=RIGHT_ONE)
    assert trials.execute(ExecuteRequest(RIGHT_ONE, tests)) == PASSED
    assert backend.started == 3 * (len(CONTROLS) + 1) + 2  # the reference too
    assert trials.execute(ExecuteRequest(RIGHT_ONE, tests)) == PASSED
    assert backend.started == 3 * (len(CONTROLS) + 1) + 4  # which is known by now
    answers: list[object] = []
    requests = [ExecuteRequest(RIGHT_ONE, TASK, memory_mib=mib) for mib in (512, 512, 256, 512, 128)]
    trials.execute_all(requests, lambda _, answer: answers.append(answer))
    assert answers == [PASSED] * 5
    assert backend.open == 0


def test_one_fault_of_a_sandbox_is_made_good() -> None:
    assert Trials(Counting(faulty=1), 1).execute(ExecuteRequest(RIGHT_ONE, TASK)) == PASSED


def test_a_sandbox_that_does_not_start_measures_nothing() -> None:
    answers: list[object] = []
    Trials(Counting(faulty=10**6)).execute_all([ExecuteRequest("", TASK)] * 2, lambda _, answer: answers.append(answer))
    for answer in answers:
        assert isinstance(answer, Failed)
        assert "could not be started: no more room" in answer.reason
    assert len(answers) == 2


_ALWAYS_RIGHT = (
    _CALLED
    + """
while True:
    values = given[1][1:]
    answer("returned", ["l", *[2 * value for value in values]], None)
    _, number, name, given, keywords = hear()
"""
)


def test_where_a_control_comes_out_wrong_nothing_is_believed() -> None:
    """A sandbox in which every program is right, the empty one too."""
    found = Trials(PlainProcesses(_ALWAYS_RIGHT), 1).execute(ExecuteRequest(RIGHT_ONE, TASK))
    assert found == Failed("the sandbox's own controls came out wrong: an empty program passed")


@pytest.mark.parametrize("kind", TASKS)
def test_controls_that_all_come_out_alike_are_wrong(kind: Kind) -> None:
    assert "an empty program passed" in str(fault(kind, lambda *_: PASSED))
    assert "a right program failed (why)" in str(fault(kind, lambda *_: Execution("failed", "why")))
    assert "could not be tried: a right program: why" in str(fault(kind, lambda *_: Failed("why")))


def test_an_interrupt_ends_what_runs() -> None:
    backend: Backend = (counting := Counting())
    trials = Trials(backend, 2)
    assert trials.execute(ExecuteRequest(RIGHT_ONE, TASK)) == PASSED
    endless = ExecuteRequest("import time\ndef solve(*_): time.sleep(600)", TASK, seconds=600)

    def interrupt(_index: int, _answer: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trials.execute_all([ExecuteRequest(RIGHT_ONE, TASK), *[endless] * 4], interrupt)
    assert counting.open == 0
    assert trials.execute(ExecuteRequest(RIGHT_ONE, TASK)) == PASSED


def test_what_an_interrupt_kept_from_being_found_out_is_not_taken_for_found() -> None:
    """The reference of the second task runs when the interrupt comes: nothing is known of it by that."""
    trials = Trials(PlainProcesses(), 2)
    slow = CodeTask(
        "solve", calls=(("[]", "0"),), reference="import time\ndef solve():\n    time.sleep(1)\n    return 0"
    )

    def interrupt(_index: int, _answer: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trials.execute_all([ExecuteRequest(RIGHT_ONE, TASK), ExecuteRequest("def solve(): return 0", slow)], interrupt)
    assert trials.execute(ExecuteRequest("def solve(): return 0", slow)) == PASSED


def test_what_a_call_is_told_holds_nothing_of_what_is_expected() -> None:
    """The whole of what a program's cell is sent, as it is sent."""
    heard = _CALLED + "answer('unsent', json.dumps([source, name, given, keywords]))"
    assert _attempt(heard).detail == json.dumps(["", "solve", encode([[1, 2], {}]), encode({})])
