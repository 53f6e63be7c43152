"""The command and a real Prefect server with a real worker: what `test_github_deployment.py` has a stand-in for."""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from pathlib import Path

import pytest
from github_bench import HOSTILE_MODEL, PASSES, Bench, Ran
from prefect_house import Server, served
from workshop import Workshop

from finetune_gate.gate.record import read_record

pytestmark = [
    pytest.mark.xdist_group("prefect"),
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.environ.get("FINETUNE_GATE_LONG_TESTS") != "1", reason="FINETUNE_GATE_LONG_TESTS=1 runs it"),
]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench.furnished(tmp_path_factory.mktemp("bench") / "work")


@pytest.fixture(scope="module")
def server(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    with served(Workshop(bench.folder), tmp_path_factory.mktemp("prefect")) as found:
        yield found


def asked(bench: Bench, server: Server, gate_file: Path, **environment: str) -> Ran:
    return bench.gate(
        gate_file,
        FINETUNE_GATE_MODEL=HOSTILE_MODEL,
        FINETUNE_GATE_VERSION="1",
        FINETUNE_GATE_DEPLOYMENT="evaluation_gate/gate",
        FINETUNE_GATE_OUT="fetched",
        PREFECT_API_URL=server.api,
        **environment,
    )


def test_a_worker_gates_and_the_record_comes_here(bench: Bench, server: Server) -> None:
    gate_file = bench.gate_file(PASSES)
    done = asked(bench, server, gate_file)
    assert (done.status, done.outputs["decision"], done.outputs["champion-after"]) == (0, "promote", "1"), done.log
    record = read_record(done.file("record"))
    found = re.search(r"is gated by flow run ([0-9a-f-]{36})", done.log)
    assert found is not None
    assert record.run.actor == found[1]
    assert record.run.trigger == "github octo/bots run 11 attempt 1"

    again = asked(bench, server, gate_file, FINETUNE_GATE_ONCE="true", GITHUB_RUN_ID="12")
    assert (again.status, again.outputs["record-digest"]) == (0, done.outputs["record-digest"]), again.log
    assert "not by this run" in again.summary


def test_a_worker_that_cannot_gate_is_no_decision(bench: Bench, server: Server) -> None:
    done = asked(bench, server, bench.folder / "gone.yaml")
    assert (done.status, done.outputs["decision"]) == (4, "error")
    assert "ended Failed" in done.said("error")[0].message
