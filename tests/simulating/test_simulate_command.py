"""``finetune-gate simulate`` as people and CI call it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from simulated_gates import ANSWERS, CLASSIFICATION, NOT_WORSE, PERPLEXITY, gate_in, record_in, simulated

from finetune_gate.evaluators.errors import FinetuneGateError
from finetune_gate.flows.cli.program import program
from finetune_gate.gate.simulating import Simulation, counting, drawn, render_simulation

FLUENT = "{metric: perplexity.perplexity, min_change: 0.0, margin: 0.1}"
CORPUS = "text_match: {data: holdout, prompt: '{text}', reference: label}"


def command(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(program, ["simulate", str(folder / "gate.yaml"), *arguments])


def found(folder: Path, *arguments: str) -> dict[str, Any]:
    done = command(folder, "--json", "--worlds", "20", *arguments)
    assert done.exit_code == 0, done.exception
    return json.loads(done.stdout)


def equal(told: dict[str, Any]) -> dict[str, float]:
    """By baseline, what the first rule would see of a candidate of no difference if it saw the truth."""
    point = next(point for point in told["points"] if point["difference"] == 0)
    return {one["against"]: one["value"] for one in point["rules"][0]["truth"]}


def refused(folder: Path, *arguments: str) -> FinetuneGateError:
    done = command(folder, "--worlds", "20", *arguments)
    assert isinstance(done.exception, FinetuneGateError), done.output
    return done.exception


def test_the_table_shows_every_difference_and_says_what_it_means(tmp_path: Path) -> None:
    gate_in(tmp_path, NOT_WORSE, "{metric: classification.accuracy, min: 0.65, severity: warn}")
    done = command(tmp_path, "--worlds", "60", "--quiet")
    assert done.exit_code == 0, done.exception
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    assert [line.split()[0] for line in lines if "±" in line and "Monte Carlo" not in line] == [
        "-0.16",
        "-0.08",
        "0",
        "+0.08",
        "+0.16",
    ]
    joined = " ".join(done.stdout.split())
    assert "A candidate exactly at the bound of 'classification.accuracy at most 0.08 worse" in joined
    assert "(promised: at most 5 %)" in joined
    assert "One that is 0.16 worse is blocked in" in joined
    assert "One that is equal is promoted in" in joined
    assert "warning only" in joined
    assert "NOT SIMULATED" not in joined


def test_json_is_the_simulation(tmp_path: Path) -> None:
    gate_in(tmp_path, NOT_WORSE)
    told = found(tmp_path, "--seed", "4", "--differences", "0.1,-0.1,0")
    assert Simulation.model_validate(told).seed == 4
    assert [point["difference"] for point in told["points"]] == [-0.1, 0.0, 0.1]
    assert told["rules"][0]["bound_at"] == -0.08
    (truth,) = told["points"][0]["rules"][0]["truth"]
    assert truth == {"against": "base", "slice": {}, "value": pytest.approx(-0.1), "bound": -0.08, "side": "at least"}


def test_few_examples_are_said_to_be_too_few(tmp_path: Path) -> None:
    gate = gate_in(tmp_path, "{metric: classification.accuracy, min_change: 0.0, margin: 0.02}")
    told = simulated(drawn(gate), 20)
    needed = told.rules[0].needed
    assert needed is not None
    assert 2500 <= needed <= 3700  # (1.645 + 0.842)^2 0.2 / 0.02^2 is 3,091
    assert f"about {needed:,} examples, not 200," in told.sentences[-1]


def test_what_asks_for_more_than_no_difference_is_said_to(tmp_path: Path) -> None:
    told = simulated(drawn(gate_in(tmp_path, "{metric: classification.accuracy, min_change: 0.0}")), 20)
    assert "no number of examples changes it" in told.sentences[-1]


@pytest.mark.parametrize(
    ("evaluator", "rule", "reason"),
    [
        (PERPLEXITY, FLUENT, "how scores without bounds spread is not known: needs --record"),
        (CORPUS, "{metric: text_match.bleu, min: 5}", "no true difference can be given to what Corpus computes"),
    ],
    ids=["unbounded", "corpus"],
)
def test_rules_that_are_not_simulated_are_named_before_any_number(
    tmp_path: Path, evaluator: str, rule: str, reason: str
) -> None:
    gate_in(tmp_path, NOT_WORSE, rule, evaluators=[CLASSIFICATION, evaluator])
    told = found(tmp_path)
    assert [rule["index"] for rule in told["rules"]] == [0]
    assert [reason in one["reason"] for one in told["assumed"]] == [True]
    shown = render_simulation(Simulation.model_validate(told))
    assert shown.index("NOT SIMULATED: taken as passed") < shown.index("Decisions")


def test_a_gate_of_which_nothing_can_be_simulated_is_refused(tmp_path: Path) -> None:
    gate_in(tmp_path, FLUENT, evaluators=[PERPLEXITY])
    error = refused(tmp_path)
    assert error.exit_status == 2
    assert "--record RUN takes the scores of an earlier run" in str(error)


def test_requirements_and_approval_are_warned_about(tmp_path: Path) -> None:
    rule = "{metric: classification.accuracy, min: 0.6, requires: {classification.f1_macro: 0.2}}"
    gate_in(tmp_path, rule)
    path = tmp_path / "gate.yaml"
    path.write_text(path.read_text() + "promotion: {approval: required}\n")
    warnings = " ".join(found(tmp_path)["warnings"])
    assert "that classification.f1_macro suffice is taken for granted" in warnings
    assert "a person's approval is still asked for" in warnings


def test_a_champion_is_drawn_where_a_rule_speaks_of_one(tmp_path: Path) -> None:
    gate_in(tmp_path, NOT_WORSE, "{metric: classification.accuracy, min_change: 0.0, margin: 0.1, against: champion}")
    told = found(tmp_path)
    assert {one["against"] for one in told["points"][0]["rules"][0]["truth"]} == {"base", "champion"}


def test_a_record_brings_its_own_scores(tmp_path: Path) -> None:
    gate = gate_in(tmp_path, NOT_WORSE, FLUENT, evaluators=[CLASSIFICATION, PERPLEXITY])
    run = record_in(tmp_path, gate, champion=True, broken=2)
    by_folder = found(tmp_path, "--record", str(run))
    by_file = found(tmp_path, "--record", str(run / "decision-record.json"))
    assert {**by_folder, "seconds": 0} == {**by_file, "seconds": 0}
    assert len(by_folder["rules"]) == 2
    assert any("some scores are missing in the record" in line for line in by_folder["warnings"])
    truths = equal(by_folder)
    assert truths["champion"] == pytest.approx(0, abs=1e-12)
    assert abs(truths["base"]) > 1e-3
    like_base = found(tmp_path, "--record", str(run), "--like", "base")
    assert equal(like_base)["base"] == pytest.approx(0, abs=1e-12)


def test_a_record_needs_no_data(tmp_path: Path) -> None:
    gate = gate_in(tmp_path, NOT_WORSE)
    run = record_in(tmp_path, gate)
    (tmp_path / "holdout.jsonl").unlink()
    assert found(tmp_path, "--record", str(run))["worlds"] == 20


def test_bounds_may_differ_from_those_of_the_record_and_evaluators_may_not(tmp_path: Path) -> None:
    run = record_in(tmp_path, gate_in(tmp_path, NOT_WORSE))
    gate_in(tmp_path, NOT_WORSE.replace("0.08", "0.12"))
    assert found(tmp_path, "--record", str(run))["rules"][0]["bound_at"] == -0.12
    gate_in(
        tmp_path, NOT_WORSE, evaluators=[CLASSIFICATION.replace("data: holdout,", "data: holdout, prompt: '{text}',")]
    )
    error = refused(tmp_path, "--record", str(run))
    assert (error.exit_status, "other settings, or another version" in str(error)) == (2, True)


def test_scores_that_are_not_those_of_the_record_are_refused(tmp_path: Path) -> None:
    gate = gate_in(tmp_path, NOT_WORSE)
    run = record_in(tmp_path, gate)
    path = run / "decision-record.json"
    digest = json.loads(path.read_text())["score_table"]["digest"]
    path.write_text(path.read_text().replace(digest, "0" * 64))
    error = refused(tmp_path, "--record", str(run))
    assert (error.exit_status, "its scores are not those of the record" in str(error)) == (4, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--differences", "a,b"), "numbers, such as"),
        (("--differences", "-2,0"), "numbers from -1 to 1"),
        (("--differences", "nan"), "numbers from -1 to 1"),
        (("--differences", "0", "--aa"), "--aa looks at no difference"),
        (("--base-rate", "1.5"), "above 0, below 1"),
        (("--discordance", "0.5"), "from 0 to 0.42 at a base rate of 0.7"),
        (("--within", "2"), "a correlation from 0 to 1"),
        (("--record", "run", "--base-rate", "0.5"), "given with --record"),
        (("--like", "base"), "given without --record"),
    ],
    ids=["words", "far", "nan", "aa", "rate", "discordance", "within", "both", "like"],
)
def test_impossible_options_are_refused(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    gate_in(tmp_path, NOT_WORSE)
    error = refused(tmp_path, *arguments)
    assert (error.exit_status, message in str(error)) == (2, True), str(error)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("min_change: 0.0", "min_change: .inf", "rules[0].min_change: inf"),
        ("classification.accuracy", "classification.accurracy", "did you mean 'classification.accuracy'?"),
        ("holdout.jsonl", "gone.jsonl", "file does not exist"),
    ],
    ids=["bound", "metric", "data"],
)
def test_faults_of_the_gate_file_are_those_of_check(tmp_path: Path, old: str, new: str, message: str) -> None:
    gate_in(tmp_path, NOT_WORSE)
    path = tmp_path / "gate.yaml"
    path.write_text(path.read_text().replace(old, new, 1))
    error = refused(tmp_path)
    checked = CliRunner().invoke(program, ["check", str(path)]).exception
    assert isinstance(checked, FinetuneGateError)
    assert (error.exit_status, error.problems) == (2, checked.problems)
    assert message in str(error)


def test_time_that_is_up_leaves_what_is_done(tmp_path: Path) -> None:
    gate_in(tmp_path, NOT_WORSE)
    done = command(tmp_path, "--worlds", "1000000", "--deadline", "1", "--processes", "1", "--json")
    assert done.exit_code == 0, done.exception
    told = json.loads(done.stdout)
    assert told["stopped"] == "deadline"
    assert 2 <= told["worlds"] < 1_000_000
    assert any("time was up after" in line for line in told["warnings"])


def test_an_interrupt_leaves_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate_in(tmp_path, NOT_WORSE)
    real = counting.simulate_world

    def interrupted(trial: counting.Trial, number: int) -> counting.World:
        if number == 7:
            raise KeyboardInterrupt
        return real(trial, number)

    monkeypatch.setattr(counting, "simulate_world", interrupted)
    arguments = ["simulate", str(tmp_path / "gate.yaml"), "--worlds", "20", "--json"]
    done = CliRunner().invoke(program, arguments, standalone_mode=False)
    assert done.return_value == 130
    told = json.loads(done.stdout)
    assert (told["stopped"], told["worlds"]) == ("interrupted", 7)


@pytest.mark.parametrize("width", [40, 80])
def test_the_text_fits_a_narrow_screen_and_holds_nothing_that_acts(tmp_path: Path, width: int) -> None:
    gate = gate_in(
        tmp_path, NOT_WORSE, "{metric: question_answering.f1, min: 0.5}", evaluators=[CLASSIFICATION, ANSWERS]
    )
    told = simulated(drawn(gate), 5).model_copy(update={"model": "\x1b[31mred", "source": "a\u202eb"})
    shown = render_simulation(told, width=width)
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert max(map(len, shown.splitlines())) <= width
