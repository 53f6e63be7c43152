"""The promotion ledger as people meet it: gates write to it, `history` shows it, `rollback` goes back by it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from workshop import MODEL, PASSES, Workshop

from finetune_gate.evaluators.errors import ConfigurationError
from finetune_gate.gate.registry import Author, Ledger, Registry
from finetune_gate.gate.registry.ledger_entries import ledger_name
from finetune_gate.gate.registry.rollback import plan_rollback, previous, roll_back
from finetune_gate.gate.run import GateRequest, GateResult, StepName, walk

T = TypeVar("T")


def request_of(workshop: Workshop, gate: Path, version: str) -> GateRequest:
    return GateRequest(
        gate,
        version,
        tracking_uri=workshop.uri,
        out=workshop.folder / "out",
        home=workshop.folder / "home",
        trigger="test",
        actor="octocat",
    )


def gated(
    workshop: Workshop, version: str, *, extra: str = "", meanwhile: Callable[[int], object] = lambda _: None
) -> tuple[GateResult, int]:
    """The result, and how often was acted; ``meanwhile`` happens right before."""
    acted = 0

    def via(name: StepName, step: Callable[[], T], /) -> T:
        nonlocal acted
        if name == "act":
            acted += 1
            meanwhile(acted)
        return step()

    gate = workshop.gate(PASSES, classify=False, extra=extra)
    return walk(request_of(workshop, gate, version), via=via), acted


def ledger(workshop: Workshop) -> list[tuple[str, str | None, str | None, str]]:
    found = Ledger(Registry.connect(workshop.uri), MODEL).read()
    return [
        (row.entry.kind, row.entry.before, row.entry.after, found.fates[row.number]) for row in found.rows if row.entry
    ]


def test_gates_rollback_and_history(workshop: Workshop) -> None:
    for version in ("1", "2"):
        assert gated(workshop, version)[0].record.decision == "promote"
    strict = workshop.gate("{metric: perplexity.bits_per_byte, max: 0.1}", classify=False, name="strict.yaml")
    assert walk(request_of(workshop, strict, "1")).record.decision == "block"
    assert ledger(workshop) == [
        ("promotion", None, "1", "counts"),
        ("promotion", "1", "2", "counts"),
        ("refusal", "2", "1", "refusal"),
    ]

    nobody = workshop.command("rollback", MODEL, "--reason", "It answers in French.")
    assert (nobody.returncode, workshop.champion()) == (2, "2")
    assert "add --yes" in nobody.stderr
    missing = workshop.command("rollback", MODEL, "--reason", "x", "--to", "9", "--yes")
    assert missing.returncode == 2
    assert "has no version 9" in missing.stderr
    done = workshop.command("rollback", MODEL, "--reason", "It answers in French.", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["outcome"], said["before"], said["after"], said["entry"]) == ("moved", "2", "1", 4)
    assert workshop.champion() == "1"
    again = workshop.command("rollback", MODEL, "--reason", "Once more.", "--yes")
    assert again.returncode == 2
    assert "knows of no version that alias 'champion' pointed to before version 1" in again.stderr
    there = workshop.command("rollback", MODEL, "--reason", "Once more.", "--to", "1", "--yes")
    assert there.returncode == 0
    assert there.stdout.splitlines()[0].startswith("nothing to do: ")

    shown = workshop.command("history", MODEL, "--html", "history.html")
    assert shown.returncode == 0, shown.stderr
    assert "rollback of champion: version 2 -> version 1" in shown.stdout
    assert "(rollback): It answers in French." in shown.stdout
    assert "by octocat (test): " in shown.stdout
    assert "refusal of version 1 for champion" in shown.stdout
    assert "rollback of champion: version 2\xa0→ version 1" in (workshop.folder / "history.html").read_text()
    machine: dict[str, Any] = json.loads(workshop.command("history", MODEL, "--json").stdout)
    assert [gate["decision"] for gate in machine["gates"]] == ["promote", "promote", "block"]
    assert {(gate["actor"], gate["trigger"]) for gate in machine["gates"]} == {("octocat", "test")}
    assert [(move["entry"], move["kind"], move["fate"]) for move in machine["moves"]] == [
        (1, "promotion", "counts"),
        (2, "promotion", "counts"),
        (3, "refusal", "refusal"),
        (4, "rollback", "counts"),
    ]
    assert machine["moves"][0]["record"].startswith("runs:/")

    gate = workshop.gate(PASSES, classify=False)
    gate.write_text(gate.read_text().replace(f"model: {MODEL}", f"model: {ledger_name(MODEL)}"))
    refused = workshop.command("run", gate)
    assert refused.returncode == 2
    assert "own lists, and holds no models" in refused.stderr


def test_a_champion_that_was_moved_meanwhile_is_compared_with_where_the_gate_file_asks(workshop: Workshop) -> None:
    client = workshop.client()

    def once(round_: int) -> None:
        if round_ == 1:
            client.set_registered_model_alias(MODEL, "champion", "1")

    result, acted = gated(workshop, "2", extra="promotion: {rejudge: 2}", meanwhile=once)
    assert (result.record.decision, acted) == ("promote", 2)
    champion = result.record.role("champion")
    assert champion is not None
    assert champion.version == "1"
    assert ledger(workshop) == [("refusal", None, "2", "refusal"), ("promotion", "1", "2", "counts")]


def test_not_more_often_than_the_gate_file_says(workshop: Workshop) -> None:
    client = workshop.client()

    def always(round_: int) -> None:
        if round_ % 2:
            client.set_registered_model_alias(MODEL, "champion", "1")
        else:
            client.delete_registered_model_alias(MODEL, "champion")

    result, acted = gated(workshop, "2", extra="promotion: {rejudge: 1}", meanwhile=always)
    assert (result.record.decision, acted) == ("hold", 2)
    assert workshop.champion() is None


def test_a_rollback_goes_further_back_each_time_and_never_forth(workshop: Workshop) -> None:
    client = workshop.client()
    for _ in range(2):
        client.create_model_version(MODEL, "finetune-gate:/nothing", await_creation_for=0)
    registry = Registry.connect(workshop.uri)
    client.set_registered_model_alias(MODEL, "champion", "1")
    for to in ("2", "3", "4"):
        roll_back(registry, replace(plan_rollback(registry, MODEL, to)), "set up", Author("a"))
    assert previous(Ledger(registry, MODEL).read(), "champion") is None  # there were only rollbacks
    for to in ("1", "2", "3", "4"):
        client.set_registered_model_alias(MODEL, "champion", to)
        Ledger(registry, MODEL).settle("champion")
    for expected in ("3", "2", "1"):
        plan = plan_rollback(registry, MODEL)
        assert plan.after == expected
        assert roll_back(registry, plan, "worse", Author("a")).outcome == "moved"
        assert workshop.champion() == expected
    client.set_registered_model_alias(MODEL, "champion", "3")
    client.delete_model_version(MODEL, "1")
    with pytest.raises(ConfigurationError, match="which served before, was deleted"):
        plan_rollback(registry, MODEL)


def test_a_rollback_of_what_was_moved_while_somebody_was_asked(workshop: Workshop) -> None:
    client = workshop.client()
    registry = Registry.connect(workshop.uri)
    client.set_registered_model_alias(MODEL, "champion", "2")
    plan = plan_rollback(registry, MODEL, "1")
    roll_back(registry, plan_rollback(registry, MODEL, "1"), "faster", Author("another"))
    move = roll_back(registry, plan, "slower", Author("a"))
    assert (move.outcome, move.before) == ("stale", "1")
    assert "was moved meanwhile" in move.detail
