"""``finetune-gate replay``: another gate file decides by the scores of a stored run, and nothing else happens."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from kept_runs import RULES, Made, gated
from workshop import FAILS, MODEL, OPEN, PASSES, Workshop

from finetune_gate.evaluators.errors import ConfigurationError, EvaluationError
from finetune_gate.flows.cli.replay import replay as replay_command
from finetune_gate.gate.attesting.kept import kept_at
from finetune_gate.gate.attesting.replaying import Replayed, replay
from finetune_gate.gate.attesting.verifying import verify
from finetune_gate.gate.deciding import Review
from finetune_gate.gate.gate_file import load_gate_file
from finetune_gate.gate.record import read_record


def replayed(run: str | Path, gate: Path, uri: str | None = None) -> Replayed:
    with kept_at(str(run), uri) as kept:
        return replay(kept, load_gate_file(gate))


def said(*arguments: str | Path) -> Result:
    return CliRunner().invoke(replay_command, [*map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def other(made: Made, tmp_path: Path) -> Callable[..., Path]:
    """The gate file of the run with something else in it, in a folder of its own, beside the same data."""

    def written(*changes: tuple[str, str]) -> Path:
        text = made.gate.read_text()
        for found, instead in changes:
            assert found in text, found
            text = text.replace(found, instead)
        for path in made.workshop.folder.glob("*.jsonl"):
            shutil.copy(path, tmp_path)
        (tmp_path / "other.yaml").write_text(text)
        return tmp_path / "other.yaml"

    return written


def test_the_same_gate_file_comes_to_the_same_decision(made: Made) -> None:
    run_id = made.result.address.split("/")[1]
    for name in (made.folder, run_id, made.result.address):
        found = replayed(name, made.gate, made.workshop.uri)
        record = found.record
        assert record.digest() == made.result.record.digest() == found.then.digest()
        assert (record.sentence, record.rules) == (made.result.record.sentence, made.result.record.rules)
        assert [one.then for one in found.rules] == [one.now for one in found.rules]
        assert found.remarks == ()
        assert (record.run.dry_run, record.run.action, record.run.trigger) == (True, None, f"replay of {name}")


def test_a_stricter_file_blocks_and_rules_are_shown_beside_what_they_were(
    made: Made, other: Callable[..., Path], tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in made.folder.iterdir()}
    gate = other(
        ("min: 0.2", "min: 0.999"),
        (
            "  - {metric: classification.accuracy, min: 0.5",
            f"  - {OPEN}\n  - {{metric: classification.accuracy, min: 0.5",
        ),
    )
    ended = said(made.folder, "--gate", gate, "--json")
    assert ended.exit_code == 1, ended.stdout
    found = json.loads(ended.stdout)
    assert (found["then"]["decision"], found["now"]["decision"], found["changed"]) == ("promote", "block", True)
    rules = {(one["now"] or one["then"])["rule"]: one for one in found["rules"]}
    stricter = rules["classification.accuracy >= 0.999"]
    assert (stricter["then"]["rule"], stricter["then"]["outcome"]) == ("classification.accuracy >= 0.2", "passed")
    assert stricter["now"]["outcome"] == "failed"
    assert rules["classification.accuracy >= 0.5"]["then"] is None
    assert (found["written"], found["exit_status"]) == (None, 1)
    text = said(made.folder, "--gate", gate, "--out", tmp_path / "new" / "decision-record.json")
    assert text.exit_code == 1
    assert "classification.accuracy >= 0.999 (was: classification.accuracy >= 0.2)" in text.stdout
    assert "classification.accuracy >= 0.5 (new)" in text.stdout
    assert text.stdout.startswith(f"Then     {made.result.record.sentence}\nNow      Block: ")
    assert {path: path.read_bytes() for path in made.folder.iterdir()} == before
    assert made.workshop.champion() == "2"
    written = read_record(tmp_path / "new" / "decision-record.json")
    assert (written.decision, written.gate_file.digest) == ("block", load_gate_file(gate).digest)
    shutil.copy(made.folder / "scores.parquet", tmp_path / "new")
    shutil.copy(made.folder / "findings.json", tmp_path / "new")
    shutil.copy(made.folder / "examples.parquet", tmp_path / "new")
    with kept_at(str(tmp_path / "new")) as kept:
        checks = {check.name: check.state for check in verify(kept).checks}
    assert [name for name, state in checks.items() if state == "differs"] == ["statements"], "a replay makes none"


def test_it_is_what_a_run_by_that_file_decides(workshop: Workshop) -> None:
    """The same version gated by both files; the second run asks nothing that replaying it would need."""
    first = gated(workshop, workshop.gate(*RULES), dry_run=True)
    gate = workshop.gate(
        PASSES, FAILS, "{metric: classification.recall_macro, min: 0.1, severity: warn}", name="b.yaml"
    )
    run = gated(workshop, gate, dry_run=True)
    found = replayed(first.folder, gate)
    assert found.record.digest() == run.record.digest()
    assert found.record.measurements == run.record.measurements
    assert (found.record.decision, found.record.sentence) == ("block", run.record.sentence)
    gone = [one.then.text for one in found.rules if one.then is not None and one.now is None]
    assert len(gone) == 2


def test_evaluators_may_be_left_out(made: Made, other: Callable[..., Path]) -> None:
    overfitting = "  - overfitting: {train: holdout, validation: other, memorisation: null, diversity: null}\n"
    found = replayed(made.folder, other((overfitting, ""), (", other: other.jsonl", "")))
    assert (found.record.decision, len(found.record.evaluators)) == ("promote", 2)
    assert [one.name for one in found.record.datasets] == ["holdout"]


@pytest.mark.parametrize(
    ("found", "instead", "where"),
    [
        ("labels: [billing, parcel]", "labels: [parcel, billing]", "evaluator 'classification'.labels[0]"),
        ("perplexity: {data: holdout}", "perplexity: {data: other}", "evaluator 'perplexity'.data"),
        ("overfitting: {train", "overfitting: {name: overfit, train", "evaluator 'overfit'"),
        ("slice: {category: a}", "slice: {language: de}", "rules[2]: column 'language'"),
        ("slice: {category: a}", "slice: {category: z}", "rules[2]: column 'category'"),
        ("holdout: holdout.jsonl", "holdout: {path: holdout.jsonl, sample: 5}", "data.holdout.sample"),
        ("holdout: holdout.jsonl", "holdout: other.jsonl", "data.holdout.path"),
        ("model: tiny-router", "model: tiny-base", "model"),
        ("model: tiny-router", "model: tiny-router\nbase: models:/tiny-router/1", "base"),
        ("model: tiny-router", 'model: tiny-router\nchampion: "1"', "champion"),
        ("model: tiny-router", "model: tiny-router\nexecution: {seed: 3}", "execution.seed"),
    ],
    ids=range(11),
)
def test_what_the_scores_do_not_hold_is_named(
    made: Made, other: Callable[..., Path], found: str, instead: str, where: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        replayed(made.folder, other((found, instead)))
    assert where in [problem.where for problem in caught.value.problems]


def test_looks_are_taken_as_they_were_taken(workshop: Workshop) -> None:
    """A run that looks at some of the examples first is replayed by files that look likewise, at slices it counted."""
    looks = "execution: {looks: [0.5, 1]}"
    whole = "{metric: perplexity.bits_per_byte, max: 400}"
    sliced = "{metric: perplexity.bits_per_byte, max: 500, slice: {category: a}}"
    gate = workshop.gate(whole, sliced, classify=False, extra=looks)
    run = gated(workshop, gate, dry_run=True)
    assert run.record.look is not None
    with kept_at(str(run.folder)) as kept:
        assert verify(kept).outcome == "verified"
    assert replayed(run.folder, gate).record.digest() == run.record.digest()
    fewer = replayed(run.folder, workshop.gate(whole, classify=False, extra=looks, name="b.yaml"))
    assert len(fewer.record.rules) == 1
    once = workshop.gate(whole, sliced, classify=False, name="c.yaml")
    elsewhere = workshop.gate(whole, sliced.replace(": a", ": b"), classify=False, extra=looks, name="d.yaml")
    for changed, where in ((once, "execution.looks"), (elsewhere, "rules[1]: slice")):
        with pytest.raises(ConfigurationError) as caught:
            replayed(run.folder, changed)
        assert where in [problem.where for problem in caught.value.problems]


def test_other_spellings_of_the_same_fit(made: Made, other: Callable[..., Path], tmp_path: Path) -> None:
    gate = other(
        ("model: tiny-router", "model: tiny-router\nbase: models:/tiny-base/1\npromotion: {alias: best}"),
        ("holdout: holdout.jsonl", "holdout: elsewhere.jsonl"),
    )
    shutil.copy(tmp_path / "holdout.jsonl", tmp_path / "elsewhere.jsonl")
    assert replayed(made.folder, gate).record.decision == "promote"


def test_an_approval_counts_for_no_other_file_and_a_block_for_all(workshop: Workshop) -> None:
    asks = "promotion: {approval: required}"
    gate = workshop.gate(PASSES, classify=False, extra=asks)
    held = gated(workshop, gate)
    assert held.record.awaits_approval
    approved = gated(workshop, gate, review=Review("approve", "ana", "read it"), seen=held.seen)
    assert approved.record.decision == "promote"
    assert replayed(approved.folder, gate).record.decision == "promote"
    stricter = workshop.gate("{metric: perplexity.bits_per_byte, max: 39}", classify=False, extra=asks, name="b.yaml")
    found = replayed(approved.folder, stricter)
    assert (found.record.awaits_approval, found.record.review) == (True, None)
    assert found.remarks == ("the approval by ana was of what another gate file came to, and is left out",)
    laxer = workshop.gate(PASSES, classify=False, name="c.yaml")
    assert replayed(approved.folder, laxer).record.decision == "promote"
    blocked = gated(workshop, gate, review=Review("block", "ana", "no"))
    assert replayed(blocked.folder, laxer).record.decision == "block"


def test_an_approval_that_a_request_asked_for_is_asked_for_still(workshop: Workshop) -> None:
    gate = workshop.gate(PASSES, classify=False)
    held = gated(workshop, gate, approval=True)
    assert replayed(held.folder, gate).record.awaits_approval
    other = workshop.gate("{metric: perplexity.bits_per_byte, max: 39}", classify=False, name="b.yaml")
    assert replayed(held.folder, other).record.awaits_approval


def test_a_champion_may_be_left_out_and_not_brought_in(workshop: Workshop) -> None:
    workshop.client().set_registered_model_alias(MODEL, "champion", "1")
    change = "{metric: perplexity.bits_per_byte, min_change: 0.0, margin: 9}"
    with_one = workshop.gate(change, classify=False)
    without = workshop.gate(change, classify=False, extra="champion: null", name="b.yaml")
    first = gated(workshop, with_one, dry_run=True)
    found = replayed(first.folder, without)
    assert [check.against for check in found.record.rules[0].checks] == ["base"]
    assert found.remarks == ("the champion is left out: champion: null",)
    assert found.record.role("champion") is None
    bare = workshop.gate(change, classify=False, extra="champion: null\npromotion: {alias: other}", name="c.yaml")
    second = gated(workshop, bare, dry_run=True)
    with pytest.raises(ConfigurationError, match="champion"):
        replayed(second.folder, with_one)


def test_waivers_are_judged_on_the_day_of_the_run(made: Made, other: Callable[..., Path]) -> None:
    today = date.fromisoformat(made.result.record.today)
    waived = f"min: 0.999, waiver: {{owner: ana, reason: a trial, expires: {today}}}"
    assert replayed(made.folder, other(("min: 0.2", waived))).record.decision == "promote"


def test_scores_that_are_not_those_of_the_record_are_not_judged(made: Made, folder: Path, workshop: Workshop) -> None:
    run = gated(workshop, workshop.gate(*RULES), dry_run=True)
    shutil.copy(run.folder / "scores.parquet", folder)
    with pytest.raises(EvaluationError, match="as the record says"):
        replayed(folder, made.gate)
    (folder / "scores.parquet").unlink()
    with pytest.raises(EvaluationError, match=r"scores\.parquet"):
        replayed(folder, made.gate)


def test_the_real_command_in_a_process_of_its_own(made: Made, other: Callable[..., Path]) -> None:
    run_id = made.result.address.split("/")[1]
    again = made.workshop.command("replay", run_id, "--gate", made.gate)
    assert again.returncode == 0, again.stderr
    assert f"Now      {made.result.record.sentence}" in again.stdout
    wrong = made.workshop.command(
        "replay", run_id, "--gate", other(("[billing, parcel]", "[billing, other]")), "--json"
    )
    assert wrong.returncode == 2
    assert json.loads(wrong.stdout)["errors"][0]["where"] == "evaluator 'classification'.labels[1]"
    assert made.workshop.command("replay", run_id).returncode == 2
