"""Real clusters of two workers: the same scores to the last bit, whatever happens to a worker on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from threading import Thread
from typing import Any

import psutil
import pytest
from little_llama import CORPUS, write_tiny_llama
from workshop import OPEN, PASSES, Workshop, copy_workshop

from finetune_gate.evaluators.asking import Failed, GenerateRequest, Request, ScoreRequest
from finetune_gate.evaluators.errors import ConfigurationError, EvaluationError, ModelError, ModelFilesError
from finetune_gate.flows.clusters import on_cluster
from finetune_gate.gate.gate_file.settings import Execution
from finetune_gate.gate.models import open_models
from finetune_gate.gate.models.model_files import inspect_model_files
from finetune_gate.gate.pins import ModelPin, Pins
from finetune_gate.gate.record import DecisionRecord
from finetune_gate.gate.run.shards import InProcess, cut_shards

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("clusters"), pytest.mark.timeout(600)]


def dask_workers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]


def ray_workers() -> list[psutil.Process]:
    found = psutil.Process().children(recursive=True)
    return [child for child in found if " ".join(child.cmdline()).startswith("ray::answer_shard")]


class Killer:
    """After the first shard is kept, stops one worker, so that it has an unfinished shard, and kills it."""

    def __init__(self, workers: Callable[[], Sequence[psutil.Process]]) -> None:
        self._workers = workers
        self.killed: psutil.Process | None = None

    def strike(self) -> None:
        if self.killed is None:
            self.killed = self._workers()[0]
            self.killed.suspend()
            Thread(target=self._finish, daemon=True).start()

    def _finish(self) -> None:
        time.sleep(2)
        assert self.killed is not None
        self.killed.send_signal(signal.SIGKILL)


@pytest.mark.parametrize(("kind", "workers"), [("dask", dask_workers), ("ray", ray_workers)])
def test_a_killed_worker_costs_its_shard_and_no_bit(
    kind: str,
    workers: Callable[[], Sequence[psutil.Process]],
    original: Workshop,
    gated_here: DecisionRecord,
    prefect_database: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    from finetune_gate.flows.gate_flow import run_as_flow
    from finetune_gate.gate.answers import AnswerStore
    from finetune_gate.gate.run import GateRequest

    workshop = copy_workshop(original, tmp_path / "workshop")
    gate = workshop.gate(PASSES, OPEN, extra=f"execution: {{runner: {kind}, workers: 2}}")
    killer, put, kept = Killer(workers), AnswerStore.put, []

    def counted_put(store: AnswerStore, answers: Mapping[str, Any], model: Any) -> None:
        put(store, answers, model)
        kept.extend(answers)
        killer.strike()

    monkeypatch.setattr(AnswerStore, "put", counted_put)
    record = run_as_flow(
        GateRequest(gate, "1", tracking_uri=workshop.uri, out=workshop.folder / "out", home=workshop.folder / "home")
    ).record

    assert killer.killed is not None
    assert not killer.killed.is_running()
    assert record.score_table.digest == gated_here.score_table.digest
    assert record.decision == gated_here.decision
    assert record.run.asked == gated_here.run.asked
    assert len(kept) == len(set(kept)) == sum(gated_here.run.asked.values())
    assert not workers()

    shown = capfd.readouterr().err
    assert "Traceback" not in shown
    assert "distributed" not in shown
    known = b"".join(path.read_bytes() for path in prefect_database.parent.glob("*.db*"))
    assert b"answer candidate" in known
    assert CORPUS[0].encode() not in known


def pins_of(folder: Path) -> Pins:
    files = inspect_model_files(folder)
    pin = ModelPin("candidate", str(folder), None, None, None, "test", files)
    return Pins(pin, ModelPin("base", str(folder), None, None, None, "test", files), None)


REQUESTS: tuple[Request, ...] = (
    *(ScoreRequest("", f"{text} {number}") for text in CORPUS for number in range(12)),
    *(GenerateRequest(text, max_new_tokens=5) for text in CORPUS),
)


def answered(pins: Pins, execution: Execution, before: Callable[[], None] = lambda: None) -> dict[Request, Any]:
    """Every request's answer by the candidate, in a flow run."""
    from prefect import flow

    found: dict[Request, Any] = {}

    @flow(persist_result=False)
    def asking() -> None:
        with open_models(pins) as models, on_cluster(pins, execution) as runner:
            models["candidate"].addresses(REQUESTS)
            before()
            for _, answers in runner.answer("candidate", models["candidate"], list(cut_shards(REQUESTS)), print):
                found.update(answers)

    asking()
    return found


@pytest.fixture(scope="module")
def running(prefect_database: Path) -> Generator[Execution]:
    """A cluster that somebody else started: a scheduler and one worker, as from Dask's command line."""
    started: list[subprocess.Popen[bytes]] = []
    address = "tcp://127.0.0.1:38786"

    def start(*command: str) -> None:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        started.append(subprocess.Popen([sys.executable, "-m", "distributed.cli." + command[0], *command[1:]], **quiet))

    try:
        start("dask_scheduler", "--host", "127.0.0.1", "--port", "38786", "--no-dashboard")
        start("dask_worker", address, "--nthreads", "1", "--no-dashboard", "--no-nanny", "--memory-limit", "0")
        yield Execution(runner="dask", cluster=address)
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(30)


def test_a_running_cluster_answers_what_this_process_would(running: Execution, tmp_path: Path) -> None:
    pins = pins_of(write_tiny_llama(tmp_path / "model", seed=3))
    there = answered(pins, running)
    with open_models(pins) as models:
        shards = InProcess().answer("candidate", models["candidate"], list(cut_shards(REQUESTS)), lambda count: None)
        here = {request: answer for _, answers in shards for request, answer in answers.items()}
    assert there == here
    assert not any(isinstance(answer, Failed) for answer in there.values())


def test_an_error_of_the_model_comes_back_as_itself(running: Execution, tmp_path: Path) -> None:
    pins = pins_of(write_tiny_llama(tmp_path / "model", seed=4))
    weights = tmp_path / "model" / "model.safetensors"

    def break_weights() -> None:
        weights.write_bytes(bytes(weights.stat().st_size))

    with pytest.raises(ModelError, match="model"):
        answered(pins, running, break_weights)


def test_files_that_a_worker_does_not_have_are_named(running: Execution, tmp_path: Path, monkeypatch: Any) -> None:
    from finetune_gate.flows.clusters import on_cluster as module

    pins = pins_of(write_tiny_llama(tmp_path / "model", seed=5))
    monkeypatch.setattr(sys.modules[module.__module__], "sizes_of", lambda pin, pins: (("/nowhere/model.safetensors", 7),))
    with pytest.raises(ModelFilesError, match="/nowhere/model.safetensors: is not there"):
        answered(pins, running)


@pytest.mark.parametrize(("kind", "address"), [("dask", "tcp://127.0.0.1:9"), ("ray", "ray://127.0.0.1:9")])
def test_an_address_where_nothing_answers(
    kind: Any, address: str, prefect_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import finetune_gate.flows.clusters.dask_cluster as dask_cluster

    monkeypatch.setattr(dask_cluster, "START_SECONDS", 3)
    pins = pins_of(write_tiny_llama(tmp_path / "model", seed=6))
    begun = time.monotonic()
    with pytest.raises(EvaluationError, match=address):
        answered(pins, Execution(runner=kind, cluster=address))
    assert time.monotonic() - begun < 90
