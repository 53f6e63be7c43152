"""Servers that misbehave on purpose, and the tiny models of the neighbouring folder."""

from __future__ import annotations

import sys
from collections.abc import Generator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "models"))  # tiny_models

from endpoint_asking import Open
from fault_server import FaultServer

from finetune_gate.gate.budget import Purse
from finetune_gate.gate.endpoints import EndpointLimits, EndpointModel
from finetune_gate.gate.endpoints.pacing import Backoff
from finetune_gate.gate.pins import Endpoint


@pytest.fixture
def server() -> Generator[FaultServer]:
    with FaultServer() as started:
        yield started


@pytest.fixture
def opened(server: FaultServer) -> Generator[Open]:
    """``opened(call_seconds=2)``: a model at the server, with short waits between attempts; released at the end."""
    models: list[EndpointModel] = []

    def open_(
        *,
        call_seconds: float = 5.0,
        max_in_flight: int = 16,
        response_bytes: int = 1 << 16,
        environ: dict[str, str] | None = None,
        backoff: Backoff | None = None,
        purse: Purse | None = None,
        **endpoint,
    ) -> EndpointModel:
        endpoint = {"base_url": server.base_url, "model": "tiny", "key_variable": "TEST_KEY", **endpoint}
        named = Endpoint(**endpoint)
        model = EndpointModel(
            named,
            EndpointLimits(max_in_flight, call_seconds, response_bytes),
            environ=environ or {},
            backoff=backoff or Backoff(first_seconds=0.01),
            account=None if purse is None else purse.account(named.digest),
        )
        models.append(model)
        return model

    yield open_
    for model in models:
        model.release()
