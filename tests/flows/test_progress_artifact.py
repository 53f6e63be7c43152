"""Progress in Prefect's UI costs the work nothing, whatever becomes of the server; test_prefect has one that works."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from uuid import uuid4

import pytest

from finetune_gate.flows.progress_artifact import Meter, shown_in_prefect

NOWHERE, KEY = "http://127.0.0.1:9/api", "evaluation-gate-bot-progress"


@pytest.fixture(autouse=True)
def in_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("FLOW_RUN", "TASK_RUN"):
        monkeypatch.setenv(f"PREFECT__RUNTIME__{kind}__ID", str(uuid4()))
    monkeypatch.setattr("prefect.get_run_logger", lambda: logging.getLogger("gate"))


@contextmanager
def server_at(address: str | None) -> Generator[None]:
    from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    with temporary_settings({PREFECT_API_URL: address, PREFECT_CLIENT_MAX_RETRIES: 0}):
        yield


@pytest.mark.parametrize("address", [NOWHERE, None], ids=["gone", "no server"])
def test_a_server_that_is_not_there_stops_nothing(address: str | None) -> None:
    meter, done = Meter(), 0
    with server_at(address), shown_in_prefect(meter, KEY, every_s=0.01):
        meter.begin("candidate: texts", 4)
        for _ in range(4):
            meter.advance()
            done += 1
    assert done == 4


def test_an_error_of_the_work_is_the_works_own() -> None:
    with server_at(NOWHERE), pytest.raises(KeyError, match="work"), shown_in_prefect(Meter(), KEY, every_s=0.01):
        raise KeyError("work")


def test_what_is_read_of_a_meter() -> None:
    meter = Meter()
    assert meter.read() is None
    meter.begin("openai:/a_b_c: texts", 8)
    meter.advance(2)
    found = meter.read()
    assert found is not None
    share, line = found
    assert share == 25.0
    assert line.replace("&#8203;", "").startswith("openai:/a\\_b\\_c: texts: 2 of 8 (25 %)")
    meter.begin("base: nothing", 0)
    assert meter.read() is None
