"""Rules of every kind in a gate file: what is refused when it is read, and what a plan says of them."""

from __future__ import annotations

import json
from math import log
from pathlib import Path

import pytest

from finetune_gate.evaluators.asking import Answer, Request, TokenLogprobs
from finetune_gate.evaluators.errors import ConfigurationError, DatasetError
from finetune_gate.evaluators.statistics import smallest_detectable
from finetune_gate.gate.gate_file import Gate, Rule, load_data, load_gate_file
from finetune_gate.gate.gate_file.rules import BOUNDS
from finetune_gate.gate.pins import Role
from finetune_gate.gate.planning.planned import PlannedRule, Unknown
from finetune_gate.gate.planning.sensitivity import plan_rules, small_samples

LANGUAGES = ["de"] * 80 + ["fr"] * 40 + ["nl"] * 12


def gate_of(folder: Path, *rules: str) -> Gate:
    rows = [
        {"id": str(at), "text": f"row {at} " * (1 + at % 5), "label": "bug", "language": language}
        for at, language in enumerate(LANGUAGES)
    ]
    (folder / "holdout.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = folder / "gate.yaml"
    lines = "".join(f"  - {rule}\n" for rule in rules)
    path.write_text(
        "model: support-bot\ndata: {holdout: holdout.jsonl}\nevaluators:\n"
        "  - classification: {data: holdout, labels: [billing, bug]}\n  - perplexity: {data: holdout}\n"
        f"rules:\n  - {{metric: classification.accuracy, min: 0.5}}\n{lines}"
    )
    return load_gate_file(path)


def fault(folder: Path, rule: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        gate_of(folder, rule)
    return str(caught.value)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("{metric: classification.accuracy, min: 0.7, max_change: 0.2}", "min and max_change given; expected exactly"),
        (
            "{metric: classification.accuracy, max_change: 1.5}",
            "max_change: 1.5 for classification.accuracy\n  expected",
        ),
        ("{metric: classification.accuracy, max_change: .inf}", "max_change: inf\n  expected: a finite number"),
        ("{metric: classification.accuracy, max_change: 0.2, margin: 0.1}", "margin goes with min_change"),
        ("{metric: classification.accuracy, min_relative_change: -1}", "expected: above -1"),
        ("{metric: classification.accuracy, min_relative_change: 2 %}", "min_relative_change: '2 %'"),
        ("{metric: perplexity.bits_per_byte, min_relative_change: 1.0}", "expected: below 1"),
        ("{metric: classification.accuracy, min: 0.7, slice: {a: b}, slices: a}", "slice and slices given"),
        ("{metric: classification.accuracy, min: 0.7, min_n: 10}", "min_n goes with slices"),
        ("{metric: classification.accuracy, min: 0.7, slices: [language]}", "slices: ['language']"),
        ("{metric: classification.accuracy, min: 0.7, slices: language, min_n: 1}", "min_n: 1"),
        ("{metric: classification.accuracy, min: 0.7, sliecs: language}", "did you mean 'slices'?"),
        ("{metric: classification.accuracy, min_relative_chnge: 0.1}", "did you mean 'min_relative_change'?"),
        ("{metric: classification.accuracy, max: 0.7, against: base}", "expected: min"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_with_its_place(tmp_path: Path, rule: str, message: str) -> None:
    found = fault(tmp_path, rule)
    assert message in found
    assert "gate.yaml:8 rules[1]" in found


def test_what_is_far_from_nothing_is_allowed(tmp_path: Path) -> None:
    gate = gate_of(
        tmp_path,
        "{metric: classification.accuracy, min_relative_change: 5}",
        "{metric: perplexity.bits_per_byte, min_relative_change: -5}",
        "{metric: perplexity.bits_per_byte, max_change: 100}",
        "{metric: classification.accuracy, max_change: -0.1}",
        "{metric: classification.accuracy, min: 0.5, slices: language, min_n: 2}",
    )
    assert len(gate.rules) == 6


@pytest.mark.parametrize(
    ("column", "message"),
    [("langage", "no example has a 'langage'\n  way out:  did you mean 'language'?"), ("category", "no example has a")],
)
def test_a_column_that_is_not_there_is_an_error(tmp_path: Path, column: str, message: str) -> None:
    gate = gate_of(tmp_path, f"{{metric: classification.accuracy, min: 0.5, slices: {column}}}")
    with pytest.raises(DatasetError) as caught:
        load_data(gate)
    assert "rules[1].slices: " in str(caught.value)
    assert message in str(caught.value)


def test_a_column_that_is_there_is_none(tmp_path: Path) -> None:
    load_data(gate_of(tmp_path, "{metric: classification.accuracy, min: 0.5, slices: language}"))


# --- documented


def documented() -> str:
    text = (Path(__file__).parents[2] / "docs" / "gate-file.md").read_text(encoding="utf-8")
    return text.partition("## Rules\n")[2].partition("\n## ")[0]


def test_every_key_has_a_line_in_the_documentation() -> None:
    lines = [line.split("|")[1] for line in documented().splitlines() if line.startswith("| `")]
    assert {name.strip(" `") for name in lines} == set(Rule.model_fields)


def test_every_kind_has_an_example_that_is_valid(tmp_path: Path) -> None:
    block = documented().partition("```yaml\n")[2].partition("```")[0]
    examples = [line.strip()[2:].partition("  #")[0] for line in block.splitlines()[1:]]
    gate = gate_of(tmp_path, *(example.replace("category: billing", "language: de") for example in examples))
    assert {rule.kind for rule in gate.rules} == set(BOUNDS)
    assert {"slices", "slice", "margin"} <= {
        name for rule in gate.rules for name in rule.model_dump(exclude_defaults=True)
    }
    load_data(gate)


# --- planning


def planned(gate: Gate, *roles: Role) -> tuple[PlannedRule, ...]:
    data = load_data(gate)
    known: dict[Role, dict[Request, Answer]] = {}
    for shift, role in enumerate(roles):
        answers: dict[Request, Answer] = {}
        for at, request in enumerate(gate.evaluators["perplexity"].requests(data)):
            answers[request] = TokenLogprobs((-4.0 - at % 7 - shift,) * 3)
        known[role] = answers
    return plan_rules(gate, data, known)[1:]


def test_a_leap_is_planned_as_a_margin_is(tmp_path: Path) -> None:
    margin, leap, none = planned(
        gate_of(
            tmp_path,
            "{metric: classification.accuracy, min_change: 0.0, margin: 0.05}",
            "{metric: classification.accuracy, max_change: 0.05}",
            "{metric: classification.accuracy, max_change: 0.0}",
        )
    )
    assert (leap.detects, leap.needed, leap.assumption) == (margin.detects, margin.needed, margin.assumption)
    assert leap.shortfall is not None
    assert leap.shortfall.startswith("the room of 0.05 needs about ")
    assert none.needed is None


RELATIVE = "{metric: perplexity.bits_per_byte, min_relative_change: -0.001}"


def test_a_relative_change_is_known_once_the_base_has_answered(tmp_path: Path) -> None:
    gate = gate_of(tmp_path, RELATIVE, RELATIVE.replace("-0.001}", "-0.001, against: champion}"))
    known, against = planned(gate, "base")
    assert against.detects == Unknown(unknown="known once the base has answered")
    assert isinstance(known.detects, float)
    assert known.unit == "% of the baseline's value"
    assert known.shortfall is not None
    assert known.shortfall.startswith("the room of 0.1 % needs about ")
    (plain,) = planned(gate_of(tmp_path, "{metric: perplexity.bits_per_byte, min_change: 0.0}"), "base")
    assert isinstance(plain.detects, float)
    nats = sum(3 * (4.0 + at % 7) for at in range(len(LANGUAGES)))
    texts = sum(len(f"row {at} " * (1 + at % 5)) for at in range(len(LANGUAGES)))
    assert known.detects == pytest.approx(100 * plain.detects / (nats / log(2) / texts))
    for one in planned(gate):
        assert one.detects == Unknown(unknown="known once the base has answered")


def test_the_smallest_slice_is_what_a_plan_looks_at(tmp_path: Path) -> None:
    each, of_few, none, whole = planned(
        gate_of(
            tmp_path,
            "{metric: classification.accuracy, min: 0.75, slices: language}",
            "{metric: classification.accuracy, min: 0.75, slices: language, min_n: 10}",
            "{metric: classification.accuracy, min: 0.75, slices: language, min_n: 100}",
            "{metric: classification.accuracy, min: 0.75, slice: {language: fr}}",
        )
    )
    assert each.rule == "classification.accuracy [each language] >= 0.75 (the smallest: 'fr')"
    assert (each.examples, each.detects) == (40, whole.detects)
    assert each.detects == pytest.approx(smallest_detectable((0.75 * 0.25 / 40) ** 0.5))
    assert (of_few.examples, of_few.rule.partition(" (")[2]) == (12, "the smallest: 'nl')")
    assert none.detects == Unknown(unknown="no value of 'language' has 100 examples")
    assert none.examples == 132
    assert [warning.partition(":")[0] for warning in small_samples((each, of_few))] == [of_few.rule.partition(":")[0]]
