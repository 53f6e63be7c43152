"""What happens to a decision when the world moves between deciding and acting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from workshop import MODEL, PASSES, Workshop

from finetune_gate.evaluators.errors import ConfigurationError, EvaluationError, Problem, RegistryError
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


@pytest.mark.parametrize(
    ("before", "meanwhile", "said"),
    [
        ("1", "1", "alias 'champion' points to version 1: nothing was moved"),
        ("1", None, "alias 'champion' points to nothing: it was moved meanwhile, and not by this run"),
        ("2", "2", "alias 'champion' points to version 2: as before this run"),
    ],
)
def test_a_registry_that_fails_says_where_the_alias_is(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, before: str, meanwhile: str | None, said: str
) -> None:
    def failing(*_: object) -> str:
        raise RegistryError(Problem("MLflow", "made to fail"))

    def move() -> None:
        if meanwhile is None:
            client.delete_registered_model_alias(MODEL, "champion")

    client = workshop.client()
    client.set_registered_model_alias(MODEL, "champion", before)
    monkeypatch.setattr("finetune_gate.gate.run.steps.Tracking.open_run", failing)
    with pytest.raises(RegistryError) as caught:
        gated(workshop, workshop.gate(PASSES, classify=False), move)
    made, where = caught.value.problems
    assert (made.found, where.where, where.found) == ("made to fail", MODEL, said)


def test_the_legacy_stage_moves_where_the_gate_file_asks(workshop: Workshop) -> None:
    gate = workshop.gate(PASSES, classify=False, extra="promotion: {alias: champion, stage: Production}")
    gated(workshop, gate, lambda: None, "1")
    gated(workshop, gate, lambda: None, "2")
    client = workshop.client()
    stages = {version: client.get_model_version(MODEL, version).current_stage for version in ("1", "2")}
    assert stages == {"1": "Archived", "2": "Production"}
    assert workshop.champion() == "2"


def test_a_champion_that_is_named_and_not_there_is_an_error_not_a_first_model(workshop: Workshop) -> None:
    workshop.client().set_registered_model_alias(MODEL, "champion", "1")
    gate = workshop.gate(PASSES, classify=False, extra='champion: "@champoin"')
    with pytest.raises(ConfigurationError, match="while alias 'champion' points to version 1"):
        gated(workshop, gate, lambda: None)
    assert workshop.champion() == "1"


def test_a_version_that_serves_and_is_blocked_is_said_to_serve(workshop: Workshop) -> None:
    gated(workshop, workshop.gate(PASSES, classify=False), lambda: None)
    stricter = workshop.gate("{metric: perplexity.bits_per_byte, max: 0.1}", classify=False)
    record = gated(workshop, stricter, lambda: None).record
    assert record.decision == "block"
    assert record.run.action is not None
    assert (record.run.action.before, record.run.action.after) == ("2", "2")
    assert "already serves" in record.run.action.detail


def test_what_cannot_be_published_says_that_it_was_acted_on(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("finetune_gate.gate.run.steps.render_html", full)
    with pytest.raises(EvaluationError, match="promote was decided and acted on"):
        gated(workshop, workshop.gate(PASSES, classify=False), lambda: None)
    monkeypatch.undo()
    assert workshop.champion() == "2"
    assert gated(workshop, workshop.gate(PASSES, classify=False), lambda: None).record.decision == "promote"


def test_a_base_folder_lies_beside_the_gate_file_and_one_given_by_hand_says_so(workshop: Workshop) -> None:
    (workshop.folder / "elsewhere").mkdir()
    gate = workshop.gate(PASSES, classify=False, extra="base: made/0")
    beside = gated(workshop, gate, lambda: None).record.role("base")
    assert beside is not None
    assert beside.origin == "gate file"
    request = GateRequest(
        gate,
        "1",
        base=str(workshop.folder / "made" / "0"),
        dry_run=True,
        tracking_uri=workshop.uri,
        out=workshop.folder / "out",
        home=workshop.folder / "home",
    )
    by_hand = walk(request).record.role("base")
    assert by_hand is not None
    assert (by_hand.origin, by_hand.digest) == ("command line", beside.digest)


def test_slices_do_not_overwrite_the_figure_that_versions_are_compared_by(workshop: Workshop) -> None:
    sliced = "{metric: classification.accuracy, min: 0.01, slice: {category: b}, severity: warn}"
    result = gated(workshop, workshop.gate(PASSES, sliced), lambda: None)
    run = workshop.client().get_run(result.address.split("/")[1])
    accuracy = {name: value for name, value in run.data.metrics.items() if name.startswith("classification.accuracy")}
    overall = next(m for m in result.record.measurements if m.metric == "classification.accuracy" and not m.slice)
    assert accuracy["classification.accuracy"] == getattr(overall.candidate, "value", None)
    assert any("category" in name for name in accuracy)
