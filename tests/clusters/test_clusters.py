"""Real clusters of two workers: the same scores to the last bit, whatever happens to a worker on the way
(FINETUNE_GATE_LONG_TESTS=1: on Ray, too)."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil
import pytest
from little_llama import CORPUS, write_tiny_llama
from workshop import OPEN, PASSES, Workshop, copy_workshop

from finetune_gate.evaluators.asking import ChooseRequest, Failed, GenerateRequest, Request, ScoreRequest
from finetune_gate.evaluators.errors import ConfigurationError, EvaluationError, ModelError, ModelFilesError
from finetune_gate.flows.clusters import on_cluster, refuse_unusable
from finetune_gate.flows.clusters.machine import Share, share_cores
from finetune_gate.flows.clusters.prefect_side import refuse_hidden_api, shard_context
from finetune_gate.flows.clusters.shard_task import device_of, from_files, sizes_of
from finetune_gate.gate.gate_file.settings import Execution
from finetune_gate.gate.models import open_models
from finetune_gate.gate.models.model_files import inspect_model_files
from finetune_gate.gate.pins import Endpoint, ModelPin, Pins
from finetune_gate.gate.record import DecisionRecord
from finetune_gate.gate.run.shards import InProcess, cut_shards

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("clusters"), pytest.mark.timeout(600)]
LONG = bool(os.environ.get("FINETUNE_GATE_LONG_TESTS"))


def dask_workers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]


def ray_workers() -> list[psutil.Process]:
    found = psutil.Process().children(recursive=True)
    return [child for child in found if " ".join(child.cmdline()).startswith("ray::answer_shard")]


class Killer:
    """After the first shard is kept, stops one worker in the middle of another, and kills it."""

    def __init__(self, workers: Callable[[], Sequence[psutil.Process]]) -> None:
        self._workers = workers
        self.killed: psutil.Process | None = None

    def strike(self) -> None:
        """Where none is seen at work for a while, the next shard that is kept is another chance."""
        until = time.monotonic() + 2
        while self.killed is None and time.monotonic() < until:
            with suppress(IndexError, psutil.NoSuchProcess):
                at_work = self._workers()[0]
                at_work.suspend()
                self.killed = at_work
                Thread(target=self._finish, daemon=True).start()

    def _finish(self) -> None:
        time.sleep(2)
        assert self.killed is not None
        self.killed.send_signal(signal.SIGKILL)


@pytest.mark.parametrize(("kind", "workers"), [("dask", dask_workers), ("ray", ray_workers)][: 2 if LONG else 1])
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
    assert record.run.usage == gated_here.run.usage
    assert len(kept) == len(set(kept)) == sum(gated_here.run.asked.values())
    assert not workers()

    shown = capfd.readouterr()
    assert shown.out == ""
    assert not any(name in shown.err for name in ("distributed.", "raylet", "nanny"))
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
    *(ChooseRequest(text, ("yes", "no")) for text in CORPUS),
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
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    address = f"tcp://127.0.0.1:{port}"

    def start(*command: str) -> None:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        started.append(subprocess.Popen([sys.executable, "-m", "distributed.cli." + command[0], *command[1:]], **quiet))

    try:
        start("dask_scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")
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


def test_files_that_a_worker_does_not_have_are_named(
    running: Execution, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pins = pins_of(write_tiny_llama(tmp_path / "model", seed=5))
    module = sys.modules[on_cluster.__module__]
    monkeypatch.setattr(module, "sizes_of", lambda pin, pins: (("/nowhere/model.safetensors", 7),))
    with pytest.raises(ModelFilesError, match=r"/nowhere/model\.safetensors: is not there"):
        answered(pins, running)


@pytest.mark.parametrize(("kind", "address"), [("dask", "tcp://127.0.0.1:9"), ("ray", "auto")])
def test_an_address_where_nothing_answers(
    kind: Any, address: str, prefect_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import finetune_gate.flows.clusters.dask_cluster as dask_cluster

    monkeypatch.setattr(dask_cluster, "START_SECONDS", 3)
    pins = pins_of(write_tiny_llama(tmp_path / "model", seed=6))
    begun = time.monotonic()
    with pytest.raises(EvaluationError, match=address):
        answered(pins, Execution(runner=kind, cluster=address))
    assert time.monotonic() - begun < 60


def test_a_shard_that_takes_every_worker_with_it_ends_the_run(prefect_database: Path, tmp_path: Path) -> None:
    """Whatever loads torch is killed: no worker lives to answer."""
    pins = pins_of(write_tiny_llama(tmp_path / "model", seed=7))
    over = Event()

    def kill_all() -> None:
        while not over.wait(0.1):
            for worker in dask_workers():
                with suppress(psutil.Error, OSError):
                    if any("libtorch" in mapped.path for mapped in worker.memory_maps()):
                        worker.kill()

    Thread(target=kill_all, daemon=True).start()
    try:
        with pytest.raises(
            EvaluationError, match=r"candidate: a shard of \d+ requests: every worker that it was given to was lost"
        ):
            answered(pins, Execution(runner="dask", workers=1))
    finally:
        over.set()


def test_what_a_cluster_started_here_sets_for_its_workers_does_not_stay_here(
    prefect_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from finetune_gate.flows.clusters.dask_cluster import dask_cluster

    monkeypatch.delenv("PREFECT_LOGGING_LEVEL", raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "3")
    with dask_cluster(Execution(runner="dask", workers=1), "cpu"):
        assert os.environ["PREFECT_LOGGING_LEVEL"] == "CRITICAL", "as Dask does it"
    assert "PREFECT_LOGGING_LEVEL" not in os.environ
    assert os.environ["MKL_NUM_THREADS"] == "3"


def test_what_can_be_known_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="is no address of a dask cluster"):
        refuse_unusable(Execution(runner="dask", cluster="ray://127.0.0.1:10001"))
    refuse_unusable(Execution(runner="ray", cluster="auto"))
    refuse_unusable(Execution())
    monkeypatch.setitem(sys.modules, "prefect_ray", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'finetune-gate\[ray\]'"):
        refuse_unusable(Execution(runner="ray"))


def test_a_cluster_elsewhere_needs_a_prefect_server_that_it_can_reach(prefect_database: Path) -> None:
    refuse_hidden_api("tcp://127.0.0.1:8786")
    refuse_hidden_api("auto")
    with pytest.raises(ConfigurationError, match="set PREFECT_API_URL"):
        refuse_hidden_api("tcp://10.1.2.3:8786")


def test_workers_hear_of_models_from_files_only(tmp_path: Path) -> None:
    pins = pins_of(write_tiny_llama(tmp_path / "model", seed=8))
    api = ModelPin("base", "openai:/gpt", None, None, None, "test", Endpoint("https://api.example.com/v1", "gpt"))
    judge = replace(api, role="judge")
    known = from_files(replace(pins, base=api, judges={"openai:/gpt": judge}))
    assert known.by_name() == {"candidate": pins.candidate}
    assert from_files(pins) == pins
    named = [Path(path).name for path, _ in sizes_of(pins.candidate, pins)]
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(named)


def test_a_cluster_is_not_reached_outside_a_flow_run() -> None:
    with pytest.raises(ConfigurationError, match="--prefect"):
        shard_context()


def test_prefect_is_chosen_where_a_cluster_is_asked_for(original: Workshop, tmp_path: Path) -> None:
    workshop = copy_workshop(original, tmp_path / "workshop")
    gate = workshop.gate(OPEN, extra="execution: {runner: dask}")
    refused = workshop.command("run", gate, "--no-prefect")
    assert refused.returncode == 2
    assert "leave --no-prefect out" in refused.stderr


@pytest.mark.parametrize(
    ("cores", "workers", "threads_wished", "share"),
    [
        (2, 0, "", Share(2, 1)),
        (64, 0, "", Share(16, 4)),
        (1, 0, "", Share(1, 1)),
        (8, 2, "", Share(2, 4)),
        (8, 2, "3", Share(2, 3)),
        (8, 2, "16", Share(2, 4)),
        (2, 5, "", Share(5, 1)),
    ],
)
def test_a_machine_is_shared_out(
    cores: int, workers: int, threads_wished: str, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", threads_wished)
    assert share_cores(cores, workers) == share


def test_workers_of_one_machine_take_its_gpus_in_turn() -> None:
    assert [device_of("auto", number, 2) for number in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert device_of("cpu", 1, 2) == "cpu"
    assert device_of("cuda", None, 2) == "cuda"
    assert device_of("auto", 1, 0) == "auto"
