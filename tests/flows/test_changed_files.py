"""Whatever is done to the candidate's files once they were pinned, other bytes than those that were judged are not
promoted, and the record says so. FINETUNE_GATE_LONG_TESTS=1 has a server hand out other bytes after every step."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest
from outage_bench import Bench, Heard
from workshop import MODEL, PASSES, Workshop

from finetune_gate.evaluators.errors import RegistryError
from finetune_gate.gate.record import DecisionRecord, read_record
from finetune_gate.gate.registry import Ledger, Registry
from finetune_gate.gate.run import GateRequest, StepName, walk
from finetune_gate.gate.run import steps as run_steps

T = TypeVar("T")
POINTS = ("resolve", "plan", "answer", "score", "decide", "evidence")
"""The steps after which the bytes change; ``evidence``: within act, once the evidence is written."""
AT_A_SERVER = (*POINTS, "all deleted") if os.environ.get("FINETUNE_GATE_LONG_TESTS") else ("answer", "evidence")


def gated(request: GateRequest, point: str, change: Callable[[], object], heard: Heard) -> DecisionRecord:
    """Walk the gate; ``change`` happens after ``point``."""

    def via(name: StepName, step: Callable[[], T], /) -> T:
        done = step()
        if name == point:
            change()
        return done

    write_evidence = run_steps.write_evidence

    def then_change(*arguments: Any) -> None:
        write_evidence(*arguments)
        change()

    with pytest.MonkeyPatch.context() as patch:
        if point == "evidence":
            patch.setattr(run_steps, "write_evidence", then_change)
        result = walk(request, via=via, progress=heard)
    assert not list(request.home.glob("models-*"))
    return read_record(result.folder / "decision-record.json")


def request_at(workshop: Workshop, gate: Path, version: str = "2") -> GateRequest:
    out, home = workshop.folder / "out", workshop.folder / "home"
    return GateRequest(gate, version, tracking_uri=workshop.uri, out=out, home=home)


def source_of(workshop: Workshop, version: str = "2") -> Path:
    return Path(workshop.client().get_model_version(MODEL, version).source)


def swap_a_byte(file: Path) -> None:
    """The last byte, of a weight or of a file's closing line: the model loads as before."""
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def check_held(record: DecisionRecord, found: str = "") -> None:
    pinned = record.role("candidate")
    action = record.run.action
    assert pinned is not None
    assert action is not None
    assert record.decision == "hold"
    assert record.files_changed is not None
    assert record.files_changed in record.sentence
    assert f"digest changed (found {found}" in record.files_changed
    assert f"expected {pinned.files_digest[:12]})" in record.files_changed
    assert (action.outcome, action.before) == ("digest_changed", action.after)
    assert record.files_changed in action.detail


@pytest.mark.parametrize("point", POINTS)
def test_bytes_on_this_machine(workshop: Workshop, point: str) -> None:
    weights, heard = source_of(workshop) / "model.safetensors", Heard()
    request = request_at(workshop, workshop.gate(PASSES, classify=False))
    record = gated(request, point, lambda: swap_a_byte(weights), heard)
    check_held(record)
    assert workshop.champion() is None
    assert not any("once more" in line for line in heard.lines)
    assert workshop.tags("2")["finetune_gate.decision"] == "hold"
    assert "digest changed" in workshop.tags("2")["finetune_gate.reason"]
    rows = Ledger(Registry.connect(workshop.uri), MODEL).read().rows
    assert [row.entry.kind for row in rows if row.entry] == ["refusal"]


def added(folder: Path) -> None:
    (folder / "added.txt").write_text("x")


def linked(folder: Path) -> None:
    (folder / "link.json").symlink_to(folder / "config.json")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda folder: (folder / "tokenizer_config.json").unlink(), ""),
        (added, ""),
        (linked, ""),
        (shutil.rmtree, "files at "),
    ],
    ids=["deleted", "added", "linked", "all deleted"],
)
def test_files_on_this_machine(workshop: Workshop, change: Callable[[Path], object], found: str) -> None:
    folder = source_of(workshop)
    request = request_at(workshop, workshop.gate(PASSES, classify=False))
    check_held(gated(request, "decide", lambda: change(folder), Heard()), found)
    assert workshop.champion() is None


def test_a_candidate_that_serves_and_was_changed_stays_and_is_said_to_serve(workshop: Workshop) -> None:
    workshop.client().set_registered_model_alias(MODEL, "champion", "2")
    weights = source_of(workshop) / "model.safetensors"
    gate = workshop.gate(PASSES, classify=False, extra="champion: null")
    record = gated(request_at(workshop, gate), "decide", lambda: swap_a_byte(weights), Heard())
    check_held(record)
    assert record.run.action is not None
    assert "the candidate already serves" in record.run.action.detail
    assert workshop.champion() == "2"


def test_a_dry_run_does_not_look_again(workshop: Workshop) -> None:
    weights = source_of(workshop) / "model.safetensors"
    gate = workshop.gate(PASSES, classify=False)
    request = GateRequest(
        gate, "2", dry_run=True, tracking_uri=workshop.uri, out=workshop.folder / "out", home=workshop.folder / "home"
    )
    record = gated(request, "decide", lambda: swap_a_byte(weights), Heard())
    assert (record.decision, record.files_changed) == ("promote", None)


def test_files_that_cannot_be_read_are_an_error(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> str:
        raise OSError(5, "Input/output error", "model.safetensors")

    monkeypatch.setattr("finetune_gate.gate.run.files_again.inspect_again", broken)
    with pytest.raises(RegistryError, match="cannot be read again") as caught:
        gated(request_at(workshop, workshop.gate(PASSES, classify=False)), "decide", lambda: None, Heard())
    assert "alias 'champion' points to nothing: nothing was moved" in str(caught.value)
    assert workshop.champion() is None


def test_a_record_without_changed_files_keeps_the_digest_that_it_had(workshop: Workshop) -> None:
    request = request_at(workshop, workshop.gate(PASSES, classify=False))
    record = gated(request, "decide", lambda: None, Heard())
    assert record.decision == "promote"
    assert record.model_copy(update={"files_changed": "digest changed"}).digest() != record.digest()
    without = type(record).model_validate_json(record.canonical().replace(b'"files_changed":null,', b""))
    assert without.digest() == record.digest()


def lies_at(bench: Bench, model: str, version: str = "2") -> Path:
    """The folder in the server's own store."""
    address = bench.client.get_model_version_download_uri(model, version)
    return bench.server.files / urlsplit(address).path.lstrip("/")


@pytest.mark.slow
@pytest.mark.xdist_group("mlflow_outage")
@pytest.mark.parametrize("point", AT_A_SERVER)
def test_bytes_that_a_server_hands_out(bench: Bench, point: str) -> None:
    model, heard = bench.model(files_of_their_own=True), Heard()
    folder = lies_at(bench, model)
    assert (folder / "model.safetensors").is_file()
    request = GateRequest(
        bench.gate_file(model), "2", tracking_uri=bench.server.address,
        out=bench.folder / "out", home=bench.folder / "home",
    )  # fmt: skip
    if point == "all deleted":
        record = gated(request, "decide", lambda: shutil.rmtree(folder), heard)
        check_held(record, "files at ")
    else:
        record = gated(request, point, lambda: swap_a_byte(folder / "model.safetensors"), heard)
        check_held(record)
    assert bench.serves(model) == "1"
    assert sum("once more, to see that they are those that were judged" in line for line in heard.lines) == 1
