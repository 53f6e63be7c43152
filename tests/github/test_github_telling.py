"""Where a decision is told: the outputs first, then summary, comment and annotations, as far as they can be written."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from runner_files import CommentsApi, commands_of, comments_api, outputs_of

from finetune_gate.evaluators.errors import EvaluationError, Problem
from finetune_gate.flows.github import telling
from finetune_gate.flows.github.binding import Tied
from finetune_gate.flows.github.settings import Inputs, read_inputs
from finetune_gate.flows.github.summary import MOST, append_summary, decision_text, no_decision_text
from finetune_gate.flows.github.telling import NAMES, Places, outputs_of_no_decision, tell_decision, tell_problems
from finetune_gate.gate.record import DecisionRecord
from finetune_gate.gate.reports import comment_marker
from finetune_gate.gate.run import GateResult
from finetune_gate.gate.run.seen import Seen

sys.path.append(str(Path(__file__).parent.parent / "reports"))

from sample_records import HOSTILE, hostile_record, record_of


def inputs_for(tmp_path: Path, api: CommentsApi | None = None, **environment: str) -> Inputs:
    (tmp_path / "output").write_text("")
    (tmp_path / "summary").write_text("")
    return read_inputs(
        {
            "GITHUB_OUTPUT": str(tmp_path / "output"),
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
            "GITHUB_REPOSITORY": "octo/bots",
            "GITHUB_RUN_ID": "11",
            "GITHUB_REF": "refs/pull/7/merge",
            "GITHUB_TOKEN": "ghs_secret" if api else "",
            "GITHUB_API_URL": api.url if api else "",
            **environment,
        }
    )


def result_of(record: DecisionRecord, elsewhere: str = "") -> GateResult:
    return GateResult(record, Path("out/run 1"), "runs:/x/y", None, Seen({}), elsewhere)


def told(record: DecisionRecord, inputs: Inputs, elsewhere: str = "") -> list[str]:
    result = result_of(record, elsewhere)
    return tell_decision(result, telling.outputs_of(result, Tied(Path("a"), Path("b")), 0), inputs)


def test_a_hostile_record_is_told_and_does_nothing(tmp_path: Path) -> None:
    with comments_api() as api:
        lines = told(hostile_record(), inputs_for(tmp_path, api), elsewhere=HOSTILE)
    outputs = outputs_of(tmp_path / "output")
    assert list(outputs) == list(NAMES)
    assert (outputs["model"], outputs["version"]) == ("", "")  # they hold control characters
    assert outputs["folder"] == "out/run 1"
    kinds = {one.name for one in commands_of("\n".join(lines))}
    assert kinds <= {"error", "warning", "notice"}
    for text in ((tmp_path / "summary").read_text(), api.comments[0]["body"]):
        assert "not by this run" in text
        assert "<script" not in text
        assert "@maintainer" not in text
        assert "\x1b" not in text


@pytest.mark.parametrize("status", [403, 404])
def test_a_token_that_may_not_comment_costs_nothing_but_a_notice(tmp_path: Path, status: int) -> None:
    with comments_api() as api:
        api.refuse = status
        lines = told(record_of("promote"), inputs_for(tmp_path, api))
    assert [one.name for one in commands_of("\n".join(lines))] == ["notice"]
    summary = (tmp_path / "summary").read_text()
    assert "Promote" in summary
    assert "has no comment of this" in summary
    assert outputs_of(tmp_path / "output")["decision"] == "promote"


@pytest.mark.parametrize(
    "environment", [{"GITHUB_REF": "refs/heads/main"}, {"GITHUB_TOKEN": ""}, {"FINETUNE_GATE_COMMENT": "false"}]
)
def test_where_no_comment_is_to_be_nothing_is_wrong(tmp_path: Path, environment: dict[str, str]) -> None:
    with comments_api() as api:
        lines = told(record_of("promote"), inputs_for(tmp_path, api, **environment))
    assert commands_of("\n".join(lines)) == []
    assert api.heard == []


def test_what_is_not_wanted_is_not_told(tmp_path: Path) -> None:
    off = {f"FINETUNE_GATE_{name}": "false" for name in ("COMMENT", "SUMMARY", "ANNOTATIONS")}
    assert told(record_of("block"), inputs_for(tmp_path, **off)) == []
    assert (tmp_path / "summary").read_text() == ""


def test_a_summary_shows_as_many_rules_as_there_is_room_for(tmp_path: Path) -> None:
    record = record_of("block")
    long = record.model_copy(update={"rules": record.rules * 60})
    inputs = inputs_for(tmp_path)
    (tmp_path / "summary").write_text("x" * (MOST - 20_000))
    told(long, inputs)
    size = (tmp_path / "summary").stat().st_size
    assert MOST - 2000 < size <= MOST
    assert "rules are not shown" in (tmp_path / "summary").read_text()


def test_a_full_summary_is_left_alone_and_a_notice_says_so(tmp_path: Path) -> None:
    inputs = inputs_for(tmp_path)
    (tmp_path / "summary").write_text("x" * (MOST - 10))
    lines = told(record_of("promote"), inputs)
    assert (tmp_path / "summary").stat().st_size == MOST - 10
    assert "the summary was not written" in commands_of("\n".join(lines))[0].message


def test_a_summary_that_cannot_be_written_is_a_reason(tmp_path: Path) -> None:
    assert "cannot be written" in append_summary(tmp_path, "text")


def test_a_comment_fits_with_its_remarks() -> None:
    record = record_of("block")
    long = record.model_copy(update={"rules": record.rules * 150})
    text = decision_text(long, remarks=["gated elsewhere " * 40, "and again"])
    assert len(text.encode()) <= 65_000
    assert text.rstrip().endswith(comment_marker(record.model))


def test_outputs_that_cannot_be_written_are_an_error(tmp_path: Path) -> None:
    inputs = inputs_for(tmp_path)
    inputs = replace(inputs, runner=replace(inputs.runner, output=tmp_path))
    with pytest.raises(EvaluationError, match="GITHUB_OUTPUT"):
        told(record_of("promote"), inputs)


def test_problems_are_told_even_where_the_inputs_are_wrong(tmp_path: Path) -> None:
    places = Places.of({"GITHUB_OUTPUT": str(tmp_path / "output"), "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")})
    problems = [Problem(f"rule {index}\n::error::x", HOSTILE, HOSTILE, HOSTILE) for index in range(30)]
    lines = tell_problems(problems, outputs_of_no_decision(2, None), None, places)
    assert {one.name for one in commands_of("\n".join(lines))} == {"error"}
    assert outputs_of(tmp_path / "output") == {
        **dict.fromkeys(NAMES, ""),
        "decision": "error",
        "exit-status": "2",
    }
    summary = (tmp_path / "summary").read_text()
    assert "10 more problems" in summary
    assert "<script" not in summary
    assert "\n::error" not in summary


def test_a_text_about_no_decision_is_found_again_by_its_model() -> None:
    assert no_decision_text([Problem("a", "b")], "bot", "7").rstrip().endswith(comment_marker("bot"))
    assert "<!--" not in no_decision_text([Problem("a", "b")], "", "")
