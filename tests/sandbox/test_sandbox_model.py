"""The sandbox as a judge of a run: its address, its digest, and that without a backend nothing is run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from plain_cell import PlainProcesses

from finetune_gate.evaluators.asking import (
    Answer,
    CodeTask,
    ExecuteRequest,
    Execution,
    Failed,
    GenerateRequest,
    ScoreRequest,
)
from finetune_gate.evaluators.code_generation import CodeGeneration
from finetune_gate.evaluators.errors import ConfigurationError
from finetune_gate.gate.budget import Purse
from finetune_gate.gate.doctor import sandbox_finding, wanted_sandboxes
from finetune_gate.gate.gate_file import load_gate_file
from finetune_gate.gate.gate_file.settings import BudgetSettings
from finetune_gate.gate.models.inspecting import inspect_again
from finetune_gate.gate.models.opening import open_models
from finetune_gate.gate.models.protocol import Executes
from finetune_gate.gate.pins import Endpoint, ModelPin, Pins, Sandbox
from finetune_gate.gate.run.shards import ask
from finetune_gate.gate.sandbox import choosing
from finetune_gate.gate.sandbox.address import sandbox_at
from finetune_gate.gate.sandbox.choosing import Unavailable
from finetune_gate.gate.sandbox.model import SandboxModel

IMAGE = "registry.example/python@sha256:" + "0a" * 32
HERE = Sandbox("auto", None, "1", "3.11")
TASK = CodeTask(entry_point="double", calls=(("[2]", "4"), ("[0]", "0")))
RIGHT = ExecuteRequest("def double(x):\n    return 2 * x\n", TASK)
WRONG = ExecuteRequest("def double(x):\n    return x\n", TASK)
NONE = Unavailable("no sandbox here: install one")


def test_addresses_of_sandboxes_are_read() -> None:
    found = sandbox_at("sandbox:auto")
    assert found is not None
    assert (found.backend, found.image, found.layout) == ("auto", None, "sandbox")
    assert sandbox_at("sandbox:bwrap") == replace(found, backend="bwrap")
    docker = sandbox_at(f"sandbox:docker/{IMAGE}")
    assert docker is not None
    assert (docker.backend, docker.image) == ("docker", IMAGE)
    assert sandbox_at("models:/judge/3") is None


@pytest.mark.parametrize(
    "text",
    [
        "sandbox:", "sandbox:none", "sandbox:docker", f"sandbox:bwrap/{IMAGE}", "sandbox:docker/python:3.12",
        f"sandbox:docker/{IMAGE} --privileged", f"sandbox:docker/-v{IMAGE}/..", "sandbox:AUTO",
    ],
)  # fmt: skip
def test_other_addresses_of_sandboxes_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="no sandbox's address"):
        sandbox_at(text)


def test_what_an_evaluator_names_is_an_address() -> None:
    for settings in ({}, {"sandbox": "bwrap"}, {"sandbox": "docker", "image": IMAGE}, {"image": IMAGE}):
        (address,) = CodeGeneration.model_validate({"data": "tasks", **settings}).judges()
        assert sandbox_at(address) is not None


def test_the_digest_names_what_can_change_an_outcome_and_not_the_backend() -> None:
    others = [replace(HERE, image=IMAGE), replace(HERE, engine="2"), replace(HERE, python="3.12")]
    assert len({one.digest for one in (HERE, *others)}) == 4
    assert replace(HERE, backend="bwrap").digest == HERE.digest == HERE.files_digest
    assert inspect_again(ModelPin("judge", "sandbox:auto", None, None, None, "evaluator", HERE)) == HERE.digest


def test_every_outcome_has_an_address_of_its_own() -> None:
    model = SandboxModel(HERE)
    asked = [
        RIGHT,
        WRONG,
        replace(RIGHT, seconds=1.0),
        replace(RIGHT, times_reference=1.0),
        replace(RIGHT, memory_mib=64),
        replace(RIGHT, task=replace(TASK, calls=TASK.calls[:1])),
        replace(RIGHT, task=replace(TASK, reference=RIGHT.program)),
        replace(RIGHT, program="\ud800\0"),
        GenerateRequest("a"),
    ]
    assert len(set(model.addresses(asked))) == len(asked)
    assert model.addresses(asked) == SandboxModel(replace(HERE, backend="bwrap")).addresses(asked)
    assert model.addresses([RIGHT]) != SandboxModel(replace(HERE, engine="2")).addresses([RIGHT])


def test_without_a_backend_nothing_is_run_and_every_request_says_why() -> None:
    looked: list[Sandbox] = []

    def find(source: Sandbox) -> Unavailable:
        looked.append(source)
        return NONE

    model = SandboxModel(HERE, find=find)
    assert not looked, "nothing is looked for before there is a program"
    for _ in range(2):
        assert ask(model, [RIGHT, WRONG], lambda *_: None) == dict.fromkeys((RIGHT, WRONG), Failed(NONE.reason))
    assert looked == [HERE]
    assert model.facts() == SandboxModel(HERE).facts()


def test_it_answers_nothing_but_programs() -> None:
    model = SandboxModel(HERE, find=lambda _: NONE)
    requests = [GenerateRequest("a"), ScoreRequest("a", "b")]
    assert ask(model, requests, lambda *_: None) == {
        one: Failed(f"the model lacks the ability {one.needs!r}") for one in requests
    }
    said: list[Answer] = []
    model.generate([GenerateRequest("a")], lambda _, answer: said.append(answer))
    model.score([ScoreRequest("a", "b")], lambda _, answer: said.append(answer))
    assert all(isinstance(one, Failed) for one in said)
    assert model.tokens(requests).read == 0


def test_programs_are_run_and_their_outcomes_delivered() -> None:
    """In plain processes: what keeps programs in is not the question here, and these two are the test's own."""
    model = SandboxModel(HERE, find=lambda _: PlainProcesses())
    assert isinstance(model, Executes)
    found = ask(model, [RIGHT, WRONG], lambda *_: None)
    assert found[RIGHT] == Execution("passed")
    assert isinstance(wrong := found[WRONG], Execution)
    assert wrong.outcome == "failed"


def test_the_time_of_asking_judges_holds_for_programs_too() -> None:
    now = [0.0]
    purse = Purse(BudgetSettings(seconds=10.0), clock=lambda: now[0])
    model = SandboxModel(HERE, purse=purse, find=lambda _: PlainProcesses())
    with purse.judging():
        assert ask(model, [RIGHT], lambda *_: None)[RIGHT] == Execution("passed")
        now[0] = 11.0
        late = ask(model, [RIGHT], lambda *_: None)[RIGHT]
    assert isinstance(late, Failed)
    assert late.reason in purse.refusals()


def test_sandboxes_that_may_use_different_backends_are_opened_apart() -> None:
    model = ModelPin("base", "openai:/a", None, None, None, "test", Endpoint("https://api.example/v1", "a"))
    pins = {name: sandbox_at(name) for name in ("sandbox:auto", "sandbox:bwrap")}
    judges = {
        name: ModelPin("judge", name, None, None, None, "evaluator", source)
        for name, source in pins.items()
        if source is not None
    }
    with open_models(Pins(replace(model, role="candidate"), model, None, judges=judges)) as models:
        assert models["sandbox:auto"] is not models["sandbox:bwrap"]
        assert models["sandbox:auto"].digest == models["sandbox:bwrap"].digest


@pytest.mark.parametrize(
    ("find", "state", "said"),
    [
        (lambda *_: PlainProcesses(), "ok", "plain holds"),
        (
            lambda *_: Unavailable("none (bwrap: gone); three ways to get a sandbox: a; b; or c"),
            "warning",
            "bwrap: gone",
        ),
    ],
)
def test_doctor_says_whether_there_is_a_sandbox(
    monkeypatch: pytest.MonkeyPatch, find: Callable[..., object], state: str, said: str
) -> None:
    monkeypatch.setattr("finetune_gate.gate.sandbox.model.choose", find)
    (found,) = sandbox_finding("sandbox:auto")
    assert (found.name, found.state) == ("sandbox:auto", state)
    assert said in found.found
    assert found.way_out == ("" if state == "ok" else "three ways to get a sandbox: a; b; or c")
    (wrong,) = sandbox_finding("sandbox:none")
    assert wrong.state == "fault"


def test_doctor_looks_where_a_gate_file_runs_programs() -> None:
    examples = Path(__file__).parents[2] / "examples"
    assert wanted_sandboxes(load_gate_file(examples / "code_generation" / "gate.yaml")) == ("sandbox:auto",)
    assert wanted_sandboxes(load_gate_file(examples / "rubric_judge" / "gate.yaml")) == ()


def test_no_variable_stands_for_a_sandbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    for name in ("HF_ALLOW_CODE_EVAL", "FINETUNE_GATE_SANDBOX", "FINETUNE_GATE_ALLOW_CODE_EXECUTION"):
        monkeypatch.setenv(name, "1")
    choosing.choose.cache_clear()
    try:
        found = ask(SandboxModel(HERE), [RIGHT], lambda *_: None)[RIGHT]
    finally:
        choosing.choose.cache_clear()
    assert isinstance(found, Failed)
    assert "three ways to get a sandbox" in found.reason
