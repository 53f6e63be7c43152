"""The shipped JSON schema is the program's own, and says what the program says."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from finetune_gate.gate.gate_file.schema import gate_file_schema

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "docs" / "gate-file.schema.json"


def test_the_shipped_schema_is_up_to_date() -> None:
    """Regenerate with ``FINETUNE_GATE_UPDATE_GOLDEN=1 pytest tests/gate/test_gate_file_schema.py``."""
    text = json.dumps(gate_file_schema(), indent=2) + "\n"
    if os.environ.get("FINETUNE_GATE_UPDATE_GOLDEN"):
        SHIPPED.write_text(text)
    assert SHIPPED.read_text() == text


def documented() -> list[str]:
    pages = [ROOT / "README.md", ROOT / "docs" / "gate-file.md"]
    return [
        block.split("```")[0]
        for page in pages
        for block in page.read_text().split("```yaml\n")[1:]
        if block.startswith("model:")
    ]


@pytest.mark.parametrize("text", documented())
def test_the_documented_gate_files_are_valid(text: str, tmp_path: Path) -> None:
    validator = Draft202012Validator(gate_file_schema())
    assert list(validator.iter_errors(YAML(typ="safe", pure=True).load(text))) == []
    from finetune_gate.gate.gate_file import load_gate_file

    (tmp_path / "gate.yaml").write_text(text)
    assert load_gate_file(tmp_path / "gate.yaml").file.model == "support-bot"


@pytest.mark.parametrize(
    "change",
    [
        {"modle": "x"},
        {"evaluators": [{"classifcation": {}}]},
        {"evaluators": [{"perplexity": {"dat": "holdout"}}]},
        {"rules": [{"metric": "a.b", "min": "high"}]},
        {"rules": []},
        {"promotion": {"stage": "Live"}},
    ],
)
def test_what_the_program_refuses_the_schema_refuses(change: dict[str, object]) -> None:
    good = {
        "model": "m",
        "data": {"holdout": "h.jsonl"},
        "evaluators": [{"perplexity": {"data": "holdout"}}],
        "rules": [{"metric": "perplexity.perplexity", "max": 3}],
    }
    validator = Draft202012Validator(gate_file_schema())
    assert validator.is_valid(good)
    assert not validator.is_valid(good | change)
