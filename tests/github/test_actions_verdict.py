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
from workflow_runner import Done, Result

pytestmark = pytest.mark.xdist_group("actions")
RESULTS: tuple[Result, ...] = ("success", "failure", "cancelled", "skipped")
DECISIONS = ("promote", "block", "hold", "error", "")
Kept = Literal["its own", "none", "another's"]


@dataclass(frozen=True, slots=True)
class Gated:
    """What a gate of this run said, and kept."""

    outputs: Mapping[str, str]
    folder: Path


PAYLOAD = {"model": HOSTILE_MODEL, "gate_file": "gate.yaml", "gate_file_digest": "0" * 64, "reason": "r", "attempt": 1}


@dataclass(frozen=True, slots=True)
class Stories:
    """What the jobs of each workflow came to, and what each gate said; `rehearsal`: the dry run before a promotion."""

    jobs: Mapping[str, Mapping[str, Done]]
    gated: Mapping[str, Gated]
    serving: str | None
    attested: list[Mapping[str, str]]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("verdict"), warm_program())


@pytest.fixture(scope="module")
def stories(bench: Bench) -> Stories:
    """Whole workflows, one after the other: version 1 is promoted in two jobs; a sweep finds version 2, to be blocked,
    and then nothing; under rules of another kind version 2 is held."""
    jobs: dict[str, Mapping[str, Done]] = {}
    gated: dict[str, Gated] = {}
    bench.rules(PASSES)
    jobs["promote"] = bench.workflow("promote.yml", event={}, inputs={"version": "1"})
    for name, job in (("rehearsal", "evaluate"), ("promote", "promote")):
        gated[name] = _gated(bench, jobs["promote"][job].outputs)
    bench.rules(FAILS)
    bench.artifacts.clear()  # each is a run of its own on GitHub
    jobs["block"] = bench.workflow("gate-ungated.yml", event={})
    gated["block"] = _gated(bench, jobs["block"]["gate"].steps["1"].outputs)
    jobs["nothing"] = bench.workflow("gate-ungated.yml", event={})
    bench.rules(OPEN)
    bench.artifacts.clear()
    jobs["hold"] = bench.workflow("gate-on-new-version.yml", event={"client_payload": {**PAYLOAD, "version": "2"}})
    gated["hold"] = _gated(bench, jobs["hold"]["gate"].outputs)
    return Stories(jobs, gated, bench.serving(), list(bench.attested))


def _gated(bench: Bench, outputs: Mapping[str, str]) -> Gated:
    return Gated(outputs, bench.artifacts[outputs["artifact"]])


@pytest.fixture(scope="module")
def gated(stories: Stories) -> Mapping[str, Gated]:
    return stories.gated


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
    bench: Bench, gated: Mapping[str, Gated], result: Result, decision: str, kept: Kept
) -> None:
    conclusion, _, log = _final(bench, gated, result, decision, kept)
    green = (result, decision, kept) == ("success", "promote", "its own")
    assert conclusion == ("success" if green else "failure"), log


@pytest.mark.parametrize("changed", ["version", "model", "record-digest"])
def test_a_record_of_something_else(bench: Bench, gated: Mapping[str, Gated], changed: str) -> None:
    said = gated["promote"]
    other = "0" * 64 if changed == "record-digest" else "9"
    bad = {"promote": Gated({**said.outputs, changed: other}, said.folder)}
    assert _final(bench, {**gated, **bad}, "success", "promote", "its own")[0] == "failure"


def test_a_record_of_another_attempt(bench: Bench, gated: Mapping[str, Gated], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "attempt", "2")
    conclusion, _, log = _final(bench, gated, "success", "promote", "its own")
    assert conclusion == "failure"
    assert "Re-run all jobs" in log


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_dry_run_counts_where_one_was_asked_for(bench: Bench, gated: Mapping[str, Gated], dry_run: bool) -> None:
    rehearsed = {**gated, "promote": gated["rehearsal"]}
    conclusion, _, log = _final(bench, rehearsed, "success", "promote", "its own", dry_run=dry_run)
    assert conclusion == ("success" if dry_run else "failure"), log


def test_a_score_that_was_changed(bench: Bench, gated: Mapping[str, Gated], tmp_path: Path) -> None:
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
def test_evaluated_and_promoted(bench: Bench, gated: Mapping[str, Gated], evaluated: Result, promoted: Result) -> None:
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


def test_from_a_rehearsal_to_the_alias(stories: Stories) -> None:
    done = stories.jobs["promote"]
    assert {name: job.conclusion for name, job in done.items()} == dict.fromkeys(done, "success"), done["promote"].log
    champions = [done[job].steps["gate"].outputs["champion-after"] for job in ("evaluate", "promote")]
    assert champions == ["", "1"]
    asked = ["log-likelihoods" in done[job].log for job in ("evaluate", "promote")]
    assert asked == [True, False], "the answers of the evaluation were there: no model was asked twice"
    assert [json.loads(each["predicate"])["dryRun"] for each in stories.attested] == [False]


def test_from_a_sweep_to_a_refusal(stories: Stories) -> None:
    conclusions = [job.conclusion for job in stories.jobs["block"].values()]
    assert conclusions == ["success", "failure", "failure"], stories.jobs["block"]["find"].log
    assert stories.gated["block"].outputs["decision"] == "block"
    conclusions = [job.conclusion for job in stories.jobs["nothing"].values()]
    assert conclusions == ["success", "skipped", "skipped"], stories.jobs["nothing"]["find"].log


def test_from_the_event_to_a_hold(stories: Stories) -> None:
    assert stories.gated["hold"].outputs["decision"] == "hold"
    assert {job.conclusion for job in stories.jobs["hold"].values()} == {"failure"}
    assert stories.serving == "1"


@pytest.fixture
def registry(tmp_path: Path) -> Bench:
    return Bench(tmp_path, warm_program())


def test_an_event_with_hostile_words(registry: Bench) -> None:
    registry.rules(PASSES)
    hostile = {"version": "$(touch pwned)", "model": "'; touch pwned; '\n::error::x"}
    done = registry.workflow("gate-on-new-version.yml", event={"client_payload": {**PAYLOAD, **hostile}})
    assert [job.conclusion for job in done.values()] == ["failure", "failure"]
    assert done["gate"].outputs["decision"] == "error"
    assert registry.traces() == []


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
