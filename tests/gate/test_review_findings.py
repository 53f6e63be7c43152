"""Ways to be promoted without proof, or to be told something false, that were once open. Each stays shut."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from finetune_gate.evaluators.absent import Unmeasured, Value
from finetune_gate.evaluators.classification import Classification
from finetune_gate.evaluators.datasets import DatasetSource, load_dataset
from finetune_gate.evaluators.errors import ConfigurationError, DatasetError
from finetune_gate.evaluators.measurement import measure
from finetune_gate.evaluators.perplexity import Perplexity
from finetune_gate.evaluators.scores import EvaluatorScores, ScoredExample
from finetune_gate.evaluators.statistics import Estimate
from finetune_gate.gate.deciding import Circumstances, decide
from finetune_gate.gate.gate_file import Rule, load_data, load_gate_file
from finetune_gate.gate.registry.mlflow_client import public_uri

BITS = Perplexity(data="d").metrics()[1]
USUAL = Circumstances(has_champion=False, identical=(), today=date(2026, 6, 1))


def documents(candidate: list[float], base: list[float]) -> EvaluatorScores:
    def columns(bits: list[float]) -> dict[str, tuple[Value, ...]]:
        return {"bits": tuple(bits), "bytes": tuple(10.0 if value else 0.0 for value in bits)}

    examples = tuple(ScoredExample(str(i), None, {}) for i in range(len(candidate)))
    return EvaluatorScores("perplexity", examples, {"candidate": columns(candidate), "base": columns(base)})


@pytest.mark.parametrize("empty", [1, 98])
def test_empty_documents_are_no_evidence(empty: int) -> None:
    real = measure(BITS, documents([10.0, 30.0, 25.0], [12.0, 31.0, 29.0]))
    padded = measure(BITS, documents([10.0, 30.0, 25.0] + [0.0] * empty, [12.0, 31.0, 29.0] + [0.0] * empty))
    assert padded.candidate == real.candidate
    assert padded.comparisons == real.comparisons


def test_an_interval_without_width_proves_nothing() -> None:
    same = measure(BITS, documents([10.0, 10.0], [12.0, 12.0]))
    rule = Rule(metric="perplexity.bits_per_byte", min_change=0.0)
    assert decide([rule], {0: same}, USUAL).verdict == "hold"


def test_failed_answers_never_raise_a_statistic_of_the_confusion() -> None:
    metrics = {metric.name: metric for metric in Classification(data="d", labels=("a", "b")).metrics()}
    examples = tuple(ScoredExample(str(i), None, {}) for i in range(200))
    label = tuple(float(i % 2) for i in range(200))
    prediction: list[Value] = [1.0 - label[i] if i < 40 else label[i] for i in range(200)]
    prediction[0] = Unmeasured("timed out")
    columns = {"candidate": {"label": label, "prediction": tuple(prediction)}}
    for name in ("precision_macro", "f1_macro", "matthews_corrcoef"):
        found = measure(metrics[name], EvaluatorScores("c", examples, columns))
        assert found.candidate == Unmeasured("1 of 200 examples have no prediction")


def test_the_same_row_a_hundred_times_is_one_piece_of_evidence(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "x", "label": "a"}\n' * 100 + '{"text": "y", "label": "b"}\n')
    dataset = load_dataset("a", DatasetSource(path="a.jsonl"), tmp_path)
    assert len({example.group for example in dataset.examples[:100]}) == 1
    assert dataset.examples[0].group is not None
    assert dataset.examples[100].group is None
    examples = tuple(ScoredExample(example.id, example.group, {}) for example in dataset.examples)
    columns = {"candidate": {"correct": (1.0,) * 101}}
    accuracy = Classification(data="d", labels=("a", "b")).metrics()[0]
    found = measure(accuracy, EvaluatorScores("c", examples, columns)).candidate
    assert isinstance(found, Estimate)
    assert found.clusters == 2


def test_a_blank_group_is_no_group(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,text,group\n1,x,\n2,y,\n3,z,g\n")
    dataset = load_dataset("a", DatasetSource(path="a.csv"), tmp_path)
    assert [example.group for example in dataset.examples] == [None, None, "g"]


@pytest.mark.parametrize(
    ("content", "message"),
    [('{"id": "\\ud83d", "text": "a"}', "half a surrogate pair"), ('{"id": "1", "text": "\\udc00"}', "surrogate")],
)
def test_text_that_no_file_can_hold_is_refused_early(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.jsonl").write_text(content)
    with pytest.raises(DatasetError, match=message):
        load_dataset("a", DatasetSource(path="a.jsonl"), tmp_path)


GATE = """\
model: m
data: {{holdout: holdout.jsonl}}
evaluators:
  - classification: {{data: holdout, labels: [a, b], prompt: "{prompt}"}}
  - perplexity: {{data: holdout}}
rules: [{rule}]
{extra}
"""


def write(folder: Path, rule: str = "{metric: classification.accuracy, min: 0.5}", prompt: str = "{text}",
          row: str = '{"id": "1", "text": "x", "label": "a"}', extra: str = "") -> Path:  # fmt: skip
    (folder / "holdout.jsonl").write_text(row + "\n")
    path = folder / "gate.yaml"
    path.write_text(GATE.format(rule=rule, prompt=prompt, extra=extra))
    return path


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("{metric: classification.accuracy, min: 90}", "above 0, up to 1"),
        ("{metric: classification.accuracy, min: 0}", "above 0, up to 1"),
        ("{metric: classification.accuracy, max: 90}", "min: higher values of this metric are better"),
        ("{metric: perplexity.perplexity, min: 3}", "max: lower values of this metric are better"),
        ("{metric: perplexity.perplexity, max: 0.5}", "at least 1"),
        ("{metric: classification.accuracy, min_change: 0, margin: 2}", "less than the metric's whole range, 1"),
    ],
)
def test_a_bound_that_decides_nothing_is_refused(tmp_path: Path, rule: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_gate_file(write(tmp_path, rule))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("prompt", "row", "message"),
    [
        ("no text at all", '{"id": "1", "text": "x", "label": "a"}', "holds no column"),
        ("{ticket text}", '{"id": "1", "ticket text": "x", "text": "y", "label": "a"}', "holds no column"),
        ("{text}{note}", '{"id": "1", "text": "x", "note": null, "label": "a"}', "1 rows of 'holdout' have no 'note'"),
        ("{text}{options}", '{"id": "1", "text": "x", "options": "A B", "label": "a"}', "a column with another name"),
    ],
)
def test_a_prompt_must_show_the_example(tmp_path: Path, prompt: str, row: str, message: str) -> None:
    with pytest.raises(DatasetError) as caught:
        load_data(load_gate_file(write(tmp_path, prompt=prompt, row=row)))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("promotion: {alias: v1}", "MLflow reserves"),
        ("promotion: {alias: Latest}", "MLflow reserves"),
        ("execution: {<<: {seed: 1}}", "merge key"),
        ("base: !!bool foo", "tag"),
        (f"execution: {{seed: 0x{'f' * 6000}}}", "hundreds of digits"),
    ],
)
def test_odd_yaml_is_one_clear_error(tmp_path: Path, extra: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_gate_file(write(tmp_path, extra=extra))
    assert message in str(caught.value)


def test_a_yaml_1_1_directive_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_text("%YAML 1.1\n---\n" + path.read_text())
    with pytest.raises(ConfigurationError, match="directive"):
        load_gate_file(path)


@pytest.mark.parametrize(
    "address", ["http://user:p@ssw0rd@127.0.0.1:1", "http://u:sec/ret@127.0.0.1:1", "http://u:s@127.0.0.1:1"]
)
def test_no_part_of_a_password_is_shown(address: str) -> None:
    assert public_uri(address) == "http://127.0.0.1:1"


def test_sizes_that_cannot_be_told_are_capped() -> None:
    found = measure(BITS, documents([10.0, 30.0, 25.0], [12.0, 31.0, 29.0]))
    assert isinstance(found.candidate, Estimate)
    bound = found.candidate.value + 1e-200
    assert decide([Rule(metric="perplexity.bits_per_byte", max=bound)], {0: found}, USUAL).verdict == "hold"
    assert json.dumps(bound)
