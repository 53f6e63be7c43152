"""A gate whose evaluator compares answers with the help of an encoder: embeddings, and entailment."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from workshop import MODEL, Workshop

sys.path.append(str(Path(__file__).parents[1] / "models"))

GATE = """
model: {model}
data: {{asked: asked.jsonl}}
evaluators:
  - consistency:
      {{data: asked, prompt: "{{text}}", samples: 3, similarity: {similarity}, model: {encoder}, max_new_tokens: 4}}
rules:
  - {{metric: consistency.semantic_entropy, max: 1.09}}
  - {{metric: consistency.sample_agreement, min_change: 0.0, margin: 0.5, against: base, severity: warn}}
"""
LABELS = {"embeddings": None, "nli": {0: "contradiction", 1: "neutral", 2: "entailment"}}


@pytest.mark.slow
@pytest.mark.parametrize("similarity", LABELS)
def test_answers_are_compared_by_an_encoder(similarity: str, workshop: Workshop) -> None:
    from test_models_encoders import make_encoder

    from finetune_gate.gate.run import GateRequest, walk

    encoder = make_encoder(workshop.folder / "encoder", LABELS[similarity])
    rows = [{"text": f"Where is parcel {number}?"} for number in range(12)]
    (workshop.folder / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    gate = workshop.folder / "gate.yaml"
    gate.write_text(GATE.format(model=MODEL, similarity=similarity, encoder=encoder))
    request = GateRequest(
        gate, "1", tracking_uri=workshop.uri, out=workshop.folder / "out", home=workshop.folder / "home"
    )
    record = walk(request).record
    judge = record.role("judge")
    assert judge is not None
    assert judge.layout == "encoder"
    assert record.run.asked[str(encoder)] > 0
    entropy = next(one for one in record.measurements if one.metric == "consistency.semantic_entropy")
    assert min(entropy.scored.values()) > 0, "random models also write what the tiny tokenizer has no tokens for"
    again = walk(request).record
    assert again.run.stored[str(encoder)] > 0, "vectors and entailments are kept like other answers"
    assert again.digest() == record.digest()
