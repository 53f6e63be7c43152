"""The last jobs of the shipped workflows: green for one thing only. And whole workflows, from event to alias."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from action_bench import FAILS, OPEN, PASSES, Bench
from shipped import ROOT
from warm_program import HOSTILE_MODEL, warm_program
from workflow_runner import Result

pytestmark = pytest.mark.xdist_group("actions")
RESULTS: tuple[Result, ...] = ("success", "failure", "cancelled", "skipped")
DECISIONS = ("promote", "block", "hold", "error", "")
Kept = Literal["its own", "none", "another's"]


@dataclass(frozen=True, slots=True)
class Gated:
    """What a gate of this run said, and kept."""

    outputs: Mapping[str, str]
    folder: Path


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("verdict"), warm_program())


@pytest.fixture(scope="module")
def gated(bench: Bench) -> dict[str, Gated]:
    """A real gate of each kind; `rehearsal` is a dry run that would promote."""
    found: dict[str, Gated] = {}
    for name, rule, inputs in (
        ("rehearsal", PASSES, {"version": "1", "dry-run": "true"}),
        ("promote", PASSES, {"version": "1"}),
        ("block", FAILS, {"version": "2"}),
        ("hold", OPEN, {"version": "2"}),
    ):
        bench.rules(rule)
        done = bench.action({**inputs, "artifact-name": name, "cache": "false", "comment": "false"})
        assert done.outputs["decision"] in (name, "promote"), done.log
        found[name] = Gated(done.outputs, bench.artifacts[done.outputs["artifact"]])
    return found


def _final(
    bench: Bench, gated: Mapping[str, Gated], result: Result, decision: str, kept: Kept, *, dry_run: bool = False
) -> tuple[Result, int | None, str]:
    """How the last job of gate-by-hand.yml ends, and its step, where the job before it ended and said so."""
    said = gated.get(decision, gated["promote"])
    outputs = {**said.outputs, "decision": decision} if decision else {}
    bench.artifacts.clear()
    if decision and kept != "none":
        other = gated["block" if decision == "promote" else "promote"]
        bench.artifacts[outputs["artifact"]] = said.folder if kept == "its own" else other.folder
    done = bench.workflow(
        "gate-by-hand.yml",
        inputs={"version": "1", "gate-file": "gate.yaml", "model": "", "deployment": "", "dry-run": dry_run},
        forced={"gate": (result, outputs)},
    )["gate-verdict"]
    step = done.steps.get("0")
    return done.conclusion, step.status if step else None, done.log


def _combinations() -> Iterator[tuple[Result, str, Kept]]:
    for result, decision in itertools.product(RESULTS, DECISIONS):
        kept: tuple[Kept, ...] = ("its own", "none", "another's") if result == "success" else ("its own",)
        for each in kept if decision else ("none",):
            yield result, decision, each


@pytest.mark.parametrize(("result", "decision", "kept"), list(_combinations()))
def test_green_for_one_thing_only(
    bench: Bench, gated: dict[str, Gated], result: Result, decision: str, kept: Kept
) -> None:
    conclusion, _, log = _final(bench, gated, result, decision, kept)
    green = (result, decision, kept) == ("success", "promote", "its own")
    assert conclusion == ("success" if green else "failure"), log


@pytest.mark.parametrize("changed", ["version", "model", "record-digest"])
def test_a_record_of_something_else(bench: Bench, gated: dict[str, Gated], changed: str) -> None:
    said = gated["promote"]
    other = "0" * 64 if changed == "record-digest" else "9"
    bad = {"promote": Gated({**said.outputs, changed: other}, said.folder)}
    assert _final(bench, {**gated, **bad}, "success", "promote", "its own")[0] == "failure"


def test_a_record_of_another_attempt(bench: Bench, gated: dict[str, Gated], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "attempt", "2")
    conclusion, _, log = _final(bench, gated, "success", "promote", "its own")
    assert conclusion == "failure"
    assert "Re-run all jobs" in log


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_dry_run_counts_where_one_was_asked_for(bench: Bench, gated: dict[str, Gated], dry_run: bool) -> None:
    rehearsed = {**gated, "promote": gated["rehearsal"]}
    conclusion, _, log = _final(bench, rehearsed, "success", "promote", "its own", dry_run=dry_run)
    assert conclusion == ("success" if dry_run else "failure"), log


def test_a_score_that_was_changed(bench: Bench, gated: dict[str, Gated], tmp_path: Path) -> None:
    said = gated["promote"]
    shutil.copytree(said.folder, tmp_path / "kept")
    scores = tmp_path / "kept" / "scores.parquet"
    content = bytearray(scores.read_bytes())
    content[len(content) // 2] ^= 1
    scores.write_bytes(content)
    bad = {"promote": Gated(said.outputs, tmp_path / "kept")}
    assert _final(bench, {**gated, **bad}, "success", "promote", "its own")[0] == "failure"


def test_a_cancelled_run(bench: Bench) -> None:
    """The last job runs all the same, and finds no evaluation."""
    done = bench.workflow(
        "gate-by-hand.yml",
        inputs={"version": "1", "gate-file": "gate.yaml", "model": "", "deployment": "", "dry-run": True},
        cancelled=True,
    )
    assert done["gate"].conclusion == "skipped"
    assert done["gate-verdict"].conclusion == "failure"


@pytest.mark.parametrize(("evaluated", "promoted"), list(itertools.product(RESULTS, RESULTS)))
def test_evaluated_and_promoted(bench: Bench, gated: dict[str, Gated], evaluated: Result, promoted: Result) -> None:
    bench.artifacts.clear()
    forced: dict[str, tuple[Result, Mapping[str, str]]] = {}
    for job, result, of in (("evaluate", evaluated, gated["rehearsal"]), ("promote", promoted, gated["promote"])):
        forced[job] = (result, of.outputs if result in ("success", "failure") else {})
        bench.artifacts[of.outputs["artifact"]] = of.folder
    done = bench.workflow("promote.yml", inputs={"version": "1"}, event={}, forced=forced)
    green = evaluated == promoted == "success"
    assert done["gate-verdict"].conclusion == ("success" if green else "failure"), done["gate-verdict"].log


@pytest.mark.parametrize(("found", "gate", "any"), list(itertools.product(RESULTS, RESULTS, ["true", "false", ""])))
def test_a_sweep(bench: Bench, found: Result, gate: Result, any: str) -> None:
    """Grey where nothing asked for a gate, and green only where everything that asked was promoted."""
    outputs = {"any": any, "matrix": '{"include": []}'} if any else {}
    done = bench.workflow("gate-ungated.yml", event={}, forced={"find": (found, outputs), "gate": (gate, {})})["gated"]
    if (found, any) == ("success", "false"):
        assert done.conclusion == "skipped"
    else:
        assert done.conclusion == ("success" if found == gate == "success" else "failure")


def test_our_own_check(bench: Bench) -> None:
    jobs = ("static", "tests", "action")
    for results in itertools.product(RESULTS, repeat=3):
        forced = {job: (result, dict[str, str]()) for job, result in zip(jobs, results, strict=True)}
        done = bench.workflow(".github/workflows/ci.yml", forced=forced)["passed"]
        assert done.conclusion == ("success" if set(results) == {"success"} else "failure"), results


@pytest.fixture
def registry(tmp_path: Path) -> Bench:
    return Bench(tmp_path, warm_program())


def test_from_the_event_to_the_alias(registry: Bench) -> None:
    """What the relay sends: a version that passes, then one that does not."""
    payload = {
        "model": HOSTILE_MODEL,
        "gate_file": "gate.yaml",
        "gate_file_digest": "0" * 64,
        "reason": "r",
        "attempt": 1,
    }
    registry.rules(PASSES)
    done = registry.workflow("gate-on-new-version.yml", event={"client_payload": {**payload, "version": "1"}})
    assert [job.conclusion for job in done.values()] == ["success", "success"], done["gate"].log
    assert registry.serving() == "1"
    registry.rules(FAILS)
    done = registry.workflow("gate-on-new-version.yml", event={"client_payload": {**payload, "version": "2"}})
    assert [job.conclusion for job in done.values()] == ["failure", "failure"]
    assert done["gate"].outputs["decision"] == "block"
    assert registry.serving() == "1"
    done = registry.workflow(
        "gate-on-new-version.yml", event={"client_payload": {**payload, "version": "$(touch pwned)"}}
    )
    assert [job.conclusion for job in done.values()] == ["failure", "failure"]
    assert registry.traces() == []


def test_from_a_rehearsal_to_the_alias(registry: Bench) -> None:
    registry.rules(PASSES)
    done = registry.workflow("promote.yml", event={}, inputs={"version": "1"})
    assert {name: job.conclusion for name, job in done.items()} == dict.fromkeys(done, "success"), done["promote"].log
    assert registry.serving() == "1"
    assert "answered" not in done["promote"].log
    assert [json.loads(each["predicate"])["dryRun"] for each in registry.attested] == [False]
    registry.rules(FAILS)
    done = registry.workflow("promote.yml", event={}, inputs={"version": "2"})
    assert [job.conclusion for job in done.values()] == ["failure", "skipped", "failure"]


def test_from_a_sweep_to_the_alias(registry: Bench) -> None:
    """The newest version asks; then nothing does."""
    registry.rules(PASSES)
    done = registry.workflow("gate-ungated.yml", event={})
    assert [job.conclusion for job in done.values()] == ["success", "success", "success"], done["find"].log
    assert registry.serving() == "2"
    done = registry.workflow("gate-ungated.yml", event={})
    assert [job.conclusion for job in done.values()] == ["success", "skipped", "skipped"], done["find"].log


def test_a_gate_file_in_a_pull_request(registry: Bench) -> None:
    """From a fork: no secrets, and only what needs none."""
    registry.rules(PASSES)
    head = {"repo": {"full_name": "mallory/bots"}}
    done = registry.workflow("pull-request.yml", event={"pull_request": {"number": 7, "head": head}})
    assert [done[job].conclusion for job in ("gate-file", "dry-run")] == ["success", "skipped"], done["gate-file"].log
    registry.rules({"metric": "classification.acuracy", "min": 0.5})
    done = registry.workflow("pull-request.yml", event={"pull_request": {"number": 7, "head": head}})
    assert done["gate-file"].conclusion == "failure"
    assert registry.serving() is None


def test_every_workflow_was_run_here() -> None:
    """A new one that nothing above runs would be shipped untried."""
    text = Path(__file__).read_text(encoding="utf-8")
    for file in (ROOT / "examples" / "github").glob("*.yml"):
        assert f'"{file.name}"' in text
