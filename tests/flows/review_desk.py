"""What a reviewer does at a Prefect server, and what comes of it."""

from __future__ import annotations

import json
from typing import Any

from prefect_house import Server, waited

from finetune_gate.gate.record import DecisionRecord, read_record

ANA = {"reviewer": "Ana Ruiz", "reason": "the open bound is a formality, see OPS-12"}


def inputs_of(house: Server, run: Any) -> dict[str, Any]:
    found = house.call(f"/flow_runs/{run['id']}/input/filter", {"prefix": "", "limit": 100})
    return {one["key"]: json.loads(one["value"]) for one in found}


def say(house: Server, run: Any, **form: str) -> Any:
    """Fill in the form and send it. How the server takes it: ACCEPT, REJECT or ABORT."""
    return house.call(f"/flow_runs/{run['id']}/resume", {"run_input": form})


def settled(house: Server, run: Any) -> Any:
    """The run as it is once it has ended, or is suspended with its form and without a process."""
    found = house.settled(run)
    if found["state_type"] == "PAUSED":
        form = found["state"]["state_details"]["run_input_keyset"]["description"]
        waited(lambda: form in inputs_of(house, run), "the form")  # Prefect writes it after the state
    waited(lambda: not house.processes(), "the process to end")
    return found


def record_of(house: Server, version: str) -> DecisionRecord:
    digest = house.workshop.tags(version)["finetune_gate.record_digest"]
    every = (house.workshop.folder / ".finetune-gate").glob("*/decision-record.json")
    (found,) = [record for record in map(read_record, every) if record.digest() == digest]
    return found
