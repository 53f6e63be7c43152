"""A section of a model card, read by the Hub's own library. ``golden.py`` says how golden texts are made anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from golden import assert_golden
from markdown_it import MarkdownIt
from sample_records import STORIES, hostile_record, record_of

from finetune_gate.gate.record import DecisionRecord, EstimateRecord, UnmeasuredRecord
from finetune_gate.gate.reports import render_model_card
from finetune_gate.gate.reports.inert import inert_text

RECORDS = [*map(record_of, STORIES), hostile_record()]
NAMES = [*STORIES, "hostile"]


def card_of(text: str) -> Any:
    from huggingface_hub import ModelCard

    return ModelCard(text)


@pytest.mark.parametrize("name", ["hold", "unmeasured"])
def test_golden(name: str) -> None:
    assert_golden(f"{name}.card.md", render_model_card(record_of(name)))


@pytest.mark.parametrize("record", RECORDS, ids=NAMES)
def test_the_hub_s_library_reads_every_measured_metric_and_no_other(record: DecisionRecord) -> None:
    card = card_of(render_model_card(record))
    assert card.data.model_name == inert_text(record.model)
    wanted = {
        one.metric: one.candidate
        for one in reversed(record.measurements)
        if isinstance(one.candidate, EstimateRecord) and not one.slice and one.metric.startswith(("class", "perpl"))
    }
    found = {one.metric_name: one for one in card.data.eval_results}
    assert set(found) == set(wanted)
    for name, estimate in wanted.items():
        one = found[name]
        assert one.metric_value == estimate.value
        assert (one.metric_args["low"], one.metric_args["high"]) == (estimate.low, estimate.high)
        assert (one.metric_args["one_sided_confidence"], one.metric_args["n"]) == (0.95, estimate.n)
        assert one.metric_type == name.partition(".")[2]


@pytest.mark.parametrize("record", RECORDS, ids=NAMES)
def test_the_library_writes_the_same_index_again(record: DecisionRecord) -> None:
    """Nothing is lost on the way through its own data model."""
    import yaml
    from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results

    front = render_model_card(record).split("---\n")[1]
    index = yaml.safe_load(front)["model-index"]
    name, results = model_index_to_eval_results(index)
    assert eval_results_to_model_index(name, results) == index


@pytest.mark.parametrize("record", RECORDS, ids=NAMES)
def test_two_readers_of_yaml_agree(record: DecisionRecord) -> None:
    """PyYAML reads YAML 1.1, where 1e-05 is a text and `no` is false; ruamel reads 1.2."""
    import yaml
    from ruamel.yaml import YAML

    front = render_model_card(record).split("---\n")[1]
    assert yaml.safe_load(front) == YAML(typ="safe").load(front)


@pytest.mark.parametrize("value", [1e-05, 5e-324, 1e16, 1.5e-07, 0.0, -0.0, 3.0, 1.7976931348623157e308])
def test_numbers_stay_numbers(value: float) -> None:
    record = record_of("hold")
    first = record.measurements[0]
    assert isinstance(first.candidate, EstimateRecord)
    changed = first.model_copy(update={"candidate": first.candidate.model_copy(update={"value": value})})
    card = card_of(render_model_card(record.model_copy(update={"measurements": (changed, *record.measurements[1:])})))
    assert card.data.eval_results[0].metric_value == value


def test_the_dataset_has_its_digest() -> None:
    card = card_of(render_model_card(record_of("hold")))
    assert {one.dataset_name for one in card.data.eval_results} == {"holdout"}
    assert card.data.eval_results[0].dataset_args == {"sha256": "5f" * 32, "rows": 120}
    tasks = {one.metric_name.partition(".")[0]: one.task_type for one in card.data.eval_results}
    assert tasks == {"classification": "text-classification", "perplexity": "text-generation"}


def test_evaluators_of_one_task_and_dataset_are_one_result() -> None:
    """As the Hub's library groups them: it writes the same index again."""
    from huggingface_hub.repocard_data import eval_results_to_model_index

    record = record_of("hold")
    alike = tuple(one.model_copy(update={"kind": "perplexity"}) for one in record.evaluators)
    text = render_model_card(record.model_copy(update={"evaluators": alike}))
    data = card_of(text).data
    (index,) = eval_results_to_model_index(data.model_name, data.eval_results)
    assert len(index["results"]) == 1
    assert len(index["results"][0]["metrics"]) == 5
    assert text.count("- task:") == 1


def test_what_was_not_measured_is_said_and_has_no_number() -> None:
    text = render_model_card(record_of("unmeasured"))
    _, front, section = text.split("---\n", 2)
    assert "accuracy" not in front
    assert "* `classification.accuracy`: candidate was scored on 280 of 320 examples" in section
    assert "* `toxicity.rate`: no evaluator measured toxicity.rate" in section
    assert "NaN" not in text


def test_slices_are_in_the_table_alone() -> None:
    _, front, section = render_model_card(record_of("waived")).split("---\n", 2)
    assert "billing" not in front
    assert "`classification.accuracy on category=billing`" in section


def test_a_rate_of_pairs_says_against_whom() -> None:
    record = record_of("hold")
    first = record.measurements[0]
    pair = first.model_copy(
        update={"subject": "pair", "candidate": UnmeasuredRecord(unmeasured="a model is not compared with itself")}
    )
    others = tuple(one.model_copy(update={"subject": "run"}) for one in record.measurements[1:])
    card = card_of(render_model_card(record.model_copy(update={"measurements": (pair, *others)})))
    assert [(one.metric_name, one.metric_args["against"]) for one in card.data.eval_results] == [
        ("classification.accuracy against models:/ticket-base/1", "models:/ticket-base/1"),
        ("classification.accuracy against support-bot v6", "support-bot v6"),
    ]


def test_what_is_about_the_run_is_no_result_of_the_model() -> None:
    record = record_of("hold")
    about = tuple(one.model_copy(update={"subject": "run"}) for one in record.measurements)
    assert not render_model_card(record.model_copy(update={"measurements": about})).startswith("---")


def test_nothing_measured_makes_no_index() -> None:
    record = record_of("hold")
    lost = UnmeasuredRecord(unmeasured="the server was away")
    measurements = tuple(one.model_copy(update={"candidate": lost, "comparisons": {}}) for one in record.measurements)
    text = render_model_card(record.model_copy(update={"measurements": measurements}))
    assert text.startswith("## Evaluation")
    assert text.count("the server was away") == 5


def test_foreign_text_is_no_markdown() -> None:
    section = render_model_card(hostile_record()).split("\n---\n", 1)[1]
    parsed = MarkdownIt("commonmark").enable("table").parse(section)
    kinds = [token.type for block in parsed for token in (block, *(block.children or ()))]
    assert not {"html_inline", "html_block", "link_open", "image"} & set(kinds)
    assert kinds.count("table_open") == 3
    assert kinds.count("heading_open") == 1


def test_it_goes_into_the_card_of_a_model(tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    (tmp_path / "gate-card.md").write_text(render_model_card(record_of("promote")), encoding="utf-8")
    (tmp_path / "README.md").write_text("---\nlicense: apache-2.0\n---\n\n# Support bot\n", encoding="utf-8")
    card, gate = ModelCard.load(tmp_path / "README.md"), ModelCard.load(tmp_path / "gate-card.md")
    card.data.model_name, card.data.eval_results = gate.data.model_name, gate.data.eval_results
    card.text += f"\n{gate.text}"
    card.save(tmp_path / "README.md")
    again = ModelCard.load(tmp_path / "README.md")
    assert again.data.license == "apache-2.0"
    assert len(again.data.eval_results) == len(gate.data.eval_results)
    assert "## Evaluation" in again.text
