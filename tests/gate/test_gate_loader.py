"""Gate files: every fault in one go, with line, key path and a way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from finetune_gate.evaluators.errors import ConfigurationError, DatasetError
from finetune_gate.gate.gate_file import load_data, load_gate_file

GOOD = """\
model: support-bot
data:
  holdout: holdout.jsonl
evaluators:
  - classification: {data: holdout, labels: [billing, bug]}
  - perplexity: {data: holdout}
rules:
  - {metric: classification.accuracy, min: 0.75}
"""


def write(folder: Path, text: str, rows: str = '{"id": "1", "text": "a", "label": "bug"}\n') -> Path:
    (folder / "holdout.jsonl").write_text(rows)
    path = folder / "gate.yaml"
    path.write_text(text)
    return path


def faults(folder: Path, text: str) -> str:
    path = write(folder, text)
    with pytest.raises(ConfigurationError) as caught:
        load_gate_file(path)
    return str(caught.value).replace(f"{path}:", "line ").replace(str(path), "gate.yaml")


def test_defaults(tmp_path: Path) -> None:
    gate = load_gate_file(write(tmp_path, GOOD))
    assert (gate.file.base, gate.file.champion, gate.file.promotion.alias) == ("auto", "@champion", "champion")
    assert list(gate.evaluators) == ["classification", "perplexity"]
    assert set(load_data(gate)) == {"holdout"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("model: support-bot\n", "", "line 1 model: 'model' is missing"),
        ("min: 0.75", "min: .nan", "line 8 rules[0].min: nan\n  expected: a finite number"),
        ("min: 0.75", "min: '0.75'", "line 8 rules[0].min: '0.75'\n  expected: a valid number"),
        ("min: 0.75", "min: yes", "line 8 rules[0].min: 'yes'\n  expected: a valid number"),
        ("min: 0.75", "min: true", "line 8 rules[0].min: True\n  expected: a valid number"),
        (
            "min: 0.75",
            "severity: warn",
            "line 8 rules[0]: no bound given; expected exactly one of min, max, min_change",
        ),
        ("min: 0.75", "min: 0, max: 1", "line 8 rules[0]: min and max given; expected exactly one"),
        ("min: 0.75", "min: 0, margin: 1", "line 8 rules[0]: margin goes with min_change"),
        ("min: 0.75", "min: 0, against: base", "rules[0].against: 'base', and min bounds the candidate's own"),
        ("min: 0.75", "min: 0, sevrity: warn", "unknown key 'sevrity'\n  way out:  did you mean 'severity'?"),
        ("min: 0.75", "min: 0, severity: warn", "line 7 rules: every rule is a warning"),
        ("classification.accuracy", "classification.acuracy", "did you mean 'classification.accuracy'?"),
        ("- perplexity", "- perplexty", "unknown evaluator 'perplexty'\n  way out:  did you mean 'perplexity'?"),
        ("- perplexity: {data: holdout}", "- perplexity", "expected: one evaluator, such as"),
        (
            "labels: [billing, bug]",
            "label: [billing, bug]",
            "line 5 evaluators[0].classification.label: ['billing', 'bug']",
        ),
        ("labels: [billing, bug]", "lables: [a, b]", "did you mean 'labels'?"),
        (
            "perplexity: {data: holdout}",
            "perplexity: {data: holdot}",
            "no dataset 'holdot'\n  way out:  did you mean 'holdout'?",
        ),
        (
            "perplexity: {data: holdout}",
            "classification: {data: holdout, labels: [a, b]}",
            "line 6 evaluators[1]: a second evaluator called 'classification'",
        ),
        ("model: support-bot", "model: a\nmodel: b", "line 2: found duplicate key"),
        ("model: support-bot", "model: &m a", "line 1: an anchor or alias"),
        ("model: support-bot", "model: !!python/name:os.system a", "tag"),
        ("model: support-bot", "model: [a", "line 2: "),
        ("data:\n  holdout: holdout.jsonl\n", "data: {}\n", "data: {}"),
        ("rules:", "promotion: {alias: 'a b'}\nrules:", "promotion.alias: 'a b'"),
        ("rules:", "execution: {batch_tokens: 0}\nrules:", "execution.batch_tokens: 0"),
        ("rules:", "execution: {workers: 2}\nrules:", "workers given, and runner is local"),
        ("rules:", "execution: {runner: spark}\nrules:", "execution.runner: 'spark'"),
        ("rules:", "endpoints: {s3: {}}\nrules:", "endpoint 's3'"),
        ("rules:", "endpoints: {a: {base_url: 'http://u:p@h/v1'}}\nrules:", "without user, password and query"),
        ("rules:", "endpoints: {a: {base_url: 'ftp://h'}}\nrules:", "an address such as http://127.0.0.1:8000/v1"),
        ("rules:", "endpoints: {a: {key: 'sk-123'}}\nrules:", "endpoints.a.key"),
        ("rules:", "trust: yes\nrules:", "trust: 'yes'"),
        ("rules:", "champion: null\nexecution: {device: tpu}\nrules:", "execution.device: 'tpu'"),
    ],
)
def test_faults(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    assert message in faults(tmp_path, GOOD.replace(old, new, 1))


@pytest.mark.parametrize(("text", "message"), [("", "empty"), ("- a\n", "valid dictionary"), ("\0", "not YAML")])
def test_what_is_no_gate_file(tmp_path: Path, text: str, message: str) -> None:
    assert message in faults(tmp_path, text)


def test_all_faults_are_reported_in_one_go(tmp_path: Path) -> None:
    broken = GOOD.replace("min: 0.75", "min: x").replace("data: holdout}", "data: gone}").replace("model:", "modle:")
    path = write(tmp_path, broken)
    with pytest.raises(ConfigurationError) as caught:
        load_gate_file(path)
    assert len(caught.value.problems) == 4  # missing model, unknown modle, bad min, unknown dataset


def test_a_missing_file_names_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="finetune-gate init"):
        load_gate_file(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("slice_by", "message"),
    [
        ("{category: x}", "no example has a 'category'"),
        ("{labl: bug}", "did you mean 'label'?"),
        ("{label: bgu}", "did you mean 'bug'?"),
    ],
)
def test_a_slice_that_selects_nothing_is_an_error(tmp_path: Path, slice_by: str, message: str) -> None:
    gate = load_gate_file(write(tmp_path, GOOD.replace("min: 0.75", f"min: 0.75, slice: {slice_by}")))
    with pytest.raises(DatasetError) as caught:
        load_data(gate)
    assert message in str(caught.value)


def test_labels_are_compared_with_the_data_before_anything_is_spent(tmp_path: Path) -> None:
    gate = load_gate_file(write(tmp_path, GOOD, '{"id": "1", "text": "a", "label": "praise"}\n'))
    with pytest.raises(DatasetError, match="one of billing, bug"):
        load_data(gate)
