"""No program passes but by doing its task."""

from __future__ import annotations

from dataclasses import replace

import pytest
from forging_programs import FORGING, FORGING_SCRIPTS, SCRIPT_TASK, TASK

from finetune_gate.evaluators.asking import CodeTask, ExecuteRequest, Execution
from finetune_gate.gate.sandbox.choosing import Unavailable, choose
from finetune_gate.gate.sandbox.trials.running import Trials

WAYS = {"calls": replace(TASK, test=""), "test": replace(TASK, calls=()), "dialogues": SCRIPT_TASK}


@pytest.fixture(scope="module")
def trials() -> Trials:
    backend = choose("bwrap")
    if isinstance(backend, Unavailable):
        pytest.skip(backend.reason)
    return Trials(backend, 1)


def _outcome(trials: Trials, program: str, task: CodeTask, seconds: float = 1.0) -> Execution:
    found = trials.execute(ExecuteRequest(program, task, seconds, times_reference=1.0, memory_mib=256))
    assert isinstance(found, Execution), found
    return found


@pytest.mark.parametrize("way", ["calls", "test"])
@pytest.mark.parametrize("name", FORGING)
def test_a_forging_program_does_not_pass(trials: Trials, name: str, way: str) -> None:
    assert _outcome(trials, FORGING[name], WAYS[way]).outcome != "passed"


@pytest.mark.parametrize("name", FORGING_SCRIPTS)
def test_a_forging_script_does_not_pass(trials: Trials, name: str) -> None:
    assert _outcome(trials, FORGING_SCRIPTS[name], WAYS["dialogues"]).outcome != "passed"


@pytest.mark.parametrize("way", WAYS)
def test_what_they_forge_can_be_done(trials: Trials, way: str) -> None:
    assert _outcome(trials, WAYS[way].reference, WAYS[way], seconds=20.0) == Execution("passed")


def test_the_corpus_is_large_enough() -> None:
    assert len(FORGING) + len(FORGING_SCRIPTS) >= 30
