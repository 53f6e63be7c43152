"""A gate on programs, walked from end to end: models behind an API write them, a sandbox runs them, rules decide."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "endpoints"))

from aiohttp import web
from fault_server import Body, FaultServer, chat

from finetune_gate.gate.attesting.kept import kept_at
from finetune_gate.gate.attesting.verifying import verify
from finetune_gate.gate.planning import plan_gate
from finetune_gate.gate.progress import Silent
from finetune_gate.gate.record import DecisionRecord, EstimateRecord, UnmeasuredRecord
from finetune_gate.gate.run import GateRequest, GateResult, walk
from finetune_gate.gate.sandbox.choosing import Unavailable, choose

MODEL, JUDGE = "coder", "sandbox:auto"
RIGHT, WRONG = "1", "2"
TASKS = 20
GATE = """
model: coder
base: openai:/base
champion: null
data: {{tasks: tasks.jsonl}}
endpoints: {{openai: {{base_url: "{url}"}}}}
evaluators:
  - code_generation: {{data: tasks, seconds: 5}}
rules:
  - {{metric: code_generation.pass_at_1, min_change: 0.0, margin: 0.2, against: base}}
  - {{metric: code_generation.timeouts, max: 0.2}}
"""


def task(number: int) -> dict[str, object]:
    """One of the four layouts."""
    name = f"add_{number}"
    prompt = f'def {name}(a, b):\n    """a and b and {number}, added."""\n'
    solution = f"    return a + b + {number}\n"
    match number % 4:
        case 0:
            test = f"def check(candidate):\n    assert candidate(1, 2) == {3 + number}\n"
            return {"prompt": prompt, "canonical_solution": solution, "entry_point": name, "test": test}
        case 1:
            asked = f"Write a function {name} that adds {number} to the sum of two numbers."
            tests = [f"assert {name}(1, 2) == {3 + number}", f"assert {name}(0, 0) == {number}"]
            return {"text": asked, "code": prompt + solution, "test_list": tests, "test_setup_code": ""}
        case 2:
            calls = [{"arguments": [1, 2], "result": 3 + number}, {"arguments": {"a": 0, "b": 0}, "result": number}]
            return {"prompt": prompt, "entry_point": name, "calls": calls}
        case _:
            asked = f"Write a program that reads two numbers and prints {name}, which is their sum and {number}."
            return {"prompt": asked, "dialogues": [{"input": "1 2\n", "output": f"{3 + number}\n"}]}


def written(model: str, prompt: str) -> str:
    found = re.search(r"add_(\d+)", prompt)
    assert found
    number, sign = int(found[1]), "-" if model == "ft:wrong" else "+"
    if number % 4 == 3:
        return f"```python\na, b = map(int, input().split())\nprint(a {sign} b + {number})\n```"
    return f"Here it is:\n```python\ndef add_{number}(a, b):\n    return a {sign} b + {number}\n```\nIt adds."


async def answer(request: web.Request, body: Body) -> web.StreamResponse:
    said: Any = body
    return web.json_response(chat(written(said["model"], said["messages"][-1]["content"])))


class Bench:
    """A registry with two versions, one that writes right programs and one that writes wrong ones."""

    def __init__(self, folder: Path, server: FaultServer) -> None:
        self.folder, self.server = folder, server
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"
        self.gate = folder / "gate.yaml"
        self.gate.write_text(GATE.format(url=server.base_url))
        rows = [{"id": f"t{number}", **task(number)} for number in range(TASKS)]
        (folder / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def register(self) -> None:
        from mlflow import MlflowClient

        client = MlflowClient(self.uri, self.uri)
        experiment = client.create_experiment("tuning", artifact_location=str(self.folder / "files"))
        client.create_experiment(f"finetune-gate/{MODEL}", artifact_location=str(self.folder / "files" / "gate"))
        client.create_registered_model(MODEL)
        for name in ("ft:right", "ft:wrong"):
            files = self.folder / name
            files.mkdir()
            (files / "MLmodel").write_text("flavors: {openai: {data: model.yaml}}\n")
            (files / "model.yaml").write_text(f"{{model: '{name}', task: chat.completions}}\n")
            run = client.create_run(experiment)
            client.log_artifacts(run.info.run_id, str(files), "model")
            client.create_model_version(MODEL, f"{run.info.artifact_uri}/model", run.info.run_id)

    def request(self, version: str) -> GateRequest:
        return GateRequest(
            self.gate, version, tracking_uri=self.uri, out=self.folder / "out", home=self.folder / "home"
        )

    def walk(self, version: str) -> GateResult:
        return walk(self.request(version))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Generator[Bench]:
    with pytest.MonkeyPatch.context() as patch, FaultServer() as server:
        patch.setenv("OPENAI_API_KEY", "sk-of-the-test")
        server.answer = answer
        made = Bench(tmp_path_factory.mktemp("coder"), server)
        made.register()
        yield made


@pytest.fixture
def sandboxed() -> None:
    found = choose("auto", None)
    if isinstance(found, Unavailable):
        pytest.skip(found.reason)


def pass_rate(record: DecisionRecord) -> tuple[float, float]:
    """Of the candidate and the base."""
    found = next(one for one in record.measurements if one.metric == "code_generation.pass_at_1")
    beside = found.comparisons["base"].baseline
    assert isinstance(found.candidate, EstimateRecord)
    assert isinstance(beside, EstimateRecord)
    return found.candidate.value, beside.value


def test_programs_decide_and_none_is_run_twice(bench: Bench, sandboxed: None) -> None:
    planned = plan_gate(bench.request(RIGHT), progress=Silent(), calibrate=False).plan
    assert [(judge.name, judge.calls_at_most) for judge in planned.judges] == [(JUDGE, 3 * TASKS)]

    right = bench.walk(RIGHT)
    assert right.record.decision == "promote", right.record.sentence
    assert pass_rate(right.record) == (1.0, 1.0)
    assert right.record.run.asked[JUDGE] == TASKS, "what both models wrote alike is run once"
    judge = right.record.role("judge")
    assert judge is not None
    assert (judge.label, judge.layout, judge.facts["kind"]) == (JUDGE, "sandbox", "sandbox")

    wrong = bench.walk(WRONG)
    assert wrong.record.decision == "block", wrong.record.sentence
    assert pass_rate(wrong.record) == (0.0, 1.0)
    assert (wrong.record.run.asked[JUDGE], wrong.record.run.stored[JUDGE]) == (TASKS, TASKS)
    assert "0 of 1 passed, 1 failed" in (wrong.folder / "report.html").read_text()

    again = bench.walk(WRONG)
    assert (again.record.run.asked[JUDGE], again.record.run.stored[JUDGE]) == (0, 2 * TASKS)
    assert again.record.digest() == wrong.record.digest()
    with kept_at(str(again.folder)) as kept:
        assert verify(kept).outcome == "verified"


def test_without_a_sandbox_nothing_is_run_and_the_gate_holds(bench: Bench) -> None:
    """No variable makes it run programs either."""
    environ = {
        **os.environ,
        "PATH": str(bench.folder / "nothing"),
        "DOCKER_HOST": f"unix://{bench.folder}/nothing.sock",
        "OPENAI_API_KEY": "sk-of-the-test",
        "MLFLOW_TRACKING_URI": bench.uri,
        "FINETUNE_GATE_HOME": str(bench.folder / "elsewhere"),
        "HF_ALLOW_CODE_EVAL": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "finetune_gate.flows.cli", "run", bench.gate, "--version", RIGHT, "--json", "--dry-run"],
        cwd=bench.folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    result = json.loads(done.stdout)
    assert result["decision"] == "hold"
    record = DecisionRecord.model_validate_json((bench.folder / result["record"]).read_text())
    assert record.run.stored[JUDGE] == 0
    for measurement in record.measurements:
        assert isinstance(measurement.candidate, UnmeasuredRecord)
        assert "three ways to get a sandbox" in measurement.candidate.unmeasured
