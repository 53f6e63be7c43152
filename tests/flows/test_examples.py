"""Every example is in order, keeps the contract of its evaluators, and runs; every evaluator has one, and a page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

import pytest
from workshop import BASE, MODEL, Workshop

from finetune_gate.evaluators.catalog import BUILT_IN, evaluator_class
from finetune_gate.evaluators.evaluator import Evaluator
from finetune_gate.evaluators.testing import check_contract
from finetune_gate.gate.gate_file import load_data, load_gate_file

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path.parent.name for path in (ROOT / "examples").glob("*/gate.yaml"))
ELSEWHERE = {"endpoint_classification"}
"""Examples that need a server of their own, and have a test of their own."""
JUDGES = {"openai:/gpt-4o": f"models:/{BASE}/1", "models:/support-judge/2": f"models:/{MODEL}/1"}
"""Who sits for the judges that examples name."""


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "examples" / "own_evaluator")


@pytest.mark.parametrize("kind", BUILT_IN)
def test_every_evaluator_has_an_example_and_a_page(kind: str) -> None:
    assert kind in EXAMPLES
    pages = ROOT / "docs" / "evaluators"
    page, index = (pages / f"{kind}.md").read_text(), (pages / "README.md").read_text()
    linked = [(pages / name).read_text() for name in re.findall(r"\]\((\w+\.md)\)", page)]
    spans = re.findall(r"`([^`\n]+)`", "\n".join([page, index, *linked]))
    words = {word for span in spans for word in re.findall(r"\w+", span)}
    found = evaluator_class(kind)
    assert not set(found.model_fields) - words, "settings that no page speaks of"
    evaluator = cast("Evaluator", found.model_validate(found.example))
    metrics = {metric.name for metric in evaluator.metrics()}
    unsaid = {name for name in metrics if f"`{name}`" not in page and not re.search(r"_\d+$", name)}
    assert not unsaid or kind == "finetunebench", "metrics that the page does not speak of"
    assert f"({kind}.md)" in index


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_is_in_order_and_keeps_the_contract(name: str, importable: None) -> None:
    gate = load_gate_file(ROOT / "examples" / name / "gate.yaml")
    data = load_data(gate)
    for evaluator in gate.evaluators.values():
        check_contract(evaluator, data)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in EXAMPLES if name not in ELSEWHERE])
def test_the_example_runs(name: str, workshop: Workshop, importable: None) -> None:
    """On tiny models of random weights: whatever they are worth, the gate comes to a decision about them."""
    from finetune_gate.gate.run import GateRequest, walk

    folder = ROOT / "examples" / name
    text = re.sub(r"^model: .*$", f"model: {MODEL}", (folder / "gate.yaml").read_text(), flags=re.MULTILINE)
    text = re.sub(r"^base: .*$", f"base: models:/{BASE}/1", text, flags=re.MULTILINE)
    text = re.sub(r"\s(judge|model): openai:/\S+", "", text) if "openai:/" in text else text
    for judge, stand_in in JUDGES.items():
        text = text.replace(judge, stand_in)
    copied = workshop.folder / "example"
    copied.mkdir()
    for entry in folder.iterdir():
        if entry.name not in ("gate.yaml", "__pycache__"):
            (copied / entry.name).symlink_to(entry)
    (copied / "gate.yaml").write_text(text)
    result = walk(
        GateRequest(
            copied / "gate.yaml",
            "1",
            tracking_uri=workshop.uri,
            out=workshop.folder / "out",
            home=workshop.folder / "home",
        )
    )
    assert result.record.decision in ("promote", "block", "hold")
    assert (result.folder / "report.html").stat().st_size > 10_000
    assert result.record.run.asked["candidate"] > 0
