"""What happens to a decision when the world moves between deciding and acting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from workshop import MODEL, PASSES, Workshop

from finetune_gate.evaluators.errors import EvaluationError
from finetune_gate.gate.record import read_record
from finetune_gate.gate.run import GateRequest, GateResult, StepName, walk

T = TypeVar("T")


def gated(workshop: Workshop, gate: Path, meanwhile: Callable[[], object], version: str = "2") -> GateResult:
    """Walk the gate; ``meanwhile`` happens right before acting."""

    def via(name: StepName, step: Callable[[], T], /) -> T:
        if name == "act":
            meanwhile()
        return step()

    request = GateRequest(
        gate, version, tracking_uri=workshop.uri, out=workshop.folder / "out", home=workshop.folder / "home"
    )
    return walk(request, via=via)


def test_a_champion_that_moved_meanwhile_turns_promote_into_hold(workshop: Workshop) -> None:
    client = workshop.client()
    result = gated(
        workshop,
        workshop.gate(PASSES, classify=False),
        lambda: client.set_registered_model_alias(MODEL, "champion", "1"),
    )
    record = read_record(result.folder / "decision-record.json")
    assert record.decision == "hold"
    assert record.champion_moved is not None
    assert "gate it again" in record.sentence
    assert record.run.action is not None
    assert record.run.action.outcome == "stale"
    assert workshop.champion() == "1"
    assert workshop.tags("2")["finetune_gate.decision"] == "hold"


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer_config.json"])
def test_files_that_changed_meanwhile_are_not_promoted(workshop: Workshop, file: str) -> None:
    source = Path(workshop.client().get_model_version(MODEL, "2").source)

    def tamper() -> None:
        content = (source / file).read_bytes()
        (source / file).write_bytes(content + b" " if file.endswith(".json") else content[:-1] + b"\x00")

    with pytest.raises(EvaluationError, match="changed while it was being evaluated"):
        gated(workshop, workshop.gate(PASSES, classify=False), tamper)
    assert workshop.champion() is None


def test_the_legacy_stage_moves_where_the_gate_file_asks(workshop: Workshop) -> None:
    gate = workshop.gate(PASSES, classify=False, extra="promotion: {alias: champion, stage: Production}")
    gated(workshop, gate, lambda: None, "1")
    gated(workshop, gate, lambda: None, "2")
    client = workshop.client()
    stages = {version: client.get_model_version(MODEL, version).current_stage for version in ("1", "2")}
    assert stages == {"1": "Archived", "2": "Production"}
    assert workshop.champion() == "2"
