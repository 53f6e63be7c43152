"""A judge on this machine, asked for the log-likelihood of its two labels: a clockwork that always says the first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from clockwork import write_clockwork
from workshop import Workshop

from finetune_gate.gate.record import EstimateRecord
from finetune_gate.gate.run import GateRequest, walk

pytestmark = pytest.mark.slow


def test_a_local_judge_by_log_likelihood(workshop: Workshop, tmp_path: Path) -> None:
    write_clockwork(tmp_path / "judge", says="m")
    gate = workshop.folder / "gate.yaml"
    gate.write_text(
        f"""
model: tiny-router
data: {{holdout: {{path: holdout.jsonl, sample: 20}}}}
evaluators:
  - ab_judge:
      data: holdout
      prompt: "{{text}}"
      judge: [{{model: "{tmp_path / "judge"}"}}, {{model: "reference:/chrf", advisory: true}}]
      reference: label
      verdict: logprobs
      max_new_tokens: 8
      controls: 4
rules:
  - {{metric: ab_judge.win_rate, min: 0.4}}
"""
    )
    request = GateRequest(gate, "2", tracking_uri=workshop.uri, out=tmp_path / "out", home=tmp_path / "home")
    result = walk(request)
    record = result.record
    (judge,) = (name for name in record.run.asked if name.endswith("judge"))
    assert record.run.asked[judge] > 0
    pairs = {one.metric: one.comparisons["base"].difference for one in record.measurements if one.subject == "pair"}
    win, flips = pairs["ab_judge.win_rate"], pairs["ab_judge.flip_rate"]
    assert isinstance(win, EstimateRecord)
    assert isinstance(flips, EstimateRecord)
    assert win.value == pytest.approx(0.5, abs=1e-3)
    assert flips.value == 1.0
    assert (record.decision, record.rules[0].outcome) == ("hold", "unmeasured")
    found = json.dumps(json.loads((result.folder / "findings.json").read_text()))
    assert "similarity to the reference answer, not an LLM" in found

    again = walk(request).record
    assert again.run.asked[judge] == 0
    assert again.digest() == record.digest()
